"""What the doctor says: findings with their verdicts, as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It should be looked at: numbers are right, but mean less than one thinks, or soon will."""
    FAIL = "fail"
    """It must be mended: numbers are wrong or missing, or mail is."""
    SKIP = "skip"
    """It does not apply here, or cannot be told by whoever asks."""


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


def as_json(findings: Sequence[Finding]) -> str:
    """One object: how many of each verdict, and the findings in order."""
    said = [{**each._asdict(), "verdict": each.verdict.value} for each in findings]
    return json.dumps({**_counts(findings), "findings": said}, indent=1)


def as_text(findings: Sequence[Finding]) -> str:
    """A line for what is well; below what is not, why it matters and what mends it. The sum at the end."""
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
        f"{counts['fail']} to mend, {counts['warn']} to look at, {counts['ok']} well, {counts['skip']} not checked",
    ]
    return "\n".join(lines)


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counts = Counter(each.verdict for each in findings)
    return {verdict.value: counts[verdict] for verdict in Verdict}
