"""The end of a log, the rules of loggers, and who may read: real files, Postfix's own lines."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest
from host import START, line, rfc3339, yearless
from servers import needs

from dane_mailgraph.doctor import log_end, loggers, unit
from dane_mailgraph.doctor.log_end import LogEnd
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.programs import Account

DELIVERY = (
    "4F7A21E153: to=<a@example.org>, relay=mx.example.org[192.0.2.1]:25, "
    "delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)"
)


def end(folder: Path, *lines: str, changed: int = START) -> LogEnd:
    path = folder / "mail.log"
    path.write_text("".join(lines), encoding="utf-8", newline="")
    os.utime(path, (changed, changed))
    return log_end.read_end(str(path), timezone.utc, PeerSet("127.0.0.0/8 ::1 unix"), START)


def test_the_end_of_a_log_is_read_as_the_counter_reads_it(tmp_path: Path) -> None:
    stamp = rfc3339(START)
    said = end(
        tmp_path,
        line(stamp),
        line(rfc3339(START - 60)),
        line(stamp, DELIVERY),
        line(stamp, "warning: DNSSEC validation may be unavailable"),
        line(stamp, "warning: DNSSEC validation may be unavailable", "postfix/smtpd"),
        line(stamp, "connect from x[192.0.2.9]", "postfix/smtpd"),
        f"{stamp} mx1 dovecot: imap-login: no\n",
        "torn in the middle\n",
    )

    assert said == LogEnd(
        str(tmp_path / "mail.log"),
        changed=START,
        lines=8,
        unstamped=1,
        newest=START,
        postfix=6,
        deliveries=1,
        connections=2,
        warnings={"dnssec_unavailable": 1},
    )


def test_forged_lines_prove_nothing(tmp_path: Path) -> None:
    """A remote server chooses what stands in a bounce."""
    stamp = rfc3339(START)
    inside = line(stamp).rstrip("\n")
    said = end(
        tmp_path,
        line(stamp, f"4F7A21E153: host mx[192.0.2.1] said: 550 \u2028{inside}"),
        line(stamp, f"x {DELIVERY}"),
    )

    assert (said.lines, said.connections, said.deliveries) == (2, 0, 0)


def test_stamps_without_a_zone_are_counted(tmp_path: Path) -> None:
    assert end(tmp_path, line(yearless(START)), line(rfc3339(START))).yearless == 1
    there = end(tmp_path, line(yearless(START - 7200)))
    assert (there.newest, there.changed) == (START - 7200, START)


def test_only_the_last_lines_of_a_long_log_are_read(tmp_path: Path) -> None:
    said = end(tmp_path, line(rfc3339(START - 86400)) * 20000, line(rfc3339(START)))

    assert 500 < said.lines == said.connections < 3000
    assert (said.unstamped, said.newest) == (0, START)


def test_lines_whose_program_rsyslog_has_cut_off_are_counted_as_nameless(tmp_path: Path) -> None:
    text = line(rfc3339(START)).partition("]: ")[2]

    assert end(tmp_path, f"<22>1 {rfc3339(START)} mx1 postfix 101 - - {text}").nameless == 1


@pytest.mark.parametrize(
    ("text", "folded", "dropped"),
    [
        ("last message repeated 3 times", 1, 0),
        ("message repeated 3 times: [ Verified TLS connection established to", 1, 0),
        ("message repeated 3 times: [ Verified TLS ]", 0, 0),
        ("imuxsock lost 12 messages from pid 101 due to rate-limiting", 0, 1),
        ("Suppressed 44 messages from postfix@-.service", 0, 1),
        ("Suppressed 44 messages from cron.service", 0, 0),
    ],
)
def test_traces_of_loggers_that_fold_or_drop_are_found(
    text: str, folded: int, dropped: int, tmp_path: Path
) -> None:
    said = end(tmp_path, line(rfc3339(START), text))

    assert (said.folded, said.dropped) == (folded, dropped)


@pytest.mark.parametrize("text", ["", "\n\n", "no stamp\n", "\0\n"])
def test_an_empty_log_is_reported(text: str, tmp_path: Path) -> None:
    said = end(tmp_path, text)

    assert (said.newest, said.connections, said.trouble) == (None, 0, "")


def test_a_log_that_cannot_be_read_is_reported_as_the_counter_says_it(tmp_path: Path) -> None:
    relays = PeerSet("")
    os.mkfifo(tmp_path / "pipe")

    assert log_end.read_end(str(tmp_path / "none"), None, relays, START).trouble.startswith(
        f"{tmp_path}/none is not there; "
    )
    assert log_end.read_end(str(tmp_path), None, relays, START).trouble.startswith(
        f"{tmp_path} is a directory; "
    )
    assert log_end.read_end(str(tmp_path / "pipe"), None, relays, START).trouble.startswith(
        f"{tmp_path}/pipe is a pipe, "
    )


# ---- the loggers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "files", "reduced"),
    [
        ("mail.*\t\t-/var/log/mail.log\n", ("/var/log/mail.log",), False),
        (
            "*.*;auth,authpriv.none\t-/var/log/syslog\nmail.*  -/var/log/mail.log\n",
            ("/var/log/syslog", "/var/log/mail.log"),
            False,
        ),
        (
            "*.info;mail.none;authpriv.none /var/log/messages\nmail.* -/var/log/maillog\n",
            ("/var/log/maillog",),
            False,
        ),
        (
            "mail.err /var/log/mail.err\nmail.warn -/var/log/mail.warn\n"
            "mail.info -/var/log/mail.info\n",
            ("/var/log/mail.info",),
            False,
        ),
        ('mail.* action(type="omfile" file="/srv/mail")\n', ("/srv/mail",), False),
        ("news,mail.* /x\n#mail.* /y\nmail.* @loghost\nauth.* /z\n", ("/x",), False),
        ("$RepeatedMsgReduction on\n", (), True),
        ("#$RepeatedMsgReduction on\n$RepeatedMsgReduction off\n", (), False),
    ],
)
def test_rules_of_rsyslog_tell_where_mail_goes(
    rules: str, files: tuple[str, ...], reduced: bool, tmp_path: Path
) -> None:
    (tmp_path / "etc/rsyslog.d").mkdir(parents=True)
    (tmp_path / "etc/rsyslog.d/50-default.conf").write_text(rules)
    routes = loggers.find_routes(str(tmp_path))

    assert (routes.files, routes.reduced, routes.rsyslog, routes.journal) == (
        files,
        reduced,
        False,
        False,
    )


def test_a_running_rsyslog_is_known_by_its_process(tmp_path: Path) -> None:
    (tmp_path / "proc/12").mkdir(parents=True)
    (tmp_path / "proc/12/comm").write_text("rsyslogd\n")

    assert loggers.find_routes(str(tmp_path)).rsyslog is True
    (tmp_path / "proc/12/comm").write_text("rsyslogd-x\n")
    assert loggers.find_routes(str(tmp_path)).rsyslog is False


# ---- who may read ---------------------------------------------------------------------------

NOBODY = Account("nobody", 65534, 65534, ())


@needs("sh", root=True)
@pytest.mark.parametrize(
    ("mode", "folder", "good"), [(0o644, 0o755, True), (0o600, 0o755, False), (0o644, 0o700, False)]
)
def test_root_asks_as_the_user_that_counts(mode: int, folder: int, good: bool) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        path = Path(name) / "mail.log"
        path.touch()
        path.chmod(mode)
        Path(name).chmod(folder)

        assert unit.can_read(str(path), NOBODY) is good
        path.chmod(0o640)
        Path(name).chmod(0o755)
        os.chown(path, 0, 4)
        assert unit.can_read(str(path), NOBODY._replace(groups=(4,))) is True


def test_the_owner_of_the_state_directory_is_the_user_that_counts(tmp_path: Path) -> None:
    account = unit.counting_account(str(tmp_path))

    assert account and account.uid == os.geteuid()
    assert unit.can_read(str(tmp_path), account) is True
    assert unit.counting_account(str(tmp_path / "none")) is None


def test_a_stamp_without_a_year_is_of_the_year_of_its_file(tmp_path: Path) -> None:
    old = int(datetime(2024, 12, 31, 23, 59, tzinfo=timezone.utc).timestamp())

    assert end(tmp_path, line(yearless(old)), changed=old).newest == old
