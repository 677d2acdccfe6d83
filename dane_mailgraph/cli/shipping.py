"""The counts are sent to ship_url, which lets us in by the files that the settings name."""

from __future__ import annotations

import base64
import ssl
import time

from ..config import Config
from ..errors import ConfigError, reason
from ..fleet import metrics, ship, victoriametrics
from ..store import Ledger, Shipped, ledger_path, load_shipped, replace_shipped
from .host import host_name
from .judgement import judge
from .stores import lock, open_ledger, open_rrd
from .terminal import tell

_LONGEST = 10_000
"""Bytes of a secret."""


def send_counts(settings: Config, *, again: bool = False) -> None:
    """Send to ship_url what it may not keep yet; raises MailgraphError."""
    if not settings.ship_url:
        raise ConfigError("Nothing can be sent: set `ship_url` to that of a VictoriaMetrics.")
    database = victoriametrics.Database(access(settings))
    with open_ledger(settings) as ledger, lock(settings, "ship.lock"):
        path = ledger_path(settings.state_dir)
        host = ship.CountedHost(open_rrd(settings, ledger), ledger, host_name(settings))

        def save(mark: Shipped) -> None:
            with Ledger(path, writable=True) as writer, writer.transaction():
                replace_shipped(writer, mark)

        with Ledger(path, writable=True) as writer:
            before = load_shipped(writer, database.url, host.name)
        shipment = ship.Shipment(host, database, save, lambda: int(time.time()))
        mark = shipment.ship(before, again=again)
        for notice in shipment.notices:
            tell(notice)
        if mark is not None:
            states = metrics.state_samples(ledger, judge(settings, ledger, int(time.time())))
            shipment.send_states(states, mark)


def access(settings: Config) -> victoriametrics.Access:
    """Read authorities and secret as the user who called the program; raises ConfigError."""
    return victoriametrics.Access(settings.ship_url, _tls(settings), _authorization(settings))


def _tls(settings: Config) -> ssl.SSLContext | None:
    if not settings.ship_url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=settings.ship_ca_file or None)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"ship_ca_file {settings.ship_ca_file} cannot be used: {reason(error)}; "
            "name a file of certificates in PEM."
        ) from error


def _authorization(settings: Config) -> str:
    token, password = settings.ship_token_file, settings.ship_password_file
    if token and password:
        raise ConfigError("Both ship_token_file and ship_password_file are set; keep one of them.")
    if token:
        return f"Bearer {_secret('ship_token_file', token)}"
    if not password:
        return ""
    line = _secret("ship_password_file", password)
    if ":" not in line:
        raise ConfigError(f"ship_password_file {password} is not USER:PASSWORD; write it so.")
    return f"Basic {base64.b64encode(line.encode()).decode()}"


def _secret(setting: str, path: str) -> str:
    """Return the one line of a file; no message ever holds any of it."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LONGEST).strip()
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"{setting} {path} cannot be read: {why}; let the group dane-mailgraph read it."
        ) from error
    if not text or not text.isprintable() or (setting == "ship_token_file" and not text.isascii()):
        raise ConfigError(f"{setting} {path} does not hold one line of text; write it anew.")
    return text
