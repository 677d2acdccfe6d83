"""A year of plausible traffic and the sample logs, to see the pictures before counting."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import accumulate
from math import cos, pi
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreError, reason
from ..files import no_link
from ..reports import Failures, TlsReport
from ..times import DAY, MINUTE

MARK = "demo"
"""A file of this name says that `demo` made a state directory and may replace it."""

LOCK = "lock"
"""The lock of a state directory, which must stay."""

YEAR = 2026
"""The year of the sample logs' stamps."""

DAYS = 380

_SERVERS = 160


def sample_logs() -> list[str]:
    """Return the paths of the sample logs, of an install or of a source tree."""
    here = Path(__file__).parents[1]
    inside = here / "sample_logs"
    return sorted(
        str(path)
        for path in (inside if inside.is_dir() else here.parent / "sample_logs").glob("*.log")
    )


def prepare(state_dir: str, log: str, now: int) -> None:
    """Empty `state_dir`, mark it as made by `demo`, and write the traffic until `now` into `log`.

    The caller has it locked. Raises StoreError where the folder cannot be written.
    """
    try:
        with open(os.path.join(state_dir, MARK), "a", encoding="ascii", opener=no_link):
            pass
        for each in Path(state_dir).iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.name not in (MARK, LOCK):
                each.unlink()
        with open(log, "w", encoding="ascii", opener=no_link) as file:
            file.writelines(traffic(now))
    except OSError as error:
        raise StoreError(
            f"{os.path.dirname(log)} cannot be written: {reason(error)}; name another folder."
        ) from error


class _Server:
    """A remote server: which TLS it offers, and since when it publishes TLSA records."""

    def __init__(self, number: int, chance: random.Random) -> None:
        kind = chance.random()
        modern = chance.random() < 0.8
        address = (
            f"192.0.2.{number % 254 + 1}" if chance.random() < 0.7 else f"2001:db8:{number:x}::25"
        )
        self.relay = f"mx{number % 3 + 1}.domain{number}.example[{address}]:25"
        self.label = "Trusted" if kind < 0.72 else "Untrusted" if kind < 0.97 else "Anonymous"
        self.verified_from = chance.random() * 2.6
        """Part of the year after which it has DANE, 0 to 1; above 1 is never."""
        self.quantum_from = chance.random() * 2
        if self.label == "Anonymous":
            self.tls = "TLSv1.2 with cipher ADH-AES256-GCM-SHA384 (256/256 bits)"
        elif modern:
            self.tls = (
                "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange {group}"
            )
        else:
            self.tls = "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"

    def summary(self, when: float) -> str:
        """Return the line of a handshake at this part of the year."""
        label = (
            "Verified" if when > self.verified_from and self.label != "Anonymous" else self.label
        )
        group = "X25519MLKEM768" if when > self.quantum_from else "X25519"
        return f"{label} TLS connection established to {self.relay}: {self.tls.format(group=group)}"


def traffic(now: int) -> Iterator[str]:
    """Yield the lines of a log that ends at `now`, an epoch second.

    More by day than by night, less on weekends, and DANE grows through the year.
    """
    chance, inbound = random.Random(20141124), random.Random(3207)
    servers = [_Server(number, chance) for number in range(_SERVERS)]
    weights = list(accumulate(1 / (1 + rank) for rank in range(_SERVERS)))
    broken, lost, *_ = (
        each for each in servers if each.verified_from < 0.5 and each.label != "Anonymous"
    )
    at = float(now - DAYS * DAY)
    while at < now:
        when = datetime.fromtimestamp(at, timezone.utc)
        rhythm = (1 - 0.75 * cos(2 * pi * (when.hour * 60 + when.minute - 120) / 1440)) * (
            0.45 if when.weekday() > 4 else 1
        )
        at += chance.expovariate(rhythm / (2 * MINUTE))
        part = (at - now) / (DAYS * DAY) + 1
        server = chance.choices(servers, cum_weights=weights)[0]
        # The TLSA records of one large server did not match for two days, ten days ago; those of
        # another one have not matched for two days now.
        refused = (server is broken and -11 < (at - now) / DAY < -9) or (
            server is lost and (at - now) / DAY > -2
        )
        stamp, process = when.isoformat(timespec="seconds"), chance.randrange(1000, 30000)
        lines = _delivery(server, part, refused, chance, f"{int(at * 1000):X}")
        yield "".join(f"{stamp} mail postfix/smtp[{process}]: {text}\n" for text in lines)
        if inbound.random() < 0.3:
            yield from (
                f"{stamp} mail postfix/smtpd[{process}]: {text}\n" for text in _reception(inbound)
            )


