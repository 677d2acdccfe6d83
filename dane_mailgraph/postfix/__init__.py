"""What Postfix's words mean."""

from .marks import Counted, Mark, Marks, marks_of
from .overlap import Overlap
from .sessions import Sessions
from .tally import Tally

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
