"""Whether others reach our own servers by DANE, by what the last look at them found."""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple

from ..dane import causes
from ..language import Language
from ..levels import Level
from ..store import Watched
from ..times import format_day

CONDITIONS_OF_OWN_MX = (causes.OWN_MX, causes.CERTIFICATE)
"""The conditions that a look judges."""

_SENTENCES = 3
"""Causes of one level that are named together."""


class Trouble(NamedTuple):
    """What the last look found wrong with one server."""

    level: Level
    since: int
    text: str
    next_step: str


def trouble(
    watched: Watched, condition: str, language: Language, zone: tzinfo | None, now: int
) -> Trouble | None:
    """Return what is wrong with a server by one of the two conditions, with the age of the look."""
    holding = [
        (finding, since)
        for finding, since in watched.findings
        if causes.CAUSES[finding.cause].condition == condition and finding.level
    ]
    if not holding:
        return None
    level = holding[0][0].level
    same = [(finding, since) for finding, since in holding if finding.level is level]
    said = [causes.sentences(finding, language, zone) for finding, _ in same]
    texts = [text for text, _ in said[:_SENTENCES]]
    return Trouble(
        level,
        min(since for _, since in same),
        " ".join([*texts, _age(watched, language, now)]),
        said[0][1],
    )


def describe_server(watched: Watched, language: Language, zone: tzinfo | None, now: int) -> str:
    """Write in a sentence how a server is reached, with the age of the look."""
    values = {"mx": watched.target, "count": language.number(watched.records)}
    names = {finding.cause for finding, _ in watched.findings}
    if "no_record" in names:
        text = language.say("Not reachable by DANE: {mx}, no TLSA record.", **values)
    elif watched.matches is None or watched.ends is None or not watched.is_well:
        text = language.say("Not known to be reachable by DANE: {mx}.", **values)
    else:
        text = language.say(
            "Reachable by DANE: {mx}, {matches} of {count} TLSA records match, certificate until "
            "{day}.",
            matches=language.number(watched.matches),
            day=format_day(watched.ends, zone),
            **values,
        )
    unread = [
        causes.sentences(finding, language, zone)[0]
        for finding, _ in watched.findings
        if finding.cause == "files_unread"
    ]
    return " ".join([text, *unread[:1], _age(watched, language, now)])


def _age(watched: Watched, language: Language, now: int) -> str:
    return language.say(
        "(Looked at {duration} ago.)", duration=language.duration(max(0, now - watched.at))
    )
