"""From store to site: plan what it shows, paint what is new, publish atomically."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from datetime import tzinfo
from importlib.util import find_spec
from types import MappingProxyType
from typing import NamedTuple

from .. import __version__
from ..answer import (
    ALL_IS_WELL,
    Evidence,
    Judgement,
    judge_conditions,
    last_24_hours,
    silence_accepted,
)
from ..categories import ONLY_BY_TLS_FIELD
from ..errors import StoreError, reason
from ..files import delete_unfinished, no_link, write_anew
from ..language import ENGLISH, Language
from ..store import (
    RRD,
    SPANS,
    Ledger,
    Reach,
    RelayCounts,
    RelayTable,
    Sender,
    SenderTable,
    Series,
    Span,
    WarningCount,
    Watched,
    load_reach,
    load_watched,
    rrdtool_graph,
)
from ..times import DAY, day_number
from . import page
from .drawing import Drawing, fitted
from .graphs import GRAPHS, Graph
from .page import PAGE
from .palette import DARK, LIGHT
from .png import HEAD, About, about, stamped
from .status import Chapter, Image, Picture, Status
from .status_json import as_json

_RECENT = 7 * DAY
"""Seconds for which the page lists relays and warnings."""

_REPORTED = 31 * DAY
"""Seconds for which it says what others report: they do so a day later, some not each day."""


class Look(NamedTuple):
    """The settings of the site."""

    host: str
    zone: tzinfo | None = None
    """None is the local time of the system."""
    language: Language = ENGLISH
    renderer: str = "matplotlib"
    """Or `rrdtool`."""
    names_relays: bool = False
    accepted: frozenset[str] = frozenset()
    """Conditions that the operator accepts."""


class Recent(NamedTuple):
    """What the ledger knows beside the counts: the newest line, and the last 7 days of relays."""

    newest: int | None = None
    """Epoch second of the newest line of the log; None where unknown."""
    relays: tuple[RelayCounts, ...] = ()
    judgement: Judgement = ALL_IS_WELL
    warnings: tuple[WarningCount, ...] = ()
    omitted: Mapping[str, int] = MappingProxyType({})
    """Name of each omission -> how many in 7 days."""
    reach: Reach | None = None
    """What others report of the last 31 days."""
    senders: tuple[Sender, ...] = ()
    """Who came without TLS or with an old one, in the last 31 days."""
    servers: tuple[Watched, ...] = ()
    """Our own."""
    without_field: frozenset[str] = frozenset()
    """Names of the spans in which no delivery carried the field `tls` of Postfix 3.11."""


_NOTHING = Recent()


class Site(NamedTuple):
    """A complete site: the files to write, and the pictures that stay as they are."""

    files: Mapping[str, bytes]
    """Name -> content, the page last."""
    kept: frozenset[str] = frozenset()
    """Names of pictures in the output directory that are up to date."""


def recent(ledger: Ledger, rrd: RRD, now: int, look: Look) -> Recent:
    """Read what the page says beside the counts."""
    relays, since, zone = RelayTable(ledger), now - _RECENT, look.zone
    first = day_number(since, zone)
    reach = load_reach(ledger, now - _REPORTED, now)
    holding = judge_conditions(Evidence(ledger, rrd, now, zone, look.language))
    return Recent(
        newest=ledger.state.newest,
        relays=tuple(relays.totals(first, day_number(now, zone))),
        judgement=silence_accepted(holding, look.accepted),
        warnings=tuple(relays.warnings(since)),
        omitted=ledger.hours(since, now + 1),
        reach=reach if reach.reporters else None,
        senders=tuple(SenderTable(ledger).senders(day_number(now - _REPORTED, zone))),
        servers=tuple(load_watched(ledger)),
        without_field=frozenset(
            span.name for span in SPANS if not ledger.had_field(now - span.seconds, now)
        ),
    )


def build(
    rrd: RRD,
    now: int,
    look: Look,
    recent: Recent = _NOTHING,
    present: Mapping[str, About] = MappingProxyType({}),
) -> Site:
    """Return the site of this store at this time; the same arguments give the same bytes.

    Args:
        rrd: the counts.
        now: epoch second.
        look: the settings.
        recent: what the ledger knows beside the counts.
        present: the pictures in the output directory; those that would not change are not painted.
    """
    status = plan(rrd, now, look, recent)
    kept = frozenset(
        image.file
        for image in status.images()
        if image.file in present and present[image.file].identity == image.identity
    )
    missing = [image for image in status.images() if image.file not in kept]
    pictures = paint(missing, look.renderer, rrd) if missing else {}
    sizes = {**present, **{name: about(content[:HEAD]) for name, content in pictures.items()}}
    files = {
        **pictures,
        "icon.svg": page.icon(),
        "style.css": page.stylesheet().encode(),
        "status.json": as_json(status).encode(),
        **{name: text.encode() for name, text in page.pages(status, sizes).items()},
    }
    return Site(files, kept)


# ---- planning -------------------------------------------------------------------------------


def plan(rrd: RRD, now: int, look: Look, recent: Recent) -> Status:
    """Return everything the site shows, before anything is painted."""
    last = rrd.last
    series = {
        span: _without_field(each) if span.name in recent.without_field else each
        for span in SPANS
        for each in (_series(rrd, span, now, last),)
    }
    shown = {graph for graph in GRAPHS if graph.always or _has_counts(graph, series[SPANS[-1]])}
    return Status(
        host=look.host,
        now=now,
        zone=look.zone,
        language=look.language,
        version=__version__,
        last_update=last,
        newest=recent.newest,
        today=last_24_hours(rrd, series[SPANS[0]].until),
        chapters=tuple(
            Chapter(span, series[span], *_pictures(span, series[span], look, shown))
            for span in SPANS
        ),
        relays=recent.relays,
        judgement=recent.judgement,
        warnings=recent.warnings,
        omitted=recent.omitted,
        reach=recent.reach,
        senders=recent.senders,
        servers=recent.servers,
        names_relays=look.names_relays,
    )


def _series(rrd: RRD, span: Span, now: int, last: int | None) -> Series:
    """Return a span that ends on a whole `every`, so that its pictures serve for a while.

    The end follows the counts; where counting stands still it follows the clock, to show the gap.
    """
    every = max(span.every, rrd.step)
    if last is None:
        return rrd.series(span, now - now % every)
    at = max(last - last % every, (now - every) // every * every)
    series = rrd.series(span, at)
    has_begun = any(n is not None for column in series.counts.values() for n in column)
    return series if has_begun else rrd.series(span, last)


def _without_field(series: Series) -> Series:
    """Return a series whose log did not tell DANE from other authentication."""
    if any(series.total(row) for row in ONLY_BY_TLS_FIELD):
        return series
    unknown = (None,) * len(series.counts[ONLY_BY_TLS_FIELD[0]])
    return series._replace(counts=series.counts | dict.fromkeys(ONLY_BY_TLS_FIELD, unknown))


def _has_counts(graph: Graph, series: Series) -> bool:
    return any(series.total(row) for row in graph.categories)


def _pictures(
    span: Span, series: Series, look: Look, shown: Container[Graph]
) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Return the pictures of a span that the page shows, and the others."""
    on_page: list[Picture] = []
    others: list[Picture] = []
    for graph in GRAPHS:
        picture = _picture(graph, span, series, look)
        drawing = picture.light.drawing
        says_something = graph in shown and not (drawing.note and drawing.has_data)
        (on_page if says_something else others).append(picture)
    return tuple(on_page), tuple(others)


