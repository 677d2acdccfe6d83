"""A `Status` becomes the HTML of the status page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from .counted import CONNECTIONS, COUNTED, FAMILIES, Counted
from .graphs import TRUST, Graph
from .series import Series, Span

PICTURE_WIDTH, PICTURE_HEIGHT = 850, 380
"""CSS pixels of a picture on the page; its file has twice as many each way."""

REFRESH = 300
"""Seconds after which a browser loads the page again."""

UNKNOWN = "\N{EN DASH}"

BESIDE = tuple(row for row in CONNECTIONS if row not in TRUST)
"""Categories that stand beside the others of their family and have no share in it."""


class Picture(NamedTuple):
    """One image file beside the page."""

    file: str
    span: Span
    graph: Graph
    alt: str


class Status(NamedTuple):
    """Everything the page says."""

    host: str
    now: int
    zone: tzinfo | None
    """None is the local time of the system."""
    version: str
    last_update: int | None
    """Epoch second until which everything is counted."""
    pictures: tuple[Picture, ...]
    totals: tuple[tuple[Span, Series], ...]
    """Each series counts all of `COUNTED`."""
    notes: tuple[str, ...]
    """Sentences for the reader."""


def local(second: int, zone: tzinfo | None) -> datetime:
    """The aware local time of an epoch second."""
    return datetime.fromtimestamp(second, zone) if zone else datetime.fromtimestamp(second).astimezone()


def moment(second: int, zone: tzinfo | None) -> str:
    """An epoch second as `2026-11-24 03:00 CET`."""
    return local(second, zone).strftime("%Y-%m-%d %H:%M %Z").rstrip()


def percent(share: float | None) -> str:
    """A share as `43.5%`; what is not nothing or everything is never rounded to it."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.1%}" if 0 < share < 1 else f"{share:.0%}"


def html(status: Status) -> str:
    """The whole page: static, without scripts, needing no file but the pictures."""
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            *_head(status),
            "<body>",
            *_header(status),
            "<main>",
            *_notes(status.notes),
            *(line for span in _spans(status) for line in _section(span, status.pictures)),
            *_totals(status.totals),
            *_words(),
            "</main>",
            f"<footer><p>dane-mailgraph {escape(status.version)}, drawn {_time(status.now, status.zone)}</p></footer>",
            "</body>",
            "</html>",
            "",
        )
    )


def _head(status: Status) -> Iterable[str]:
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="refresh" content="{REFRESH}">'
    yield '<meta name="color-scheme" content="light dark">'
    yield '<meta name="robots" content="noindex">'
    yield f"<title>Outbound TLS of {escape(status.host)}</title>"
    yield '<link rel="icon" href="data:,">'
    yield f"<style>{STYLE}{_swatches()}</style>"
    yield "</head>"


def _header(status: Status) -> Iterable[str]:
    until = "Nothing is counted yet" if status.last_update is None else f"Counted until {_time(status.last_update, status.zone)}"
    yield "<header>"
    yield f"<h1>Outbound TLS of <strong>{escape(status.host)}</strong></h1>"
    yield f"<p>Postfix&#8217;s TLS connections to other mail servers, by how far they can be trusted. {until}.</p>"
    yield '<nav aria-label="On this page"><ul>'
    for span in _spans(status):
        yield f'<li><a href="#{escape(span.name)}">{escape(span.title)}</a></li>'
    if status.totals:
        yield '<li><a href="#totals">Totals</a></li>'
    yield '<li><a href="#words">Words</a></li>'
    yield "</ul></nav>"
    yield "</header>"


def _notes(notes: tuple[str, ...]) -> Iterable[str]:
    if notes:
        yield '<aside class="notes" aria-label="Notes">'
        yield from (f"<p>{escape(note)}</p>" for note in notes)
        yield "</aside>"


def _spans(status: Status) -> tuple[Span, ...]:
    return tuple(dict.fromkeys(picture.span for picture in status.pictures))


def _section(span: Span, pictures: tuple[Picture, ...]) -> Iterable[str]:
    name = escape(span.name)
    yield f'<section id="{name}" aria-labelledby="{name}-title">'
    yield f'<h2 id="{name}-title">{escape(span.title)}</h2>'
    yield '<div class="pictures">'
    for picture in pictures:
        if picture.span == span:
            yield _figure(picture)
    yield "</div>"
    yield "</section>"


def _figure(picture: Picture) -> str:
    source = escape(quote(picture.file))
    size = f'width="{PICTURE_WIDTH}" height="{PICTURE_HEIGHT}"'
    return f'<figure><a href="{source}"><img src="{source}" {size} alt="{escape(picture.alt)}"></a></figure>'


