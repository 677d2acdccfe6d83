"""The classic look: rrdtool draws the same drawing from the same rows."""

from __future__ import annotations

import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import rrdtool
from matplotlib.image import imread

from dane_mailgraph.categories import BY_KEY, CATEGORIES, HANDSHAKES
from dane_mailgraph.counts import Interval
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.site.drawing import Drawing, fitted
from dane_mailgraph.site.graphs import GRAPHS, Graph
from dane_mailgraph.site.palette import DARK, LIGHT
from dane_mailgraph.site.render_rrdtool import arguments
from dane_mailgraph.store.ledger import Gap, Ledger
from dane_mailgraph.store.librrd import rrdtool_graph
from dane_mailgraph.store.rrd import RRD, SOURCES
from dane_mailgraph.store.series import SPANS, Span
from dane_mailgraph.store.sync import Store
from dane_mailgraph.times import HOUR, MINUTE

pytestmark = pytest.mark.slow

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1795485600  # 2026-11-24 03:00 CET, on the hour
STACK, SHARES = GRAPHS[:2]
COUNTS = tuple(
    60
    if row.name in ("verified", "dane")
    else 20
    if row.name in ("trusted", "encrypted", "certificate")
    else 0
    for row in CATEGORIES
)


@pytest.fixture(scope="module")
def rrd(tmp_path_factory: pytest.TempPathFactory) -> RRD:
    """Two days, each minute alike; four hours of the last one are lost."""
    folder = tmp_path_factory.mktemp("a folder: with signs that rrdtool minds")
    lost = Gap(NOW - 8 * HOUR, NOW - 4 * HOUR)
    with Ledger(str(folder / "ledger.sqlite"), writable=True) as ledger:
        with ledger.transaction():
            begin = NOW - 48 * HOUR
            ledger.add(
                Interval(at, COUNTS)
                for at in range(begin, NOW, MINUTE)
                if not lost.start <= at < lost.until
            )
            ledger.mark_gap(lost)
            ledger.save(ledger.state._replace(begin=begin, read_until=NOW))
        store = Store(str(folder), MINUTE)
        store.reconcile(ledger)
        store.follow(ledger, NOW + 60, 10)
    return store.rrd


def drawn(rrd: RRD, graph: Graph, span: Span = SPANS[0], **changed: Any) -> Any:
    """The pixels of a picture."""
    one = Drawing(
        graph, span, rrd.series(span, NOW), LIGHT, "mail.example.org", BERLIN, ENGLISH
    )._replace(**changed)
    image = rrdtool_graph(arguments(one, rrd.path, rrd.step), one.zone)
    return (imread(BytesIO(image), format="png") * 255).round()


