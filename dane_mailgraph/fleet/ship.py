"""Sends running totals to a VictoriaMetrics, until each is known to be kept there.

An answer of 204 proves nothing: samples beyond the retention or too far ahead vanish after it, and
a database that is killed loses what it took in the last seconds. So what was accepted is read back
each time, and is durable if it is there a minute later and the server has not been started since.
What is durable is looked for each time, by its first and its last stamp.
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

_ON_DISK = MINUTE
"""Seconds after which what was accepted is on the database's disk: it writes every few seconds."""

_PATIENCE = 20
"""Seconds until what was accepted can be read: a second is usual."""

_AHEAD = 2 * DAY
"""Seconds that a stamp may be ahead of the database's clock."""

_SLACK = 2 * DAY
"""Seconds: longer than any two stamps are apart, so that a search this long finds one."""

_FOREVER = 1 << 33
"""An epoch second that is later than all stamps."""

_LABELS = {"__name__", "host", *(label for _, label in FAMILY_METRICS.values())}

_Series = frozenset[tuple[str, str]]
"""What identifies a series: names and values of its labels."""

_Totals = dict[_Series, dict[int, set[float]]]
"""Series -> stamp -> the values there: it should be one."""

Save = Callable[[Shipped], None]
"""Remembers durably how far everything is."""


class CountedHost(NamedTuple):
    """Where the totals of a host come from, and the name by which they are sent."""

    rrd: RRD
    ledger: Ledger
    name: str


