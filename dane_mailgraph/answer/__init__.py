"""From store to answers."""

from .attention import Unprotected, probe_command, unprotected
from .authentication import lost_authentication
from .conditions import (
    ALL_IS_WELL,
    NAMES,
    Condition,
    Evidence,
    Judgement,
    Level,
    judge_conditions,
    silence_accepted,
    without_names,
)
from .figures import Figure, last_24_hours

__all__ = [
    "ALL_IS_WELL",
    "NAMES",
    "Condition",
    "Evidence",
    "Figure",
    "Judgement",
    "Level",
    "Unprotected",
    "check",
    "judge_conditions",
    "last_24_hours",
    "lost_authentication",
    "overview",
    "probe_command",
    "relays",
    "report",
    "silence_accepted",
    "unprotected",
    "without_names",
]
