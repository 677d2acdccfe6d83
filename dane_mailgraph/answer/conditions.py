"""What can be wrong; `check`, mails, page and the bare command speak from it.

A new condition is one row of `CONDITIONS`, and the function in a module `judge_*` that finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from ..levels import Level
from . import judge_counting, judge_dane, judge_own_mx, judge_relays
from .attention import probe_command
from .evidence import Evidence, Finding


class Condition(NamedTuple):
    """A condition that holds."""

    name: str
    subject: str
    """A relay or the like; empty where it is about the whole server."""
    level: Level
    since: int
    """Epoch second."""
    text: str
    """What is wrong, in a sentence."""
    next_step: str
    """What to do, in a sentence with a command."""
    nameless: str = ""
    """The text where no domain may be named, if it is another one."""

    def for_json(self) -> dict[str, object]:
        """Return it as JSON has it, with the level as a word."""
        fields = self._asdict() | {"level": self.level.word}
        del fields["nameless"]
        return fields


class Rule(NamedTuple):
    """How one condition is found, and what to do about it."""

    name: str
    subject: str
    """What its subjects are: `relay`, `server` of our own, or empty for none."""
    judge: Callable[[Evidence], Iterable[Finding]]
    next_step: str
    """English, with `{command}`, the command that probes a relay."""
    summary: str = ""
    """The text for several where no relay may be named: English, with `{count}`."""


CONDITIONS = (
    Rule(
        "store",
        "",
        judge_counting.store,
        "Look at the free space, the permissions and `systemctl status dane-mailgraph`.",
    ),
    Rule("not_counting", "", judge_counting.not_counting, "See `systemctl status dane-mailgraph`."),
    Rule(
        "log_silent",
        "",
        judge_counting.log_silent,
        "See whether Postfix runs (`postfix status`) and where it logs (`dane-mailgraph doctor`).",
    ),
    Rule("no_dnssec", "", judge_dane.no_dnssec, "See `dane-mailgraph doctor`."),
    Rule(
        "own_tls",
        "",
        judge_dane.own_tls,
        "Look at smtp_tls_* with `postconf -n`, and at Postfix's log.",
    ),
    Rule(
        "own_mx",
        "server",
        judge_own_mx.own_servers("own_mx"),
        "See `dane-mailgraph check --probe --only own_mx,certificate`.",
    ),
    Rule(
        "certificate",
        "server",
        judge_own_mx.own_servers("certificate"),
        "See `dane-mailgraph check --probe --only own_mx,certificate`.",
    ),
    Rule(
        "failing",
        "relay",
        judge_relays.failing,
        "Tell its postmaster what this says: `{command}`. What waits is in `postqueue -p`.",
        "Servers to which mail is not delivered: {count}.",
    ),
    Rule(
        "lost_authentication",
        "relay",
        judge_relays.lost_authentication,
        "Tell its postmaster what this says: `{command}`.",
        "Servers that are not authenticated any more: {count}.",
    ),
    Rule(
        "share_fell",
        "",
        judge_relays.share_fell,
        "See `dane-mailgraph relays --only unauthenticated --since 7d` and `dane-mailgraph "
        "doctor`.",
    ),
    Rule(
        "plaintext",
        "",
        judge_relays.plaintext,
        "See `dane-mailgraph relays --only plaintext --since 7d`.",
    ),
    Rule("omissions", "", judge_counting.omissions, "See `dane-mailgraph doctor`."),
)
"""Within one level the first is the most urgent."""

NAMES = tuple(rule.name for rule in CONDITIONS)

_UNSAFE_COMMAND = "dane-mailgraph relays"
"""Instead of a command with a name that a stranger has chosen to be no host name."""


def judge_conditions(evidence: Evidence, only: Collection[str] = NAMES) -> list[Condition]:
    """Return the conditions that hold, of these names: critical ones first, then as in the table.

    Raises StoreError where the store cannot be read.
    """
    found = [
        Condition(
            rule.name,
            each.subject,
            each.level,
            each.since,
            each.text,
            _next_step(rule, each, evidence),
            each.nameless,
        )
        for rule in CONDITIONS
        if rule.name in only
        for each in rule.judge(evidence)
    ]
    return sorted(found, key=lambda each: -each.level.urgency)


def _next_step(rule: Rule, finding: Finding, evidence: Evidence) -> str:
    if finding.next_step:
        return finding.next_step
    command = probe_command(finding.subject) if finding.subject else None
    return evidence.say(rule.next_step, command=command or _UNSAFE_COMMAND)
