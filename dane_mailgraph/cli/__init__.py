"""The operator's side: the command line, the daemon, the demo."""

from .command_line import main

__all__ = [
    "main",
]
