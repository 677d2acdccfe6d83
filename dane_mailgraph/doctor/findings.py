"""What the doctor reports: rows of what a check may find, the findings, as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Grade(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """Look at it: the numbers are right, but mean less than they seem to, or soon will."""
    FAIL = "fail"
    """Mend it: numbers are wrong or missing, or mail is."""
    SKIP = "skip"
    """It does not apply here, or this user cannot find out."""


OK, WARN, FAIL, SKIP = Grade


class Finding(NamedTuple):
    """What one check has found."""

    check: str
    about: str
    """Which instance, service, server, name or file; empty where there is only one."""
    grade: Grade
    found: str
    why: str = ""
    """Why it matters; empty where all is well."""
    remedy: str = ""
    """The command that mends it, or shows more; empty where all is well."""


@dataclass(frozen=True)
class Row(Generic[T]):
    """One thing that a check may find in its subject.

    The texts are templates of `str.format`: `{it}` is the subject, `{about}` is the finding's,
    other names are words that the check passes along.
    """

    applies: Callable[[T], object]
    """Whether the subject is so, as a truth value."""
    grade: Grade
    found: str
    why: str = ""
    remedy: str = ""

    def finding(self, check: str, about: str, it: T, words: dict[str, object]) -> Finding:
        """Return the finding with the templates filled in."""
        texts = (
            each.format(it=it, about=about, **words) for each in (self.found, self.why, self.remedy)
        )
        return Finding(check, about, self.grade, *texts)


def always(_: object) -> bool:
    """Apply to every subject: for the last row of a table that `first` searches."""
    return True


def first(check: str, about: str, rows: Iterable[Row[T]], it: T, **words: object) -> Finding:
    """Return the finding of the first row that applies; one must."""
    return next(row.finding(check, about, it, words) for row in rows if row.applies(it))


def every(
    check: str, about: str, rows: Iterable[Row[T]], it: T, **words: object
) -> Iterator[Finding]:
    """Yield the finding of each row that applies."""
    return (row.finding(check, about, it, words) for row in rows if row.applies(it))


def as_json(findings: Sequence[Finding]) -> str:
    """Return one object: how many of each grade, and the findings in order."""
    listed = [
        {
            "check": each.check,
            "about": each.about,
            "verdict": each.grade.value,
            "found": each.found,
            "why": each.why,
            "remedy": each.remedy,
        }
        for each in findings
    ]
    return json.dumps({**_counts(findings), "findings": listed}, indent=1)


def as_text(findings: Sequence[Finding]) -> str:
    """Return a line a finding, below it why and what mends it where it is not OK; then a sum."""
    width = max((len(each.check) for each in findings), default=0)
    lines = []
    for each in findings:
        about = f"{each.about}: " if each.about else ""
        lines.append(f"{each.grade.name:<5} {each.check:<{width}}  {about}{each.found}")
        if each.grade is not Grade.OK:
            lines += [
                f"{'':5} {'':{width}}  {more}"
                for more in (each.why, each.remedy and f"-> {each.remedy}")
                if more
            ]
    counts = _counts(findings)
    lines += [
        "",
        f"{counts['fail']} to mend, {counts['warn']} to look at, {counts['ok']} well, "
        f"{counts['skip']} not checked",
    ]
    return "\n".join(lines)


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counts = Counter(each.grade for each in findings)
    return {grade.value: counts[grade] for grade in Grade}
