"""From store to answers."""

from .attention import Unprotected, probe_command, unprotected
from .conditions import CONDITIONS, NAMES, Condition, judge_conditions
from .evidence import Evidence
from .figures import Figure, Today, last_24_hours
from .judge_dane import DANE_IS_OFF
from .judge_own_mx import refused_by_senders
from .judgement import (
    ALL_IS_WELL,
    Judgement,
    Matter,
    by_subject,
    level_in_words,
    silence_accepted,
    without_names,
)
from .own_mx import CONDITIONS_OF_OWN_MX, describe_server
from .telling import Message, after_telling, message, news, observe, trial_message

__all__ = [
    "ALL_IS_WELL",
    "CONDITIONS",
    "CONDITIONS_OF_OWN_MX",
    "DANE_IS_OFF",
    "NAMES",
    "Condition",
    "Evidence",
    "Figure",
    "Judgement",
    "Matter",
    "Message",
    "Today",
    "Unprotected",
    "after_telling",
    "by_subject",
    "check",
    "describe_server",
    "judge_conditions",
    "last_24_hours",
    "level_in_words",
    "message",
    "news",
    "observe",
    "overview",
    "probe_command",
    "refused_by_senders",
    "relays",
    "report",
    "silence_accepted",
    "summary",
    "trial_message",
    "unprotected",
    "without_names",
]
