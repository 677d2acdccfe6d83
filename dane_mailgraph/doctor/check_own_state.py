"""How our own things are: what has been counted, written and drawn, and room for more."""

from __future__ import annotations

from collections.abc import Iterator

from ..omissions import OMISSIONS
from .facts import Facts
from .findings import Finding, Verdict
from .loggers import JOURNAL, UNIT

OK, WARN, FAIL, SKIP = Verdict

_COUNTED_WITHIN = 900
"""Seconds: `run` writes each minute, a lazy cron each five."""

_DRAWN_WITHIN = 1800
"""Seconds: the timer draws each five minutes."""

_ROOM, _LITTLE = 20 << 20, 200 << 20
"""Bytes: an RRD is copied before it is replaced (some 8 MiB), and a site is written beside the old one."""

_EMPTY = "There is nothing to draw."
_START = f"systemctl enable --now {UNIT}"


def ledger(facts: Facts) -> Iterator[Finding]:
    """Whether the ledger can be read, and has been written of late."""
    kept = facts.upkeep
    about = f"{kept.state_dir}/ledger.sqlite"
    if kept.ledger_trouble:
        yield _told(
            "ledger",
            facts,
            kept.ledger_trouble,
            about,
            _START if "is not there" in kept.ledger_trouble else "",
        )
        return
    if kept.written is None:
        yield Finding(
            "ledger",
            about,
            WARN,
            "nothing has been counted yet",
            _EMPTY,
            f"systemctl status {UNIT}",
        )
        return
    age = facts.now - kept.written
    if age > _COUNTED_WITHIN:
        why = "The counter does not run, or cannot read its log; what it missed it will count, unless the log is rotated away."
        remedy = f"systemctl status {UNIT}; journalctl -u {UNIT}"
        yield Finding(
            "ledger", about, FAIL, f"it has counted up to {age // 60} minutes ago", why, remedy
        )
    elif age < -_COUNTED_WITHIN:
        why = "The RRD takes nothing that is older than its newest interval; the clock was wrong."
        yield Finding(
            "ledger",
            about,
            FAIL,
            f"it has counted up to {-age // 60} minutes ahead of the clock",
            why,
            "timedatectl",
        )
    else:
        yield Finding("ledger", about, OK, f"it has counted up to {max(0, age)} seconds ago")


def bookmark(facts: Facts) -> Iterator[Finding]:
    """Whether our place in the log can be right."""
    kept, log = facts.upkeep, facts.end.path
    if kept.ledger_trouble or log == JOURNAL:
        return
    if kept.place is None:
        why = "The counter has never read this log; perhaps `log` was changed."
        yield Finding("bookmark", log, WARN, "there is none", why, f"systemctl restart {UNIT}")
    elif kept.live is None:
        yield Finding("bookmark", log, SKIP, "the log is not there to compare it with")
    elif kept.live[0] == kept.place[0] and kept.live[1] < kept.place[1]:
        why = "The log has been truncated; what was written in between may be lost."
        what = f"it is at byte {kept.place[1]:,} of {kept.live[1]:,}"
        yield Finding("bookmark", log, WARN, what, why, "dane-mailgraph collect -v")
    elif kept.live[0] == kept.place[0]:
        behind = kept.live[1] - kept.place[1]
        yield Finding("bookmark", log, OK, f"it is {behind:,} bytes before the end")
    else:
        yield Finding("bookmark", log, OK, "the log has been rotated since it was last read")


def rrd(facts: Facts) -> Iterator[Finding]:
    """Whether the RRD is sound, of this version, and says what the ledger says."""
    kept = facts.upkeep
    about = f"{kept.state_dir}/outbound.rrd"
    if kept.rrd_trouble:
        anew = f"mv {about} {about}.wrong && systemctl restart {UNIT}"
        yield _told(
            "rrd",
            facts,
            kept.rrd_trouble,
            about,
            anew if "move it away" in kept.rrd_trouble else "",
        )
    elif kept.last is None and kept.written is not None:
        why = "Nothing is drawn, and reports reach back only as far as the ledger does."
        yield Finding(
            "rrd", about, FAIL, "it is gone", why, f"systemctl restart {UNIT}; journalctl -u {UNIT}"
        )
    elif kept.last is None:
        if not kept.ledger_trouble:
            yield Finding(
                "rrd", about, WARN, "it is not there yet", _EMPTY, f"systemctl status {UNIT}"
            )
    elif kept.differing:
        why = "The RRD is wrong; without it, it is made anew from its snapshot and the ledger."
        remedy = f"mv {about} {about}.wrong && systemctl restart {UNIT}"
        yield Finding(
            "rrd",
            about,
            FAIL,
            f"{kept.differing} of {kept.compared} intervals differ from the ledger",
            why,
            remedy,
        )
    elif kept.compared:
        yield Finding(
            "rrd",
            about,
            OK,
            f"sound; {kept.compared} intervals of the last week agree with the ledger",
        )
    else:
        yield Finding("rrd", about, OK, "sound")


def marks(facts: Facts) -> Iterator[Finding]:
    """What the counter has left out since it began."""
    for omission in OMISSIONS:
        count = facts.upkeep.marks.get(omission.name)
        if count and omission.is_loss:
            why = "They are missing in every picture; the log tells which they were."
            yield Finding("left out", "", WARN, omission.in_words(count), why, omission.command)


def page(facts: Facts) -> Iterator[Finding]:
    """Whether the pictures are drawn."""
    kept = facts.upkeep
    about, timer = f"{kept.output_dir}/index.html", "dane-mailgraph-render.timer"
    if kept.drawn is None:
        yield Finding(
            "page",
            about,
            WARN,
            "it is not there",
            "There is nothing to see.",
            f"systemctl enable --now {timer}",
        )
    elif facts.now - kept.drawn > _DRAWN_WITHIN:
        age = (facts.now - kept.drawn) // 60
        why = "The page shows what was then."
        remedy = f"systemctl status {timer}; journalctl -u dane-mailgraph-render"
        yield Finding("page", about, WARN, f"it was drawn {age} minutes ago", why, remedy)
    else:
        yield Finding(
            "page", about, OK, f"it was drawn {max(0, facts.now - kept.drawn)} seconds ago"
        )


def disks(facts: Facts) -> Iterator[Finding]:
    """Whether there is room."""
    for disk in facts.upkeep.disks:
        free = f"{disk.free >> 20:,} MiB free"
        full = disk.free < _ROOM or disk.inodes == 0
        if full or disk.free < _LITTLE:
            what = f"{free}, no inode left" if disk.inodes == 0 else free
            why = "When it is full, nothing more is counted or drawn."
            yield Finding(
                "disk", disk.path, FAIL if full else WARN, what, why, f"df -h -i {disk.path}"
            )
        else:
            yield Finding("disk", disk.path, OK, free)


def _told(check: str, facts: Facts, trouble: str, about: str, remedy: str) -> Finding:
    """A sentence that another module says of a file: the thing and the reason, then the next step."""
    thing, _, step = trouble.rstrip(".").replace(f"{about} ", "it ", 1).partition("; ")
    if not facts.root and ("ermission denied" in trouble or "unable to open" in trouble):
        why = "It may be right for whoever counts."
        return Finding(check, about, SKIP, thing, why, "run as root, or as the user that counts")
    return Finding(
        check,
        about,
        FAIL,
        thing,
        "Nothing is counted or drawn as long as it is so.",
        remedy or step,
    )
