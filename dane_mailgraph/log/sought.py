"""Logs whose path we must find: `auto`, a container's by its name, the newest of a pattern."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import tzinfo
from glob import glob

from ..errors import MissingError, SourceError, reason
from ..privileges import as_caller
from . import auto

CONTAINER = "container:"

FOLDER = "/var/lib/docker/containers"
"""Where Docker keeps a folder for each container, with what it knows of it and its json-file."""


def is_sought(log: str) -> bool:
    """Return whether the setting `log` says how to find a log, and not where it is."""
    return log == auto.AUTO or log.startswith(CONTAINER) or any(each in log for each in "*?[")


def find(log: str, zone: tzinfo | None, now: int) -> str:
    """Return the path of a log, or `journal`; raises SourceError.

    A container that is made again has another path, and so may have what a pattern names.
    """
    if log == auto.AUTO:
        return auto.find(zone, now)
    with as_caller():
        if log.startswith(CONTAINER):
            return _of_container(log.removeprefix(CONTAINER))
        return _newest_of(log)


def _of_container(name: str) -> str:
    try:
        containers = sorted(os.listdir(FOLDER))
    except OSError as error:
        raise SourceError(
            f"{FOLDER} cannot be read: {reason(error)}; run as root, or set `log` to a log that "
            "the counter's user may read."
        ) from error
    for identity in containers:
        with suppress(OSError, ValueError, AttributeError, TypeError):
            with open(os.path.join(FOLDER, identity, "config.v2.json"), "rb") as file:
                known = json.load(file)
            if known["Name"] == f"/{name}" and known["LogPath"]:
                return str(known["LogPath"])
    raise MissingError(
        f"No container {name!r} with a json-file is in {FOLDER}; "
        "see `docker ps --all`, and `docker inspect -f '{{.HostConfig.LogConfig.Type}}'`."
    )


def _newest_of(pattern: str) -> str:
    newest, last = "", -1
    for path in sorted(glob(pattern)):
        with suppress(OSError):
            changed = os.stat(path).st_mtime_ns
            if changed > last and not path.endswith((".gz", ".bz2", ".xz", ".zst")):
                newest, last = path, changed
    if not newest:
        raise MissingError(f"No file matches {pattern}; set `log` to what Postfix's lines go to.")
    return newest
