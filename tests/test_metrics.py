"""Metrics: running totals that never go back, in a format that Prometheus and its tools read."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from servers import PATH, free_port, needs

from dane_mailgraph.categories import FAMILIES
from dane_mailgraph.cli import command_line
from dane_mailgraph.counts import Interval
from dane_mailgraph.fleet import metrics
from dane_mailgraph.store import Gap, Ledger, Row, Store, together, totals

DAY, STEP = 86400, 60
NOW = 1_774_310_400
BEGIN = NOW - 40 * DAY


def some(start: int, first: int) -> Interval:
    width = sum(map(len, FAMILIES.values()))
    return Interval(start, (first, *(0,) * (width - 1)))


class Kept:
    """A ledger and its RRD in a folder."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(str(folder / "ledger.sqlite"), writable=True)
        self.ledger.agree(STEP)
        self.store = Store(str(folder), STEP)

    def count(self, until: int, *starts: int, gaps: tuple[Gap, ...] = ()) -> None:
        with self.ledger.transaction():
            state = self.ledger.state
            begin = BEGIN if state.begin is None else state.begin
            self.ledger.add(some(start, 3) for start in starts)
            for gap in gaps:
                self.ledger.mark_gap(gap)
            self.ledger.save(state._replace(begin=begin, read_until=until, newest=until))
        self.store.follow(self.ledger, until, 0)

    @property
    def history(self) -> Row:
        return together(row for _, row in self.store.rrd.finest(BEGIN))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def values(text: str) -> dict[str, int]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: int(value) for name, _, value in lines}


# ---- totals ---------------------------------------------------------------------------------


def test_the_totals_are_what_the_rrd_holds_over_all_its_archives(kept: Kept) -> None:
    kept.count(BEGIN + 3 * DAY, BEGIN, BEGIN + 60, BEGIN + DAY, gaps=(Gap(BEGIN, BEGIN + 600),))
    kept.count(NOW, *range(BEGIN + 3 * DAY, NOW, 7200))

    assert totals(kept.ledger) == kept.history
    assert totals(kept.ledger).observed == 40 * DAY - 480
    assert totals(kept.ledger).counts[0] == 3 * (3 + 37 * 12)


def test_overlapping_gaps_are_not_observed_once(kept: Kept) -> None:
    kept.count(BEGIN + 3600, gaps=(Gap(BEGIN, BEGIN + 600), Gap(BEGIN + 300, BEGIN + 1200)))

    assert totals(kept.ledger) == kept.history
    assert totals(kept.ledger).observed == 2400


def test_pruning_takes_nothing_from_the_totals(kept: Kept) -> None:
    kept.count(NOW - 20 * DAY, BEGIN)
    kept.store.take_snapshot(kept.ledger, NOW - 20 * DAY)
    kept.count(NOW, NOW - 60)
    kept.store.take_snapshot(kept.ledger, NOW)

    assert kept.ledger.state.pruned_before
    assert totals(kept.ledger).counts[0] == 6


def test_a_lost_ledger_takes_its_totals_from_the_rrd(kept: Kept, tmp_path: Path) -> None:
    kept.count(NOW, BEGIN, NOW - 60)
    before = totals(kept.ledger)
    (tmp_path / "ledger.sqlite").unlink()

    again = Kept(tmp_path)
    again.store.reconcile(again.ledger)

    assert totals(again.ledger) == before


def test_a_category_that_was_never_known_is_absent_until_it_is(kept: Kept) -> None:
    assert [each.name for each in metrics.counter_samples(totals(kept.ledger))] == [
        metrics.OBSERVED
    ]

    kept.count(BEGIN + 60)

    assert {each.value for each in metrics.counter_samples(totals(kept.ledger))} == {0, 60}


# ---- the text -------------------------------------------------------------------------------


def test_each_family_of_the_log_has_a_counter() -> None:
    assert set(metrics.FAMILY_METRICS) == set(FAMILIES) - {"reach"}


def test_the_docs_say_what_each_metric_is() -> None:
    docs = (Path(__file__).parents[1] / "docs" / "operations.md").read_text()

    assert [name for name in metrics.HELP if not re.search(rf"`{name}\b", docs)] == []


def log_line(at: float, text: str) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))} mail postfix/smtp[7]: {text}\n"


