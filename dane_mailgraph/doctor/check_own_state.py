"""What we keep: what has been counted, written and drawn, and room for more."""

from __future__ import annotations

from collections.abc import Iterator

from ..omissions import OMISSIONS
from ..times import MINUTE
from .facts import Facts
from .findings import FAIL, OK, SKIP, WARN, Finding, Row, always, first
from .log_end import JOURNAL
from .own_state import Disk
from .unit import UNIT, Unit

_AHEAD = 15 * MINUTE
"""Seconds by which the newest interval may be ahead of the clock."""

_PAGE_IS_OLD = 30 * MINUTE
"""Seconds; the timer draws the page every five minutes."""

_FULL, _SCARCE = 20 << 20, 200 << 20
"""Bytes: an RRD of 8 MiB is copied before it is replaced, and a site written beside the old one."""

_TIMER = "dane-mailgraph-render.timer"
_NOTHING_TO_DRAW = "There is nothing to draw."
_UNUSABLE = "Nothing is counted or drawn as long as it is so."
_STATUS = f"systemctl status {UNIT}"
_STATUS_AND_LOG = f"{_STATUS}; journalctl -u {UNIT}"

_TROUBLE: tuple[Row[Facts], ...] = (
    Row(
        lambda it: not it.is_root,
        SKIP,
        "{thing}",
        "It may be right for the user that counts.",
        "run as root, or as the user that counts",
    ),
    Row(always, FAIL, "{thing}", _UNUSABLE, "{remedy}"),
)


def _trouble(check: str, facts: Facts, sentence: str, about: str, remedy: str) -> Finding:
    """Return the finding of a file that cannot be read, from the sentence of the error.

    `remedy` replaces the next step of the sentence; empty keeps it.
    """
    thing, _, step = sentence.rstrip(".").replace(f"{about} ", "it ", 1).partition("; ")
    denied = "ermission denied" in sentence or "unable to open" in sentence
    rows = _TROUBLE if denied else _TROUBLE[1:]
    return first(check, about, rows, facts, thing=thing, remedy=remedy or step)


# ---- the unit -------------------------------------------------------------------------------

_NOT_COUNTED = "Nothing is counted; what is missed is counted later, unless rotation removes it."

_STOPPED: tuple[Row[Unit], ...] = (
    Row(
        lambda it: it.active == "failed",
        FAIL,
        "it has failed ({it.result})",
        _NOT_COUNTED,
        f"journalctl -u {UNIT} -n 20; systemctl reset-failed {UNIT}; systemctl start {UNIT}",
    ),
    Row(
        lambda it: it.sub == "auto-restart",
        FAIL,
        "it ends and is started again ({it.result})",
        _NOT_COUNTED,
        f"journalctl -u {UNIT} -n 20",
    ),
    Row(
        lambda it: it.active == "inactive" and it.is_enabled,
        FAIL,
        "it is not running",
        _NOT_COUNTED,
        f"systemctl start {UNIT}",
    ),
    Row(lambda it: it.active == "inactive", SKIP, "it is not used"),
)

_ACTIVE: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.store_is_locked is False,
        FAIL,
        "it is active and has not locked {it.own_state.state_dir}",
        "It counts nothing, or into another folder.{status}",
        _STATUS_AND_LOG,
    ),
    Row(always, OK, "it is active"),
)


def unit(facts: Facts) -> Iterator[Finding]:
    """Check that the unit, where there is one, is running and has the store locked."""
    if facts.unit is None:
        return
    stopped = [row for row in _STOPPED if row.applies(facts.unit)]
    if stopped:
        yield first("unit", UNIT, stopped, facts.unit)
    else:
        said = facts.unit.status.rstrip(".")
        status = f" It said: {said}." if said else ""
        yield first("unit", UNIT, _ACTIVE, facts, status=status)


_WRITING: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.unwritable,
        FAIL,
        "{it.account.name}, the user that counts, may not write {which}",
        "The service is active, and counts nothing.",
        "chown -R {it.account.name}: {it.own_state.state_dir}",
    ),
    Row(always, OK, "{it.account.name} can write all of it"),
)


def writing(facts: Facts) -> Iterator[Finding]:
    """Check that the user that counts can write the store."""
    if facts.account and facts.unwritable is not None:
        which = ", ".join(facts.unwritable[:3]) + (", ..." if len(facts.unwritable) > 3 else "")
        yield first("writing", facts.own_state.state_dir, _WRITING, facts, which=which)


# ---- the ledger -----------------------------------------------------------------------------

_LEDGER: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.counted_ago is None,
        WARN,
        "nothing has been counted yet",
        _NOTHING_TO_DRAW,
        _STATUS,
    ),
    Row(
        lambda it: (it.counted_ago or 0) < -_AHEAD,
        FAIL,
        "it has counted up to {minutes} minutes ahead of the clock",
        "The RRD takes nothing that is older than its newest interval; the clock was wrong.",
        "timedatectl",
    ),
    Row(always, OK, "it has counted up to {seconds} seconds ago"),
)


def ledger(facts: Facts) -> Iterator[Finding]:
    """Check that the ledger can be read, and has been written lately."""
    kept = facts.own_state
    about = f"{kept.state_dir}/ledger.sqlite"
    if kept.ledger_trouble:
        missing = "is not there" in kept.ledger_trouble
        remedy = f"systemctl enable --now {UNIT}" if missing else ""
        yield _trouble("ledger", facts, kept.ledger_trouble, about, remedy)
        return
    ago = facts.counted_ago or 0
    minutes = abs(ago) // MINUTE
    yield from facts.of_condition("not_counting", about) or [
        first("ledger", about, _LEDGER, facts, minutes=minutes, seconds=max(0, ago))
    ]


