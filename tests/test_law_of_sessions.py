"""The lines before a delivery tell what it went over: the scenes of sessions.log, the lab,
and invented mail servers.

`servers` invents what a real one does, process by process, and knows of every delivery what it
went over. Its log may be
mixed, cut into polls, or begin anywhere: the counts say what happened, or that it is unknown
where no log can tell.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_law import IGNORED, IN_ORDER, LATEST, UTC, Sample, ids, samples
from test_receivers import ARRIVED, lines

from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix.explanation import explain
from dane_mailgraph.postfix.sessions import Sessions
from dane_mailgraph.postfix.tally import Tally

RELAYS = PeerSet(IGNORED)
EVER = 1 << 40
UNKNOWN = "deliveries.unknown"
ENCRYPTED = "deliveries.encrypted"
LABELLED = tuple((f"deliveries.{label}",) for label in ("trusted", "untrusted", "anonymous"))


def explained(log: list[bytes]) -> list[tuple[str, ...]]:
    return [each.counts for each in explain(log, Clock(UTC, LATEST), RELAYS)]


def tallied(*polls: list[bytes], blocks: int = 1) -> Counter[str]:
    """What is counted when a log is read in these pieces, with all that is known put down and
    taken up in between."""
    counts: Counter[str] = Counter()
    kept, clock = None, Clock(UTC, LATEST)
    for poll in polls:
        sessions = Sessions.load(kept and json.loads(kept))
        tally = Tally(1, RELAYS, EVER, sessions)
        for begin in range(0, len(poll), blocks):
            data = bytearray(b"".join(line + b"\n" for line in poll[begin : begin + blocks]))
            tally.add_block(data, len(data), clock)
        drained = tally.drain(UTC)
        sums = [
            sum(each.counts[index] or 0 for each in drained.intervals)
            for index in range(len(CATEGORIES))
        ]
        counts.update({each.key: count for each, count in zip(CATEGORIES, sums, strict=True)})
        if clock.previous is not None:
            kept = json.dumps(sessions.dump(clock.previous))
        assert sum(each.counts[index] for each in drained.relays for index in DELIVERED) <= sum(
            sums[index] for index in DELIVERED
        )
    return +counts


DELIVERED = [CATEGORIES.index(each) for each in BY_KEY.values() if each.family == "deliveries"]


# ---- scenes ---------------------------------------------------------------------------------


def scenes() -> dict[str, list[Sample]]:
    """What stands behind each `# scene:`, up to the next."""
    everything = samples(IN_ORDER)
    starts = [
        (n, line)
        for n, line in enumerate(IN_ORDER.read_bytes().split(b"\n"), 1)
        if line.startswith(b"# scene: ")
    ]
    found = {}
    for (begin, line), (end, _) in itertools.pairwise([*starts, (EVER, b"")]):
        found[line.removeprefix(b"# scene: ").decode()] = [
            each for each in everything if begin < int(each.where.partition(":")[2]) < end
        ]
    return found


SCENES = scenes()


def test_every_line_is_of_a_scene_and_all_categories_are_there_that_sessions_tell() -> None:
    assert [each for scene in SCENES.values() for each in scene] == samples(IN_ORDER)
    assert {key for scene in SCENES.values() for each in scene for key in each.keys} >= {
        *(
            f"deliveries.{name}"
            for name in (
                [
                    "dane",
                    "half_dane",
                    "verified",
                    "trusted",
                    "untrusted",
                    "anonymous",
                    "plaintext",
                    "unknown",
                ]
            )
        ),
        *("failures.certificate", "failures.handshake", "connections.reused"),
    }


@pytest.mark.parametrize("title", SCENES)
def test_a_scene_is_told_as_its_annotations_say(title: str) -> None:
    scene = SCENES[title]
    log = [each.line for each in scene]
    expected = sum((each.counts for each in scene), Counter[str]())

    assert explained(log) == [each.keys for each in scene]
    assert tallied(log, blocks=len(log)) == tallied(log) == expected
    for cut in range(1, len(log)):
        assert tallied(log[:cut], log[cut:], blocks=len(log)) == expected
    assert tallied(*([line] for line in log)) == expected


ALONE = [
    each
    for each in samples(IN_ORDER)
    if not any(key.startswith("deliveries.") or key == "failures.local" for key in each.keys)
]


@pytest.mark.parametrize("each", ALONE, ids=ids)
def test_what_is_no_delivery_counts_the_same_alone(each: Sample) -> None:
    assert explained([each.line]) == [each.keys]


# ---- the lab --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("run", ARRIVED)
def test_the_logs_of_the_lab_are_the_same_in_any_polls(run: str) -> None:
    log = list(lines(run))
    expected = tallied(log, blocks=len(log))

    for size in (1, 7, 100, 997):
        assert (
            tallied(*(log[at : at + size] for at in range(0, len(log), size)), blocks=size)
            == expected
        )


# ---- invented servers -----------------------------------------------------------------------

START = int(datetime(2026, 3, 24, 0, 6, tzinfo=UTC).timestamp())
SUITE = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
HOSTS = ("mx.example.org[192.0.2.10]:25", "mx2.example.org[192.0.2.20]:25", "[2001:db8::25]:25")
LABELS = {
    "Verified": "verified",
    "Trusted": "trusted",
    "Untrusted": "untrusted",
    "Anonymous": "anonymous",
}
FIELD = {
    "dane": "dane",
    "may": "encrypted",
    "may:none": "plaintext",
    "secure": "verified",
    "halfdane": "half_dane",
}


class Event(NamedTuple):
    """A line, and what it truly was."""

    at: float
    process: int
    line: bytes
    truth: tuple[str, ...] | None
    """The delivery's category; None where the line is no delivery."""
    begun: float = 0
    """When its request was handed to the process."""