def _totals(totals: tuple[tuple[Span, Series], ...]) -> Iterable[str]:
    if not totals:
        return
    yield '<section id="totals" aria-labelledby="totals-title">'
    yield '<h2 id="totals-title">Totals</h2>'
    # A region that scrolls needs the focus to be scrolled by keyboard.
    yield '<div class="card scroll" role="region" aria-labelledby="totals-title" tabindex="0">'
    yield "<table>"
    columns = "".join(f'<th scope="col">{escape(span.title)}</th>' for span, _ in totals)
    yield f"<thead><tr><td></td>{columns}</tr></thead>"
    for family, rows in FAMILIES.items():
        yield "<tbody>"
        title = family.replace("_", " ").capitalize()
        yield f'<tr class="family"><th scope="rowgroup" colspan="{len(totals) + 1}">{escape(title)}</th></tr>'
        for row in rows:
            cells = "".join(_cell(row, rows, series) for _, series in totals)
            yield f'<tr><th scope="row" title="{escape(row.meaning)}">{_swatch(row)}{escape(row.label)}</th>{cells}</tr>'
        yield "</tbody>"
    yield "</table>"
    yield "</div>"
    yield f"<p>Shares are within each group; {UNKNOWN} is unknown, which is not 0.</p>"
    yield "</section>"


def _cell(row: Counted, family: tuple[Counted, ...], series: Series) -> str:
    total = series.total(row)
    among = tuple(each for each in family if each not in BESIDE)
    # An empty share keeps the counts of a column below each other.
    share = percent(series.share(row, among)) if row in among and total is not None else ""
    count = UNKNOWN if total is None else f"{total:,}"
    return f"<td>{count} <small>{escape(share)}</small></td>"


def _words() -> Iterable[str]:
    yield '<section id="words" aria-labelledby="words-title">'
    yield '<h2 id="words-title">What the words mean</h2>'
    yield '<dl class="card">'
    for row in CONNECTIONS:
        yield f"<div><dt>{_swatch(row)}{escape(row.label)}</dt><dd>{escape(row.meaning)}</dd></div>"
    yield "</dl>"
    yield "</section>"


def _time(second: int, zone: tzinfo | None) -> str:
    return f'<time datetime="{escape(local(second, zone).isoformat())}">{escape(moment(second, zone))}</time>'


def _swatch(row: Counted) -> str:
    return f'<i class="swatch {row.source}"></i>'


def _swatches() -> str:
    light = "".join(f".{row.source}{{background:{row.light}}}\n" for row in COUNTED)
    dark = "".join(f".{row.source}{{background:{row.dark}}}\n" for row in COUNTED)
    return f"{light}@media (prefers-color-scheme:dark){{\n{dark}}}\n"


STYLE = """
:root{color-scheme:light dark;
--ground:#F6F8FA;--card:#FFF;--text:#1F2328;--muted:#59636E;--line:#D1D9E0;--link:#0969DA;--note:#FFF8C5}
@media (prefers-color-scheme:dark){
:root{--ground:#0D1117;--card:#151B23;--text:#E6EDF3;--muted:#9198A1;--line:#3D444D;--link:#4493F8;--note:#2B2611}
}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem;max-width:900px;background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
h1{margin:0;font-size:1.6rem;font-weight:400;line-height:1.25;overflow-wrap:anywhere}
h2{margin:2rem 0 .6rem;font-size:1.15rem}
p{margin:.5rem 0}
header p,footer p,section>p{color:var(--muted)}
section>p,footer p{font-size:.875rem}
a{color:var(--link)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.75rem 0 0;padding:0;list-style:none}
nav a{display:inline-block;padding:.25rem 0}
.card,.notes,figure{border:1px solid var(--line);border-radius:8px}
.card{background:var(--card)}
.notes{margin:1.5rem 0 0;padding:.4rem 1rem;background:var(--note)}
.pictures{display:flex;flex-wrap:wrap;gap:1rem}
figure{margin:0;padding:.5rem;background:#FFF;max-width:100%}
figure a,img{display:block}
img{max-width:100%;height:auto;color:#1F2328}
time{white-space:nowrap}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem 1rem;text-align:right;white-space:nowrap}
th[scope=row],th[scope=rowgroup]{text-align:left}
th[scope=row]{position:sticky;left:0;background:var(--card);font-weight:400}
thead th,.family th{color:var(--muted);font-size:.875rem;font-weight:600}
.family th{padding-top:.9rem;border-top:1px solid var(--line);color:var(--text)}
tbody tr:last-child>*{padding-bottom:.9rem}
small{display:inline-block;min-width:4em;color:var(--muted)}
.swatch{display:inline-block;width:.75em;height:.75em;margin-right:.6em;border-radius:2px}
dl{margin:0;padding:.6rem 1rem}
dl div{display:flex;flex-wrap:wrap;padding:.25rem 0}
dt{flex:0 0 9rem}
dd{flex:1 1 18rem;margin:0;color:var(--muted)}
footer{margin-top:2.5rem;border-top:1px solid var(--line)}
@media (min-width:1840px){body{max-width:1784px}.notes,.card,section>p{max-width:868px}}
@media (max-width:640px){
body{padding:1rem .75rem}
figure{padding:.25rem}
table{font-size:.8125rem}
th,td{padding:.25rem .35rem}
thead th{white-space:normal}
th:first-child{padding-left:.6rem}
td:last-child{padding-right:.6rem}
.swatch{margin-right:.4em}
small{display:block}
small:empty{display:none}
dd{flex-basis:100%;padding-left:1.35em}
}
"""