def _picture(graph: Graph, span: Span, series: Series, look: Look) -> Picture:
    fitting = series if graph.style == "bars" else fitted(series, graph.categories, span)
    light = Drawing(graph, span, fitting, LIGHT, look.host, look.zone, look.language)
    painter = f"{look.renderer} {__version__}"
    drawings = (light, light.in_theme(DARK))
    return Picture(*(Image(drawing, drawing.identity(painter)) for drawing in drawings))


# ---- painting -------------------------------------------------------------------------------


def paint(images: Iterable[Image], renderer: str, rrd: RRD) -> dict[str, bytes]:
    """Return these images as PNG files, by name; each names its identity."""
    draw = _painter(renderer, rrd)
    return {image.file: stamped(draw(image.drawing), image.identity) for image in images}


def present_renderer(wanted: str) -> str:
    """Return the renderer to draw with: rrdtool where matplotlib is not installed."""
    return wanted if find_spec(wanted) else "rrdtool"


def _painter(renderer: str, rrd: RRD) -> Callable[[Drawing], bytes]:
    if renderer == "rrdtool":
        from . import render_rrdtool

        return lambda drawing: rrdtool_graph(
            render_rrdtool.arguments(drawing, rrd.path, rrd.step), drawing.zone
        )
    # matplotlib takes a third of a second and 30 MiB: only where there is something to paint.
    from . import render_agg

    return render_agg.draw


# ---- publishing -----------------------------------------------------------------------------


def present_pictures(output_dir: str) -> dict[str, About]:
    """Return the pictures in the output directory; unreadable ones are left out."""
    found = {}
    with suppress(OSError):  # `publish` says what is wrong with the directory
        for name in os.listdir(output_dir):
            if name.endswith(".png"):
                with (
                    suppress(OSError, ValueError),
                    open(os.path.join(output_dir, name), "rb", opener=no_link) as file,
                ):
                    found[name] = about(file.read(HEAD))
    return found


def publish(files: Mapping[str, bytes], output_dir: str) -> str:
    """Write files in this order, each by rename; return the path of the page; raises StoreError.

    A new directory and the files are readable by all, whatever the umask: the web server runs as
    another user.
    """
    try:
        with suppress(FileExistsError):  # two may draw at once
            os.makedirs(output_dir)
            os.chmod(output_dir, 0o755)
        delete_unfinished(output_dir)
        for name, content in files.items():
            write_anew(os.path.join(output_dir, name), content)
    except OSError as error:
        raise StoreError(
            f"{output_dir} cannot be written: {reason(error)}; "
            "look at its permissions and at the free space."
        ) from error
    return os.path.join(output_dir, PAGE)
