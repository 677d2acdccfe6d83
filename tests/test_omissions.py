"""Each omission is one row: everything that shows omissions loops over the table."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path

import pytest

from dane_mailgraph.counting import Result, remarks
from dane_mailgraph.omissions import NOTHING_OMITTED, OMISSIONS, Omission
from dane_mailgraph.store.ledger import Ledger

each_omission = pytest.mark.parametrize("omission", OMISSIONS, ids=lambda omission: omission.name)


@each_omission
def test_what_is_wrong_is_a_remark_with_its_remedy(omission: Omission) -> None:
    result = Result(omitted=NOTHING_OMITTED | {omission.name: 2})

    said = list(remarks(result, timezone.utc))

    want = f"2 lines {omission.what}; {omission.remedy}."
    assert said == ([want] if omission.is_remarkable else [])


@each_omission
def test_a_lost_count_has_a_remedy_and_a_command(omission: Omission) -> None:
    assert omission.is_remarkable or not omission.is_loss


def test_one_is_singular_and_thousands_are_grouped() -> None:
    future = next(each for each in OMISSIONS if each.name == "future")
    assert future.in_words(1).startswith("1 line stamped")
    assert future.in_words(12345).startswith("12,345 lines stamped")


def test_the_ledger_adds_omissions_up_and_names_all_of_them(tmp_path: Path) -> None:
    with Ledger(str(tmp_path / "ledger.sqlite"), writable=True) as ledger:
        assert ledger.omitted() == NOTHING_OMITTED
        for count in (2, 0, 3):
            with ledger.transaction():
                ledger.omit({"late": count, "future": 1})
        assert ledger.omitted() == NOTHING_OMITTED | {"late": 5, "future": 3}
