"""Store to site: build every file as bytes, then publish them atomically."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import tzinfo
from typing import NamedTuple

from .. import __version__
from ..answer import Regression
from ..categories import CATEGORIES
from ..errors import StoreError, reason
from ..language import ENGLISH, Language
from ..store import RRD, SPANS, RelayCounts, Series, Span, WarningCount, together
from ..times import DAY, HOUR
from . import page
from .drawing import ZOOM, Drawing
from .graphs import GRAPHS, Graph
from .palette import DARK, LIGHT
from .png import HEAD, About, about, stamped
from .status import Chapter, Picture, Status, as_json, figures, shown

PAGE = "index.html"


class Look(NamedTuple):
    """How the site is to look: the settings of it."""

    host: str
    zone: tzinfo | None = None
    """None is the local time of the system."""
    language: Language = ENGLISH
    renderer: str = "matplotlib"
    """Or `rrdtool`."""
    names_destinations: bool = False


def build(
    rrd: RRD,
    now: int,
    look: Look,
    standing: Mapping[str, About] | None = None,
    newest: int | None = None,
    destinations: tuple[RelayCounts, ...] = (),
    regressions: tuple[Regression, ...] = (),
    alarms: tuple[WarningCount, ...] = (),
) -> dict[str, bytes | None]:
    """The complete site, file by file, the page last; the same arguments give the same bytes.

    None stands for a picture that is `standing` already, just as it would be drawn. `newest` is when the newest line that
    was read was written.
    """
    last = rrd.last
    files: dict[str, bytes | None] = {}
    easel = _Easel(rrd, look, standing or {}, files)
    spans = [(span, _series(rrd, span, now, last)) for span in SPANS]
    year = spans[-1][1]
    drawn = [
        graph for graph in GRAPHS if graph.always or any(year.total(row) for row in graph.counted)
    ]
    chapters = tuple(
        Chapter(span, series, tuple(easel.picture(graph, span, series) for graph in drawn))
        for span, series in spans
    )
    end = last or now - now % rrd.step
    today, before = (_counts(rrd, until - DAY, until) for until in (end, end - DAY))
    status = Status(
        look.host,
        now,
        look.zone,
        look.language,
        __version__,
        last,
        newest,
        figures(today, before, CATEGORIES),
        chapters,
        destinations,
        regressions,
        alarms,
        look.names_destinations,
    )
    files["icon.svg"] = page.icon()
    files["style.css"] = page.stylesheet().encode()
    files["status.json"] = as_json(status).encode()
    files[PAGE] = page.html(status).encode()
    return files


def _series(rrd: RRD, span: Span, now: int, last: int | None) -> Series:
    """A span as it is drawn: up to a time that moves on in whole `every`, so that one picture serves for a while.

    It follows what is counted; where the counting stands still, the clock, so that the gap is seen.
    """
    every = max(span.every, rrd.step)
    if last is None:
        return rrd.series(span, now - now % every)
    at = max(last - last % every, (now - every) // every * every)
    series = rrd.series(span, at)
    begun = any(n is not None for column in series.counts.values() for n in column)
    return series if begun else rrd.series(span, last)


def _counts(rrd: RRD, start: int, until: int) -> tuple[int | None, ...]:
    """All that is known of [start, until), in the order of `CATEGORIES`: whole hours as such, the rest by the step."""
    first, end = start + -start % HOUR, until - until % HOUR
    rows = (
        rrd.rows(rrd.step, start, first)
        + rrd.rows(HOUR, first, end)
        + rrd.rows(rrd.step, end, until)
    )
    return together(rows).counts


class _Easel:
    """Where pictures are drawn, those that are not standing there already."""

    def __init__(
        self, rrd: RRD, look: Look, standing: Mapping[str, About], files: dict[str, bytes | None]
    ) -> None:
        self._rrd, self._look, self._standing, self._files = rrd, look, standing, files
        self._draw: Callable[[Drawing], bytes] | None = None

    def picture(self, graph: Graph, span: Span, series: Series) -> Picture:
        """A graph of a span, in both themes."""
        look = self._look
        light, dark = (
            Drawing(graph, span, series, theme, look.host, look.zone, look.language)
            for theme in (LIGHT, DARK)
        )
        (one, size), (other, _) = self._put(light), self._put(dark)
        return shown(light, dark, (one, other), size)

    def _put(self, drawing: Drawing) -> tuple[str, tuple[int, int]]:
        """Its identity and its size in CSS pixels."""
        identity = drawing.identity(f"{self._look.renderer} {__version__}")
        there = self._standing.get(drawing.file)
        if there and there.identity == identity:
            self._files[drawing.file] = None
        else:
            self._draw = self._draw or _painter(self._look.renderer, self._rrd)
            file = self._files[drawing.file] = stamped(self._draw(drawing), identity)
            there = about(file[:HEAD])
        return identity, (there.width // ZOOM, there.height // ZOOM) if there else (0, 0)


def _painter(renderer: str, rrd: RRD) -> Callable[[Drawing], bytes]:
    if renderer == "rrdtool":
        from . import render_rrdtool

        return lambda drawing: rrd.graph(
            render_rrdtool.arguments(drawing, rrd.path, rrd.step), drawing.zone
        )
    from . import (
        render_agg,
    )  # where nothing is new nobody pays for matplotlib: a third of a second and 30 MiB

    return render_agg.draw


def standing(output_dir: str) -> dict[str, About]:
    """The pictures that an earlier run has left there."""
    found = {}
    with suppress(OSError):  # whoever publishes says what is wrong with it
        for name in os.listdir(output_dir):
            if name.endswith(".png"):
                with suppress(OSError), open(os.path.join(output_dir, name), "rb") as file:
                    if said := about(file.read(HEAD)):
                        found[name] = said
    return found


def publish(files: Mapping[str, bytes | None], output_dir: str) -> str:
    """Write a site, each file by rename, the page last; its path. Raises StoreError.

    Folder and files can be read by all, whatever the umask: a web server runs as somebody else.
    """
    try:
        if not os.path.isdir(output_dir):
            os.makedirs(output_dir)
            os.chmod(output_dir, 0o755)
        for name, content in files.items():
            if content is not None:
                _write(os.path.join(output_dir, name), content)
    except OSError as error:
        raise StoreError(
            f"{output_dir} cannot be written: {reason(error)}; look at its permissions and at the free space."
        ) from error
    return os.path.join(output_dir, PAGE)


def _write(path: str, content: bytes) -> None:
    fresh = f"{path}.new"
    try:
        with open(fresh, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh)
        raise


def hostname() -> str:
    """The name of this machine, for the page."""
    return socket.gethostname()
