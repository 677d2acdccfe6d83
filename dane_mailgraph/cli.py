"""The verbs, the wiring, the exit statuses."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn

from . import __version__, config
from . import collect as journey
from .archive import Opened, opened
from .collect import Rules, Step
from .config import Config
from .errors import BusyError, MailgraphError, StoreError, UsageError, reason
from .ledger import Ledger
from .store import Store
from .tail import Log

Verb = Callable[[Config, argparse.Namespace], None]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        options = _parser().parse_args(arguments)
        given = {setting.name: getattr(options, setting.name) for setting in config.SETTINGS}
        verb: Verb = options.verb
        verb(config.load(options.config or None, os.environ, given), options)
        sys.stdout.flush()
    except MailgraphError as error:
        print(f"dane-mailgraph: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        print(
            f"dane-mailgraph: {error.filename or 'the output'}: {reason(error)}; look at the file and its disk.", file=sys.stderr
        )
        return StoreError.status
    return 0


# ---- the verbs ------------------------------------------------------------------------------


def _run(settings: Config, options: argparse.Namespace) -> None:
    """follow the log and count, until SIGTERM or SIGINT"""
    from . import daemon

    stop = daemon.stop_on_signals()
    voice = daemon.Voice(_say)
    with ExitStack() as stack:
        parts: list[Counter] = []

        def tick(now: int) -> None:
            if not parts:
                parts.append(stack.enter_context(_counting(settings)))
            step = parts[0].step(now)
            for sentence in journey.remarks(step, settings.time_zone):
                _say(sentence)

        daemon.run(tick, stop, voice)


def _collect(settings: Config, options: argparse.Namespace) -> None:
    """one step of what run repeats, then exit: for cron"""
    with _counting(settings) as counter:
        step = counter.step(int(time.time()))
    for sentence in journey.remarks(step, settings.time_zone):
        _say(sentence)
    if options.verbose:
        print(f"read {step.read:,} bytes, counted {step.counted:,} connections")


def _import(settings: Config, options: argparse.Namespace) -> None:
    """count whole logs, plain or compressed, in any order"""
    with _locked(settings.state_dir):
        if options.rebuild:
            step = _rebuild(settings, options)
        else:
            with Ledger(_ledger(settings), writable=True) as ledger:
                step = _import_into(ledger, settings, options)
    for sentence in journey.remarks(step, settings.time_zone):
        _say(sentence)
    print(
        f"counted {step.counted:,} connections"
        + (f", skipped {step.skipped:,} that had been counted before" if step.skipped else "")
    )


def _render(settings: Config, options: argparse.Namespace) -> None:
    """write the PNGs and index.html into output_dir"""
    from . import site  # the collector must not pay for the painter: half a second and 55 MiB

    now = int(time.time())
    site.publish(
        site.build(Store(settings.state_dir, settings.step), now, settings.time_zone, site.hostname()), settings.output_dir
    )


def _report(settings: Config, options: argparse.Namespace) -> None:
    """print totals"""
    from . import report

    now, zone = int(time.time()), settings.time_zone
    since, until = (report.moment(text, now, zone) for text in (options.since, options.until))
    with Ledger(_ledger(settings), writable=False) as ledger:
        found = report.totals(Store(settings.state_dir, settings.step), ledger, since, until)
        if options.format == "text":
            print(report.as_text(found, zone, report.health(ledger, found, now, zone)))
        else:
            print(report.as_json(found) if options.format == "json" else report.as_csv(found))


def _explain(settings: Config, options: argparse.Namespace) -> None:
    """read log lines and say of each what it counts as, and why not"""
    from . import explain
    from .syslog import Clock

    show = explain.as_json if options.format == "json" else explain.as_text
    with opened(options.file) as log:
        latest = int(log.status.st_mtime) if log.dated else int(time.time())
        for each in explain.explain(_lines(log), Clock(settings.time_zone, latest), settings.ignore_relays):
            print(show(each), flush=not log.dated)


def _config(settings: Config, options: argparse.Namespace) -> None:
    """print the effective configuration as a file"""
    print(config.printed(settings))


def _demo(settings: Config, options: argparse.Namespace) -> None:
    """count the bundled sample logs and some made traffic into DIR, render, print where the page is"""
    import shutil

    from . import demo, site

    folder = os.path.abspath(options.dir)
    now = int(time.time())
    here = settings._replace(
        state_dir=os.path.join(folder, "state"), output_dir=os.path.join(folder, "www"), log=os.path.join(folder, "mail.log")
    )
    if os.path.isdir(here.state_dir) and not os.path.exists(os.path.join(here.state_dir, demo.MARK)):
        raise UsageError(f"{here.state_dir} is there already and is no demo's; name an empty folder.")
    shutil.rmtree(here.state_dir, ignore_errors=True)
    with _locked(here.state_dir):
        demo.prepare(here.state_dir, here.log, now)
        options.files, options.year = [here.log, *demo.samples()], demo.YEAR
        with Ledger(_ledger(here), writable=True) as ledger:
            step = _import_into(ledger, here, options)
    print(f"counted {step.counted:,} connections")
    print(site.publish(site.build(Store(here.state_dir, here.step), now, here.time_zone, site.hostname()), here.output_dir))


# ---- the wiring -----------------------------------------------------------------------------


class Counter:
    """Everything that counting needs, held together."""

    def __init__(self, log: Log, ledger: Ledger, store: Store, rules: Rules) -> None:
        self._log, self._ledger, self._store, self._rules = log, ledger, store, rules

    def step(self, now: int) -> Step:
        """Log to ledger to RRD. The ledger counts on where the RRD cannot be written; then raises StoreError."""
        trouble: StoreError | None = None
        try:
            self._store.settle(self._ledger)
        except StoreError as error:
            trouble = error
        step = journey.collect(self._log, self._ledger, self._rules, now)
        if trouble:
            raise trouble
        self._store.follow(self._ledger, now, self._rules.grace)
        self._store.take_snapshot(self._ledger, now)
        for notice in self._store.notices:
            _say(notice)
        self._store.notices.clear()
        return step


@contextmanager
def _counting(settings: Config) -> Iterator[Counter]:
    with _locked(settings.state_dir), Ledger(_ledger(settings), writable=True) as ledger:
        yield Counter(Log(settings.log, settings.state_dir), ledger, Store(settings.state_dir, settings.step), _rules(settings))


def _import_into(ledger: Ledger, settings: Config, options: argparse.Namespace, *, follow: bool = True) -> Step:
    now = int(time.time())
    store = Store(settings.state_dir, settings.step)
    if follow:
        store.settle(ledger)
    live = Log(settings.log, settings.state_dir)
    step = journey.import_logs(options.files, live, ledger, _rules(settings), now, options.year, _progress())
    if follow:
        store.follow(ledger, now, settings.grace)
        for notice in store.notices:
            _say(notice)
    return step


def _rebuild(settings: Config, options: argparse.Namespace) -> Step:
    """Count into a fresh ledger first; only when that is whole does it take the old one's place."""
    path, store = _ledger(settings), Store(settings.state_dir, settings.step)
    fresh = path + ".new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    with Ledger(fresh, writable=True) as ledger:
        step = _import_into(ledger, settings, options, follow=False)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for old in (store.path, store.snapshot_path, path):
        if os.path.lexists(old):
            os.rename(old, f"{old}.aside-{stamp}")
    os.rename(fresh, path)
    with Ledger(path, writable=True) as ledger:
        store.settle(ledger)
        store.follow(ledger, int(time.time()), settings.grace)
    return step