class Shipment:
    """One host's series at one database."""

    def __init__(
        self, host: CountedHost, database: Database, save: Save, now: Callable[[], int]
    ) -> None:
        """Prepare to send; `save` is called after each step, `now` returns the time."""
        self._rrd, self._ledger, self._host = host
        self._database, self._url = database, database.url
        self._save, self._now = save, now
        self.notices: list[str] = []
        """Sentences for the operator."""
        quoted = self._host.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._all = f'{{__name__=~"{PREFIX}.*",host="{quoted}"}}'
        self._counters = f'{{__name__=~"{PREFIX}.*_total",host="{quoted}"}}'
        self._sentinel = f'{PREFIX}{OBSERVED}{{host="{quoted}"}}'
        """The selector of a series that every host has, with all stamps."""

    def ship(self, before: Shipped | None, *, again: bool = False) -> Shipped | None:
        """Send what the database may not keep yet; return how far that is.

        None where nothing has been counted yet. `before` is what `save` was given last. With
        `again` all that the database holds of this host is replaced. Raises ShipError, StoreError.
        """
        server, state = self._database.running_since(), self._ledger.state
        if before is None or again or before.past_revision != state.past_revision:
            self._require_readable()
            history = self._history(None)
            if history is None:
                return None
            mark = Shipped(self._url, self._host, history.past_revision)
            if again or before is not None or self._holds_other(history):
                self._delete_all()
            self._save(mark)
        else:
            mark = self._verified(before, server)
            history = self._history(self._send_after(mark, state.rrd_until))
            if history is None:
                return None
            if history.past_revision != mark.past_revision:
                return self.ship(mark)
            if len(history.names) != mark.series:
                # A series is new: it begins where all do.
                mark = mark._replace(durable_until=None, accepted_until=None)
                history = self._history(None) or history
        mark = self._send(history, mark, server)
        self._save(mark)
        return mark

    def _history(self, since: int | None) -> History | None:
        return read_history(self._rrd, self._ledger, since, self._host)

    def send_states(self, samples: Iterable[Sample], mark: Shipped) -> None:
        """Send what is known only as it is now, at most once a minute, however long a step is."""
        at = self._now() // MINUTE * MINUTE
        if mark.states_at is not None and at <= mark.states_at:
            return
        series = [(each.series(self._host), [each.value]) for each in samples]
        self._database.send(Samples([at], series))
        self._save(mark._replace(states_at=at))

    # ---- what the database holds ----

    def _require_readable(self) -> None:
        """Raise ShipError where samples cannot be read, before any is sent."""
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
            found = self._totals(piece.stamps[0], min(until, piece.stamps[-1]))
            for labels, values in piece.series:
                there = found.get(_identity(labels), {})
                for at, value in zip(piece.stamps, values, strict=True):
                    if at <= until:
                        missing |= at not in there
                        other |= at in there and there[at] != {value}
        return missing, other

    def _totals(self, start: int, until: int) -> _Totals:
        found: _Totals = {}
        for each in self._database.stored(self._counters, start, until):
            there = found.setdefault(_identity(each.labels), {})
            for at, value in each.samples:
                there.setdefault(at, set()).add(value)
        return found

    def _holds_other(self, history: History) -> bool:
        """Return whether it holds totals of this host that are not these."""
        if not self._stamps(0, _FOREVER):
            return False
        if self._stamps(0, history.begin - 1) or self._stamps(history.until + 1, _FOREVER):
            return True
        start = history.begin
        for piece in history.samples(None):
            ours = {
                _identity(labels): dict(zip(piece.stamps, values, strict=True))
                for labels, values in piece.series
            }
            for key, there in self._totals(start, piece.stamps[-1]).items():
                if key in ours and any(
                    values != {ours[key].get(at)} for at, values in there.items()
                ):
                    return True
            start = piece.stamps[-1] + 1
        return False

    def _delete_all(self) -> None:
        self._database.delete(self._all)
        self._wait(lambda: not self._stamps(0, _FOREVER), "does not delete the series of this host")

    def _wait(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not true():
            if time.monotonic() > end:
                raise ShipError(f"{self._url} {what}; look at its log.")
            time.sleep(0.2)

    # ---- what is known to be kept ----

    def _verified(self, mark: Shipped, server: str) -> Shipped:
        """Return the mark without what the database does not hold, and more of it as durable."""
        if mark.retention is not None and mark.server != server:
            # The server may have been given more room.
            mark = mark._replace(retention=None, durable_until=None, accepted_until=None)
        if mark.accepted_until is not None and mark.server != server:
            mark = mark._replace(accepted_until=None)
        if mark.durable_until is not None and not self._still_there(mark):
            self.notices.append(
                f"{self._url} does not hold what {self._host} has sent any more: "
                "all of it is sent again."
            )
            mark = mark._replace(durable_until=None, accepted_until=None, retention=None)
        if mark.accepted_until is None:
            return mark
        history = self._history(mark.durable_until)
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
            self._delete_all()
        if missing or other:
            return mark._replace(accepted_until=None)
        if self._now() - (mark.accepted_at or 0) < _ON_DISK:
            return mark
        return mark._replace(durable_until=mark.accepted_until, accepted_until=None)

    def _still_there(self, mark: Shipped) -> bool:
        """Return whether the database holds the first and the last stamp of what is durable."""
        first, last = mark.first or 0, mark.durable_until or 0
        if mark.retention is not None:
            first = max(first, self._now() - mark.retention)
        return bool(self._stamps(first, min(first + _SLACK, last)) and self._stamps(last, last))

    def _send_after(self, mark: Shipped, until: int | None) -> int | None:
        """Behind which stamp all is sent: always the last hour, None for everything."""
        there = mark.durable_until if mark.accepted_until is None else mark.accepted_until
        return None if there is None or until is None else min(there, until - HOUR)

    # ---- sending ----

    def _send(self, history: History, mark: Shipped, server: str) -> Shipped:
        """Send what the mark does not cover, and see that it has arrived."""
        after = self._send_after(mark, history.until)
        for piece in history.samples(after):
            self._database.send(piece)
        self._wait_for(history.until)
        if after is None:
            mark = mark._replace(first=history.begin, series=len(history.names))
            mark = mark._replace(retention=self._retention(history))
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

    def _retention(self, history: History) -> int | None:
        """Return how many seconds of history it keeps, None for all; and tell of what it lacks."""
        end = time.monotonic() + 3
        while not self._stamps(history.begin, history.begin):
            if time.monotonic() > end:
                break
            time.sleep(0.2)
        else:
            return None
        oldest = self._stamps(0, history.until)[0]
        self.notices.append(
            f"{self._url} keeps {format_duration(self._now() - oldest)}, and this host has counted "
            f"for {format_duration(self._now() - history.begin)}: what is older is only in "
            "`dane-mailgraph report`; start it with -retentionPeriod=20y."
        )
        return self._now() - oldest


def _identity(labels: Mapping[str, str]) -> _Series:
    """Return what we call a series; on its way it may have been given more labels."""
    return frozenset(each for each in labels.items() if each[0] in _LABELS)
