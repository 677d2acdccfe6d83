"""What Postfix's words mean."""

from .marks import Counted, Mark, Marks, marks_of
from .sessions import Sessions
from .tally import Overlap, Tally

__all__ = [
    "Counted",
    "Mark",
    "Marks",
    "Overlap",
    "Sessions",
    "Tally",
    "explanation",
    "marks_of",
]
