"""From store to answers."""

from .attention import Unprotected, probe_command, problems_of_counting, unprotected
from .authentication import LostAuthentication, lost_authentication
from .figures import Figure, last_24_hours

__all__ = [
    "Figure",
    "LostAuthentication",
    "Unprotected",
    "last_24_hours",
    "lost_authentication",
    "overview",
    "probe_command",
    "problems_of_counting",
    "relays",
    "report",
    "unprotected",
]
