"""From log to store."""

from .live_log import collect
from .step import TOLERANCE, Rules, Step, remarks

__all__ = [
    "TOLERANCE",
    "Rules",
    "Step",
    "collect",
    "remarks",
    "whole_logs",
]
