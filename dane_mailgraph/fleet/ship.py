"""Sends running totals to a VictoriaMetrics, until each is known to be kept there.

An answer of 204 proves nothing: samples beyond the retention or too far ahead vanish after it, and
a database that is killed loses what it took in the last seconds. So what was accepted is read back
each time, and counts as delivered when it is there a minute later and the server has run since.
What was delivered is looked for each time, by its first and its last stamp.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ..errors import ShipError
from ..store import RRD, Ledger, Shipped
from ..times import DAY, HOUR, MINUTE, format_duration
from .history import History, Samples, read_history
from .metrics import FAMILY_METRICS, OBSERVED, PREFIX, Sample
from .victoriametrics import Database

_SETTLED = MINUTE
"""Seconds after which what was accepted is on the database's disk: it writes every few seconds."""

_PATIENCE = 20
"""Seconds until what was accepted can be read: a second is usual."""

_AHEAD = 2 * DAY
"""Seconds that a stamp may be ahead of the database's clock."""

_SLACK = 2 * DAY
"""Seconds between two stamps, and more: the oldest that is kept lies within these."""

_EVER = 1 << 33

_LABELS = {"__name__", "host", *(label for _, label in FAMILY_METRICS.values())}

_Key = frozenset[tuple[str, str]]

_There = dict[_Key, dict[int, set[float]]]
"""Series -> stamp -> its values: there should be one."""

Save = Callable[[Shipped], None]
"""Remembers durably how far everything is."""


class Outcome(NamedTuple):
    """What was done."""

    shipped: Shipped
    notices: tuple[str, ...]
    """Sentences for the operator."""


