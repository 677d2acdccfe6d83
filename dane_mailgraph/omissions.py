"""Table 4: why lines are not counted as they should be. A new omission is one new row.

The ledger keeps how many there were, by name. `import`, `collect -v`, `report`, `doctor`, the
overview, the page and status.json show those that are not zero.
"""

from __future__ import annotations

from typing import NamedTuple

from .language import ENGLISH, Language


class Omission(NamedTuple):
    """One reason to leave a line out, or to count it elsewhere."""

    name: str
    what: str
    """What is the matter with it, and where it counts, as words that follow `1 line`."""
    remedy: str
    """What shows more or mends it, as a clause; empty where nothing is wrong."""
    command: str
    """The same as a command, for `doctor`; empty where no count is missing."""

    @property
    def texts(self) -> tuple[str, str]:
        """The text for one, and for `{count}` of them; English."""
        return f"1 line {self.what}", f"{{count}} lines {self.what}"

    def in_words(self, count: int, language: Language = ENGLISH) -> str:
        """Write how many there are: `12 lines stamped in the future, not counted until then`."""
        one, many = self.texts
        return language.say(one) if count == 1 else language.say(many, count=language.number(count))

    def with_remedy(self, count: int) -> str:
        """Write how many there are, and what shows more or mends it."""
        return f"{self.in_words(count)}{'; ' if self.remedy else ''}{self.remedy}"

    @property
    def is_remarkable(self) -> bool:
        """Whether something is wrong; else it is printed beside what was counted."""
        return bool(self.remedy)

    @property
    def is_loss(self) -> bool:
        """Whether a count is missing; else it is counted in another interval, or was before."""
        return bool(self.command)


_EXPLAIN = "dane-mailgraph explain"

OMISSIONS = (
    Omission(
        "unreadable",
        "without a readable time, counted nowhere",
        f"`{_EXPLAIN}` shows which",
        _EXPLAIN,
    ),
    Omission(
        "not_understood",
        "of Postfix's by its words, behind a head that is not understood, counted nowhere",
        f"`{_EXPLAIN}` says what a head must look like",
        _EXPLAIN,
    ),
    Omission(
        "nameless",
        "without the program's name, which rsyslog's RFC 5424 format cuts off, counted nowhere",
        "let rsyslog write RSYSLOG_FileFormat",
        _EXPLAIN,
    ),
    Omission(
        "illegible",
        "about a recipient, a client or a handshake, cut off or to be read in two ways, counted "
        "nowhere or as unknown",
        f"`{_EXPLAIN}` shows which",
        _EXPLAIN,
    ),
    Omission(
        "future",
        "stamped in the future, not counted until then",
        "look at the clock and at time_zone",
        "timedatectl",
    ),
    Omission(
        "late",
        "logged after the interval was closed, counted in the oldest open one",
        "a longer grace waits for such lines",
        "",
    ),
    Omission(
        "too_old",
        "older than what is counted, counted nowhere",
        "`dane-mailgraph import --rebuild` with all logs counts them",
        "dane-mailgraph import --rebuild",
    ),
    Omission("skipped", "skipped, because counted before", "", ""),
)

NOTHING_OMITTED = {each.name: 0 for each in OMISSIONS}
"""Name -> 0."""