def two_digits(seconds: float) -> str:
    """As format_tv() writes delays: whole seconds from ten on, two significant digits below, but
    no more than two decimals."""
    return (
        f"{seconds:.0f}" if seconds >= 9.95 else f"{round(seconds, 1 if seconds >= 0.995 else 2):g}"
    )


SPENT = st.floats(0, 3) | st.sampled_from([0, 0.004, 0.999, 12.3, 61, 300, 599])


class Process:
    """One process of Postfix's client: requests, one after another."""

    def __init__(self, draw: st.DrawFn, number: int, service: str) -> None:
        self.draw, self.number, self.service = draw, number, service
        self.now = START + draw(st.floats(0, 100))
        self.events: list[Event] = []
        self.tried: dict[str, float] = {}

    def write(self, text: str, truth: tuple[str, ...] | None = None, begun: float = 0) -> None:
        stamp = datetime.fromtimestamp(int(self.now), UTC).isoformat()
        line = f"{stamp} mx1 {self.service}[{self.number}]: {text}"
        self.events.append(Event(self.now, self.number, line.encode(), truth, begun))

    def wait(self, strategy: st.SearchStrategy[float]) -> float:
        spent = self.draw(strategy)
        self.now += spent
        return spent

    def announce(self, relay: str, verb: str = "established") -> str:
        label = self.draw(st.sampled_from(sorted(LABELS)))
        self.write(f"{label} TLS connection {verb} to {relay}: {SUITE}")
        return LABELS[label]

    def request(self, kind: str, queue: str) -> None:
        begun = self.now
        relay, other = self.draw(st.permutations(HOSTS))[:2]
        uses, went = 1, "plaintext"
        connecting = self.wait(SPENT)
        if kind in ("tls", "refused", "tls field"):
            went = self.announce(relay)
        elif kind == "kept in plaintext":
            uses = 2
        elif kind in ("reused", "reused, dead", "reused, dead, clear"):
            went = self.announce(relay, "reused")
            uses = 2 if kind == "reused" else 1
            if kind == "reused, dead":
                went = self.announce(relay)
            elif kind == "reused, dead, clear":
                went = "plaintext"
        elif kind == "broken":
            self.announce(relay)
            server = relay.rpartition(":")[0]
            lost = f"lost connection with {server} while sending RCPT TO"
            refused = "Cannot start TLS: handshake failure"
            self.write(f"{queue}: {self.draw(st.sampled_from([lost, refused]))}")
            connecting += self.wait(SPENT)
        elif kind in ("second host", "second host, clear"):
            self.announce(other)
            self.write(
                f"{queue}: host {other.rpartition(':')[0]} said: 451 later (in reply to "
                f"MAIL FROM command)"
            )
            connecting += self.wait(SPENT)
            went = self.announce(relay) if kind == "second host" else "plaintext"
        elif kind == "no server":
            relay = "none"
        sending = self.wait(SPENT)
        for number in range(self.draw(st.integers(1, 3))):
            field = self.draw(st.sampled_from(sorted(FIELD))) if kind == "tls field" else ""
            status = self.draw(
                st.sampled_from(["sent", "sent", "sent", "bounced", "deferred", "deliverable"])
            )
            reason = "250 ok" if status == "sent" else "host said: 550 no"
            if kind in ("refused", "no server"):
                status = "deferred"
                reason = (
                    "Server certificate not verified"
                    if kind == "refused"
                    else "TLSA lookup error for x:25"
                )
            use = f", conn_use={uses}" if uses > 1 else ""
            tls = f", tls={field}" if field else ""
            delays = f"delay=9, delays=0.1/0/{two_digits(connecting)}/{two_digits(sending)}"
            category = FIELD[field] if field else went
            if category == "encrypted" and went != "verified":
                category = went
            truth = (f"deliveries.{category}",) if status == "sent" else None
            fields = f"relay={relay}{use}, {delays}{tls}, dsn=2.0.0, status={status} ({reason})"
            self.write(f"{queue}: to=<u{number}@example.org>, {fields}", truth, begun)