# ---- the bookmark ---------------------------------------------------------------------------


def _is_in_this_file(facts: Facts) -> bool:
    bookmark, end = facts.own_state.bookmark, facts.own_state.end_of_file
    return bookmark is not None and end is not None and bookmark.inode == end.inode


_BOOKMARK: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.own_state.bookmark is None,
        WARN,
        "there is none",
        "The counter has never read this log; perhaps `log` was changed.",
        f"systemctl restart {UNIT}",
    ),
    Row(
        lambda it: it.own_state.end_of_file is None, SKIP, "the log is not there to compare it with"
    ),
    Row(
        lambda it: _is_in_this_file(it) and it.unread_bytes < 0,
        WARN,
        "it is at byte {it.own_state.bookmark.offset:,} of {it.own_state.end_of_file.offset:,}",
        "The log has been truncated; what was written in between may be lost.",
        "dane-mailgraph collect -v",
    ),
    Row(_is_in_this_file, OK, "it is {it.unread_bytes:,} bytes before the end"),
    Row(always, OK, "the log has been rotated since it was last read"),
)


def bookmark(facts: Facts) -> Iterator[Finding]:
    """Check that the bookmark lies inside the log."""
    log = facts.log_end.path
    if not facts.own_state.ledger_trouble and log != JOURNAL:
        yield first("bookmark", log, _BOOKMARK, facts)


# ---- the RRD --------------------------------------------------------------------------------

_REMAKE = f"mv {{about}} {{about}}.wrong && systemctl restart {UNIT}"

_RRD: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.own_state.rrd_last is None,
        WARN,
        "it is not there yet",
        _NOTHING_TO_DRAW,
        _STATUS,
    ),
    Row(
        lambda it: it.own_state.intervals_differing,
        FAIL,
        "{it.own_state.intervals_differing} of {it.own_state.intervals_compared} intervals differ "
        "from the ledger",
        "The RRD is wrong; once it is moved away, it is made anew from its snapshot and the "
        "ledger.",
        _REMAKE,
    ),
    Row(
        lambda it: it.own_state.intervals_compared,
        OK,
        "sound; intervals of the last week that agree with the ledger: "
        "{it.own_state.intervals_compared}",
    ),
    Row(always, OK, "sound"),
)


def rrd(facts: Facts) -> Iterator[Finding]:
    """Check that the RRD is sound, of this version, and agrees with the ledger."""
    kept = facts.own_state
    about = f"{kept.state_dir}/outbound.rrd"
    if kept.rrd_trouble:
        remedy = _REMAKE.format(about=about) if "move it away" in kept.rrd_trouble else ""
        yield _trouble("rrd", facts, kept.rrd_trouble, about, remedy)
    elif kept.rrd_last is not None or not kept.ledger_trouble:
        yield from facts.of_condition("store", about) or [first("rrd", about, _RRD, facts)]


# ---- what was left out ----------------------------------------------------------------------


def omissions(facts: Facts) -> Iterator[Finding]:
    """List what the counter has left out since it began; the condition says whether it goes on."""
    yield from facts.of_condition("omissions", "")
    for omission in OMISSIONS:
        count = facts.own_state.omitted.get(omission.name)
        if count and omission.is_loss:
            yield Finding("left out", "", OK, omission.with_remedy(count))


# ---- the page -------------------------------------------------------------------------------

_PAGE: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.own_state.drawn_at is None,
        WARN,
        "it is not there",
        "There is nothing to see.",
        f"systemctl enable --now {_TIMER}",
    ),
    Row(
        lambda it: it.now - (it.own_state.drawn_at or 0) > _PAGE_IS_OLD,
        WARN,
        "it was drawn {minutes} minutes ago",
        "The page shows what was then.",
        f"systemctl status {_TIMER}; journalctl -u dane-mailgraph-render",
    ),
    Row(always, OK, "it was drawn {seconds} seconds ago"),
)


def page(facts: Facts) -> Iterator[Finding]:
    """Check that the page has been written lately."""
    ago = max(0, facts.now - (facts.own_state.drawn_at or 0))
    about = f"{facts.own_state.output_dir}/index.html"
    yield first("page", about, _PAGE, facts, minutes=ago // MINUTE, seconds=ago)


# ---- room -----------------------------------------------------------------------------------

_WHEN_FULL = "When it is full, nothing more is counted or drawn."
_USAGE = "df -h -i {it.path}"

_DISK: tuple[Row[Disk], ...] = (
    Row(lambda it: it.inodes == 0, FAIL, "{mib:,} MiB free, no inode left", _WHEN_FULL, _USAGE),
    Row(lambda it: it.free < _FULL, FAIL, "{mib:,} MiB free", _WHEN_FULL, _USAGE),
    Row(lambda it: it.free < _SCARCE, WARN, "{mib:,} MiB free", _WHEN_FULL, _USAGE),
    Row(always, OK, "{mib:,} MiB free"),
)


def disks(facts: Facts) -> Iterator[Finding]:
    """Check that there is room for the store and the page."""
    for disk in facts.own_state.disks:
        yield first("disk", disk.path, _DISK, disk, mib=disk.free >> 20)
