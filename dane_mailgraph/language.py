"""What is said in which language: a catalogue a language, and how it writes numbers.

The program speaks English. A catalogue is a file `languages/CODE.json` that gives for each of its texts the same in
another language; numbers follow its text for `1,234.5`. A new language is one new file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

UNKNOWN = "\N{EN DASH}"
"""Stands for a number that is not known."""

_CATALOGUES = Path(__file__).parent / "languages"


class Language(NamedTuple):
    """A language in which the page and the pictures are written."""

    code: str
    """As HTML names it (BCP 47)."""
    texts: Mapping[str, str] = {}

    def say(self, text: str, **values: object) -> str:
        """An English text in this language, `{name}` replaced; what the catalogue lacks stays English."""
        said = self.texts.get(text, text)
        return said.format(**values) if values else said

    def number(self, value: float | None, decimals: int = 0) -> str:
        """`1,234.5`; None is unknown."""
        if value is None:
            return UNKNOWN
        sample = self.say("1,234.5")
        return f"{value:,.{decimals}f}".translate(str.maketrans(",.", sample[1] + sample[5]))

    def percent(self, share: float | None) -> str:
        """A share as `43.5%`; what is not nothing or everything is never rounded to it."""
        if share is None:
            return UNKNOWN
        if 0 < share < 0.001:
            return "<" + self.say("{number}%", number=self.number(0.1, 1))
        if 0.999 < share < 1:
            return ">" + self.say("{number}%", number=self.number(99.9, 1))
        return self.say("{number}%", number=self.number(100 * share, 1 if 0 < share < 1 else 0))


ENGLISH = Language("en")


def languages() -> tuple[str, ...]:
    """The codes of all languages there are."""
    return ("en", *sorted(path.stem for path in _CATALOGUES.glob("*.json")))


def language(code: str) -> Language:
    """The language of that code; raises ValueError."""
    if code == "en":
        return ENGLISH
    if code not in languages():
        raise ValueError(f"one of {', '.join(languages())} is needed")
    return Language(code, json.loads((_CATALOGUES / f"{code}.json").read_text(encoding="utf-8")))