def share_of(image: Any, colour: str) -> int:
    """How many pixels have exactly that colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((image[..., :3] == wanted).all(axis=-1).sum())


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.slug)
def test_every_graph_of_every_span_is_drawn_in_its_colours(
    graph: Graph, span: Span, rrd: RRD
) -> None:
    image = drawn(rrd, graph, span, theme=DARK)
    known = [row for row in graph.categories if COUNTS[CATEGORIES.index(row)]]

    assert image.shape[1] > 1200
    assert all(share_of(image, row.dark) > 300 for row in known)


def test_the_areas_are_as_high_as_the_counts(rrd: RRD) -> None:
    image = drawn(rrd, STACK)
    verified, trusted = (share_of(image, STACK.categories[i].light) for i in (0, 1))

    assert verified / trusted == pytest.approx(3, rel=0.1)


def test_shares_fill_the_plot_but_for_the_gap(rrd: RRD) -> None:
    image = drawn(rrd, SHARES)
    verified, trusted = (share_of(image, SHARES.categories[i].light) for i in (0, 1))
    plot = verified + trusted

    assert verified / plot == pytest.approx(0.75, abs=0.02)
    # A sixth of the day is lost; the grid is drawn over the rest.
    assert plot / (1116 * 360) == pytest.approx(5 / 6, abs=0.06)


def test_few_events_are_drawn_in_buckets_as_wide_as_matplotlib_draws_them(tmp_path: Path) -> None:
    begin, counts = NOW - 23 * HOUR, tuple(int(row in HANDSHAKES) for row in CATEGORIES)
    with Ledger(str(tmp_path / "ledger.sqlite"), writable=True) as ledger:
        with ledger.transaction():
            ledger.add(Interval(at, counts) for at in range(begin, NOW, 20 * MINUTE))
            ledger.save(ledger.state._replace(begin=begin, read_until=NOW))
        store = Store(str(tmp_path), MINUTE)
        store.reconcile(ledger)
        store.follow(ledger, NOW + 60, 10)
    narrow = store.rrd.series(SPANS[0], NOW)
    wide = fitted(narrow, STACK.categories, SPANS[0])
    image = drawn(store.rrd, STACK, series=wide)
    areas = [share_of(image, row.light) for row in HANDSHAKES]
    between = fitted(store.rrd.series(SPANS[0], NOW - 20 * MINUTE), STACK.categories, SPANS[0])
    given = arguments(
        Drawing(STACK, SPANS[0], between, LIGHT, "x", BERLIN, ENGLISH), store.rrd.path, MINUTE
    )

    assert (narrow.step, wide.step) == (10 * MINUTE, 3 * HOUR)
    # Buckets may end between two hours, so rows of hours would not do.
    assert given[given.index("--step") + 1] == str(MINUTE)
    # Four categories of nine events in each bucket of three hours, below an axis that ends at 40.
    assert sum(areas) / (1116 * 360) == pytest.approx(36 / 40 * 23 / 24, rel=0.1)
    assert all(each == pytest.approx(sum(areas) / 4, rel=0.15) for each in areas)


def test_a_store_of_nothing_is_drawn_when_it_is_there(tmp_path: Path) -> None:
    with Ledger(str(tmp_path / "ledger.sqlite"), writable=True) as ledger:
        with ledger.transaction():
            ledger.mark_gap(Gap(NOW - HOUR, NOW))
            ledger.save(ledger.state._replace(begin=NOW - HOUR, read_until=NOW))
        store = Store(str(tmp_path), MINUTE)
        store.reconcile(ledger)
        store.follow(ledger, NOW + 60, 10)

    assert drawn(store.rrd, STACK).shape[1] > 1200


def test_where_nothing_was_ever_counted_there_is_a_picture_too(tmp_path: Path) -> None:
    for graph in GRAPHS:
        for span in SPANS:
            assert drawn(Store(str(tmp_path), MINUTE).rrd, graph, span).shape[1] > 1200
    assert list(tmp_path.iterdir()) == []


def test_a_category_that_an_older_rrd_does_not_have_is_not_in_the_way(
    tmp_path: Path, rrd: RRD
) -> None:
    older = Store(str(tmp_path), MINUTE).rrd
    names = [name for name in SOURCES if name not in ("sent_unknown", "sent_plaintext")]
    rrdtool.create(
        older.path,
        *("--step", "60", "--start", str(NOW - HOUR)),
        *(f"DS:{name}:ABSOLUTE:120:0:U" for name in names),
        *(f"RRA:{kind}:0:{steps}:{rows}" for kind, steps, rows in older._schema()),
    )
    values = ":".join("1" for _ in names)
    rrdtool.update(older.path, *(f"{at}:{values}" for at in range(NOW - HOUR + 60, NOW + 60, 60)))
    image = drawn(older, GRAPHS[2])

    assert share_of(image, GRAPHS[2].categories[0].light) > 500
    assert share_of(image, BY_KEY["deliveries.plaintext"].light) < 500


@pytest.mark.parametrize("host", ["a:b\\c", "x" * 300, "\udcff", "a\nb", "%n%s", "<b>bold</b>", ""])
def test_a_host_of_any_name_is_drawn(host: str, rrd: RRD) -> None:
    assert drawn(rrd, STACK, host=host).shape[1] > 1200


def test_every_language_is_drawn(rrd: RRD) -> None:
    span = SPANS[0]
    german = Drawing(
        SHARES, span, rrd.series(span, NOW), LIGHT, "mail.example.org", BERLIN, load_language("de")
    )

    assert any("75,0 %" in each for each in arguments(german, rrd.path, rrd.step))
    assert not any(
        "\N{REPLACEMENT CHARACTER}" in each for each in arguments(german, rrd.path, rrd.step)
    )
    for span in SPANS:
        assert drawn(rrd, GRAPHS[4], span, language=load_language("de")).shape[1] > 1200


def test_drawing_in_another_zone_leaves_the_zone_of_the_process_alone(rrd: RRD) -> None:
    before = time.localtime(NOW).tm_hour
    there, here = (
        drawn(rrd, STACK, zone=zone) for zone in (ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC"))
    )

    assert (there != here).any()
    assert time.localtime(NOW).tm_hour == before


def test_matplotlib_is_never_imported(rrd: RRD, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from dane_mailgraph.site import build\n"
        "from dane_mailgraph.store import Store\n"
        "rrd, look = Store(sys.argv[1], 60).rrd, build.Look('host', renderer='rrdtool')\n"
        "files = build.build(rrd, int(sys.argv[2]), look).files\n"
        "assert sum(name.endswith('.png') for name in files) >= 16\n"
        "print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    )
    folder = str(Path(rrd.path).parent)
    done = subprocess.run(
        [sys.executable, "-c", program, folder, str(NOW)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )

    assert done.stdout == "False False\n"
