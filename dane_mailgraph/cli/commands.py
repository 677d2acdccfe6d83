"""What each verb does with settings and options, and what it prints."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, tzinfo

from ..config import Config, load, printed
from ..counting import TOLERANCE, Result, remarks
from ..errors import MailgraphError, StoreError, UsageError
from ..log import LONGEST, Clock, LogFile, open_log
from ..omissions import OMISSIONS
from ..store import RelayTable
from ..times import moment
from . import app
from .terminal import printable, tell, unprinted


def settings_in_force(options: argparse.Namespace) -> Config:
    """Return the configuration of these options, the environment and the file; raises ConfigError."""
    return load(options.config or None, os.environ, vars(options))


def overview(settings: Config, options: argparse.Namespace) -> None:
    """Print what needs attention, and the figures of the last 24 hours."""
    from ..answer import overview

    now, zone = int(time.time()), settings.time_zone
    with app.reading(settings) as ledger:
        rrd = app.read_only(settings, ledger)
        print("\n".join(map(printable, overview.as_lines(rrd, ledger, now, zone))))


def run(settings: Config, options: argparse.Namespace) -> None:
    """Follow the log and count, until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    from . import daemon

    heard = daemon.hear_signals()
    with ExitStack() as stack:
        counters: list[app.Counter] = []

        def take_hold(*, make: bool = False) -> None:
            counters.clear()
            stack.close()
            counters.append(
                stack.enter_context(app.counting(settings, make=make, alive=daemon.alive))
            )

        def tick(now: int) -> None:
            if not counters or not counters[0].in_place():
                take_hold()
            counters[0].step(now)

        def reload() -> None:
            nonlocal settings
            before = settings
            try:
                settings = settings_in_force(options)
                take_hold(make=True)
                tell("Read the configuration again.")
            except MailgraphError as error:
                settings = before  # the next tick takes hold of its store again
                tell(f"{error} Keeping the previous configuration.")

        def speak(sentence: str) -> None:
            tell(sentence)
            daemon.tell_systemd(f"STATUS={printable(sentence)}")

        # The first tick says so. What waiting cannot mend ends it here: a store that is another's to write, another step.
        with suppress(StoreError):
            take_hold(make=True)
        daemon.run(tick, reload, heard, daemon.Voice(speak))


def collect(settings: Config, options: argparse.Namespace) -> None:
    """Count once what is new in the log."""
    now = int(time.time())
    with app.counting(settings) as counter:
        step = counter.step(now, count_lines=options.verbose)
        newest = counter.newest
    if options.verbose:
        print(f"read {step.lines:,} lines ({step.read:,} bytes), {_counted(step)}")
        print(", ".join(f"{name} {count:,}" for name, count in step.omitted.items()))
        if newest is not None:
            print(
                f"newest line {datetime.fromtimestamp(newest, settings.time_zone):%Y-%m-%d %H:%M:%S}, {now - newest:,} s ago"
            )


def import_(settings: Config, options: argparse.Namespace) -> None:
    """Count whole logs, plain or compressed, in any order."""
    with app.locked(settings):
        count = app.rebuild if options.rebuild else app.import_logs
        step = count(settings, options.files, options.year)
    for sentence in remarks(step, settings.time_zone):
        tell(sentence)
    print(_counted(step))


def render(settings: Config, options: argparse.Namespace) -> None:
    """Write the pictures and index.html into output_dir."""
    app.draw(settings, int(time.time()))


def report(settings: Config, options: argparse.Namespace) -> None:
    """Print the totals of a range."""
    from ..answer import report

    now, zone = int(time.time()), settings.time_zone
    since, until = _range(options, now, zone)
    with app.reading(settings) as ledger:
        found = report.totals(app.read_only(settings, ledger), ledger, since, until)
        remarks = report.state_of_counting(ledger, found, now, zone)
        remarks += report.warning_lines(RelayTable(ledger).warnings(since), zone)
    print(report.format_report(found, options.format, zone, remarks))


