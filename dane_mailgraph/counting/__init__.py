"""From log to store."""

from .import_logs import Import
from .live_log import How, collect
from .pace import Pace
from .result import Result, in_words, many, remarks
from .run import TOLERANCE, Rules

__all__ = [
    "TOLERANCE",
    "How",
    "Import",
    "Pace",
    "Result",
    "Rules",
    "collect",
    "in_words",
    "many",
    "remarks",
]
