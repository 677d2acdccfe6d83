"""`check --tell`: what is new once, what lasts after a week, what is over; by mail and command."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from host import TEXT, line, rfc3339

from dane_mailgraph.answer import (
    Condition,
    Judgement,
    after_telling,
    message,
    news,
    observe,
)
from dane_mailgraph.cli import main
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.levels import Level
from dane_mailgraph.messenger import Messenger, parse_command, parse_messenger
from dane_mailgraph.store import KnownCondition

NOW, MINUTE, DAY = 1795485600, 60, 86400
LOST = Condition(
    "lost_authentication",
    "mx.example",
    Level.WARNING,
    NOW - 600,
    "mx.example has not been.",
    "Ask.",
)
NAMES = {"lost_authentication", "store"}


class Operator:
    """Checks every five minutes, and keeps what the messages said."""

    def __init__(self) -> None:
        self.told: list[KnownCondition] = []
        self.now = NOW

    def check(self, *holding: Condition, works: bool = True, later: int = 300) -> str:
        """Return what the message says: `new`, `still`, `over` with the number of each."""
        self.now += later
        self.told = observe(self.told, Judgement(holding), NAMES, self.now)
        sent = news(self.told, self.now)
        if works and any(sent):
            self.told = after_telling(self.told, sent, self.now)
        counts = zip(("new", "still", "over"), sent, strict=True)
        return " ".join(f"{name} {len(some)}" for name, some in counts if some)


# ---- when -----------------------------------------------------------------------------------


def test_what_is_new_is_told_once_when_it_has_held_for_two_checks() -> None:
    operator = Operator()

    assert [operator.check(LOST) for _ in range(5)] == ["", "new 1", "", "", ""]


def test_what_held_once_is_not_told() -> None:
    operator = Operator()

    assert [operator.check(LOST), operator.check(), operator.check(LOST)] == ["", "", ""]
    assert operator.check(LOST) == "new 1"


def test_what_lasts_is_told_again_after_a_week() -> None:
    operator = Operator()
    operator.check(LOST), operator.check(LOST)

    assert operator.check(LOST, later=7 * DAY - 1) == ""
    assert operator.check(LOST) == "still 1"
    assert operator.check(LOST) == ""


def test_what_becomes_critical_is_new_again_and_what_becomes_a_warning_is_not() -> None:
    operator, worse = Operator(), LOST._replace(level=Level.CRITICAL)
    operator.check(LOST), operator.check(LOST)

    assert [operator.check(worse), operator.check(worse)] == ["new 1", ""]
    assert [operator.check(LOST), operator.check(LOST)] == ["", ""]


def test_it_is_over_once_after_two_checks_with_how_long_it_lasted() -> None:
    operator = Operator()
    operator.check(LOST), operator.check(LOST), operator.check(LOST)

    assert [operator.check(), operator.check(LOST), operator.check()] == ["", "", ""]
    told = operator.told
    assert operator.check() == "over 1"
    assert told[0].last - told[0].since == 600 + 5 * 300
    assert operator.check() == ""


def test_what_comes_back_within_a_day_is_not_told_again() -> None:
    operator = Operator()
    operator.check(LOST), operator.check(LOST), operator.check(), operator.check()

    assert [operator.check(LOST), operator.check(LOST)] == ["", ""]
    assert operator.check(LOST, later=DAY) == "new 1"


def test_what_could_not_be_told_is_told_by_the_next_check() -> None:
    operator = Operator()
    operator.check(LOST)

    assert operator.check(LOST, works=False) == "new 1"
    assert operator.check(LOST) == "new 1"
    operator.check()
    assert operator.check(works=False) == "over 1"
    assert operator.check() == "over 1"
    assert operator.check() == ""


def test_what_is_accepted_or_was_not_judged_is_not_over() -> None:
    operator = Operator()
    operator.check(LOST), operator.check(LOST)
    told = operator.told

    assert observe(told, Judgement(()), {"store"}, NOW) == told
    assert observe(told, Judgement((), (LOST,)), NAMES, NOW) == []


# ---- what -----------------------------------------------------------------------------------


def test_one_message_says_all_that_is_new_with_the_next_step_and_of_hundreds_five() -> None:
    many = [LOST._replace(subject=f"mx{n}", text=f"mx{n} is lost.") for n in range(300)]
    operator = Operator()
    operator.check(*many)
    operator.now += 300
    told = observe(operator.told, Judgement(tuple(many)), NAMES, operator.now)
    written = message(news(told, operator.now), many, "mail.example.org", ENGLISH)

    assert written
    assert written.subject == "mail.example.org: Warning: mx0 is lost. (+299)"
    assert "New:\n\n* Warning: mx0 is lost.\n  Ask.\n\n" in written.text
    assert "* and 295 more: lost_authentication" in written.text and "mx5" not in written.text
    assert len(json.loads(written.data)["new"]) == 300


def test_what_is_told_of_one_server_is_one_thing() -> None:
    fails = LOST._replace(name="failing", text="Mail to mx fails.", next_step="Ask. See the queue.")
    both = [fails, LOST._replace(subject=fails.subject)]
    operator = Operator()
    operator.check(*both)
    operator.now += 300
    told = observe(operator.told, Judgement(tuple(both)), NAMES, operator.now)
    written = message(news(told, operator.now), both, "mail.example.org", ENGLISH)

    assert written and written.subject == "mail.example.org: Warning: Mail to mx fails."
    assert f"New:\n\n* Warning: Mail to mx fails. {LOST.text}\n  Ask. See" in written.text
    assert len(json.loads(written.data)["new"]) == 2


def test_the_message_speaks_german() -> None:
    told = [
        KnownCondition("store", "", NOW - 7200, NOW, 2, "outbound.rrd fehlt.", 9, 2, NOW - 60, 2)
    ]
    written = message(news(told, NOW), (), "mail.example.org", load_language("de"))

    assert written and written.subject == "mail.example.org: Vorbei: outbound.rrd fehlt."
    assert "Vorbei:\n\n* outbound.rrd fehlt.\n  Dauer: 2 Std." in written.text


# ---- whom -----------------------------------------------------------------------------------


def test_a_messenger_is_mail_or_a_command() -> None:
    assert parse_messenger("") is None
    assert parse_messenger("mail:a@b.example") == Messenger((), ("a@b.example",), "localhost", 25)
    several = parse_messenger("mail:a@b,c@d via [::1]:2525")
    assert several == Messenger((), ("a@b", "c@d"), "::1", 2525)
    assert parse_messenger("command:/bin/x --to 'a b'") == Messenger(("/bin/x", "--to", "a b"))
    assert parse_command("") == () and parse_command("command:/bin/x y") == ("/bin/x", "y")


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "mail:",
        "mail:root",
        "mail:a@b\nBcc: c@d",
        "mail:a@b via x:99999",
        "command:",
        "command:x",
        "command:/x 'y",
    ],
)
def test_what_is_no_messenger_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_messenger(text)


# ---- from the command line ------------------------------------------------------------------


class Mailbox:
    """A real SMTP server on the loopback interface, and what it was given."""

    def __init__(self) -> None:
        mails: list[tuple[str, list[str], bytes]] = []

        class Session(StreamRequestHandler):
            def handle(self) -> None:
                sender, recipients = "", []
                self.wfile.write(b"220 test ESMTP\r\n")
                while words := self.rfile.readline().decode().strip():
                    verb = words[:4].upper()
                    reply = "250 ok"
                    if verb == "MAIL":
                        sender = words
                    elif verb == "RCPT":
                        recipients.append(words)
                        reply = "550 no such user" if "nobody" in words else "250 ok"
                    elif verb == "DATA":
                        self.wfile.write(b"354 go\r\n")
                        content = b"".join(iter(self.rfile.readline, b".\r\n"))
                        mails.append((sender, recipients, content))
                    elif verb == "QUIT":
                        reply = "500 what a pity"
                    self.wfile.write(f"{reply}\r\n".encode())

        self.mails = mails
        self.server = ThreadingTCPServer(("127.0.0.1", 0), Session)
        self.port = self.server.server_address[1]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    with box.server:
        Thread(target=box.server.serve_forever, daemon=True).start()
        yield box
        box.server.shutdown()


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `check` on a store that did not understand nine lines of ten."""
    log, state = tmp_path / "mail.log", tmp_path / "state"
    log.write_text(line(rfc3339(int(time.time()) - 300), TEXT) + "no time in this line\n" * 9)
    settings = ["--config", os.devnull, "--state-dir", str(state), "--log", str(log)]
    assert main(["collect", *settings]) == 0
    capsys.readouterr()

    def run(*options: str) -> tuple[int, str]:
        status = main(["check", *settings, *options, "--host", "mail.example.org"])
        return status, capsys.readouterr().out

    return run


