"""What keeps the numbers from being right."""

from .checks import diagnose
from .own_mx import _NAMES

__all__ = [
    "_NAMES",
    "diagnose",
    "facts",
    "findings",
]
