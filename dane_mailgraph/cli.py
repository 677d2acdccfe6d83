"""The verbs, and the command line that they are called by."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, tzinfo
from typing import NoReturn

from . import __version__, config, terminal, wiring
from .archive import Opened, opened
from .clock import Clock
from .collect import TOLERANCE, Step, remarks
from .config import Config
from .daybook import Daybook
from .destinations import REMEMBERED, regressions
from .errors import MailgraphError, StoreError, UsageError
from .ledger import Ledger
from .store import Store
from .syslog import LONGEST
from .tally import day_of
from .terminal import printable, tell, unprinted

Verb = Callable[[Config, argparse.Namespace], int | None]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    terminal.open_streams()
    try:
        options = _parser().parse_args(arguments)
        verb: Verb = options.verb
        status = verb(_settings(options), options)
        sys.stdout.flush()
    except MailgraphError as error:
        tell(str(error))
        return error.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        tell(str(unprinted(error)))
        return StoreError.status
    return status or 0


# ---- the verbs ------------------------------------------------------------------------------


def _settings(options: argparse.Namespace) -> Config:
    return config.load(options.config or None, os.environ, vars(options))


def _run(settings: Config, options: argparse.Namespace) -> None:
    """follow the log and count, until SIGTERM or SIGINT; SIGHUP reads the configuration again"""
    from . import daemon

    heard = daemon.hear_signals()
    with ExitStack() as stack:
        counters: list[wiring.Counter] = []

        def take_hold(*, make: bool = False) -> None:
            counters.clear()
            stack.close()
            counters.append(stack.enter_context(wiring.counting(settings, make=make, alive=daemon.alive)))

        def tick(now: int) -> None:
            if not counters or not counters[0].in_place():
                take_hold()
            counters[0].step(now)

        def reload() -> None:
            nonlocal settings
            before = settings
            try:
                settings = _settings(options)
                take_hold(make=True)
                tell("The configuration has been read again.")
            except MailgraphError as error:
                settings = before  # the next tick takes hold of its store again
                tell(f"{error} The configuration of before stays in force.")

        with suppress(StoreError):  # the first tick says so; a store that is another's to write ends it here
            take_hold(make=True)
        daemon.run(tick, reload, heard, daemon.Voice(tell))


def _collect(settings: Config, options: argparse.Namespace) -> None:
    """one step of what run repeats, then exit: for cron"""
    now = int(time.time())
    with wiring.counting(settings) as counter:
        step = counter.step(now, count_lines=options.verbose)
        newest = counter.newest
    if options.verbose:
        print(f"read {step.lines:,} lines ({step.read:,} bytes), {_counted(step)}")
        print(f"late {step.late:,}, skipped {step.skipped:,}, in the future {step.future:,}, unreadable {step.unreadable:,}")
        if newest is not None:
            print(f"newest line {datetime.fromtimestamp(newest, settings.time_zone):%Y-%m-%d %H:%M:%S}, {now - newest:,} s ago")


def _import(settings: Config, options: argparse.Namespace) -> None:
    """count whole logs, plain or compressed, in any order"""
    with wiring.locked(settings):
        count = wiring.rebuild if options.rebuild else wiring.import_logs
        step = count(settings, options.files, options.year)
    for sentence in remarks(step, settings.time_zone):
        tell(sentence)
    print(_counted(step) + (f", skipped {step.skipped:,} lines that had been counted before" if step.skipped else ""))


def _render(settings: Config, options: argparse.Namespace) -> None:
    """write the PNGs and index.html into output_dir"""
    wiring.draw(settings, int(time.time()))


def _report(settings: Config, options: argparse.Namespace) -> int | None:
    """print totals; with --by relay, to whom; with --changes, which relays are not authenticated any more"""
    from . import listing, report

    now, zone = int(time.time()), settings.time_zone
    since, until = (report.moment(text, now, zone) for text in (options.since, options.until))
    with wiring.reading(settings) as ledger:
        if options.changes:
            return _report_changes(ledger, options, since, now, zone)
        if options.by:
            _report_relays(ledger, options, since, until, zone)
            return None
        found = report.totals(Store(settings.state_dir, settings.step), ledger, since, until)
        if options.format == "text":
            alarms = listing.alarms_as_text(Daybook(ledger).alarms(since), zone)
            print(report.as_text(found, zone, report.health(ledger, found, now, zone) + alarms))
        else:
            print(report.as_json(found) if options.format == "json" else report.as_csv(found))
    return None


def _report_relays(ledger: Ledger, options: argparse.Namespace, since: int, until: int, zone: tzinfo | None) -> None:
    from . import listing, report

    first, last = day_of(since, zone), day_of(max(since, until - 1), zone)
    found = Daybook(ledger).destinations(first, last)
    if options.only:
        found = listing.only(found, options.only)
    found = listing.ordered(found, options.sort)
    since, until = report.midnight(since, zone), report.midnight(max(since, until - 1), zone, days=1)
    if options.format == "text":
        print(listing.as_text(since, until, found, zone))
    else:
        print(listing.as_json(since, until, found) if options.format == "json" else listing.as_csv(found))


def _report_changes(ledger: Ledger, options: argparse.Namespace, since: int, now: int, zone: tzinfo | None) -> int:
    """The exit status: 1 where a relay is not authenticated any more, for those who want to be told."""
    from . import listing

    daybook = Daybook(ledger)
    first = day_of(since, zone)
    lost = regressions(daybook.suspects(first), options.days, first)
    alarms = daybook.alarms(since)
    if options.format == "text":
        print(listing.changes_as_text(lost, alarms, zone))
    else:
        print(listing.changes_as_json(lost, alarms) if options.format == "json" else listing.changes_as_csv(lost))
    return 1 if lost else 0


def _explain(settings: Config, options: argparse.Namespace) -> None:
    """read log lines and say of each what it counts as, and why not"""
    from . import explain

    show = explain.as_json if options.format == "json" else explain.as_text
    with opened(options.file) as log:
        latest = int(log.status.st_mtime) if log.dated else int(time.time())
        horizon = int(time.time()) + TOLERANCE
        for each in explain.explain(_lines(log), Clock(settings.time_zone, latest), settings.ignore_relays, horizon):
            line = printable(show(each))
            try:
                print(line, flush=not log.dated)
            except OSError as error:  # here, because it would be taken for the log's
                raise unprinted(error) from error


def _doctor(settings: Config, options: argparse.Namespace) -> int:
    """say what keeps the numbers from being right, each with the command that mends it"""
    from . import facts, findings, own_mx
    from .diagnose import diagnose

    targets = [own_mx.target(text) for text in options.mx]
    found = diagnose(facts.gather(settings, targets, int(time.time())))
    show = findings.as_json if options.format == "json" else findings.as_text
    print("\n".join(map(printable, show(found).split("\n"))))
    return int(any(each.verdict is findings.Verdict.FAIL for each in found))


def _config(settings: Config, options: argparse.Namespace) -> None:
    """print the effective configuration as a file"""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path may be any bytes
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
    with wiring.locked(here):
        demo.prepare(here.state_dir, here.log, now)
        step = wiring.import_logs(here, [here.log, *demo.samples()], demo.YEAR)
    print(_counted(step))
    print(wiring.draw(here, now))


def _lines(log: Opened) -> Iterator[bytes]:
    """Lines as they come: an answer to a line must not wait for the next ones."""
    view = memoryview(bytearray(1 << 16))
    rest = b""
    while got := log.readinto(view):
        *lines, rest = (rest + bytes(view[:got])).split(b"\n")
        yield from lines
        rest = rest[:LONGEST]  # a line so long is told by its length alone
    if rest:
        yield rest


def _counted(step: Step) -> str:
    return f"counted {step.counted:,} connections" + (f" and {step.recipients:,} recipients" if step.recipients else "")


# ---- the command line -----------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        tell(f"{message}; see `{self.prog} --help`.")
        self.exit(UsageError.status)


def _year(text: str) -> int:
    if not text.isdecimal() or not 2000 <= int(text) <= 2100:
        raise argparse.ArgumentTypeError(f"{text} is no year from 2000 to 2100")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    settings = ", ".join(f"{setting.name} ({setting.option})" for setting in config.SETTINGS)
    parser = _Parser(
        prog="dane-mailgraph",
        description="Graphs of the TLS and DANE outcome of Postfix's outbound connections.",
        epilog=f"Settings: {settings}. Each is also a line of {config.FILE} and an environment variable, "
        f"such as {config.SETTINGS[0].variable}.",
    )
    parser.add_argument("--version", action="version", version=f"dane-mailgraph {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in (_run, _collect, _import, _render, _report, _explain, _doctor, _config, _demo):
        each = verbs.add_parser(verb.__name__[1:], help=verb.__doc__, description=verb.__doc__, allow_abbrev=False)
        each.set_defaults(verb=verb)
        each.add_argument("--config", metavar="FILE", help=f"configuration file, {config.FILE} by default")
        for setting in config.SETTINGS:
            each.add_argument(
                setting.option, dest=setting.name, metavar="VALUE", help=f"{setting.help} (default: {setting.default or 'empty'})"
            )
        if verb in _OWN:
            _OWN[verb](each)
    return parser


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a log: plain, .gz, .bz2, .xz, .zst, or - for standard input")
    parser.add_argument(
        "--year", type=_year, help="the year of the first line, where stamps have none and the file's own time misleads"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="make a fresh store from all these logs; the old one is kept aside"
    )


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", default="24h", metavar="T", help="ISO 8601, or 24h, 7d, now (default: 24h)")
    parser.add_argument("--until", default="now", metavar="T", help="the same (default: now)")
    parser.add_argument("--format", choices=("text", "json", "csv"), default="text")
    parser.add_argument("--by", choices=("relay",), help="to whom: a line a relay, of whole days")
    parser.add_argument(
        "--only",
        metavar="CATEGORY",
        help="with --by: relays counted in this category or family, as plaintext or failures; or unauthenticated",
    )
    parser.add_argument("--sort", default="total", metavar="BY", help="with --by: name, last, total (the default), a category")
    parser.add_argument(
        "--changes",
        action="store_true",
        help="relays that were authenticated whenever they were seen and, since T, are not; status 1 if there are any",
    )
    parser.add_argument(
        "--days", type=_days, default=REMEMBERED, metavar="N", help=f"with --changes: on N days at least (default: {REMEMBERED})"
    )


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="a log (default: standard input)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mx",
        metavar="NAME[:PORT]",
        action="append",
        default=[],
        help="a server of our own whose TLSA records must match its certificate; may be repeated "
        "(default: Postfix's myhostname, port 25)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir", metavar="DIR", nargs="?", default="dane-mailgraph-demo", help="folder for it all (default: dane-mailgraph-demo)"
    )


def _verbose_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was read and counted")


_OWN: dict[Verb, Callable[[argparse.ArgumentParser], None]] = {
    _collect: _verbose_option,
    _import: _import_options,
    _report: _report_options,
    _explain: _explain_options,
    _doctor: _doctor_options,
    _demo: _demo_options,
}