class Shipment:
    """One host's series at one database."""

    def __init__(self, database: Database, url: str, host: str, now: Callable[[], int]) -> None:
        """`now` says what time it is."""
        self._database, self._url, self._host, self._now = database, url, host, now
        quoted = host.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._all = f'{{__name__=~"{PREFIX}.*",host="{quoted}"}}'
        self._counters = f'{{__name__=~"{PREFIX}.*_total",host="{quoted}"}}'
        self._sentinel = f'{PREFIX}{OBSERVED}{{host="{quoted}"}}'
        """Every host has it, with all stamps."""

    def ship(
        self, rrd: RRD, ledger: Ledger, before: Shipped | None, save: Save, *, again: bool = False
    ) -> Outcome | None:
        """Send what the database may not keep yet; None where nothing has been counted yet.

        `before` is what `save` was given last. With `again` all that the database holds of this
        host is replaced. Raises ShipError, StoreError.
        """
        server, notices = self._database.running_since(), list[str]()
        state = ledger.state
        if before is None or again or before.past_revision != state.past_revision:
            self._look_once()
            history = read_history(rrd, ledger, None, self._host)
            if history is None:
                return None
            mark = Shipped(self._url, self._host, history.past_revision)
            if again or before is not None or self._holds_other(history):
                self._forget()
            save(mark)
        else:
            mark = self._settled(rrd, ledger, before, server, notices)
            history = read_history(rrd, ledger, self._lower(mark, state.rrd_until), self._host)
            if history is None:
                return None
            if history.past_revision != mark.past_revision:
                return self.ship(rrd, ledger, mark, save)
            if len(history.names) != mark.series:
                # A series is new: it begins where all do.
                mark = mark._replace(durable_until=None, accepted_until=None)
                history = read_history(rrd, ledger, None, self._host) or history
        mark = self._send(history, mark, server, notices)
        save(mark)
        return Outcome(mark, tuple(notices))

    def send_states(self, samples: Iterable[Sample], mark: Shipped, save: Save) -> None:
        """Send what is known only as it is now, at most once a minute, however long a step is."""
        at = self._now() // MINUTE * MINUTE
        if mark.states_at is not None and at <= mark.states_at:
            return
        series = [
            ({"__name__": PREFIX + each.name, "host": self._host, **each.labels}, [each.value])
            for each in samples
        ]
        self._database.send(Samples([at], series))
        save(mark._replace(states_at=at))

    # ---- what is there ----

    def _look_once(self) -> None:
        """Find out that what is there can be read, before anything is sent."""
        for _ in self._database.stored(self._sentinel, 0, 1):
            pass

    def _stamps(self, start: int, until: int) -> list[int]:
        """Return the stamps of this host in [start, until], in order."""
        return sorted(
            at
            for each in self._database.stored(self._sentinel, max(0, start), until)
            for at, _ in each.samples
        )

    def _differs(self, history: History, after: int | None, until: int) -> tuple[bool, bool]:
        """Return whether totals of (after, until] are missing there, and whether some differ."""
        missing = other = False
        for piece in history.samples(after):
            if piece.stamps[0] > until:
                break
            found = self._found(piece.stamps[0], min(until, piece.stamps[-1]))
            for labels, values in piece.series:
                there = found.get(_key(labels), {})
                for at, value in zip(piece.stamps, values, strict=True):
                    if at <= until:
                        missing |= at not in there
                        other |= at in there and there[at] != {value}
        return missing, other

    def _found(self, start: int, until: int) -> _There:
        found: _There = {}
        for each in self._database.stored(self._counters, start, until):
            there = found.setdefault(_key(each.labels), {})
            for at, value in each.samples:
                there.setdefault(at, set()).add(value)
        return found

    def _holds_other(self, history: History) -> bool:
        """Return whether it holds totals of this host that are not these."""
        if not self._stamps(0, _EVER):
            return False
        if self._stamps(0, history.begin - 1) or self._stamps(history.until + 1, _EVER):
            return True
        start = history.begin
        for piece in history.samples(None):
            ours = {
                _key(labels): dict(zip(piece.stamps, values, strict=True))
                for labels, values in piece.series
            }
            for key, there in self._found(start, piece.stamps[-1]).items():
                if key in ours and any(
                    values != {ours[key].get(at)} for at, values in there.items()
                ):
                    return True
            start = piece.stamps[-1] + 1
        return False

    def _forget(self) -> None:
        self._database.delete(self._all)
        self._wait(lambda: not self._stamps(0, _EVER), "does not delete the series of this host")

    def _wait(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not true():
            if time.monotonic() > end:
                raise ShipError(f"{self._url} {what}; look at its log.")
            time.sleep(0.2)

    # ---- what is known to be kept ----

    def _settled(
        self, rrd: RRD, ledger: Ledger, mark: Shipped, server: str, notices: list[str]
    ) -> Shipped:
        """Return the mark as far as it holds now."""
        if mark.retention is not None and mark.server != server:
            # It may have been given more room.
            mark = mark._replace(retention=None, durable_until=None, accepted_until=None)
        if mark.accepted_until is not None and mark.server != server:
            mark = mark._replace(accepted_until=None)
        if mark.durable_until is not None and not self._still_there(mark):
            notices.append(
                f"{self._url} does not hold what {self._host} has sent any more: "
                "all of it is sent again."
            )
            mark = mark._replace(durable_until=None, accepted_until=None, retention=None)
        if mark.accepted_until is None:
            return mark
        history = read_history(rrd, ledger, mark.durable_until, self._host)
        if history is None or history.past_revision != mark.past_revision:
            return mark
        after = mark.durable_until
        if mark.retention is not None:
            after = max(after or 0, self._now() - mark.retention + _SLACK)
        missing, other = self._differs(history, after, mark.accepted_until)
        if other and mark.durable_until is not None:
            raise ShipError(
                f"{self._url} holds other counts of {self._host} than it has sent: another machine "
                "sends under this name; set `host` there, then run `dane-mailgraph ship --again` "
                "on both."
            )
        if other:
            self._forget()
        if missing or other:
            return mark._replace(accepted_until=None)
        if self._now() - (mark.accepted_at or 0) < _SETTLED:
            return mark
        return mark._replace(durable_until=mark.accepted_until, accepted_until=None)

    def _still_there(self, mark: Shipped) -> bool:
        """Return whether its first and last stamps are, and none that we have not sent."""
        first, last = mark.first or 0, mark.durable_until or 0
        if mark.retention is not None:
            first = max(first, self._now() - mark.retention)
        return bool(self._stamps(first, min(first + _SLACK, last)) and self._stamps(last, last))

    def _lower(self, mark: Shipped, until: int | None) -> int | None:
        """Behind which stamp all is sent: always the last hour, None for everything."""
        there = mark.durable_until if mark.accepted_until is None else mark.accepted_until
        return None if there is None or until is None else min(there, until - HOUR)

    # ---- sending ----

    def _send(self, history: History, mark: Shipped, server: str, notices: list[str]) -> Shipped:
        """Send what the mark does not cover, and see that it has arrived."""
        after = self._lower(mark, history.until)
        for piece in history.samples(after):
            self._database.send(piece)
        self._wait_for(history.until)
        if after is None:
            mark = mark._replace(first=history.begin, series=len(history.names))
            mark = mark._replace(retention=self._kept(history, notices))
        if mark.accepted_until is None:
            mark = mark._replace(accepted_until=history.until, accepted_at=self._now())
        return mark._replace(server=server)

    def _wait_for(self, until: int) -> None:
        """Wait until the newest stamp can be read."""
        try:
            self._wait(lambda: bool(self._stamps(until, until)), "accepts and does not keep")
        except ShipError as error:
            clock = self._database.clock
            if clock is not None and until > clock + _AHEAD:
                behind = format_duration(until - clock)
                raise ShipError(
                    f"{self._url} refuses what is new, because its clock is {behind} behind; "
                    "set its clock."
                ) from error
            raise ShipError(
                f"{self._url} has accepted what is new and does not hold it; look at its log, at "
                "its free space, and at its -retentionPeriod."
            ) from error

    def _kept(self, history: History, notices: list[str]) -> int | None:
        """Return how many seconds of history it keeps, None for all; and tell of what it lacks."""
        end = time.monotonic() + 3
        while not self._stamps(history.begin, history.begin):
            if time.monotonic() > end:
                break
            time.sleep(0.2)
        else:
            return None
        oldest = self._stamps(0, history.until)[0]
        notices.append(
            f"{self._url} keeps {format_duration(self._now() - oldest)}, and this host has counted "
            f"for {format_duration(self._now() - history.begin)}: what is older is only in "
            "`dane-mailgraph report`; start it with -retentionPeriod=20y."
        )
        return self._now() - oldest


def _key(labels: Mapping[str, str]) -> _Key:
    """Return what we call a series; on its way it may have been given more labels."""
    return frozenset(each for each in labels.items() if each[0] in _LABELS)
