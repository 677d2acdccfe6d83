"""What Postfix's words mean."""

from .explanation import explain
from .sessions import Sessions
from .tally import Tally

__all__ = [
    "Sessions",
    "Tally",
    "explain",
    "explanation",
]
