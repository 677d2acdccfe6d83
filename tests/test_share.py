"""Dashboard and alert rules ask for what `metrics` prints, and both engines understand them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from servers import VictoriaMetrics, needs
from test_ship import FOREVER, Host

from dane_mailgraph.answer import NAMES
from dane_mailgraph.categories import FAMILIES
from dane_mailgraph.fleet import metrics
from dane_mailgraph.omissions import OMISSIONS
from dane_mailgraph.postfix_warnings import BY_NAME
from dane_mailgraph.times import DAY, MINUTE

SHARE = Path(__file__).parents[1] / "share"
RULES = SHARE / "dane-mailgraph.rules.yml"
DASHBOARD: dict[str, Any] = json.loads((SHARE / "grafana-dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

VARIABLES = {"$__interval": "1h", "$by": "host", "$host": ".*"}

LABELS = {
    **{
        f"{metrics.PREFIX}{name}": {label: {each.name for each in FAMILIES[family]}}
        for family, (name, label) in metrics.FAMILY_METRICS.items()
    },
    f"{metrics.PREFIX}condition": {"name": set(NAMES)},
    f"{metrics.PREFIX}omitted_lines_total": {"reason": {each.name for each in OMISSIONS}},
    f"{metrics.PREFIX}postfix_warnings_total": {"warning": set(BY_NAME)},
    f"{metrics.PREFIX}build_info": {"version": set[str]()},
    f"{metrics.PREFIX}own_mx_tlsa_matches": {"mx": set[str](), "port": set[str]()},
    f"{metrics.PREFIX}own_mx_certificate_expiry_timestamp_seconds": {
        "mx": set[str](),
        "port": set[str](),
    },
}
"""Metric -> its labels beside `host` -> their values."""

EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
RULED = re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.MULTILINE)


def filled(expression: str) -> str:
    """An expression as Grafana asks it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def selected(expression: str) -> list[tuple[str, str]]:
    """The metrics that an expression names, each with what stands in its braces."""
    return re.findall(rf"({metrics.PREFIX}\w+)(?:\{{([^}}]*)\}})?", expression)


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *RULED])
def test_what_is_asked_for_is_printed(expression: str) -> None:
    found = selected(expression)
    assert found
    for metric, inside in found:
        assert metric.removeprefix(metrics.PREFIX) in metrics.HELP
        known = LABELS.get(metric, {})
        for label, values in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', inside):
            if values != "$host":
                assert set(values.split("|")) <= known[label]
        asked = {
            each for by in re.findall(r"by \(([^)]*)\)", expression) for each in by.split(", ")
        }
        assert asked <= {"$by", *known}


def test_legends_name_labels_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"{{([^}]*)}}", target.get("legendFormat", "")):
                assert f"by ({label})" in target["expr"]


def test_panels_stand_beside_each_other_and_have_numbers_of_their_own() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        x, y, w, h = (panel["gridPos"][each] for each in "xywh")
        cells = {(column, row) for column in range(x, x + w) for row in range(y, y + h)}
        assert x + w <= 24 and not taken & cells
        taken |= cells


def called(*words: str | Path, **given: Any) -> str:
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=60, check=False, **given
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: str = done.stdout + done.stderr
    return said


@pytest.mark.server
@needs("promtool")
def test_the_rules_do_what_their_tests_say_in_prometheus() -> None:
    called("promtool", "check", "rules", RULES)
    assert "SUCCESS" in called("promtool", "test", "rules", SHARE / "dane-mailgraph.test.yml")


@pytest.mark.server
@needs("promtool")
def test_prometheus_understands_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": filled(each)} for n, each in enumerate(EXPRESSIONS)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))
    called("promtool", "check", "rules", tmp_path / "rules.yml")


@pytest.mark.server
@needs("vmalert")
def test_vmalert_takes_the_rules() -> None:
    called("vmalert", "-dryRun", f"-rule={RULES}")


@pytest.mark.server
@needs("victoria-metrics")
def test_a_host_that_sends_fills_the_dashboard_and_one_that_stops_is_found(tmp_path: Path) -> None:
    now = int(time.time()) // MINUTE * MINUTE
    database = VictoriaMetrics(tmp_path / "vm", FOREVER)
    database.start()
    try:
        host = Host(tmp_path / "a", "mx1", days=30, now=now)
        look = ("mx1.example.org", 25, now, "[]", 2, 2, now + 30 * DAY, 3600)
        with host.ledger.transaction():
            host.ledger.write("INSERT INTO own_mx VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [look])
        assert host.start(database.url).communicate(timeout=60)[1] == ""
        deadline = time.monotonic() + 60
        while not database.values(f"{metrics.PREFIX}condition", now + 2 * MINUTE):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        silent = EXPRESSIONS
        while any("> 0" not in each for each in silent) and time.monotonic() < deadline:
            time.sleep(0.5)  # what was sent is found a little later
            silent = [
                each for each in EXPRESSIONS if not database.values(filled(each), now + MINUTE)
            ]
        (rule,) = [each for each in RULED if "time()" in each]
        found = [database.values(rule, now + after) for after in (5 * MINUTE, 30 * MINUTE, 86400)]
    finally:
        database.kill()
    # Nothing needs attention.
    assert [each for each in silent if "> 0" not in each] == []
    assert [len(each) for each in found] == [0, 1, 1]
