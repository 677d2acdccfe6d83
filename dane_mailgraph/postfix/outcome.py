"""What a line counts as."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, Protocol

from ..categories import BY_KEY, CATEGORIES
from ..counts import LineAhead
from .handshake import Summary


class CountVector:
    """What a line adds to the counts. Compared by identity, because that is fast: one for each."""

    __slots__ = ("indexes", "times")

    def __init__(self, indexes: tuple[int, ...], times: int) -> None:
        self.indexes, self.times = indexes, times


_count_vector = lru_cache(CountVector)


class Outcome:
    """What a line counts as. Compared by identity: one for all lines that say the same."""

    __slots__ = (
        "count_vector",
        "detail",
        "event",
        "indexes",
        "key_exchange",
        "note",
        "protocol",
        "refusal",
        "relay",
        "sender",
        "times",
        "warning",
    )

    def __init__(
        self,
        indexes: tuple[int, ...],
        relay: str,
        note: str,
        times: int = 1,
        summary: Summary | None = None,
        warning: str = "",
    ) -> None:
        self.indexes = indexes
        """Positions in `CATEGORIES`; empty for what counts nowhere."""
        self.times = times
        """How many lines it stands for: more than 1 where syslog has folded repeats."""
        self.count_vector = _count_vector(indexes, times)
        self.relay = relay
        """The relay's name, or `@` and a domain; empty for what is about none."""
        self.note = note
        """For a person: what it is, or why it counts nowhere."""
        self.protocol = summary.protocol if summary else ""
        self.key_exchange = summary.key_exchange if summary else ""
        self.event = self.detail = ""
        """A key of `relay_events.MEANINGS`, and what Postfix says of it; or empty."""
        self.refusal: tuple[str, int] | None = None
        """A key of `refusals.MEANINGS` and the hour: `sender` refused our certificate."""
        self.sender = ""
        """The domain of a client without TLS, with an old one, or that refuses our certificate;
        `*` before it is named."""
        self.warning = warning
        """A key of `postfix_warnings.BY_NAME`, or empty."""

    @classmethod
    def by(cls, sender: str, outcome: Outcome) -> Outcome:
        """Make one of the same that is kept by its sender's domain."""
        made = cls(outcome.indexes, outcome.relay, outcome.note, outcome.times)
        made.sender = sender
        return made

    @classmethod
    def of_refusal(cls, name: str, hour: int, sender: str, note: str) -> Outcome:
        """Make one of a client that refused our certificate in this hour: it counts nowhere."""
        made = cls((), "", note)
        made.refusal, made.sender = (name, hour), sender
        return made

    @classmethod
    def with_event(cls, event: str, outcome: Outcome, detail: str = "") -> Outcome:
        """Make one of the same, and of something that happened with its relay."""
        made = cls(outcome.indexes, outcome.relay, outcome.note, outcome.times)
        made.event, made.detail = event, detail
        return made

    @classmethod
    def of(cls, line: LineAhead) -> Outcome:
        """Make it from what was kept of a line; a category that is gone counts nothing."""
        keys = [BY_KEY[each] for each in line.keys if each in BY_KEY]
        indexes = tuple(map(CATEGORIES.index, keys))
        outcome = cls(indexes, line.relay, "", line.times, warning=line.warning)
        outcome.protocol, outcome.key_exchange = line.protocol, line.key_exchange
        return outcome


class Judge(Protocol):
    """Says what the lines of one kind count as: a `Classifier` or a `Reception`."""

    made: int
    """Outcomes that were made."""
    noted: Counter[tuple[int, str]]
    """Hour and name of what is kept of its lines beside the counts -> how often: omissions, and
    what `categories.VISIBILITY` names."""

    def service(self, name: bytes) -> Any:
        """Return the service of this name: host and tag."""

    def outcome(self, service: Any, fields: tuple[bytes, ...], at: int) -> Outcome:
        """Return what a line counts as that a process of this service wrote at this second."""