def _rules(settings: Config) -> Rules:
    return Rules(settings.step, settings.grace, settings.time_zone, settings.ignore_relays)


def _ledger(settings: Config) -> str:
    return os.path.join(settings.state_dir, "ledger.sqlite")


@contextmanager
def _locked(state_dir: str) -> Iterator[None]:
    """Be the one writer of this store; raises BusyError."""
    path = os.path.join(state_dir, "lock")
    try:
        os.makedirs(state_dir, mode=0o755, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{state_dir} cannot be written: {reason(error)}; make it a folder of the user that counts.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise BusyError(
            f"{state_dir} is being written by another dane-mailgraph; let it work, or stop it (`systemctl stop dane-mailgraph`)."
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _lines(log: Opened) -> Iterator[bytes]:
    """Lines as they come: an answer to a line must not wait for the next ones."""
    view = memoryview(bytearray(1 << 16))
    rest = b""
    while got := log.readinto(view):
        *lines, rest = (rest + bytes(view[:got])).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _say(sentence: str) -> None:
    print(f"dane-mailgraph: {sentence}", file=sys.stderr, flush=True)


def _progress() -> Callable[[list[Opened]], None]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    shown = -1

    def show(logs: list[Opened]) -> None:
        nonlocal shown
        whole = sum(log.status.st_size for log in logs) or 1
        percent = min(100, 100 * sum(log.taken for log in logs) // whole)
        if percent != shown:
            shown = percent
            print(
                f"\r[{'#' * (percent * 2 // 5):<40}] {percent:3} %",
                end="\r" if percent < 100 else "\n",
                file=sys.stderr,
                flush=True,
            )

    return show


# ---- the command line -----------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(UsageError.status, f"dane-mailgraph: {message}; see `{self.prog} --help`.\n")


def _year(text: str) -> int:
    if not text.isdecimal() or not 2000 <= int(text) <= 2100:
        raise argparse.ArgumentTypeError(f"{text} is no year from 2000 to 2100")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dane-mailgraph", description="Graphs of the TLS and DANE outcome of Postfix's outbound connections.")
    parser.add_argument("--version", action="version", version=f"dane-mailgraph {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in (_run, _collect, _import, _render, _report, _explain, _config, _demo):
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


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="a log (default: standard input)")
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
    _demo: _demo_options,
}
