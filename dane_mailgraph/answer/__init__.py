"""From store to answers."""

from .changes import GOOD, REMEMBERED, SUSPECT, Regression, regressions

__all__ = [
    "GOOD",
    "REMEMBERED",
    "SUSPECT",
    "Regression",
    "overview",
    "regressions",
    "relays",
    "report",
]
