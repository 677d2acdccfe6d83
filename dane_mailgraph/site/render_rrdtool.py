"""rrdtool: a drawing becomes the arguments of `rrdtool graph`, for servers without matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..categories import Category
from ..times import DAY, HOUR
from .axis import axis_end
from .drawing import LEAST_SHARED, PLOT, WIDTH, ZOOM, Drawing, Line, printable

_MARGINS = 82
"""CSS pixels that rrdtool adds to the width of the plot."""

_LABEL_WIDTH = 16
_COLUMN_WIDTHS = (10, 9, 14, 14)
"""Characters of the columns of the legend."""


def arguments(drawing: Drawing, path: str, step: int) -> list[str]:
    """Return the arguments of `rrdtool graph`, without the name of the picture.

    Args:
        drawing: what to draw.
        path: of the RRD.
        step: seconds of an interval of the RRD.
    """
    window = drawing.window
    return [
        *("--start", str(window.start), "--end", str(window.until)),
        *("--width", str(WIDTH - _MARGINS), "--height", str(PLOT), "--zoom", str(ZOOM)),
        *("--step", str(_row(drawing, step) if _is_wide(drawing, step) else drawing.series.step)),
        *("--title", _one_line(f"{drawing.title}: {drawing.subtitle}")),
        *_style(drawing),
        *_axes(drawing),
        *(_definitions(drawing, path, step) if not drawing.note else []),
        *_legend(drawing),
        _last_line(drawing),
    ]


def _style(drawing: Drawing) -> list[str]:
    theme = drawing.theme
    colours = {
        **dict.fromkeys(("BACK", "CANVAS", "SHADEA", "SHADEB"), theme.background),
        **dict.fromkeys(("GRID", "MGRID"), theme.line + "60"),
        **dict.fromkeys(("AXIS", "FRAME", "ARROW"), theme.line),
        "FONT": theme.text,
    }
    fonts = ("DEFAULT:8:DejaVu Sans", "TITLE:10:DejaVu Sans Bold", "LEGEND:8:DejaVu Sans Mono")
    options = [
        "--border",
        "0",
        "--disable-rrdtool-tag",
        "--units-exponent",
        "0",
        "--grid-dash",
        "1:0",
    ]
    options += [each for name, colour in colours.items() for each in ("--color", f"{name}{colour}")]
    return options + [each for font in fonts for each in ("--font", font)]


def _axes(drawing: Drawing) -> list[str]:
    say, seconds = drawing.language.say, drawing.span.seconds
    if seconds <= 2 * DAY:
        grid = "HOUR:1:HOUR:3:HOUR:3:0:%H:%M"
    elif seconds <= 14 * DAY:
        grid = f"HOUR:6:DAY:1:DAY:1:{DAY}:{say('%a %d')}"
    elif seconds <= 92 * DAY:
        grid = f"DAY:1:WEEK:1:WEEK:1:0:{say('%d %b')}"
    else:
        grid = f"MONTH:1:MONTH:1:MONTH:1:{30 * DAY}:{say('%b')}"
    if drawing.style == "share":
        top, y_grid = 100.0, ["--y-grid", "25:1"]
    else:
        edges = (edge for edge in drawing.tops()[-1] if not math.isnan(edge))
        top, y_grid = axis_end(max(edges, default=0) or 1), []
    limits = ["--lower-limit", "0", "--upper-limit", f"{top:f}", "--rigid"]
    return ["--x-grid", grid, *limits, *y_grid]


def _definitions(drawing: Drawing, path: str, step: int) -> list[str]:
    """Return the definition of `SOURCE_`, the height of each category, and the gaps."""
    rows, bucket, archive = drawing.rows, drawing.series.step, _row(drawing, step)
    file = path.replace("\\", "\\\\").replace(":", "\\:")
    found = [
        f"DEF:observed={file}:observed:AVERAGE:step={archive}",
        "CDEF:gap=observed,0,GT,UNKN,INF,IF",
    ]
    if _is_wide(drawing, step):
        return [*found, *_heights(drawing), *_bands(drawing)]
    for source in (row.data_source for row in rows if _is_known(drawing, row)):
        found.append(f"DEF:{source}={file}:{source}:AVERAGE:step={archive}")
    # An RRD of an earlier version lacks some data sources.
    for source in (row.data_source for row in rows if not _is_known(drawing, row)):
        found.append(f"CDEF:{source}=observed,UNKN,UNKN,IF")
    is_share = drawing.style == "share"
    prefix = "rate_" if is_share else ""
    for source in (row.data_source for row in rows):
        # An unknown category beside known ones is drawn as 0; without a log all are unknown.
        count = f"{source},UN,0,{source},IF"
        # From a rate over the whole bucket to a rate over its observed part.
        rate = f"{count},observed,{step},*,/,{bucket},*"
        found.append(f"CDEF:{prefix}{source}_=observed,0,GT,{rate},UNKN,IF")
    if is_share:
        rates = [f"rate_{row.data_source}_" for row in rows]
        whole = ",".join(rates + ["+"] * (len(rows) - 1))
        too_little = f"{whole},{LEAST_SHARED - 0.5},LT"
        found += [
            f"CDEF:{row.data_source}_={too_little},UNKN,{rate},{whole},/,100,*,IF"
            for row, rate in zip(rows, rates, strict=True)
        ]
    return [*found, *_bands(drawing)]


def _bands(drawing: Drawing) -> Iterator[str]:
    """Yield the bands of the plot without areas, each with its name where it occurs."""
    say, theme = drawing.language.say, drawing.theme
    name = f":{_escaped(say('unknown'))}\\l" if drawing.gaps() else ""
    yield f"AREA:gap{theme.hatch}80{name}"
    parts = drawing.no_traffic() if drawing.style == "share" else ()
    if parts:
        inside = (f"TIME,{part.start},GT,TIME,{part.until},LE,*,+" for part in parts)
        yield f"CDEF:few=observed,POP,0,{','.join(inside)},0,GT,INF,UNKN,IF"
        yield f"AREA:few{theme.no_traffic}:{_escaped(say('too little traffic'))}\\l"


def _row(drawing: Drawing, step: int) -> int:
    """Return the seconds of a row of the archive to draw from.

    The row of a day exists only after the day; rows of hours show today as well.
    """
    return HOUR if max(step, drawing.span.bucket) % HOUR == 0 else step


def _is_wide(drawing: Drawing, step: int) -> bool:
    """Return whether the buckets were widened: these end anywhere, but rrdtool's at multiples."""
    return drawing.series.step > max(step, drawing.span.bucket)