KINDS = (
    *(
        "tls",
        "clear",
        "clear",
        "kept in plaintext",
        "reused",
        "reused, dead",
        "reused, dead, clear",
        "broken",
        "second host",
    ),
    *("second host, clear", "no server", "refused", "tls field"),
)
QUEUES = [f"2CE5121E{number}" for number in range(100, 106)]


@st.composite
def servers(draw: st.DrawFn) -> list[Event]:
    """The log of a server from its start on: each process begins with a session, and with one that
    it uses again.

    Then they work side by side.
    """
    processes = []
    serial = itertools.count(200)
    for number in range(draw(st.integers(1, 3))):
        process = Process(
            draw,
            101 + number,
            draw(st.sampled_from(["postfix/smtp", "postfix/relay/smtp", "postfix/lmtp"])),
        )
        tried: dict[str, float] = {}
        process.request("tls", f"2CE5121E{next(serial)}")
        process.request("reused", f"2CE5121E{next(serial)}")
        for _ in range(draw(st.integers(0, 6))):
            process.wait(st.sampled_from([0, 0.5, 1, 7, 400, 4000]))
            old = [
                queue for queue, at in tried.items() if process.now - at >= 300
            ]  # minimal_backoff_time
            queue = draw(st.sampled_from([f"2CE5121E{next(serial)}", *old]))
            process.request(draw(st.sampled_from(KINDS)), queue)
            tried[queue] = process.now
        processes.append(process)
    events = sorted(
        (each for process in processes for each in process.events), key=lambda each: int(each.at)
    )
    return events


def started() -> Event:
    stamp = datetime.fromtimestamp(START - 1, UTC).isoformat()
    line = (
        f"{stamp} mx1 postfix/master[1]: daemon started -- version 3.7.11, configuration "
        f"/etc/postfix"
    )
    return Event(START - 1, 1, line.encode(), None)


INVENTED = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def told(log: list[Event]) -> Iterator[tuple[Event, tuple[str, ...]]]:
    for event, keys in zip(log, explained([each.line for each in log]), strict=True):
        if event.truth is not None:
            yield event, keys


@INVENTED
@given(servers())
def test_every_delivery_of_a_server_from_its_start_on_is_told_as_it_was(log: list[Event]) -> None:
    seen: set[bytes] = set()
    service = {each.process: each.line.split(b" ")[2].partition(b"[")[0] for each in log}
    for event, keys in told([started(), *log]):
        assert keys == event.truth or (
            keys == (UNKNOWN,) and not told_by(event, log, service, seen)
        ), event


