"""The verbs: what each does with settings and options, and what it prints."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, tzinfo

from .. import config
from ..answer import GOOD, REMEMBERED, SUSPECT, regressions
from ..config import Config
from ..counting import TOLERANCE, Result, remarks
from ..errors import MailgraphError, StoreError, UsageError
from ..log import LONGEST, Clock, LogFile, open_log
from ..store import Ledger, RelayTable
from ..times import day_of, midnight, moment
from . import app
from .terminal import printable, tell, unprinted


def settings_in_force(options: argparse.Namespace) -> Config:
    """The configuration of these options, the environment and the file; raises ConfigError."""
    return config.load(options.config or None, os.environ, vars(options))


def _run(settings: Config, options: argparse.Namespace) -> None:
    """follow the log and count, until SIGTERM or SIGINT; SIGHUP reads the configuration again"""
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
                tell("The configuration has been read again.")
            except MailgraphError as error:
                settings = before  # the next tick takes hold of its store again
                tell(f"{error} The configuration of before stays in force.")

        def speak(sentence: str) -> None:
            tell(sentence)
            daemon.tell_systemd(f"STATUS={printable(sentence)}")

        # The first tick says so. What waiting cannot mend ends it here: a store that is another's to write, another step.
        with suppress(StoreError):
            take_hold(make=True)
        daemon.run(tick, reload, heard, daemon.Voice(speak))


def _collect(settings: Config, options: argparse.Namespace) -> None:
    """one step of what run repeats, then exit: for cron"""
    now = int(time.time())
    with app.counting(settings) as counter:
        step = counter.step(now, count_lines=options.verbose)
        newest = counter.newest
    if options.verbose:
        print(f"read {step.lines:,} lines ({step.read:,} bytes), {_counted(step)}")
        print(
            f"late {step.late:,}, skipped {step.skipped:,}, in the future {step.future:,}, unreadable {step.unreadable:,}"
        )
        if newest is not None:
            print(
                f"newest line {datetime.fromtimestamp(newest, settings.time_zone):%Y-%m-%d %H:%M:%S}, {now - newest:,} s ago"
            )


def _import(settings: Config, options: argparse.Namespace) -> None:
    """count whole logs, plain or compressed, in any order"""
    with app.locked(settings):
        count = app.rebuild if options.rebuild else app.import_logs
        step = count(settings, options.files, options.year)
    for sentence in remarks(step, settings.time_zone):
        tell(sentence)
    print(
        _counted(step)
        + (f", skipped {step.skipped:,} lines that had been counted before" if step.skipped else "")
    )


def _render(settings: Config, options: argparse.Namespace) -> None:
    """write the PNGs and index.html into output_dir"""
    app.draw(settings, int(time.time()))


def _report(settings: Config, options: argparse.Namespace) -> int | None:
    """print totals; with --by relay, to whom; with --changes, which relays are not authenticated any more"""
    from ..answer import relays, report

    _agree(options)
    now, zone = int(time.time()), settings.time_zone
    since, until = (moment(text, now, zone) for text in (options.since, options.until))
    with app.reading(settings) as ledger:
        if options.changes:
            return _report_changes(ledger, options, since, now, zone)
        if options.by:
            _report_relays(ledger, options, since, until, zone)
            return None
        found = report.totals(app.read_only(settings, ledger), ledger, since, until)
        if options.format == "text":
            alarms = relays.alarms_as_text(RelayTable(ledger).warnings(since), zone)
            print(report.as_text(found, zone, report.health(ledger, found, now, zone) + alarms))
        else:
            print(report.as_json(found) if options.format == "json" else report.as_csv(found))
    return None


def _agree(options: argparse.Namespace) -> None:
    """Raise UsageError for options of a report that another one would silence."""
    if options.by and options.changes:
        raise UsageError("--by and --changes are two reports; leave one of them out.")
    for option, given, other in (
        ("only", options.by, "--by relay"),
        ("sort", options.by, "--by relay"),
        ("days", options.changes, "--changes"),
    ):
        if getattr(options, option) is not None and not given:
            raise UsageError(f"--{option} is only for {other}; add that, or leave --{option} out.")


def _report_relays(
    ledger: Ledger, options: argparse.Namespace, since: int, until: int, zone: tzinfo | None
) -> None:
    from ..answer import relays

    first, last = day_of(since, zone), day_of(max(since, until - 1), zone)
    found = RelayTable(ledger).totals(first, last)
    if options.only:
        found = relays.only(found, options.only)
    found = relays.ordered(found, options.sort or "total")
    since, until = midnight(since, zone), midnight(max(since, until - 1), zone, days=1)
    if options.format == "text":
        print(relays.as_text(since, until, found, zone))
    else:
        print(
            relays.as_json(since, until, found)
            if options.format == "json"
            else relays.as_csv(found)
        )


def _report_changes(
    ledger: Ledger, options: argparse.Namespace, since: int, now: int, zone: tzinfo | None
) -> int:
    """The exit status: 1 where a relay is not authenticated any more, for those who want to be told."""
    from ..answer import relays

    relay_table = RelayTable(ledger)
    first = day_of(since, zone)
    lost = regressions(
        relay_table.suspects(first, GOOD, SUSPECT), options.days or REMEMBERED, first
    )
    alarms = relay_table.warnings(since)
    if options.format == "text":
        print(relays.changes_as_text(lost, alarms, zone))
    else:
        print(
            relays.changes_as_json(lost, alarms)
            if options.format == "json"
            else relays.changes_as_csv(lost)
        )
    return 1 if lost else 0


def _explain(settings: Config, options: argparse.Namespace) -> None:
    """read log lines and say of each what it counts as, and why not"""
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


def _doctor(settings: Config, options: argparse.Namespace) -> int:
    """say what keeps the numbers from being right, each with the command that mends it"""
    from ..dane import servers
    from ..doctor import diagnose, facts, findings

    targets = [servers.target(text) for text in options.mx]
    found = diagnose(facts.gather(settings, targets, int(time.time())))
    show = findings.as_json if options.format == "json" else findings.as_text
    print("\n".join(map(printable, show(found).split("\n"))))
    return int(any(each.verdict is findings.Verdict.FAIL for each in found))


def _tlsa(settings: Config, options: argparse.Namespace) -> None:
    """print the TLSA records to publish for a certificate, as lines of a zone file, with what would break them"""
    from ..dane import certificates, servers, zone_file

    name = servers.host(options.name)
    targets = [servers.Target(name, port) for port in dict.fromkeys(options.port or [servers.SMTP])]
    lines = zone_file.zone_lines(certificates.chains(options.file, name), targets, int(time.time()))
    print("\n".join(map(printable, lines)))


def _config(settings: Config, options: argparse.Namespace) -> None:
    """print the effective configuration as a file"""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            encoding="utf-8", errors="surrogateescape"
        )  # as it is read; a path may be any bytes
    print(config.printed(settings))


def _demo(settings: Config, options: argparse.Namespace) -> None:
    """count the bundled sample logs and some made traffic into DIR, render, print where the page is"""
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
        raise UsageError(f"{others[0]} is there already and is no demo's; name an empty folder.")
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
    return f"counted {step.counted:,} connections" + (
        f" and {step.recipients:,} recipients" if step.recipients else ""
    )


Verb = Callable[[Config, argparse.Namespace], int | None]
"""Gives the exit status; None is 0. Its docstring is its help."""

VERBS: dict[str, Verb] = {
    "run": _run,
    "collect": _collect,
    "import": _import,
    "render": _render,
    "report": _report,
    "explain": _explain,
    "doctor": _doctor,
    "tlsa": _tlsa,
    "config": _config,
    "demo": _demo,
}
"""Name -> verb, in the order of the help."""