def _heights(drawing: Drawing) -> Iterator[str]:
    """Yield the definition of `SOURCE_` as one height after the other."""
    start, bucket = drawing.series.start, drawing.series.step
    below: tuple[float, ...] = (0,) * len(drawing.tops()[0])
    for row, tops in zip(drawing.rows, drawing.tops(), strict=True):
        heights = [top - edge for top, edge in zip(tops, below, strict=True)]
        known = ["UNKN" if math.isnan(each) else f"{each:f}" for each in heights]
        choice = ",".join(f"TIME,{start + n * bucket},LE,{h}" for n, h in enumerate(known, 1))
        yield f"CDEF:{row.data_source}_=observed,POP,{choice},UNKN{',IF' * len(known)}"
        below = tops


def _is_known(drawing: Drawing, row: Category) -> bool:
    return any(n is not None for n in drawing.series.counts[row])


def _legend(drawing: Drawing) -> list[str]:
    """Return the stacked areas with their lines of the legend."""
    *lines, all_of_them = drawing.legend()
    found = [f"COMMENT:{_escaped(' ' * 2 + _columns(drawing.heading()))}\\l"]
    for i, (row, line) in enumerate(zip(drawing.rows, lines, strict=True)):
        colour, text = drawing.theme.colour(row), _escaped(_columns(line))
        if not drawing.note:
            found.append(f"AREA:{row.data_source}_{colour}:{text}\\l" + ":STACK" * bool(i))
        else:  # without data there may be no RRD: a line at 0 takes the place of the area
            found.append(f"HRULE:0{colour}:{text}\\l")
    return [*found, f"COMMENT:{_escaped(' ' * 2 + _columns(all_of_them))}\\l"]


def _columns(line: Line) -> str:
    cells = zip(line[1:], _COLUMN_WIDTHS, strict=True)
    return line.label.ljust(_LABEL_WIDTH) + "".join(cell.rjust(width) for cell, width in cells)


def _last_line(drawing: Drawing) -> str:
    end = ", ".join(each for each in (drawing.note, drawing.end) if each)
    return f"COMMENT:{_escaped(f'{drawing.host}, {end}')}\\r"


def _one_line(text: str) -> str:
    return printable(text.replace("\N{NO-BREAK SPACE}", " "))


def _escaped(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace(":", "\\:")
