"""From store to answers."""

from .attention import Unprotected, probe_command, problems_of_counting, unprotected
from .authentication import LostAuthentication, lost_authentication
from .conditions import (
    NAMES,
    Condition,
    Evidence,
    Judgement,
    Level,
    judge_conditions,
    silence_accepted,
)
from .figures import Figure, last_24_hours

__all__ = [
    "NAMES",
    "Condition",
    "Evidence",
    "Figure",
    "Judgement",
    "Level",
    "LostAuthentication",
    "Unprotected",
    "check",
    "judge_conditions",
    "last_24_hours",
    "lost_authentication",
    "overview",
    "probe_command",
    "problems_of_counting",
    "relays",
    "report",
    "silence_accepted",
    "unprotected",
]
