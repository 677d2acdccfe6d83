"""From log to store."""

from .live_log import collect
from .step import TOLERANCE, Result, Rules, remarks

__all__ = [
    "TOLERANCE",
    "Result",
    "Rules",
    "collect",
    "remarks",
    "whole_logs",
]
