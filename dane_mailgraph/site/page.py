"""jinja2: a `Status` becomes the HTML of the page. Everything in it is escaped; names come from strangers."""

from __future__ import annotations

from functools import cache, partial
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ..categories import CATEGORIES, FAMILIES
from .axis import local, moment
from .status import LISTED, Figure, Status, check, told

REFRESH = 300
"""Seconds after which a browser loads the page again."""

_TEMPLATES = Path(__file__).parent / "templates"

_FAMILIES = {
    "connections": "Connections",
    "deliveries": "Deliveries",
    "failures": "Failed for TLS or DANE",
    "protocols": "Versions of TLS",
    "key_exchange": "Key exchange",
}


def html(status: Status) -> str:
    """The whole page: static, without scripts, asking for nothing but its own pictures and stylesheet."""
    say = status.language.say
    return _template().render(
        status=status,
        code=status.language.code,
        refresh=REFRESH,
        style=sha256(stylesheet().encode()).hexdigest()[:8],
        say=say,
        number=status.language.number,
        iso=lambda second: local(second, status.zone).isoformat(),
        moment=lambda second: moment(second, status.zone),
        value=partial(_value, status),
        change=partial(_change, status),
        told=lambda each: told(each, status.language),
        check=check,
        listed=LISTED,
        words=[(say(title), FAMILIES[family]) for family, title in _FAMILIES.items()],
    )


def stylesheet() -> str:
    """How the page looks, and the colours of the categories."""
    light = "".join(f".{row.data_source} {{ background: {row.light} }}\n" for row in CATEGORIES)
    dark = "".join(f".{row.data_source} {{ background: {row.dark} }}\n" for row in CATEGORIES)
    plain = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{plain}{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"


def icon() -> bytes:
    """What a browser shows beside the title."""
    return (_TEMPLATES / "icon.svg").read_bytes()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("index.html")


def _value(status: Status, figure: Figure) -> str:
    language = status.language
    return language.percent(figure.now) if figure.is_share else language.number(figure.now)


def _change(status: Status, figure: Figure) -> str:
    language, change = status.language, figure.change
    if figure.now is None:
        return language.say("of nothing") if figure.of == 0 else language.say("not known")
    amount = abs(change or 0) * (100 if figure.is_share else 1)
    if change is None:
        said = language.say("the day before is not known")
    elif not figure.mood:
        said = language.say("as the day before")
    else:
        sign, number = (
            "+" if change > 0 else "\N{MINUS SIGN}",
            language.number(amount, 1 if figure.is_share else 0),
        )
        unit = language.say("points") if figure.is_share else ""
        said = " ".join(
            part for part in (f"{sign}{number}", unit, language.say("since the day before")) if part
        )
        said += f" ({language.say(figure.mood)})"
    return (
        said
        if figure.of is None
        else language.say("of {count}", count=language.number(figure.of)) + "; " + said
    )