class _Reporter(NamedTuple):
    """An organization that reports about us."""

    name: str
    signer: str
    most_sessions: int
    """A day."""
    sessions_per_dane: int
    """One session of so many is by DANE; 0: none."""


_REPORTERS = (
    _Reporter("Big Mail Inc.", "bigmail.example", 900, 0),
    _Reporter("Office Cloud", "", 300, 2),
    _Reporter("Posthorn", "posthorn.example", 120, 1),
)


def reports(now: int) -> Iterator[TlsReport]:
    """Yield what others report of the 40 days before `now`, an epoch second.

    The certificate was renewed before its TLSA record, 12 days ago, and mended two days later.
    """
    chance = random.Random(8460)
    today = now - now % DAY
    for ago in range(40, 0, -1):
        for name, signer, most, share in _REPORTERS:
            if chance.random() < 0.05:
                continue
            sessions = chance.randrange(most // 2, most)
            dane = sessions // share if share else 0
            failed = dane if ago in (11, 12) else 0
            mx = "mail.example.org"
            yield TlsReport(
                identity=f"{ago:08}{name[:8]}".encode(),
                reporter=name,
                signer=signer,
                domain="example.org",
                day=today - ago * DAY,
                dane=dane - failed,
                mta_sts=sessions - dane,
                no_policy=chance.randrange(9),
                failed=failed,
                failures=(Failures("tlsa-invalid", mx, failed),) if failed else (),
            )


def _reception(chance: random.Random) -> Iterator[str]:
    """Yield the texts that smtpd logs while it receives one message."""
    what, number = chance.random(), chance.randrange(_SERVERS)
    client = f"mail.domain{number}.example[198.51.100.{number % 250 + 1}]"
    yield f"connect from {client}"
    if what > 0.03:
        modern = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
        old = "TLSv1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)"
        tls = old if what < 0.04 else modern
        yield f"Anonymous TLS connection established from {client}: {tls}"
    commands = "ehlo=2 starttls=1" if what > 0.03 else "ehlo=1"
    yield f"disconnect from {client} {commands} mail=1 rcpt=1 data=1 quit=1 commands=7"


def _delivery(
    server: _Server, when: float, refused: bool, chance: random.Random, queue_id: str
) -> Iterator[str]:
    """Yield the texts that a process logs while it delivers one message."""
    relay, sent = server.relay, "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
    what = chance.random()
    if refused:
        yield server.summary(when).replace("Verified", "Untrusted")
        sent = "dsn=4.7.5, status=deferred (Server certificate not verified)"
    elif what < 0.004:
        sent, relay = (
            f"dsn=4.7.5, status=deferred (TLSA lookup error for {relay.partition('[')[0]}:25)",
            "none",
        )
    elif what < 0.007:
        sent = "dsn=4.7.5, status=deferred (Cannot start TLS: handshake failure)"
    elif what < 0.06 - 0.04 * when:
        relay = f"mail.old{chance.randrange(9)}.example[198.51.100.{chance.randrange(9) + 1}]:25"
    else:
        yield server.summary(when)
    domain = server.relay.partition(".")[2].partition("[")[0]
    for number in range(1 if chance.random() < 0.8 else 2):
        delays = "delay=0.9, delays=0.2/0/0.4/0.3"
        yield f"{queue_id}: to=<user{number}@{domain}>, relay={relay}, {delays}, {sent}"
