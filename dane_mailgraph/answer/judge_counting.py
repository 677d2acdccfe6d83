"""Whether the log is counted, and all of it."""

from __future__ import annotations

from collections.abc import Iterator

from ..categories import CATEGORIES
from ..errors import StoreError
from ..levels import Level
from ..omissions import OMISSIONS
from ..times import DAY, HOUR, MINUTE
from .evidence import Evidence, Finding
from .silence import silence

NOT_COUNTING = 15 * MINUTE
"""Seconds without counting after which the counter is reported as stopped."""


def not_counting(evidence: Evidence) -> Iterator[Finding]:
    """Find that the counter stopped, or that only an old log was imported."""
    state = evidence.state
    if state.read_at is None:
        if state.read_until is not None and evidence.now - state.read_until > DAY:
            yield Finding(
                Level.WARNING,
                state.read_until,
                evidence.say(
                    "No log is followed: what was imported ends at {time}.",
                    time=evidence.time(state.read_until),
                ),
                next_step=evidence.say(
                    "Start the counter with `systemctl enable --now dane-mailgraph`."
                ),
            )
        return
    read_at = state.read_at
    if evidence.now - read_at > NOT_COUNTING:
        yield Finding(
            Level.CRITICAL if evidence.now - read_at > HOUR else Level.WARNING,
            read_at,
            evidence.say(
                "Nothing has been counted for {duration}: the counter is not running, or cannot "
                "read the log or write its store.",
                duration=evidence.language.duration(evidence.now - read_at),
            ),
        )


def log_silent(evidence: Evidence) -> Iterator[Finding]:
    """Find that the log has been silent for longer than it ever is."""
    # Whether a log is silent shows only while it is read.
    read_at = min(evidence.now, evidence.state.read_at or 0)
    found = silence(evidence.rhythm, evidence.state.newest, evidence.state.last_event, read_at)
    if found is None:
        return
    duration = evidence.language.duration
    values = {
        "duration": duration(read_at - found.since),
        "longest": duration(max(found.longest, MINUTE)),
    }
    if found.has_lines:
        text = evidence.say(
            "The log has lines, but no connection or delivery for {duration}; the longest pause in "
            "four weeks was {longest}.",
            **values,
        )
    else:
        text = evidence.say(
            "The log has been silent for {duration}; the longest pause in four weeks was "
            "{longest}.",
            **values,
        )
    yield Finding(Level.CRITICAL if found.is_critical else Level.WARNING, found.since, text)


_LEAST_OMITTED, _OMITTED_SHARE, _CRITICAL_SHARE = 5, 0.01, 0.2


def omissions(evidence: Evidence) -> Iterator[Finding]:
    """Find that too many lines of the last 24 hours were not counted."""
    since = evidence.now - DAY
    by_name = evidence.ledger.hours(since, evidence.now + 1)
    omitted = {each: by_name.get(each.name, 0) for each in OMISSIONS if each.is_loss}
    count = sum(omitted.values())
    totals = evidence.ledger.totals(since - since % HOUR, evidence.now + 1)
    lines = count + sum(
        totals[each] or 0
        for each in CATEGORIES
        if each.family in ("connections", "deliveries", "failures")
    )
    if count >= _LEAST_OMITTED and count >= _OMITTED_SHARE * lines:
        most = max(omitted, key=lambda each: omitted[each])
        yield Finding(
            Level.CRITICAL if count >= _CRITICAL_SHARE * lines else Level.WARNING,
            since,
            evidence.say(
                "{count} of {lines} lines of the last 24 hours were not counted as they should "
                "have been; {most} of them are {name}.",
                count=evidence.number(count),
                lines=evidence.number(lines),
                most=evidence.number(omitted[most]),
                name=most.name,
            ),
        )


def store(evidence: Evidence) -> Iterator[Finding]:
    """Find that the RRD is gone, damaged, or not written."""
    state = evidence.state
    try:
        last = evidence.rrd.last
    except StoreError as error:
        yield Finding(Level.CRITICAL, state.rrd_until or evidence.now, str(error))
        return
    if state.rrd_until is not None and last is None:
        yield Finding(
            Level.CRITICAL,
            state.rrd_until,
            evidence.say(
                "{path} is gone, and the counter has not made it anew.", path=evidence.rrd.path
            ),
        )
    elif (
        state.read_until is not None
        and state.begin is not None
        and state.read_until - (state.rrd_until or state.begin) > NOT_COUNTING + evidence.rrd.step
    ):
        yield Finding(
            Level.CRITICAL,
            state.rrd_until or state.begin,
            evidence.say(
                "{path} is not written: it ends at {time}, and counting goes on.",
                path=evidence.rrd.path,
                time=evidence.time(state.rrd_until or state.begin),
            ),
        )
