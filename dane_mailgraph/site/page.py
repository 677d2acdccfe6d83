"""jinja2: a `Status` becomes the HTML of the pages, one for each span.

Everything in it is escaped, because names come from strangers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..answer import Figure, probe_command
from ..categories import CATEGORIES, REACH, Category
from ..store import SPANS, Span
from ..times import DAY, HOUR, format_time, local_time
from .bars import HEIGHT, STEP, WIDTH
from .drawing import ZOOM
from .graphs import SCALE
from .png import About
from .sparkline import sparkline
from .status import LISTED_RELAYS, VALID_FOR, Chapter, Status, counts_in_words

PAGE = "index.html"

AT_ONCE = 5
"""Matters above the figures; the others are a click away."""

FEW = 10
"""Events below which a share is written as `2 of 3`."""

FAMILY_TITLES = {
    "connections": "Connections",
    "deliveries": "Deliveries",
    "failures": "Failed for TLS or DANE",
    "protocols": "TLS versions",
    "key_exchange": "Key exchange",
    "inbound": "Messages received",
}
"""Family -> heading in the glossary, in the order of the page."""

BAR = {"step": STEP, "width": WIDTH, "height": HEIGHT}
"""Of the bars of a day."""

LONG_RUN = {
    "better": "in the long run better: {old} to {new} in {count} weeks",
    "worse": "in the long run worse: {old} to {new} in {count} weeks",
    "": "in the long run no clear change: {old} to {new} in {count} weeks",
}
"""Course of a figure -> how the verdict says it."""

REACH_TITLE = "What others report"

_DATE = re.compile(r"(\d{4}-\d\d-\d\d(?: \d\d:\d\d)?)")
"""A time in a sentence, which is not to be broken."""

_TEMPLATES = Path(__file__).parent / "templates"


def file_of(span: Span) -> str:
    """Return the name of the page with the pictures of a span; it never changes."""
    return PAGE if span == SPANS[0] else f"{span.name}.html"


def pages(status: Status, sizes: Mapping[str, About]) -> dict[str, str]:
    """Return the pages by name, index.html last.

    They are static, without scripts, with nothing but their own pictures and stylesheet.

    Args:
        status: what they say.
        sizes: name of a picture -> its size.
    """
    values = {
        "status": status,
        "style": sha256(stylesheet().encode()).hexdigest()[:8],
        "zoom": ZOOM,
        "sizes": sizes,
        "say": status.language.say,
        "number": status.language.number,
        "iso": lambda at: local_time(at, status.zone).isoformat(),
        "format_time": lambda at: format_time(at, status.zone),
        "clock": partial(_clock, status),
        "is_late": status.last_update is None or status.now - status.last_update > VALID_FOR,
        "is_silent": status.newest is not None and status.now - status.newest > HOUR,
        "scale": _scale,
        "value": partial(_value, status),
        "change": partial(_change, status),
        "course": partial(_course, status),
        "long_run": partial(_long_run, status),
        "sparkline": lambda figure: sparkline(figure.weeks, 0.02 if figure.is_share else 10),
        "coverage": _coverage(status),
        "comparable": any(figure.before is not None for figure in status.today.figures),
        "counts": lambda relay: counts_in_words(relay, status.language),
        "stamp": lambda at: format_time(at, status.zone, zone_name=True),
        "dated": _DATE.split,
        "probe": probe_command,
        "listed": LISTED_RELAYS,
        "at_once": AT_ONCE,
        "glossary": _glossary(status),
        "day": lambda at: format_time(at, timezone.utc)[:10],
        "percent": status.language.percent,
        "bar": BAR,
        "file_of": file_of,
    }
    others = {
        file_of(chapter.span): _environment()
        .get_template("span.html")
        .render(values, chapter=chapter)
        for chapter in status.chapters[1:]
    }
    first = status.chapters[0] if status.chapters else None
    return {**others, PAGE: _environment().get_template("index.html").render(values, chapter=first)}


def _glossary(status: Status) -> list[tuple[str, tuple[tuple[Category, str], ...]]]:
    """Return the headings, each with its categories and their names."""
    found = [(title, status.words(family)) for family, title in FAMILY_TITLES.items()]
    if status.reach:
        found.append((REACH_TITLE, tuple((row, status.language.say(row.label)) for row in REACH)))
    return found


def stylesheet() -> str:
    """Return the stylesheet, with the colours of the categories."""
    rows = (*CATEGORIES, *REACH)
    light = "".join(f".{row.data_source} {{ background: {row.light} }}\n" for row in rows)
    dark = "".join(f".{row.data_source} {{ background: {row.dark} }}\n" for row in rows)
    light += "".join(f".{row.data_source} {{ fill: {row.light} }}\n" for row in REACH)
    dark += "".join(f".{row.data_source} {{ fill: {row.dark} }}\n" for row in REACH)
    plain = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{plain}{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"


def icon() -> bytes:
    """Return the icon that a browser shows beside the title, as SVG."""
    return (_TEMPLATES / "icon.svg").read_bytes()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        optimized=False,  # to optimize a template takes longer than to fill it in once
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def _value(status: Status, figure: Figure) -> str:
    language = status.language
    if _is_of_few(figure):
        part = round((figure.now or 0) * (figure.whole or 0))
        whole = language.number(figure.whole)
        return language.say("{part} of {count}", part=language.number(part), count=whole)
    return language.percent(figure.now) if figure.is_share else language.number(figure.now)


def _is_of_few(figure: Figure) -> bool:
    """Return whether a share is of so few that a percentage would say more than is known."""
    return figure.is_share and figure.now is not None and (figure.whole or 0) < FEW


def _number(status: Status, figure: Figure, value: float | None) -> str:
    """Write a value of a figure, or a mean of it."""
    language = status.language
    if figure.is_share:
        return language.percent(value)
    return language.number(value, 1 if value and value < 10 and value % 1 else 0)


def _change(status: Status, figure: Figure) -> str:
    """Write below a figure what it is a share of, and what it was in the weeks before."""
    say, number = status.language.say, status.language.number
    if figure.now is None:
        return say("no traffic") if figure.whole == 0 else say("unknown")
    is_said = figure.whole is None or _is_of_few(figure)
    parts = [] if is_said else [say("of {count}", count=number(figure.whole))]
    before = _number(status, figure, figure.before)
    if figure.trend:
        parts.append(
            say(
                "{trend} than in the weeks before ({before})",
                trend=say(figure.trend),
                before=before,
            )
        )
    elif figure.before is not None:
        parts.append(say("in the weeks before {before}", before=before))
    return "; ".join(parts)


def _course(status: Status, figure: Figure) -> str:
    """Write the trend over weeks: its first and its last one; empty where there are too few."""
    if len(figure.known_weeks) < 2:
        return ""
    say = status.language.say
    values = _weeks(status, figure)
    text = (
        say("{count} weeks: {old} to {new}", **values)
        if figure.is_share
        else say("{count} weeks: {old} to {new} a week", **values)
    )
    return f"{text} ({say(figure.course)})" if figure.course else text


def _long_run(status: Status, figure: Figure) -> str:
    """Write for the verdict where it goes; the level beside it is of now."""
    if not figure.has_course:
        return _course(status, figure)
    return status.language.say(LONG_RUN[figure.course], **_weeks(status, figure))


def _weeks(status: Status, figure: Figure) -> dict[str, str]:
    """Write how many weeks it is since the first known one, its value and the newest one."""
    first = next(n for n, value in enumerate(figure.weeks) if value is not None)
    return {
        "count": status.language.number(len(figure.weeks) - first),
        "old": _number(status, figure, figure.known_weeks[0]),
        "new": _number(status, figure, figure.known_weeks[-1]),
    }


def _clock(status: Status, at: int) -> str:
    """Write a time of the day on which the page is drawn without its date."""
    written, today = (format_time(each, status.zone) for each in (at, status.now))
    return written[11:] if written[:10] == today[:10] else written


def _scale(chapter: Chapter) -> list[tuple[Category, str]]:
    """Return the categories of protection that occur in the pictures, with their names."""
    found: dict[str, Category] = {}
    for picture in chapter.pictures:
        drawing = picture.light.drawing
        if drawing.graph.slug in ("connections", "deliveries"):
            for row in drawing.rows:
                if chapter.series.total(row):
                    found.setdefault(drawing.label(row), row)
    return sorted(
        ((row, name) for name, row in found.items()), key=lambda pair: SCALE.index(pair[0].name)
    )


def _coverage(status: Status) -> str:
    """Write how much of the 24 hours is known; empty where all of it is."""
    known = status.today.observed
    if known > DAY - HOUR / 10:
        return ""
    return status.language.say(
        "{hours} of 24 h known", hours=status.language.number(known / HOUR, 1)
    )
