"""Languages of page, pictures and messages: the texts of each, and how it writes numbers.

The source texts are English. A file `languages/CODE.json` maps each of them to its translation;
numbers follow the translation of `1,234.5`. A new language is one new file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import NamedTuple

from .times import in_largest_unit

UNKNOWN = "\N{EN DASH}"
"""Stands for an unknown number."""

_CATALOGUES = os.path.join(os.path.dirname(__file__), "languages")


class Language(NamedTuple):
    """A language of page, pictures and messages."""

    code: str
    """BCP 47, as in HTML."""
    texts: Mapping[str, str] = {}
    """English text -> translation."""

    def say(self, text: str, **values: object) -> str:
        """Translate an English text and fill in each `{name}`; without a translation keep it."""
        translation = self.texts.get(text, text)
        return translation.format(**values) if values else translation

    def number(self, value: float | None, decimals: int = 0) -> str:
        """Write a number as `1,234.5`; None is unknown."""
        if value is None:
            return UNKNOWN
        sample = self.say("1,234.5")
        return f"{value:,.{decimals}f}".translate(str.maketrans(",.", sample[1] + sample[5]))

    def percent(self, share: float | None) -> str:
        """Write a share from 0 to 1 as `43.5%`; only 0 and 1 are written as `0%` and `100%`."""
        if share is None:
            return UNKNOWN
        if 0 < share < 0.001:
            return "<" + self.say("{number}%", number=self.number(0.1, 1))
        if 0.999 < share < 1:
            return ">" + self.say("{number}%", number=self.number(99.9, 1))
        return self.say("{number}%", number=self.number(100 * share, 1 if 0 < share < 1 else 0))

    def duration(self, seconds: int) -> str:
        """Write a duration as `45 s`, `20 min`, `3 h`, `5 days`."""
        count, unit = in_largest_unit(seconds)
        return self.say(f"{{number}} {unit}", number=self.number(count))


ENGLISH = Language("en")


def language_codes() -> tuple[str, ...]:
    """Return the codes of all languages."""
    return ("en", *sorted(name[:-5] for name in os.listdir(_CATALOGUES) if name.endswith(".json")))


def load_language(code: str) -> Language:
    """Return the language of a code; raises ValueError."""
    if code == "en":
        return ENGLISH
    if code not in language_codes():
        raise ValueError(f"one of {', '.join(language_codes())} is needed")
    with open(os.path.join(_CATALOGUES, f"{code}.json"), encoding="utf-8") as file:
        return Language(code, json.load(file))