def test_a_mail_is_sent_once_and_says_what_and_whence(run: Run, mailbox: Mailbox) -> None:
    to = f"mail:postmaster@example.org via 127.0.0.1:{mailbox.port}"

    for _ in range(4):
        status, said = run("--tell", to)
        assert status == 2 and said.startswith("CRITICAL - 9 of 10")
    ((sender, recipients, content),) = mailbox.mails
    mail = message_from_bytes(content, policy=policy.default)
    assert "<dane-mailgraph@mail.example.org>" in sender
    assert [each.split()[1].lower() for each in recipients] == ["to:<postmaster@example.org>"]
    assert mail["Subject"].startswith("mail.example.org: Critical: 9 of 10 lines")
    assert (mail["To"], mail["Auto-Submitted"]) == ("postmaster@example.org", "auto-generated")
    assert mail["From"] == "dane-mailgraph <dane-mailgraph@mail.example.org>"
    assert isinstance(mail, EmailMessage)
    assert "See `dane-mailgraph doctor`." in mail.get_content()


def test_a_mail_that_is_refused_is_3_and_is_sent_again(run: Run, mailbox: Mailbox) -> None:
    to = f"mail:nobody@example.org via 127.0.0.1:{mailbox.port}"
    assert run("--tell", to)[0] == 2

    for _ in range(2):
        status, said = run("--tell", to, "--quiet")
        assert status == 3
        assert "UNKNOWN - The mail to nobody@example.org cannot be handed to 127.0.0.1:" in said
        assert f":{mailbox.port}: 550 no such user; see whether Postfix listens there" in said


