"""Running totals in a ledger: all that the RRD holds. They never go back.

They grow in the transaction that notes an interval as written, so they are those of the moment
`rrd_until` of the state, whatever is pruned later.
"""

from __future__ import annotations

from ..categories import CATEGORIES
from .ledger import Ledger
from .series import Row

_OBSERVED = "observed"


def totals(ledger: Ledger) -> Row:
    """Return the totals; a category that was never known is None."""
    found = dict(ledger.read("SELECT name, count FROM totals"))
    return Row(found.get(_OBSERVED, 0), tuple(found.get(each.data_source) for each in CATEGORIES))


def add_to_totals(ledger: Ledger, row: Row) -> None:
    """Add what was counted; inside a transaction."""
    ledger.write(
        "INSERT INTO totals VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
        [
            (_OBSERVED, row.observed),
            *(
                (each.data_source, count)
                for each, count in zip(CATEGORIES, row.counts, strict=True)
                if count is not None
            ),
        ],
    )


def greater(a: Row, b: Row) -> Row:
    """Return the greater of each total: what the RRD has forgotten after decades stays counted."""
    counts = (
        max((count for count in both if count is not None), default=None)
        for both in zip(a.counts, b.counts, strict=True)
    )
    return Row(max(a.observed, b.observed), tuple(counts))


def replace_totals(ledger: Ledger, row: Row) -> None:
    """Let these be the totals; inside a transaction."""
    ledger.write("DELETE FROM totals", [()])
    add_to_totals(ledger, row)


def sum_of_closed(ledger: Ledger, start: int, until: int, step: int) -> Row:
    """Add up the intervals of [start, until), quiet ones as zeros, as the RRD gets them."""
    sums = ", ".join(f"sum({each.data_source})" for each in CATEGORIES)
    ((counted, *counts),) = ledger.read(
        f"SELECT count(*), {sums} FROM intervals WHERE start >= ? AND start < ?", start, until
    )
    steps = (until - start) // step
    unread = _unread(ledger, start, until, step)
    quiet = steps - counted - unread
    known = (0 if count is None and quiet else count for count in counts)
    return Row((steps - unread) * step, tuple(known))


def _unread(ledger: Ledger, start: int, until: int, step: int) -> int:
    """Return how many intervals lie in a gap and hold no count."""
    unread, at = 0, start
    for gap in ledger.gaps(start, until):
        begin, end = (-(-each // step) * step for each in gap)
        begin, end = max(begin, at), min(end, until)
        if begin < end:
            ((counted,),) = ledger.read(
                "SELECT count(*) FROM intervals WHERE start >= ? AND start < ?", begin, end
            )
            unread += (end - begin) // step - counted
            at = end
    return unread
