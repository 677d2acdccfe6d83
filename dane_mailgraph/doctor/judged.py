"""What the table of conditions says of our own numbers: the doctor passes it on, and judges none.

A condition that the doctor is to pass on is one row of `PASSED_ON`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..answer import (
    Condition,
    Evidence,
    judge_conditions,
    refused_by_senders,
    silence_accepted,
)
from ..config import Config
from ..errors import MailgraphError
from ..levels import Level
from ..privileges import acting_as_owner_of
from ..store import Ledger, Store
from .findings import FAIL, WARN, Finding
from .loggers import UNIT
from .own_state import LEDGER


class Passed(NamedTuple):
    """How a condition becomes a finding."""

    check: str
    why: str
    remedy: str


PASSED_ON: Mapping[str, Passed] = {
    "not_counting": Passed(
        "ledger",
        "What is missed is counted later, unless rotation has removed it.",
        f"systemctl status {UNIT}; journalctl -u {UNIT}",
    ),
    "store": Passed(
        "rrd",
        "Nothing is drawn, and reports reach back only as far as the ledger does.",
        f"systemctl restart {UNIT}; journalctl -u {UNIT}",
    ),
    "log_silent": Passed(
        "lines",
        "Nothing seems to write it any more; Postfix may log elsewhere.",
        "postfix status; postconf maillog_file",
    ),
    "omissions": Passed(
        "left out",
        "They are missing in every picture; the log says which they were.",
        "dane-mailgraph explain",
    ),
    "no_dnssec": Passed(
        "warnings",
        "No server is authenticated by DANE as long as it is so.",
        "dane-mailgraph relays --only unauthenticated --since 24h",
    ),
    "own_tls": Passed(
        "own TLS",
        "Mail to servers that require TLS waits.",
        "postconf -n | grep smtp_tls_; dane-mailgraph relays --only failing --since 24h",
    ),
}


class Judged(NamedTuple):
    """What is judged of our numbers."""

    conditions: tuple[Condition, ...] = ()
    """Those of `PASSED_ON` that hold and that the operator has not accepted."""
    knows_rhythm: bool = False
    """Whether enough was counted to tell a silent log from a quiet one."""
    refused: str = ""
    """The sentence that more senders than before refuse our certificate, if so."""

    def holds(self, name: str) -> bool:
        """Return whether a condition holds."""
        return any(each.name == name for each in self.conditions)

    def findings(self, name: str, about: str) -> list[Finding]:
        """Return what a condition says of this file; nothing where it does not hold."""
        passed = PASSED_ON[name]
        return [
            Finding(
                passed.check,
                about,
                FAIL if each.level is Level.CRITICAL else WARN,
                _named(each.text.removesuffix("."), about),
                passed.why,
                passed.remedy,
            )
            for each in self.conditions
            if each.name == name
        ]


def _named(text: str, about: str) -> str:
    """Call the file that a finding is about `it`."""
    return f"it {text.removeprefix(about).lstrip()}" if about and text.startswith(about) else text


def judge(settings: Config, now: int) -> Judged | None:
    """Judge our numbers; None where nothing has been counted, or they cannot be read."""
    try:
        with (
            acting_as_owner_of(settings.state_dir),
            Ledger(os.path.join(settings.state_dir, LEDGER), writable=False) as ledger,
        ):
            if not ledger.state.log_was_read:
                return None
            rrd = Store(settings.state_dir, settings.step).rrd
            seen = Evidence(ledger, rrd, now, settings.time_zone)
            found = silence_accepted(judge_conditions(seen, PASSED_ON), settings.ignore_conditions)
            return Judged(found.conditions, seen.knows_rhythm, refused_by_senders(seen))
    except MailgraphError:
        return None
