"""The conditions that hold, for those who read them: without the accepted ones, and condensed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from ..language import ENGLISH, Language
from ..levels import Level, worst
from .conditions import CONDITIONS, Condition


def level_in_words(level: int, language: Language) -> str:
    """Write how bad something is for people."""
    if level == Level.UNKNOWN:
        return language.say("Unknown")
    return language.say("Critical") if level == Level.CRITICAL else language.say("Warning")


class Judgement(NamedTuple):
    """What holds, and what of it the operator has accepted."""

    conditions: tuple[Condition, ...]
    silenced: tuple[Condition, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of what is not accepted."""
        return worst(each.level for each in self.conditions)


ALL_IS_WELL = Judgement(())


class Matter(NamedTuple):
    """What people read as one: the conditions of one subject."""

    conditions: tuple[Condition, ...]
    """The gravest first."""

    @property
    def name(self) -> str:
        """Name of the gravest condition."""
        return self.conditions[0].name

    @property
    def level(self) -> Level:
        """The gravest level."""
        return self.conditions[0].level

    @property
    def since(self) -> int:
        """Epoch second in which the first of them began."""
        return min(each.since for each in self.conditions)

    @property
    def text(self) -> str:
        """What is wrong, the gravest first."""
        return " ".join(each.text for each in self.conditions)

    @property
    def next_step(self) -> str:
        """What to do; what several conditions say stands once."""
        steps: list[str] = []
        for each in self.conditions:
            if not any(each.next_step in step for step in steps):
                steps.append(each.next_step)
        return " ".join(steps)


def by_subject(conditions: Iterable[Condition]) -> tuple[Matter, ...]:
    """Put the conditions of each subject together, in the order of the gravest of them.

    Those of relays that are not named are one: which of them are the same is not to be seen.
    """
    kinds = {rule.name: rule.subject for rule in CONDITIONS if rule.summary}
    found: dict[object, list[Condition]] = {}
    for number, each in enumerate(conditions):
        found.setdefault(each.subject or kinds.get(each.name, number), []).append(each)
    return tuple(Matter(tuple(some)) for some in found.values())


def condense(conditions: Iterable[Condition], most: int) -> list[Condition]:
    """Merge conditions of one name into one that counts them, if there are more than `most`.

    Where all of them have one next step, it is in the text.
    """
    by_name: dict[str, list[Condition]] = {}
    for each in conditions:
        by_name.setdefault(each.name, []).append(each)
    result = []
    for some in by_name.values():
        one, *others = without_names(some, ENGLISH)
        if len(some) > most and not others:
            steps = {each.next_step for each in some}
            result.append(
                one._replace(text=" ".join([one.text, *(steps if len(steps) == 1 else ())]))
            )
        else:
            result += some
    return result


def without_names(conditions: Iterable[Condition], language: Language) -> tuple[Condition, ...]:
    """Return conditions that name no relay and no sender: those of one name become one.

    Its text says how many they are.
    """
    rules = {rule.name: rule for rule in CONDITIONS if rule.summary}
    by_name: dict[str, list[Condition]] = {}
    for each in conditions:
        by_name.setdefault(each.name, []).append(each)
    return tuple(
        each._replace(
            subject="",
            level=max(one.level for one in some),
            since=min(one.since for one in some),
            text=language.say(rules[name].summary, count=language.number(len(some))),
            next_step=language.say("`dane-mailgraph` names them."),
        )
        if name in rules
        else each._replace(text=each.nameless or each.text)
        for name, some in by_name.items()
        for each in (some[:1] if name in rules else some)
    )


def silence_accepted(found: Iterable[Condition], accepted: Collection[str]) -> Judgement:
    """Set aside what `ignore_conditions` names: NAME, or NAME:SUBJECT, in any letter case.

    The subject of a domain may stand without its `@`, as sentences have it.
    """
    names = {each.lower() for each in accepted}
    conditions: list[Condition] = []
    silenced: list[Condition] = []
    for each in found:
        subject = each.subject.lower()
        spellings = each.name, f"{each.name}:{subject}", f"{each.name}:{subject.removeprefix('@')}"
        is_accepted = not names.isdisjoint(spellings)
        (silenced if is_accepted else conditions).append(each)
    return Judgement(tuple(conditions), tuple(silenced))
