"""Of a log of many hosts only the lines of some count: as if the others' were not there."""

from __future__ import annotations

from collections import Counter
from datetime import timezone
from itertools import chain
from pathlib import Path

import pytest
from host import START, Host, rfc3339
from test_law import FILES, IGNORED, LATEST, SAMPLES, Sample, ids, samples

from dane_mailgraph import config
from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.log.forms import Hosts
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix.explanation import OTHERS, explain
from dane_mailgraph.postfix.sessions import Sessions
from dane_mailgraph.postfix.tally import Tally

EVER = 1 << 40
OTHER = b"2026-11-24T00:06:58Z mx1 postfix/smtp[102]: statistics: max connection rate 1/60s\n"
TEXT = (
    "Verified TLS connection established to mx.example.org[192.0.2.1]:25: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)


def counted(data: bytes, *names: str) -> tuple[Counter[str], Counter[str]]:
    """What a log counts as, and its omissions, of these hosts; of all without names."""
    tally = Tally(60, PeerSet(IGNORED), EVER, Sessions(), Hosts(names) if names else None)
    clock = Clock(timezone.utc, LATEST)
    lines = data.splitlines(keepends=True)
    for begin in range(0, len(lines), 100):
        block = bytearray(b"".join(lines[begin : begin + 100]))
        tally.add_block(block, len(block), clock)
    counts: Counter[str] = Counter()
    for interval in tally.intervals():
        counts.update({each.key: n for each, n in zip(CATEGORIES, interval.counts, strict=True)})
    return +counts, +tally.omitted


def of_mx1(path: Path) -> list[Sample]:
    """Sample lines of a host, whose heads are understood."""
    return [
        each for each in samples(path) if b"mx1 " in each.line and not counted(each.line + b"\n")[1]
    ]


HEADS = of_mx1(SAMPLES / "heads.log")


def of_host(data: bytes, host: bytes) -> bytes:
    return data.replace(b" mx1 ", b" " + host + b" ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hosts_that_log_the_same_with_equal_pids_are_counted_apart(path: Path) -> None:
    ours = [each.line for each in of_mx1(path) if b" mx1 " in each.line]
    mixed = b"".join(chain(*((of_host(line, b"mx2") + b"\n", line + b"\n") for line in ours)))
    alone = b"".join(line + b"\n" for line in ours)

    assert counted(mixed, "mx1") == counted(mixed, "mx2") == counted(alone)


@pytest.mark.parametrize("each", HEADS, ids=ids)
@pytest.mark.parametrize("amid", [b"", OTHER], ids=["alone", "amid lines of others"])
def test_a_line_is_its_hosts_in_whatever_form_it_stands(amid: bytes, each: Sample) -> None:
    line = each.line + b"\n"
    data = amid + line + amid

    assert counted(data, "mx1") == counted(data)
    assert counted(data, "mx2") == counted(data, "mx.example.org") == (Counter(), Counter())


def log(*hosts: str) -> bytes:
    return "".join(
        f"2026-11-24T00:06:58Z {host} postfix/smtp[7]: {TEXT}\n" for host in hosts
    ).encode()


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("mx1", ["mx1", "MX1", "mx1.example.org", "mx1.example.net"]),
        ("mx1.example.org", ["mx1.example.org", "Mx1.Example.Org"]),
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:db8::1", ["2001:db8::1"]),
    ],
)
def test_a_name_without_a_dot_is_of_any_domain(name: str, hosts: list[str]) -> None:
    others = [
        "mx10",
        "amx1",
        "mx1-b",
        "mx2",
        "192.0.2.10",
        "192.0.201",
        "2001:db8::10",
        "mx1xexample.org",
    ]
    verified = counted(log(*hosts, *others), name)[0]["connections.verified"]

    assert verified == len(hosts)


def test_a_line_without_a_host_is_of_none_and_no_omission() -> None:
    lines = f"Nov 24 00:06:58 postfix/smtp[7]: {TEXT}\n".encode() + log("mx1")

    assert counted(lines, "mx1") == counted(log("mx1"))


def test_a_line_without_a_readable_head_may_be_of_any() -> None:
    torn = f"postfix/smtp[7]: {TEXT}\n".encode()

    assert counted(torn + log("mx1", "mx2"), "mx2") == (
        counted(log("mx2"))[0],
        Counter(unreadable=1),
    )


def test_explain_says_why_a_line_of_another_host_counts_nowhere() -> None:
    said = list(
        explain(
            log("mx1", "mx2").splitlines(),
            Clock(timezone.utc, LATEST),
            PeerSet(IGNORED),
            None,
            Hosts(["mx1"]),
        )
    )

    assert [bool(each.counts) for each in said] == [True, False]
    assert said[1].note == "written by a host that only_hosts does not name"
    assert (said[1].kind, said[1].time, said[1].program) == (OTHERS, 1795478818, "smtp")


@pytest.mark.parametrize("imported", [True, False])
def test_a_central_log_leaves_each_host_the_store_that_its_own_log_would(
    imported: bool, tmp_path: Path
) -> None:
    central = {name: Host(tmp_path / name) for name in ("mx1", "mx2")}
    alone = {name: Host(tmp_path / f"{name}-alone") for name in central}
    for name, host in central.items():
        host.rules = host.rules._replace(hosts=Hosts([name]))
    for minute in range(120):
        at = START + 60 * minute
        for number, name in enumerate(central):
            # mx2 is silent for half an hour
            times = 0 if number and 30 < minute < 60 else minute % 3 + number
            text = f"{rfc3339(at + number)} {name} postfix/smtp[7]: {TEXT}\n" * times
            for host in (*central.values(), alone[name]):
                host.now = at + 30
                host.write(text)
    for host in (*central.values(), *alone.values()):
        host.now = START + 2 * 3600
        if imported:
            host.take(host.log)
        host.collect()
    for name in central:
        assert central[name].counted == alone[name].counted
        assert list(central[name].rows()) == list(alone[name].rows())
        assert central[name].ledger.omitted() == alone[name].ledger.omitted()
        assert central[name].ledger.state.hosts == alone[name].ledger.state.hosts


def test_the_file_of_one_host_has_folders_and_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "FOLDER", str(tmp_path))
    for name in ("mx1", "mx2.example.org"):
        (tmp_path / f"{name}.conf").write_text("only_hosts = mx1, MX3\n")
        found = config.load(str(tmp_path / f"{name}.conf"), {}, {})
        assert found.only_hosts == {"mx1", "MX3"}
        assert (found.state_dir, found.output_dir, found.host) == (
            f"/var/lib/dane-mailgraph/{name}",
            f"/var/cache/dane-mailgraph/{name}",
            name,
        )
        assert config.load(str(tmp_path / f"{name}.conf"), {}, {"host": "me"}).host == "me"
    assert config.load(None, {}, {}).state_dir == "/var/lib/dane-mailgraph"