def told_by(event: Event, log: list[Event], service: dict[int, bytes], seen: set[bytes]) -> bool:
    """Whether its service has logged a session before: else it may be one that logs none."""
    own = service[event.process]
    if own not in seen:
        before = itertools.takewhile(lambda each: each is not event, log)
        if any(
            service[each.process] == own and b" TLS connection " in each.line for each in before
        ):
            seen.add(own)
    return own in seen


def believed(event: Event, log: list[Event]) -> bool:
    """Whether its process has said `reused` just before, and its service has not written conn_use
    yet as every Postfix does."""
    before = log[: log.index(event)]
    own = [
        each
        for each in before
        if each.process == event.process and b" TLS connection " in each.line
    ]
    service = event.line.split(b" ")[2].partition(b"[")[0] + b"["
    uses = any(b", conn_use=" in each.line and service in each.line for each in before)
    return bool(own) and b" reused to " in own[-1].line and not uses


@INVENTED
@given(servers(), st.data())
def test_for_whoever_begins_to_read_in_the_middle_it_is_told_as_it_was_or_unknown(
    log: list[Event], data: st.DataObject
) -> None:
    since = data.draw(st.integers(1, max(1, len(log) - 1)))
    first = int(log[min(since, len(log) - 1)].at)
    for event, keys in told(log[since:]):
        if believed(event, log[since:]):
            continue
        # `tls=may` says that it was encrypted, also where its session began before the first line.
        known_by_label = event.truth in LABELLED and b" tls=" in event.line
        without_label = ENCRYPTED if known_by_label else UNKNOWN
        assert keys in (event.truth, (UNKNOWN,), (without_label,)), event
        if (
            event.begun < first
            and event.truth == ("deliveries.plaintext",)
            and b" tls=" not in event.line
        ):
            assert keys == (UNKNOWN,), event


@pytest.mark.slow
@INVENTED
@given(servers(), st.lists(st.integers(0, 60), max_size=6), st.integers(1, 5))
def test_what_is_told_is_the_same_in_any_polls_and_blocks(
    log: list[Event], cuts: list[int], blocks: int
) -> None:
    read = [started().line, *(each.line for each in log)]
    edges = [0, *sorted(min(cut, len(read)) for cut in cuts), len(read)]
    polls = [read[begin:end] for begin, end in itertools.pairwise(edges)]
    expected: Counter[str] = Counter()
    for keys in explained(read):
        expected.update(keys)

    assert tallied(*polls, blocks=blocks) == expected
    assert tallied(read, blocks=len(read)) == expected


@pytest.mark.slow
@INVENTED
@given(servers(), st.data())
def test_lines_of_other_programs_and_remarks_change_nothing(
    log: list[Event], data: st.DataObject
) -> None:
    noise = [
        b"2026-03-24T00:06:00+00:00 mx1 postfix/qmgr[101]: 2CE5121E200: removed",
        b"2026-03-24T00:06:00+00:00 mx1 postfix/smtpd[101]: lost connection after EHLO "
        b"from x[192.0.2.1]",
        b"2026-03-24T00:06:00+00:00 mx1 postfix/tlsproxy[101]: DISCONNECT [192.0.2.10]:25",
        b"2026-03-24T00:06:00+00:00 mx1 postfix/error[101]: 2CE5121E200: to=<u@x>, "
        b"relay=none, delay=1, delays=1/0/0/0, "
        b"dsn=4.7.5, status=deferred (delivery temporarily suspended: Server certificate "
        b"not verified)",
        b"# a remark",
    ]
    read = [started().line, *(each.line for each in log)]
    mixed = list(read)
    for _ in range(data.draw(st.integers(1, 8))):
        mixed.insert(data.draw(st.integers(1, len(mixed))), data.draw(st.sampled_from(noise)))

    assert [
        keys for line, keys in zip(mixed, explained(mixed), strict=True) if line not in noise
    ] == explained(read)
    assert tallied(mixed, blocks=len(mixed)) == tallied(read, blocks=len(read))
