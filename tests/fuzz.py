"""A coverage-guided fuzzer for everything that reads bytes of a log: `make fuzz`.

Whatever the bytes are, nothing may raise, and three ways to count them must agree: a block as a
whole; the same lines one by one, with the sessions saved and restored between them; and what
`explain` says of each.
"""

from __future__ import annotations

import io
import json
import sys
from datetime import timezone
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dane_mailgraph"]):
    from dane_mailgraph.categories import BY_KEY, CATEGORIES
    from dane_mailgraph.log.blocks import Blocks
    from dane_mailgraph.log.clock import Clock
    from dane_mailgraph.peers import PeerSet
    from dane_mailgraph.postfix.explanation import explain
    from dane_mailgraph.postfix.sessions import Sessions
    from dane_mailgraph.postfix.tally import Tally

NOW = 1795485600
RELAYS = PeerSet("127.0.0.0/8 ::1 unix")


def clock() -> Clock:
    return Clock(timezone.utc, NOW)


def counted(*pieces: bytes) -> tuple[int, ...]:
    """How often each category is counted in these bytes, which are read one piece after another."""
    the_clock, sessions, found = clock(), Sessions(), []
    for data in pieces:
        tally = Tally(60, RELAYS, NOW + 120, sessions)
        for block, end in Blocks(io.BytesIO(data).readinto, to_the_end=True):
            tally.add_block(block, end, the_clock)
        found += [each.counts for each in tally.intervals()]
        if the_clock.previous is not None:
            sessions = Sessions.load(json.loads(json.dumps(sessions.dump(the_clock.previous))))
    return tuple(map(sum, zip(*found, strict=True))) or (0,) * len(CATEGORIES)


def one(data: bytes) -> None:
    lines = data.split(b"\n")
    whole = counted(data)
    single = counted(*lines)
    assert whole == single, (whole, single)
    said = [0] * len(CATEGORIES)
    for explained in explain(lines, clock(), RELAYS):
        times = (
            int(explained.note.split("counted ")[1].split()[0])
            if ", counted " in explained.note
            else 1
        )
        for key in explained.counts:
            if explained.time is not None and explained.time <= NOW + 120:
                said[CATEGORIES.index(BY_KEY[key])] += times
    assert whole == tuple(said), (whole, said)


def main() -> None:
    corpus = Path("build/fuzz")
    corpus.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(Path("sample_logs").glob("*.log"))):
        for line, text in enumerate(path.read_bytes().split(b"\n")):
            if text and not text.startswith(b"#"):
                (corpus / f"{number}-{line}").write_bytes(text)
    atheris.Setup([sys.argv[0], "-max_len=4000", *sys.argv[1:], str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
