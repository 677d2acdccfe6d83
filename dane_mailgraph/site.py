"""Store to site: build every file as bytes, then publish them atomically."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import tzinfo

from . import __version__, page, picture
from .errors import StoreError, reason
from .graphs import GRAPHS
from .page import Picture, Status
from .series import SPANS
from .store import Store

PAGE = "index.html"


def build(store: Store, now: int, zone: tzinfo | None, host: str) -> dict[str, bytes]:
    """The complete site, file by file, the page last; the same store and the same `now` give the same bytes."""
    last = store.last
    totals = tuple((span, store.series(span, now)) for span in SPANS)
    files: dict[str, bytes] = {}
    pictures = []
    for span, series in totals:
        for graph in GRAPHS:
            name = f"{graph.slug}-{span.name}.png"
            files[name] = picture.draw(graph, span, series, now, zone)
            pictures.append(Picture(name, span, graph, f"{graph.title}, {span.title.lower()}"))
    notes = (
        () if last else ("Nothing has been counted yet. Postfix logs TLS connections only with smtp_tls_loglevel = 1 or more.",)
    )
    status = Status(host, now, zone, __version__, last, tuple(pictures), totals, notes)
    files[PAGE] = page.html(status).encode()
    return files


def publish(files: dict[str, bytes], output_dir: str) -> str:
    """Write a site, each file by rename, the page last; its path. Raises StoreError.

    Folder and files can be read by all, whatever the umask: a web server runs as somebody else.
    """
    try:
        if not os.path.isdir(output_dir):
            os.makedirs(output_dir)
            os.chmod(output_dir, 0o755)
        for name, content in files.items():
            _write(os.path.join(output_dir, name), content)
    except OSError as error:
        raise StoreError(
            f"{output_dir} cannot be written: {reason(error)}; look at its permissions and at the free space."
        ) from error
    return os.path.join(output_dir, PAGE)


def _write(path: str, content: bytes) -> None:
    fresh = f"{path}.new"
    try:
        with open(fresh, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh)
        raise


def hostname() -> str:
    """The name of this machine, for the page."""
    return socket.gethostname()