def relays(settings: Config, options: argparse.Namespace) -> None:
    """Print one row a relay, of the whole days that a range touches."""
    from ..answer import relays

    zone = settings.time_zone
    since, until = _range(options, int(time.time()), zone)
    with app.reading(settings) as ledger:
        found = relays.find_relays(RelayTable(ledger), since, until, zone)
    found = relays.choose(found, only=options.only, sort=options.sort, limit=options.limit)
    print(relays.format_relays(found, options.format, zone))


def _range(options: argparse.Namespace, now: int, zone: tzinfo | None) -> tuple[int, int]:
    """Return the epoch seconds of --since and --until."""
    return moment(options.since, now, zone), moment(options.until, now, zone)


def explain(settings: Config, options: argparse.Namespace) -> None:
    """Read log lines and print of each what it counts as, or why it does not count."""
    from ..postfix import explanation

    show = explanation.as_json if options.format == "json" else explanation.as_text
    with open_log(options.file, named=True) as log:
        latest = int(log.status.st_mtime) if log.is_regular else int(time.time())
        horizon = int(time.time()) + TOLERANCE
        for each in explanation.explain(
            _lines(log), Clock(settings.time_zone, latest), settings.ignore_relays, horizon
        ):
            line = printable(show(each))
            try:
                print(line, flush=not log.is_regular)
            except OSError as error:  # here, because it would be taken for the log's
                raise unprinted(error) from error


def doctor(settings: Config, options: argparse.Namespace) -> int:
    """Print what keeps the numbers from being right; the status is 1 if something must be mended."""
    from ..dane import servers
    from ..doctor import diagnose, facts, findings

    targets = [servers.target(text) for text in options.mx]
    found = diagnose(facts.gather(settings, targets, int(time.time())))
    show = findings.as_json if options.format == "json" else findings.as_text
    print("\n".join(map(printable, show(found).split("\n"))))
    return int(any(each.verdict is findings.Verdict.FAIL for each in found))


def tlsa(settings: Config, options: argparse.Namespace) -> None:
    """Print the TLSA records to publish for a certificate, and what would break them."""
    from ..dane import certificates, servers, zone_file

    name = servers.host(options.name)
    targets = [servers.Target(name, port) for port in dict.fromkeys(options.port or [servers.SMTP])]
    lines = zone_file.zone_lines(certificates.chains(options.file, name), targets, int(time.time()))
    print("\n".join(map(printable, lines)))


def config(settings: Config, options: argparse.Namespace) -> None:
    """Print the configuration in force as a file."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            encoding="utf-8", errors="surrogateescape"
        )  # as it is read; a path may be any bytes
    print(printed(settings))


def demo(settings: Config, options: argparse.Namespace) -> None:
    """Count the sample logs and made-up traffic into DIR, draw, print where the page is."""
    from . import demo

    folder = os.path.abspath(options.dir)
    now = int(time.time())
    here = settings._replace(
        state_dir=os.path.join(folder, "state"),
        output_dir=os.path.join(folder, "www"),
        log=os.path.join(folder, "mail.log"),
        show_destinations=True,  # nobody's mail goes there
    )
    others = [path for path in (here.state_dir, here.output_dir, here.log) if os.path.lexists(path)]
    if others and not os.path.exists(os.path.join(here.state_dir, demo.MARK)):
        raise UsageError(
            f"{others[0]} already exists and was not made by `demo`; name an empty folder."
        )
    with app.locked(here):
        demo.prepare(here.state_dir, here.log, now)
        step = app.import_logs(here, [here.log, *demo.samples()], demo.YEAR)
    print(_counted(step))
    print(app.draw(here, now))


def _lines(log: LogFile) -> Iterator[bytes]:
    """Lines as they come: an answer to a line must not wait for the next ones."""
    view = memoryview(bytearray(1 << 16))
    rest = b""
    while got := log.readinto(view):
        *lines, rest = (rest + bytes(view[:got])).split(b"\n")
        yield from lines
        rest = rest[:LONGEST]  # a line so long is told by its length alone
    if rest:
        yield rest


def _counted(step: Result) -> str:
    expected = (
        each.in_words(count)
        for each in OMISSIONS
        if not each.is_remarkable and (count := step.omitted[each.name])
    )
    recipients = f" and {step.recipients:,} recipients" if step.recipients else ""
    return "; ".join([f"counted {step.counted:,} connections{recipients}", *expected])
