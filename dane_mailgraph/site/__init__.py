"""From store to pictures and a page."""

__all__ = [
    "build",
]