def a_log(folder: Path, *, ago: int = 7200) -> Path:
    log = folder / "mail.log"
    host = "mx.secret.example[192.0.2.1]:25"
    tls = f"TLS connection established to {host}: TLSv1.3 with cipher AES (256/256 bits)"
    lines = [log_line(time.time() - ago + n, f"Verified {tls}") for n in range(3)]
    lines.append(log_line(time.time() - ago + 5, "warning: DANE TLSA lookup problem: x"))
    log.write_text("".join(lines), encoding="ascii")
    return log


def run(folder: Path, verb: str, *rest: str) -> int:
    settings = ["--config", os.devnull, "--state-dir", str(folder), "--log"]
    return command_line.main([verb, *settings, str(folder / "mail.log"), *rest])


def test_metrics_prints_what_was_counted_and_names_no_relay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_log(tmp_path)
    assert run(tmp_path, "collect") == 0
    assert run(tmp_path, "metrics") == 0
    text = capsys.readouterr().out
    found = values(text)

    assert found['dane_mailgraph_connections_total{trust="verified"}'] == 3
    assert found['dane_mailgraph_protocol_connections_total{protocol="tlsv1_3"}'] == 3
    assert found['dane_mailgraph_postfix_warnings_total{warning="tlsa_lookup"}'] == 1
    assert found["dane_mailgraph_counted_until_timestamp_seconds"] > time.time() - 200
    assert "secret" not in text
    assert "192.0.2" not in text
    assert set(re.findall(r"^# TYPE dane_mailgraph_(\w+)", text, re.MULTILINE)) <= set(metrics.HELP)


def test_the_file_is_replaced_for_all_to_read_and_no_link_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_log(tmp_path)
    other, file = tmp_path / "other", tmp_path / "dane-mailgraph.prom"
    other.write_text("kept", encoding="ascii")
    file.symlink_to(other)
    (tmp_path / "dane-mailgraph.prom.new").symlink_to(other)
    os.umask(0o077)
    try:
        assert run(tmp_path, "collect", "--metrics-file", str(file)) == 0
    finally:
        os.umask(0o022)
    run(tmp_path, "metrics")

    assert other.read_text(encoding="ascii") == "kept"
    assert not file.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o644
    assert values(file.read_text(encoding="ascii")) == values(capsys.readouterr().out)


def test_a_file_that_cannot_be_written_is_reported_and_nothing_uncounted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_log(tmp_path)

    assert run(tmp_path, "collect", "--metrics-file", str(tmp_path / "no" / "x.prom")) == 74
    assert "metrics_file" in capsys.readouterr().err
    run(tmp_path, "metrics")
    assert (
        values(capsys.readouterr().out)['dane_mailgraph_connections_total{trust="verified"}'] == 3
    )


def test_a_rebuild_begins_the_totals_anew_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, file = a_log(tmp_path), tmp_path / "x.prom"
    run(tmp_path, "collect", "--metrics-file", str(file))
    log.write_text(log.read_text(encoding="ascii").split("\n", 1)[1], encoding="ascii")

    assert run(tmp_path, "import", "--metrics-file", str(file), "--rebuild", str(log)) == 0
    assert "counter reset" in capsys.readouterr().err
    found = values(file.read_text(encoding="ascii"))
    assert found['dane_mailgraph_connections_total{trust="verified"}'] == 2


# ---- Prometheus's own tools -----------------------------------------------------------------


@pytest.mark.server
@needs("promtool")
def test_promtool_has_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_log(tmp_path)
    run(tmp_path, "collect")
    run(tmp_path, "metrics")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=capsys.readouterr().out,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.server
@needs("prometheus-node-exporter")
def test_node_exporter_serves_the_file(tmp_path: Path) -> None:
    a_log(tmp_path)
    file = tmp_path / "dane-mailgraph.prom"
    run(tmp_path, "collect", "--metrics-file", str(file))
    address = f"127.0.0.1:{free_port()}"
    exporter = subprocess.Popen(
        [
            "prometheus-node-exporter",
            f"--web.listen-address={address}",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={tmp_path}",
        ],
        env={**os.environ, "PATH": PATH},
        stderr=subprocess.DEVNULL,
    )
    try:
        served = answer(f"http://{address}/metrics")
    finally:
        exporter.kill()
        exporter.wait()

    lines = (line for line in served.splitlines() if line.startswith("dane_mailgraph_"))
    found = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
    assert found == values(file.read_text(encoding="ascii"))


def answer(url: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                text: str = response.read().decode()
                return text
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
