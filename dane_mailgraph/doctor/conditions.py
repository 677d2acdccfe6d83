"""The conditions of `check` that the doctor passes on, each of them one row of `PASSED_ON`.

They are judged as for `check`, so that the two never say different things.
"""

from __future__ import annotations

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
from ..store import Ledger, Store, ledger_path
from .findings import FAIL, WARN, Finding
from .unit import UNIT


class Passage(NamedTuple):
    """What the finding of a condition says beside the condition's own text."""

    check: str
    why: str
    remedy: str


PASSED_ON: Mapping[str, Passage] = {
    "not_counting": Passage(
        "ledger",
        "What is missed is counted later, unless rotation has removed it.",
        f"systemctl status {UNIT}; journalctl -u {UNIT}",
    ),
    "store": Passage(
        "rrd",
        "Nothing is drawn, and reports reach back only as far as the ledger does.",
        f"systemctl restart {UNIT}; journalctl -u {UNIT}",
    ),
    "log_silent": Passage(
        "lines",
        "Nothing seems to write it any more; Postfix may log elsewhere.",
        "postfix status; postconf maillog_file",
    ),
    "omissions": Passage(
        "left out",
        "They are missing in every picture; the log says which they were.",
        "dane-mailgraph explain",
    ),
    "no_dnssec": Passage(
        "warnings",
        "No server is authenticated by DANE as long as it is so.",
        "dane-mailgraph relays --only unauthenticated --since 24h",
    ),
    "own_tls": Passage(
        "own TLS",
        "Mail to servers that require TLS waits.",
        "postconf -n | grep smtp_tls_; dane-mailgraph relays --only failing --since 24h",
    ),
}


class Conditions(NamedTuple):
    """What `check` finds about our own numbers."""

    holding: tuple[Condition, ...] = ()
    """Those of `PASSED_ON` that hold and that the operator has not accepted."""
    knows_rhythm: bool = False
    """Whether enough was counted to tell a silent log from a quiet one."""
    refusals: str = ""
    """The sentence that more senders than before refuse our certificate; empty if they do not."""

    def holds(self, name: str) -> bool:
        """Return whether a condition holds."""
        return any(each.name == name for each in self.holding)

    def findings(self, name: str, about: str) -> list[Finding]:
        """Return what a condition says of this file; nothing where it does not hold."""
        passage = PASSED_ON[name]
        return [
            Finding(
                passage.check,
                about,
                FAIL if each.level is Level.CRITICAL else WARN,
                _with_pronoun(each.text.removesuffix("."), about),
                passage.why,
                passage.remedy,
            )
            for each in self.holding
            if each.name == name
        ]


def _with_pronoun(text: str, about: str) -> str:
    """Return a text that calls the file that the finding is about `it`."""
    return f"it {text.removeprefix(about).lstrip()}" if about and text.startswith(about) else text


def find_conditions(settings: Config, now: int) -> Conditions | None:
    """Find what holds now; None where nothing has been counted, or the store cannot be read."""
    try:
        with (
            acting_as_owner_of(settings.state_dir),
            Ledger(ledger_path(settings.state_dir), writable=False) as ledger,
        ):
            if not ledger.state.log_was_read:
                return None
            rrd = Store(settings.state_dir, settings.step).rrd
            seen = Evidence(ledger, rrd, now, settings.time_zone)
            found = silence_accepted(judge_conditions(seen, PASSED_ON), settings.ignore_conditions)
            return Conditions(found.conditions, seen.knows_rhythm, refused_by_senders(seen))
    except MailgraphError:
        return None
