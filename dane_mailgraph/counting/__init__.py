"""From log to store."""

from .import_logs import Import
from .live_log import collect
from .result import Result, remarks
from .run import TOLERANCE, Rules

__all__ = ["TOLERANCE", "Import", "Result", "Rules", "collect", "remarks"]
