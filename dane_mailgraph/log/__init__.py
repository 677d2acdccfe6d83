"""Bytes and positions of a log, whatever program wrote it."""

from .blocks import LONGEST, Blocks, WholeLines
from .clock import Clock
from .files import LogFile, open_log
from .follow import FollowedFile
from .parts import Parts
from .position import Bookmark, Position, bookmark, holds, is_at
from .prefixed import Limited
from .source import Look, Piece, Source

__all__ = [
    "LONGEST",
    "Blocks",
    "Bookmark",
    "Clock",
    "FollowedFile",
    "Limited",
    "LogFile",
    "Look",
    "Parts",
    "Piece",
    "Position",
    "Source",
    "WholeLines",
    "bookmark",
    "forms",
    "heads",
    "holds",
    "is_at",
    "journal",
    "looks",
    "open_log",
    "repeats",
    "sought",
]
