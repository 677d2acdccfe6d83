"""Bytes and places of a log, whoever wrote it."""

from .blocks import LONGEST, Blocks
from .clock import Clock
from .files import Opened, opened
from .follow import Log
from .heads import (
    ANY_LINE,
    DATA,
    DATED,
    FRACTION,
    HOST,
    MARK,
    NAME,
    RFC5424,
    STAMP,
    TIME,
    YEARLESS,
    ZONE,
    compiled,
    lines_with,
    stamp_of,
)
from .journal import Journal, Piece
from .position import bookmark, holds
from .source import Source

__all__ = [
    "ANY_LINE",
    "DATA",
    "DATED",
    "FRACTION",
    "HOST",
    "LONGEST",
    "MARK",
    "NAME",
    "RFC5424",
    "STAMP",
    "TIME",
    "YEARLESS",
    "ZONE",
    "Blocks",
    "Clock",
    "Journal",
    "Log",
    "Opened",
    "Piece",
    "Source",
    "blocks",
    "bookmark",
    "compiled",
    "heads",
    "holds",
    "lines_with",
    "opened",
    "stamp_of",
]
