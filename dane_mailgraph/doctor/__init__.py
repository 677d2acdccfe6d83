"""What keeps the numbers from being right."""

from .checks import diagnose

__all__ = [
    "diagnose",
    "facts",
    "findings",
    "own_mx",
    "postconf",
]
