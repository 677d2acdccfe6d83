"""The last look at our own servers: kept in the ledger, judged, shown, and repeated when due."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dane_mailgraph.answer import Evidence, Judgement, describe_server, judge_conditions
from dane_mailgraph.answer.check import as_plugin, servers
from dane_mailgraph.answer.conditions import Condition
from dane_mailgraph.cli import command_line, probing
from dane_mailgraph.config import Config, load
from dane_mailgraph.dane import tlsa
from dane_mailgraph.dane.own_server import Handshake, Published, Server
from dane_mailgraph.dane.servers import Target
from dane_mailgraph.dane.tlsa import Certificate, Chain
from dane_mailgraph.dane.verdict import judge
from dane_mailgraph.errors import ConfigError
from dane_mailgraph.fleet import metrics
from dane_mailgraph.language import load_language
from dane_mailgraph.levels import Level
from dane_mailgraph.store import (
    RRD,
    Ledger,
    copy_watched,
    load_history,
    load_watched,
    save_look,
)
from dane_mailgraph.times import DAY, HOUR

NOW = 1795824000
MX, NAME = Target("mail.example.org"), "_25._tcp.mail.example.org"


def chain(name: str) -> Chain:
    own = Certificate(name.encode(), f"{name}'s key".encode(), name, NOW - DAY, NOW + 60 * DAY)
    return Chain("/x", (own,), True, (True,))


OLD, NEW = chain("old"), chain("new")


def seen(served: Chain, *published: Chain, target: Target = MX) -> Server:
    records = tuple(tlsa.record_of(each.leaf).in_full for each in published)
    return Server(target, Published(NAME, records, 3600), (Handshake("192.0.2.1", "", served),))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.sqlite")


def look(path: str, *looks: Server, now: int = NOW) -> None:
    with Ledger(path, writable=True) as ledger, ledger.transaction():
        known = [each._replace(history=load_history(ledger, each.target)) for each in looks]
        save_look(ledger, [(each, judge(each, now)) for each in known], now)


def conditions(path: str, now: int = NOW, code: str = "en") -> list[Condition]:
    with Ledger(path, writable=False) as ledger:
        evidence = Evidence(
            ledger,
            RRD(path + ".rrd", 60),
            now,
            None,
            load_language(code),
        )
        return judge_conditions(evidence, ("own_mx", "certificate"))


def test_what_is_wrong_is_a_condition_of_its_server_with_the_age_of_the_look(path: str) -> None:
    look(path, seen(OLD, NEW), seen(OLD, OLD, target=Target("mx2.example.org", 465)))
    (found,) = conditions(path, NOW + 2 * HOUR)

    assert (found.name, found.subject, found.level) == (
        "own_mx",
        "mail.example.org:25",
        Level.CRITICAL,
    )
    assert found.text == (
        "Senders that do DANE defer their mail to mail.example.org:25: no TLSA record matches the "
        "certificate at 192.0.2.1. (Looked at 2 h ago.)"
    )
    assert f"{NAME}. 3600 IN TLSA {tlsa.record_of(OLD.leaf).in_full}" in found.next_step
    (german,) = conditions(path, NOW + 2 * HOUR, "de")
    assert german.text.startswith("Absender mit DANE stellen ihre Mail an mail.example.org:25")


def test_a_condition_holds_since_the_first_look_that_found_it(path: str) -> None:
    look(path, seen(OLD, NEW), now=NOW - 3 * HOUR)
    look(path, seen(OLD, NEW))
    assert [each.since for each in conditions(path)] == [NOW - 3 * HOUR]

    look(path, seen(OLD, OLD))
    assert conditions(path) == []
    look(path, seen(OLD, NEW))
    assert [each.since for each in conditions(path)] == [NOW]


def test_a_server_that_is_not_ours_any_more_is_forgotten(path: str) -> None:
    look(path, seen(OLD, NEW))
    look(path, seen(OLD, OLD, target=Target("other.example.org")))

    assert conditions(path) == []


def test_history_tells_a_record_that_matched_once_from_one_that_never_did(path: str) -> None:
    look(path, seen(OLD, OLD), now=NOW - 9 * DAY)
    look(path, seen(OLD, OLD, NEW), now=NOW - 5 * DAY)
    look(path, seen(NEW, OLD, NEW))
    with Ledger(path, writable=False) as ledger:
        history = load_history(ledger, MX)
        (watched,) = load_watched(ledger)

    assert history[tlsa.record_of(OLD.leaf).in_full] == (NOW - 9 * DAY, NOW - 5 * DAY)
    assert history[tlsa.record_of(NEW.leaf).in_full] == (NOW - 5 * DAY, NOW)
    assert [finding.cause for finding, _ in watched.findings] == ["left_over"]
    assert watched.is_well and (watched.matches, watched.records, watched.ttl) == (1, 2, 3600)


def test_what_is_well_is_said_with_its_age(path: str) -> None:
    look(path, seen(OLD, OLD))
    with Ledger(path, writable=False) as ledger:
        (sentence,) = servers(ledger, NOW + 5 * HOUR, None)
        (watched,) = load_watched(ledger)

    assert sentence == (
        "Reachable by DANE: mail.example.org:25, 1 of 1 TLSA records match, certificate until "
        "2027-01-27. (Looked at 5 h ago.)"
    )
    assert as_plugin(Judgement(()), {}, [sentence]) == f"OK - All is well. {sentence}"
    assert "Über DANE erreichbar" in describe_server(watched, load_language("de"), None, NOW)


def test_metrics_tell_matches_and_the_end_of_the_certificate(path: str) -> None:
    look(path, seen(OLD, OLD))
    with Ledger(path, writable=True) as ledger:
        text = metrics.as_text(ledger, NOW, Judgement(()))
        unknown = Condition("own_mx", "x", Level.UNKNOWN, NOW, "", "")
        without = metrics.as_text(ledger, NOW, Judgement((unknown,)))

    labels = '{mx="mail.example.org",port="25"}'
    assert f"dane_mailgraph_own_mx_tlsa_matches{labels} 1\n" in text
    ends = OLD.leaf.ends
    assert f"dane_mailgraph_own_mx_certificate_expiry_timestamp_seconds{labels} {ends}\n" in text
    assert 'condition{name="own_mx"} 0' in text and 'condition{name="own_mx"}' not in without


def test_a_rebuilt_ledger_keeps_the_last_look(path: str) -> None:
    look(path, seen(OLD, NEW))
    with (
        Ledger(path, writable=False) as old,
        Ledger(path + ".new", writable=True) as new,
        new.transaction(),
    ):
        copy_watched(old, new)

    assert conditions(path + ".new") == conditions(path)


# ---- the verb -------------------------------------------------------------------------------


def settings(folder: Path, **options: str) -> Config:
    return load(os.devnull, {}, {"state_dir": str(folder), "own_mx": "none", **options})


@pytest.mark.parametrize("text", ["a b!", "mail:0", "mail:65536", "-x", "[192.0.2.1]:25", "a:b"])
def test_a_text_that_names_no_server_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is no NAME or NAME:PORT"):
        settings(tmp_path, own_mx=text)


def test_own_mx_names_servers_or_none_or_leaves_them_to_postfix(tmp_path: Path) -> None:
    assert probing.targets(settings(tmp_path)) == []
    assert probing.targets(settings(tmp_path, own_mx="")) is None
    assert probing.targets(settings(tmp_path, own_mx="MX.example.org, mx.example.org:465")) == [
        ("mx.example.org", 25),
        ("mx.example.org", 465),
    ]


@pytest.mark.parametrize(
    ("published", "age", "is_due"),
    [
        (OLD, 23 * HOUR, False),
        (OLD, 24 * HOUR - 300, True),
        (NEW, 45 * 60, False),
        (NEW, HOUR - 300, True),
    ],
)
def test_a_look_is_due_each_day_and_each_hour_while_something_is_wrong(
    tmp_path: Path, path: str, published: Chain, age: int, is_due: bool
) -> None:
    look(path, seen(OLD, published), now=NOW - age)
    probing.probe(settings(tmp_path), NOW, only_if_due=True)
    with Ledger(path, writable=False) as ledger:
        kept = load_watched(ledger)

    assert (kept == []) is is_due  # with no server named, a look finds none


def test_the_first_look_is_due_and_needs_no_counter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "--state-dir", str(tmp_path / "new"), "--config", os.devnull]
    words += ["--own-mx", "none", "--probe", "--due", "--only", "own_mx,certificate"]

    assert command_line.main(words) == 0
    assert capsys.readouterr().out.startswith("OK - All is well.")
    assert command_line.main([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["conditions"] == []


def test_due_alone_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "--state-dir", str(tmp_path), "--config", os.devnull, "--due"]

    assert command_line.main(words) == 3
    assert "needs --probe" in capsys.readouterr().out
