"""Table: how clients refuse our certificate. It is kept by sender and hour, beside categories.

A new one is one new row, and its pattern in `postfix/reception.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """One way to refuse our certificate."""

    name: str
    meaning: str
    """What the client did."""


ALERT, LEFT = "alert", "left"

REFUSALS = (
    Refusal(ALERT, "it refused our certificate by an alert"),
    Refusal(LEFT, "it left right after STARTTLS, as one that refuses our certificate"),
)

MEANINGS = {each.name: each.meaning for each in REFUSALS}
