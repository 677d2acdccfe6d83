"""What was counted is in a VictoriaMetrics, to the unit, whatever was killed meanwhile."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servers import VictoriaMetrics, free_port, needs
from test_metrics import Kept
from torture import small_archives

from dane_mailgraph.answer import report
from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.cli import command_line
from dane_mailgraph.counts import Interval
from dane_mailgraph.errors import ShipError
from dane_mailgraph.fleet import metrics
from dane_mailgraph.fleet.history import read_history
from dane_mailgraph.fleet.ship import CountedHost, Shipment
from dane_mailgraph.fleet.victoriametrics import Access, Database
from dane_mailgraph.store import Gap, Ledger, Shipped, load_shipped, replace_shipped
from dane_mailgraph.times import DAY, HOUR, MINUTE

NOW = int(time.time()) // HOUR * HOUR - 2 * DAY
"""The newest stamp of a test's history: some of it is yet to come."""

FOREVER = "-retentionPeriod=100y"
A_MONTH = "-retentionPeriod=1"


class Host(Kept):
    """A store that counts at random, and is sent under a name."""

    def __init__(
        self, folder: Path, name: str, *, days: int, now: int = NOW, seed: int = 1
    ) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.folder, self.name, self.begin, self.until = folder, name, now - days * DAY, now
        self.random = random.Random(f"{name} {seed}")
        self.clock = now
        """What time it is for the sender."""
        with self.ledger.transaction():
            self.ledger.add(self.some(start) for start in self.starts(self.begin, now, 400))
            self.ledger.mark_gap(Gap(now - 2 * DAY, now - 2 * DAY + 1800))
            state = self.ledger.state._replace(begin=self.begin, read_until=now, newest=now)
            self.ledger.save(state)
            self.ledger.add_hours({(now - HOUR, "tls"): 1}, 0)
        self.store.follow(self.ledger, now, 0)

    def starts(self, start: int, until: int, most: int) -> list[int]:
        minutes = range(start, until, MINUTE)
        return sorted(self.random.sample(minutes, min(most, len(minutes))))

    def some(self, start: int) -> Interval:
        return Interval(start, tuple(self.random.choice((0, 0, 1, 7, 1000)) for _ in CATEGORIES))

    def count_on(self, minutes: int) -> None:
        """Time goes by, and mail is sent."""
        start, self.until = self.until, self.until + minutes * MINUTE
        self.clock += minutes * MINUTE
        with self.ledger.transaction():
            self.ledger.add(self.some(each) for each in self.starts(start, self.until, minutes))
            state = self.ledger.state._replace(read_until=self.until, newest=self.until)
            self.ledger.save(state)
        self.store.follow(self.ledger, self.until, 0)

    def ship(self, url: str, *, again: bool = False) -> Shipment:
        """Send, as the verb does."""
        with Ledger(self.ledger.path, writable=False) as ledger:
            origin = CountedHost(self.store.rrd, ledger, self.name)
            shipment = Shipment(origin, Database(Access(url)), self.save, lambda: self.clock)
            assert shipment.ship(load_shipped(self.ledger, url, self.name), again=again)
            return shipment

    def shipped(self, url: str) -> Shipped:
        """Send, and return how far it is."""
        self.ship(url)
        mark = load_shipped(self.ledger, url, self.name)
        assert mark
        return mark

    def save(self, mark: object) -> None:
        with self.ledger.transaction():
            replace_shipped(self.ledger, mark)  # type: ignore[arg-type]

    def command(self, url: str, *more: str) -> list[str]:
        settings = ("--state-dir", str(self.folder), "--host", self.name, "--ship-url", url)
        return ["ship", "--config", os.devnull, *settings, *more]

    def start(self, url: str, *more: str) -> subprocess.Popen[str]:
        """Send by the command, as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "dane_mailgraph", *self.command(url, *more)],
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    started = VictoriaMetrics(tmp_path / "vm", FOREVER)
    started.start()
    yield started
    started.kill()


@pytest.fixture
def short_archives() -> Iterator[None]:
    """Two days of minutes and forty of hours are kept, so that less is sent than by an operator.

    `test_two_hosts_are_exact_after_kills_of_both_sides` sends all that an operator's RRD keeps.
    """
    with small_archives():
        yield


def wrong(database: VictoriaMetrics, host: Host, ranges: int, since: int = 0) -> tuple[int, int]:
    """How many figures of random ranges differ from those of `report`, and of how many."""
    rrd, ledger = host.store.rrd, host.ledger
    history = read_history(rrd, ledger, None, host.name)
    assert history
    stamps = [at for at, _ in history.rows if at >= since]
    differ = of = 0
    asked = database.settle()
    for _ in range(ranges):
        start, until = sorted(host.random.sample(stamps, 2))
        row = rrd.covering(start)
        start, until = start - start % row, until - until % row
        if start < until:
            found = report.totals(rrd, ledger, start, until)
            assert (found.since, found.until) == (start, until)
            for category, count in found.totals.items():
                if category.family in metrics.FAMILY_METRICS:
                    name, labels = metrics.metric_of(category)
                    inside = "".join(f',{key}="{value}"' for key, value in labels.items())
                    series = (
                        f"{metrics.PREFIX}{name}{{host={json.dumps(host.name)}{inside},{asked}}}"
                    )
                    there = database.value(f"increase({series}[{until - start}s])", until)
                    of += 1
                    differ += (there or 0) != (count or 0)
            series = f"{metrics.PREFIX}{metrics.OBSERVED}{{host={json.dumps(host.name)},{asked}}}"
            there = database.value(f"increase({series}[{until - start}s])", until)
            of, differ = of + 1, differ + (there != found.observed)
    return differ, of


def stamps(database: VictoriaMetrics, name: str) -> set[int]:
    selector = f'{metrics.PREFIX}{metrics.OBSERVED}{{host="{name}",{database.settle()}}}'
    stored = Database(Access(database.url)).stored(selector, 0, 1 << 33)
    return {at for each in stored for at, _ in each.samples}


# ---- exact ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.server
@needs("victoria-metrics")
def test_two_hosts_are_exact_after_kills_of_both_sides(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    hosts = [
        Host(tmp_path / "a", "mx1.example.org", days=400),
        Host(tmp_path / "b", 'mx"2\\', days=20),
    ]
    kills = random.Random(18)
    for turn in range(6):
        for host in hosts:
            host.count_on(kills.randrange(1, 40))
        at_work = [host.start(database.url) for host in hosts]
        time.sleep(kills.uniform(0.2, 3))
        if turn % 2:
            at_work[kills.randrange(2)].send_signal(signal.SIGKILL)
        if turn % 3 == 0:
            database.kill()
            database.start()
        for process in at_work:
            process.communicate(timeout=120)
    figures = []
    for host in hosts:
        process = host.start(database.url)
        said = process.communicate(timeout=120)[1]
        assert (process.returncode, said) == (0, "")
        figures.append(wrong(database, host, 12))
    assert [differ for differ, _ in figures] == [0, 0]
    assert sum(of for _, of in figures) >= 1000
    database.kill()
    database.start()
    for host in hosts:
        assert host.start(database.url).communicate(timeout=120)[1] == ""
        assert wrong(database, host, 3)[0] == 0


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_what_is_new_is_sent_with_the_last_hour_and_delivered_a_minute_later(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=30)
    first = host.shipped(database.url)
    assert (first.durable_until, first.accepted_until) == (None, host.until)
    assert min(stamps(database, "mx1")) == first.first == host.begin
    host.count_on(3)
    second = host.shipped(database.url)
    assert (second.durable_until, second.accepted_until) == (NOW, host.until)
    assert wrong(database, host, 4)[0] == 0
    asked = f'count_over_time({metrics.PREFIX}{metrics.OBSERVED}{{host="mx1"}}[1h])'
    assert (database.value(asked, host.until) or 0) > 100, "the last hour is there twice"


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_database_that_was_emptied_gets_all_again_and_it_is_said_once(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=30)
    host.ship(database.url)
    host.count_on(3)
    host.ship(database.url)
    database.stop()
    shutil.rmtree(database.folder)
    database.start()
    host.count_on(2)

    (notice,) = host.ship(database.url).notices
    assert notice == (
        f"{database.url} does not hold what mx1 has sent any more: all of it is sent again."
    )
    assert wrong(database, host, 5)[0] == 0
    host.count_on(2)
    assert host.ship(database.url).notices == []


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_retention_that_is_too_short_is_said_once_and_history_comes_when_it_is_longer(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=400)
    database.stop()
    database.start(A_MONTH)

    (notice,) = host.ship(database.url).notices
    assert "-retentionPeriod=20y" in notice
    assert "keeps 28 days" in notice or "keeps 27 days" in notice
    for _ in range(3):
        host.count_on(2)
        assert host.ship(database.url).notices == []
    assert wrong(database, host, 5, since=host.until - 25 * DAY)[0] == 0
    database.stop()
    database.start(FOREVER)
    host.count_on(2)
    assert host.ship(database.url).notices == []
    assert wrong(database, host, 5)[0] == 0


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_counts_of_the_past_that_change_replace_what_was_sent(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=30)
    other = Host(tmp_path / "b", "mx2", days=3)
    other.ship(database.url)
    host.ship(database.url)
    with host.ledger.transaction():
        past = host.until - 10 * DAY
        host.ledger.add([host.some(past)])
        host.ledger.mark_changed(past)
    host.count_on(5)
    host.ship(database.url)

    assert wrong(database, host, 5)[0] == 0
    assert wrong(database, other, 3)[0] == 0


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_rebuilt_store_replaces_what_the_one_before_has_sent(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    Host(tmp_path / "a", "mx1", days=30).ship(database.url)
    again = Host(tmp_path / "b", "mx1", days=29, seed=2)
    again.ship(database.url)

    assert min(stamps(database, "mx1")) == again.begin
    assert wrong(database, again, 5)[0] == 0


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_first_time_that_was_killed_goes_on_without_deleting(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=30)
    history = read_history(host.store.rrd, host.ledger, None, "mx1")
    assert history
    Database(Access(database.url)).send(next(history.samples(None)))
    time.sleep(2)
    host.ship(database.url)

    log = database.folder.with_suffix(".log").read_text()
    assert "delete" not in log
    assert wrong(database, host, 5)[0] == 0


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_two_machines_of_one_name_are_reported_and_again_puts_it_right(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=5)
    host.ship(database.url)
    host.count_on(2)
    host.ship(database.url)
    other = Host(tmp_path / "b", "mx1", days=5, seed=2)
    other.count_on(2)
    for each in other.store.rrd, host.store.rrd:
        assert each.last == host.until
    history = read_history(other.store.rrd, other.ledger, NOW - HOUR, "mx1")
    assert history
    for piece in history.samples(NOW - HOUR):
        Database(Access(database.url)).send(piece)
    time.sleep(2)
    host.count_on(2)

    with pytest.raises(ShipError, match="another machine sends under this name; set `host` there"):
        host.ship(database.url)
    host.ship(database.url, again=True)
    assert wrong(database, host, 5)[0] == 0


# ---- what keeps it from being there ---------------------------------------------------------


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_clock_that_is_days_behind_is_named(database: VictoriaMetrics, tmp_path: Path) -> None:
    host = Host(tmp_path / "a", "mx1", days=5, now=NOW + 6 * DAY)

    with pytest.raises(ShipError, match="its clock is 3 days behind; set its clock"):
        host.ship(database.url)


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_disk_without_room_is_named_and_all_comes_when_there_is_some(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    host = Host(tmp_path / "a", "mx1", days=5)
    database.stop()
    database.start(FOREVER, "-storage.minFreeDiskSpaceBytes=900GB")
    time.sleep(2)
    with pytest.raises(ShipError, match=r"/api/v1/import cannot take it now: 503 .*read-only mode"):
        host.ship(database.url)
    database.stop()
    database.start(FOREVER)
    host.ship(database.url)
    assert wrong(database, host, 5)[0] == 0


def ship(host: Host, url: str, *more: str) -> int:
    return command_line.main(host.command(url, *more))


@pytest.fixture
def small(tmp_path: Path) -> Host:
    return Host(tmp_path / "a", "mx1", days=2)


def test_without_a_url_or_a_server_one_sentence_says_so(
    small: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ship(small, "") == 78
    assert capsys.readouterr().err == (
        "dane-mailgraph: Nothing can be sent: set `ship_url` to that of a VictoriaMetrics.\n"
    )
    url = f"http://127.0.0.1:{free_port()}"
    assert ship(small, url) == 74
    said = capsys.readouterr().err
    assert said.startswith(f"dane-mailgraph: {url}/metrics cannot be asked: Connection refused; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["ftp://mx/", "localhost:8428", "http://", "http://me:secret@localhost", "http://h/?a=b"]
)
def test_a_wrong_url_or_one_that_holds_a_secret_is_a_wrong_setting(
    url: str, small: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ship(small, url) == 78
    assert "ship_url" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "two\nlines", "\0", "no-colon", "x" * 20_000 + "\n:"])
def test_an_unusable_secret_is_named_by_its_file_alone(
    content: str, small: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(content)

    assert ship(small, "http://localhost:1", "--ship-password-file", str(secret)) == 78
    said = capsys.readouterr().err
    assert f"ship_password_file {secret}" in said
    assert not content or content.strip()[:9] not in said


@pytest.mark.server
@needs("victoria-metrics", "openssl")
def test_it_lets_itself_in_by_a_certificate_and_a_password_from_files(
    tmp_path: Path, small: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    from servers import Authority

    folder = tmp_path / "ca"
    folder.mkdir()
    authority = Authority(folder)
    key, chain = authority.issue("vm", "localhost")
    database = VictoriaMetrics(
        tmp_path / "vm",
        FOREVER,
        *("-tls", f"-tlsCertFile={chain}", f"-tlsKeyFile={key}"),
        *("-httpAuth.username=mx1", "-httpAuth.password=secret word"),
        scheme="https",
    )
    database.start()
    password, ca = tmp_path / "password", ("--ship-ca-file", str(authority.path))
    try:
        assert ship(small, database.url) == 74
        assert "certificate verify failed" in capsys.readouterr().err
        assert ship(small, database.url, *ca) == 74
        assert "refuses us: 401" in capsys.readouterr().err
        password.write_text("mx1:wrong word\n")
        assert ship(small, database.url, *ca, "--ship-password-file", str(password)) == 74
        said = capsys.readouterr().err
        assert "refuses us: 401" in said
        assert "wrong word" not in said
        password.write_text("mx1:secret word\n")
        assert ship(small, database.url, *ca, "--ship-password-file", str(password)) == 0
        assert capsys.readouterr().err == ""
    finally:
        database.kill()


class Cluster(ThreadingHTTPServer):
    """A proxy with the paths of a cluster, which lets in a token and does not say who answers."""

    daemon_threads = True

    def __init__(self, url: str, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind, self.token = url, token
        self.asked: set[str] = set()
        threading.Thread(target=self.serve_forever).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/insert/7:1/prometheus"


class Passing(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        found = re.fullmatch(r"/(\w+)/7:1/prometheus(/api/v1/([\w/]+).*)", self.path)
        if self.headers["Authorization"] != f"Bearer {self.server.token}" or not found:
            self.send_error(401 if found else 400)
            return
        self.server.asked.add(f"{found[1]} {found[3]}")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        kept = {name: self.headers[name] for name in self.headers if name == "Content-Encoding"}
        asked = urllib.request.Request(
            self.server.behind + found[2], body or None, kept, method=self.command
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            content = answer.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.usefixtures("short_archives")
@pytest.mark.server
@needs("victoria-metrics")
def test_a_cluster_has_a_path_for_each_kind_of_request_and_its_restarts_are_not_seen(
    database: VictoriaMetrics, tmp_path: Path
) -> None:
    cluster, host = Cluster(database.url, "a-token"), Host(tmp_path / "b", "mx2", days=3)
    token = tmp_path / "token"
    token.write_text("a-token\n")
    more = ("--ship-token-file", str(token))
    try:
        assert ship(host, cluster.url) == 74
        for again in ((), ("--again",)):
            assert ship(host, cluster.url, *more, *again) == 0
        assert cluster.asked == {
            "insert import",
            "select export",
            "delete admin/tsdb/delete_series",
        }
        for _ in range(3):
            host.count_on(3)
            assert ship(host, cluster.url, *more) == 0
            database.kill()
            database.start()
        assert ship(host, cluster.url, *more) == 0
        assert wrong(database, host, 5)[0] == 0
    finally:
        cluster.shutdown()
        cluster.server_close()


# ---- beside the counter ---------------------------------------------------------------------


@pytest.mark.server
@needs("victoria-metrics")
def test_it_waits_for_no_counter_and_sends_the_states_of_now(
    database: VictoriaMetrics, small: Host, tmp_path: Path
) -> None:
    at = int(time.time())
    counter = subprocess.Popen(
        [
            *(sys.executable, "-m", "dane_mailgraph", "run", "--config", os.devnull),
            *("--state-dir", str(small.folder), "--log", str(tmp_path / "mail.log")),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        assert ship(small, database.url) == 0
        time.sleep(2)
    finally:
        counter.terminate()
        counter.wait(30)
    asked = f'last_over_time({metrics.PREFIX}condition{{host="mx1"}}[10m])'
    states = database.values(asked, at + 60)
    assert {dict(labels)["name"] for labels in states} >= {"not_counting", "omissions"}


@pytest.mark.server
@needs("victoria-metrics")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly(number: signal.Signals, database: VictoriaMetrics, tmp_path: Path) -> None:
    host = Host(tmp_path / "a", "mx1", days=400)
    process = host.start(database.url)
    time.sleep(1)
    process.send_signal(number)

    assert process.communicate(timeout=30)[1] == ""
