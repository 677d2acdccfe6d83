"""What the doctor reports: rows of what a check may find, the findings, as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Verdict(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Look at it: the numbers are right, but mean less than they seem to, or soon will."""
    FAIL = "fail"
    """Mend it: numbers are wrong or missing, or mail is."""
    SKIP = "skip"
    """It does not apply here, or this user cannot find out."""


OK, WARN, FAIL, SKIP = Verdict


class Finding(NamedTuple):
    """What one check has found."""

    check: str
    about: str
    """Which instance, service, server, name or file; empty where there is only one."""
    verdict: Verdict
    found: str
    why: str = ""
    """Why it matters; empty where all is well."""
    remedy: str = ""
    """The command that mends it, or shows more; empty where all is well."""


@dataclass(frozen=True)
class Row(Generic[T]):
    """One thing that a check may find in its subject.

    The texts are templates of `str.format`: `{it}` is the subject, `{about}` that of the finding,
    other names are words that the check passes along.
    """

    applies: Callable[[T], object]
    """Whether this is the case; by truth value."""
    verdict: Verdict
    found: str
    why: str = ""
    remedy: str = ""

    def finding(self, check: str, about: str, it: T, words: dict[str, object]) -> Finding:
        """Return the finding with the templates filled in."""
        texts = (
            each.format(it=it, about=about, **words) for each in (self.found, self.why, self.remedy)
        )
        return Finding(check, about, self.verdict, *texts)


def always(_: object) -> bool:
    """Apply: the last row of a table in which the first one that applies is meant."""
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
    """Return one object: how many of each verdict, and the findings in order."""
    listed = [{**each._asdict(), "verdict": each.verdict.value} for each in findings]
    return json.dumps({**_counts(findings), "findings": listed}, indent=1)


def as_text(findings: Sequence[Finding]) -> str:
    """Return a line a finding; where it is not OK also why and what mends it; then a sum."""
    width = max((len(each.check) for each in findings), default=0)
    lines = []
    for each in findings:
        about = f"{each.about}: " if each.about else ""
        lines.append(f"{each.verdict.name:<5} {each.check:<{width}}  {about}{each.found}")
        if each.verdict is not Verdict.OK:
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
    counts = Counter(each.verdict for each in findings)
    return {verdict.value: counts[verdict] for verdict in Verdict}
