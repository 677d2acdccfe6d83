"""The classic look: a drawing becomes the arguments of `rrdtool graph`, for servers on which matplotlib is too much."""

from __future__ import annotations

from ..times import DAY, HOUR
from .axis import room
from .drawing import PLOT, WIDTH, ZOOM, Drawing

_BESIDE = 82
"""CSS pixels that rrdtool adds to the width of the plot."""

_COLUMNS = (10, 9, 14, 14)
"""Signs in the columns of numbers."""

_LABEL = 14


def arguments(drawing: Drawing, path: str, step: int) -> list[str]:
    """What `rrdtool graph` has to be told, but for the name of the picture."""
    window = drawing.window
    return [
        *("--start", str(window.start), "--end", str(window.until)),
        *("--width", str(WIDTH - _BESIDE), "--height", str(PLOT), "--zoom", str(ZOOM)),
        *("--step", str(drawing.series.step)),
        *("--title", _line(f"{drawing.title}: {drawing.subtitle}")),
        *_style(drawing),
        *_axes(drawing),
        *_areas(drawing, path, step),
        *_legend(drawing),
    ]


def _style(drawing: Drawing) -> list[str]:
    theme = drawing.theme
    colours = {
        **dict.fromkeys(("BACK", "CANVAS", "SHADEA", "SHADEB"), theme.ground),
        **dict.fromkeys(("GRID", "MGRID"), theme.line + "60"),
        **dict.fromkeys(("AXIS", "FRAME", "ARROW"), theme.line),
        "FONT": theme.text,
    }
    fonts = ("DEFAULT:8:DejaVu Sans", "TITLE:10:DejaVu Sans Bold", "LEGEND:8:DejaVu Sans Mono")
    said = ["--border", "0", "--disable-rrdtool-tag", "--units-exponent", "0", "--grid-dash", "1:0"]
    said += [each for name, colour in colours.items() for each in ("--color", f"{name}{colour}")]
    return said + [each for font in fonts for each in ("--font", font)]


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
    if drawing.graph.style == "share":
        return [
            "--x-grid",
            grid,
            "--lower-limit",
            "0",
            "--upper-limit",
            "100",
            "--rigid",
            "--y-grid",
            "25:1",
        ]
    top = max(
        (edge for edge in drawing.tops()[-1] if edge == edge), default=0
    )  # NaN is not equal to itself
    return [
        "--x-grid",
        grid,
        "--lower-limit",
        "0",
        "--upper-limit",
        f"{room(top or 1):f}",
        "--rigid",
    ]


def _areas(drawing: Drawing, path: str, step: int) -> list[str]:
    """The data sources of the RRD, as rates of what was observed, stacked; and the legend."""
    made = _rates(drawing, path, step) if drawing.seen else []
    heading = "".join(
        cell.rjust(width) for cell, width in zip(drawing.heading()[1:], _COLUMNS, strict=True)
    )
    made.append(f"COMMENT:{_text(' ' * (_LABEL + 2) + heading)}\\l")
    for i, (row, line) in enumerate(
        zip((*drawing.graph.counted, None), drawing.legend(), strict=True)
    ):
        cells = "".join(cell.rjust(width) for cell, width in zip(line[1:], _COLUMNS, strict=True))
        text = line.label.ljust(_LABEL) + cells
        if not row:
            made.append(f"COMMENT:{_text('  ' + text)}\\l")
        elif drawing.seen:
            made.append(
                f"AREA:{row.data_source}_{drawing.theme.colour(row)}:{_text(text)}\\l"
                + ":STACK" * bool(i)
            )
        else:  # where there is nothing, not even an RRD: a line on the ground stands for the area
            made.append(f"HRULE:0{drawing.theme.colour(row)}:{_text(text)}\\l")
    return made


def _rates(drawing: Drawing, path: str, step: int) -> list[str]:
    """`SOURCE_` for each category, as high as it is drawn, and the gaps."""
    rows, bucket = drawing.graph.counted, drawing.series.step
    # Rows of a day there are only when it is over; hours are enough for today.
    archive = HOUR if bucket % HOUR == 0 else step
    name = path.replace("\\", "\\\\").replace(":", "\\:")
    made = [
        f"DEF:observed={name}:observed:AVERAGE:step={archive}",
        "CDEF:gap=observed,0,GT,UNKN,INF,IF",
    ]
    for row in rows:
        if any(n is not None for n in drawing.series.counts[row]):
            made.append(f"DEF:{row.data_source}={name}:{row.data_source}:AVERAGE:step={archive}")
        else:  # an RRD of an earlier version does not have it
            made.append(f"CDEF:{row.data_source}=observed,UNKN,UNKN,IF")
    factor = {"stack": drawing.unit[0], "share": 1, "bars": bucket}[drawing.graph.style]
    rated = "rate_" if drawing.graph.style == "share" else ""
    for row in rows:
        # Beside a category that is known one that is not is 0; where nothing was observed all are unknown.
        known = f"{row.data_source},UN,0,{row.data_source},IF"
        # From a rate over all the time to one over the time that was observed.
        made.append(
            f"CDEF:{rated}{row.data_source}_=observed,0,GT,{known},observed,{step},*,/,{factor},*,UNKN,IF"
        )
    if rated:
        whole = ",".join([f"rate_{row.data_source}_" for row in rows] + ["+"] * (len(rows) - 1))
        made += [f"CDEF:{row.data_source}_=rate_{row.data_source}_,{whole},/,100,*" for row in rows]
    return [*made, f"AREA:gap{drawing.theme.hatch}80"]


def _legend(drawing: Drawing) -> list[str]:
    end = drawing.end or drawing.language.say("no data yet")
    return [f"COMMENT:{_text(f'{drawing.host}, {end}')}\\r"]


def _line(text: str) -> str:
    """Nothing that ends a string in C, nor what UTF-8 cannot say: rrdtool crashes on it."""
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _text(text: str) -> str:
    return _line(text).replace("\\", "\\\\").replace(":", "\\:")
