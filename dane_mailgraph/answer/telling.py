"""What a check tells the operator: what is new, what still holds after a week, what is over."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..language import Language
from ..levels import Level
from ..store import KnownCondition
from ..times import DAY
from .conditions import Condition
from .judgement import Judgement, Matter, by_subject, level_in_words

_IN_A_ROW = 2
"""Checks in a row that must find a condition before a message, and miss it before it is over."""

_AGAIN = 7 * DAY
"""Seconds after which a message repeats what still holds."""

_RETURN_IS_NO_NEWS = DAY
"""Seconds after the end of a condition in which its return is not told."""

_LISTED = 5
"""Conditions of one name in a message."""


class News(NamedTuple):
    """What the next message says."""

    new: tuple[KnownCondition, ...]
    """Also what was a warning and is critical now."""
    still: tuple[KnownCondition, ...]
    over: tuple[KnownCondition, ...]


def observe(
    told: Iterable[KnownCondition], found: Judgement, judged: Collection[str], now: int
) -> list[KnownCondition]:
    """Return what to remember after a check that judged these names.

    What the operator has accepted is forgotten.
    """
    before = {(each.name, each.subject): each for each in told}
    for each in found.silenced:
        before.pop((each.name, each.subject), None)
    after = []
    for each in found.conditions:
        old = before.pop((each.name, each.subject), None)
        fresh = KnownCondition(each.name, each.subject, each.since, now, int(each.level), each.text)
        if old:
            fresh = old._replace(
                since=each.since if old.told_at is None else old.since,
                last=now,
                level=int(each.level),
                text=each.text,
                found_in_a_row=old.found_in_a_row + 1,
                missed_in_a_row=0,
            )
        after.append(fresh)
    for old in before.values():
        if old.name not in judged:
            after.append(old)
        elif old.told_at is not None:
            after.append(old._replace(missed_in_a_row=old.missed_in_a_row + 1))
        elif old.end_told_at is not None and now - old.end_told_at < _RETURN_IS_NO_NEWS:
            after.append(old._replace(found_in_a_row=0))
    return after


def news(told: Iterable[KnownCondition], now: int) -> News:
    """Return what the next message says of the remembered conditions."""
    new, still, over = [], [], []
    for each in told:
        if each.told_at is None:
            is_back = each.end_told_at is not None and now - each.end_told_at < _RETURN_IS_NO_NEWS
            if each.found_in_a_row >= _IN_A_ROW and not is_back:
                new.append(each)
        elif each.missed_in_a_row >= _IN_A_ROW:
            over.append(each)
        elif each.missed_in_a_row == 0 and _urgency(each.level) > _urgency(each.told_level):
            new.append(each)
        elif each.missed_in_a_row == 0 and now - each.told_at >= _AGAIN:
            still.append(each)
    return News(tuple(new), tuple(still), tuple(over))


def after_telling(told: Iterable[KnownCondition], sent: News, now: int) -> list[KnownCondition]:
    """Return what to remember after the messenger has succeeded."""
    told_now, over = {*sent.new, *sent.still}, set(sent.over)
    return [
        each._replace(told_at=now, told_level=each.level)
        if each in told_now
        else each._replace(
            told_at=None, told_level=0, found_in_a_row=0, missed_in_a_row=0, end_told_at=now
        )
        if each in over
        else each
        for each in told
    ]


# ---- the message ----------------------------------------------------------------------------


class Message(NamedTuple):
    """What a messenger brings."""

    subject: str
    text: str
    data: str
    """The same as JSON."""


def message(
    sent: News, conditions: Iterable[Condition], host: str, language: Language
) -> Message | None:
    """Write the message; None where there is nothing to say."""
    if not any(sent):
        return None
    say = language.say
    steps = {(each.name, each.subject): each.next_step for each in conditions}
    blocks = []
    for title, some in ((say("New"), sent.new), (say("Still so"), sent.still)):
        if some:
            blocks += [f"{title}:", *_listed(some, steps, language)]
    if sent.over:
        blocks += [f"{say('Over')}:", *_listed(sent.over, None, language)]
    blocks.append(say("All there is to say: `dane-mailgraph`"))
    first = (*sent.new, *sent.still, *sent.over)[0]
    head = level_in_words(first.level, language) if first not in sent.over else say("Over")
    more = sum(len(_matters(some)) for some in sent) - 1
    return Message(
        f"{host}: {head}: {first.text}" + (f" (+{more})" if more else ""),
        "\n\n".join(blocks) + "\n",
        json.dumps(
            {
                "host": host,
                "new": [_data(each) for each in sent.new],
                "still": [_data(each) for each in sent.still],
                "over": [_data(each) | {"lasted": each.last - each.since} for each in sent.over],
            }
        ),
    )


def trial_message(host: str, language: Language) -> Message:
    """Write a message that says only that messages arrive."""
    text = language.say("This is a test: messages of dane-mailgraph arrive.")
    data = {"host": host, "new": [], "still": [], "over": [], "test": True}
    return Message(f"{host}: {text}", f"{text}\n", json.dumps(data))


def _listed(
    some: Collection[KnownCondition],
    steps: Mapping[tuple[str, str], str] | None,
    language: Language,
) -> list[str]:
    """Write the first of each name, and how many more there are; without steps they are over."""
    ends = {(each.name, each.subject): each.last for each in some}
    by_name: defaultdict[str, list[Matter]] = defaultdict(list)
    for matter in _matters(some, steps or {}):
        by_name[matter.name].append(matter)
    lines = []
    for name, matters in by_name.items():
        for each in matters[:_LISTED]:
            if steps is None:
                last = max(ends[one.name, one.subject] for one in each.conditions)
                lasted = language.duration(last - each.since)
                end = language.say("It lasted {duration}.", duration=lasted)
                lines.append(f"* {each.text}\n  {end}")
            else:
                level = level_in_words(each.level, language)
                lines.append(f"* {level}: {each.text}\n  {each.next_step}")
        if len(matters) > _LISTED:
            count = language.number(len(matters) - _LISTED)
            lines.append(f"* {language.say('and {count} more', count=count)}: {name}")
    return lines


def _matters(
    some: Iterable[KnownCondition], steps: Mapping[tuple[str, str], str] = MappingProxyType({})
) -> tuple[Matter, ...]:
    """Put together what is of one subject, with the next step of each."""
    return by_subject(
        Condition(
            each.name,
            each.subject,
            Level(each.level),
            each.since,
            each.text,
            steps.get((each.name, each.subject), ""),
        )
        for each in some
    )


def _urgency(level: int) -> int:
    return Level(level).urgency


def _data(each: KnownCondition) -> dict[str, object]:
    return {
        "name": each.name,
        "subject": each.subject,
        "level": Level(each.level).word,
        "since": each.since,
        "text": each.text,
    }
