"""What Postfix's words mean."""

from .explanation import explain
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
    "explain",
    "explanation",
    "marks_of",
]
