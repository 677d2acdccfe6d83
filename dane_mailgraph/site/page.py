"""jinja2: a `Status` becomes the HTML of the page.

Everything in it is escaped, because names come from strangers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ..answer import Figure, probe_command
from ..categories import CATEGORIES
from ..times import format_time, local
from .drawing import ZOOM
from .png import About
from .status import LISTED_RELAYS, Status, counts_in_words

FAMILY_TITLES = {
    "connections": "Connections",
    "deliveries": "Deliveries",
    "failures": "Failed for TLS or DANE",
    "protocols": "TLS versions",
    "key_exchange": "Key exchange",
}
"""Family -> heading in the glossary, in the order of the page."""

_TEMPLATES = Path(__file__).parent / "templates"


def html(status: Status, sizes: Mapping[str, About]) -> str:
    """Return the page: static, without scripts, with nothing but its own pictures and stylesheet.

    Args:
        status: what it says.
        sizes: name of a picture -> its size.
    """
    return _template().render(
        status=status,
        style=sha256(stylesheet().encode()).hexdigest()[:8],
        zoom=ZOOM,
        sizes=sizes,
        say=status.language.say,
        number=status.language.number,
        iso=lambda at: local(at, status.zone).isoformat(),
        format_time=lambda at: format_time(at, status.zone, zone_name=True),
        value=partial(_value, status),
        change=partial(_change, status),
        counts=lambda relay: counts_in_words(relay, status.language),
        command=probe_command,
        listed=LISTED_RELAYS,
        glossary=[(title, status.words(family)) for family, title in FAMILY_TITLES.items()],
    )


def stylesheet() -> str:
    """Return the stylesheet, with the colours of the categories."""
    light = "".join(f".{row.data_source} {{ background: {row.light} }}\n" for row in CATEGORIES)
    dark = "".join(f".{row.data_source} {{ background: {row.dark} }}\n" for row in CATEGORIES)
    plain = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{plain}{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"


def icon() -> bytes:
    """Return the icon that a browser shows beside the title, as SVG."""
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
    """Write below a figure what it is a share of, and how it has changed."""
    say, number = status.language.say, status.language.number
    if figure.now is None:
        return say("no traffic") if figure.whole == 0 else say("unknown")
    whole = "" if figure.whole is None else say("of {count}", count=number(figure.whole)) + "; "
    if figure.change is None:
        return whole + say("day before unknown")
    if not figure.trend:
        return whole + say("as on the day before")
    sign = "+" if figure.change > 0 else "\N{MINUS SIGN}"
    if figure.is_share:
        amount = say("{number} percentage points", number=number(100 * abs(figure.change), 1))
    else:
        amount = number(abs(figure.change))
    return whole + say(
        "{change} from the day before ({trend})", change=sign + amount, trend=say(figure.trend)
    )