def test_a_mail_that_only_some_are_refused_is_not_sent_to_the_others_again(
    run: Run, mailbox: Mailbox
) -> None:
    to = f"mail:nobody@example.org,b@example.org via 127.0.0.1:{mailbox.port}"

    assert [run("--tell", to)[0] for _ in range(4)] == [2, 2, 2, 2]
    assert len(mailbox.mails) == 1


def test_a_server_that_is_not_there_is_3_and_names_it(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    to = f"mail:a@example.org via 127.0.0.1:{port}"

    assert run("--tell", to)[0] == 2
    assert f"127.0.0.1:{port}: Connection refused; see whether" in run("--tell", to)[1]


def test_a_command_gets_the_text_and_the_json(run: Run, tmp_path: Path) -> None:
    got = tmp_path / "got"
    script = tmp_path / "messenger"
    script.write_text(
        f'#!/bin/sh\ncat >> {got}.text; printf "%s" "$DANE_MAILGRAPH_MESSAGE" > {got}.json\n'
    )
    script.chmod(0o755)
    beat = f"command:/bin/sh -c 'echo beat >> {got}.beat'"
    for _ in range(3):
        assert run("--tell", f"command:{script}", "--heartbeat", beat)[0] == 2

    assert (tmp_path / "got.text").read_text().startswith("New:\n\n* Critical: 9 of 10 lines")
    data = json.loads((tmp_path / "got.json").read_text())
    assert (data["host"], data["new"][0]["name"]) == ("mail.example.org", "omissions")
    assert (tmp_path / "got.beat").read_text() == "beat\n" * 3


def test_a_command_that_fails_is_named_with_what_it_said_and_no_heartbeat_follows(
    run: Run, tmp_path: Path
) -> None:
    failing = "command:/bin/sh -c 'echo no network. >&2; exit 7'"
    beat = f"command:/usr/bin/touch {tmp_path / 'beat'}"
    run("--tell", failing)
    status, said = run("--tell", failing, "--heartbeat", beat)

    assert status == 3 and "UNKNOWN - /bin/sh ended with 7: no network; run it by hand." in said
    assert not (tmp_path / "beat").exists()
    assert "/nowhere cannot be run: No such file" in run("--tell", "command:/nowhere")[1]


def test_a_test_message_is_sent_now_and_remembers_nothing(run: Run, mailbox: Mailbox) -> None:
    to = f"mail:postmaster@example.org via 127.0.0.1:{mailbox.port}"

    assert run("--tell", to, "--test")[0] == 2
    ((_, _, content),) = mailbox.mails
    assert b"This is a test" in content
    assert "it needs --tell" in run("--test")[1]
    status, said = run("--tell", "--test")
    assert status == 3 and "set `tell = mail:ADDRESS`" in said


@pytest.mark.slow
def test_a_busy_store_is_found_out_before_anything_is_sent(
    run: Run, mailbox: Mailbox, tmp_path: Path
) -> None:
    to = f"mail:postmaster@example.org via 127.0.0.1:{mailbox.port}"
    run("--tell", to)
    ledger = tmp_path / "state" / "ledger.sqlite"
    ledger.chmod(0o444)
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert run("--tell", to)[0] == 3
    finally:
        other.rollback()
        other.close()
    assert mailbox.mails == []
    assert run("--tell", to)[0] == 2
    assert len(mailbox.mails) == 1


def test_tell_may_stand_before_the_verb(tmp_path: Path) -> None:
    nowhere = ["--config", os.devnull, "--state-dir", str(tmp_path / "nowhere")]

    assert main(["--tell", "check", "--quiet", *nowhere]) == 3
    assert main(["--tell", "--quiet", "check", *nowhere]) == 3
    assert main(["--tell", "mail:a@b", "check", *nowhere]) == 3
