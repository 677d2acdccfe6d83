"""What each verb does with settings and options, and what it prints."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import tzinfo

from ..config import Config, as_file, load
from ..errors import MailgraphError, SourceError, StoreError, UsageError
from ..times import format_duration, format_time, parse_time
from . import rendering, stores
from .host import host_name
from .terminal import is_coloured, printable, tell, width


def settings_in_force(options: argparse.Namespace) -> Config:
    """Return the configuration of options, environment and file; raises ConfigError."""
    checks = {"ignore_conditions": _check_conditions}
    return load(options.config or None, os.environ, vars(options), checks)


def _check_conditions(text: str) -> None:
    """Raise ValueError for a condition to accept that there is none of."""
    words = text.replace(",", " ").split()
    if not words:  # most starts need not load the table
        return
    from ..answer import CONDITIONS

    subjects = {rule.name: rule.subject for rule in CONDITIONS}
    for word in words:
        name, _, subject = word.partition(":")
        if name not in subjects:
            raise ValueError(f"there is no condition {name}; there are {', '.join(subjects)}")
        if subject and not subjects[name]:
            raise ValueError(f"{name} has no subjects; write {name} alone")


def _print_lines(lines: Iterable[str]) -> None:
    """Print lines that may hold text of strangers."""
    print("\n".join(map(printable, lines)))


def overview(settings: Config, options: argparse.Namespace) -> None:
    """Print what needs attention, and the figures of the last 24 hours."""
    from ..answer import overview
    from . import judgement

    now = int(time.time())
    with stores.open_ledger(settings) as ledger:
        rrd, found = stores.open_rrd(settings, ledger), judgement.judge(settings, ledger, now)
        _print_lines(overview.as_lines(rrd, ledger, now, found, settings.time_zone))


def run(settings: Config, options: argparse.Namespace) -> None:
    """Follow the log and count, until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    from . import counter, daemon

    wait_for_signal = daemon.block_signals()
    service = counter.ReopeningCounter(
        settings,
        lambda: settings_in_force(options),
        daemon.notify_alive,
        daemon.RotationSignal().watch,
    )

    def report(sentence: str) -> None:
        tell(sentence)
        daemon.notify_systemd(f"STATUS={printable(sentence)}")

    with closing(service):
        # The first tick reports it again. Other errors end it here, because waiting mends nothing:
        # another process writes to the store, or it has another step.
        with suppress(StoreError):
            service.open(make=True)
        daemon.run(
            service.tick,
            service.reload,
            wait_for_signal,
            daemon.TroubleReport(report),
            lambda now: daemon.seconds_to_tick(now, *service.intervals),
        )
        with suppress(MailgraphError):  # the last tick has reported it
            service.finish(int(time.time()))


def collect(settings: Config, options: argparse.Namespace) -> None:
    """Count once what is new in the log."""
    from ..counting import in_words, many
    from . import counter

    now = int(time.time())
    with counter.open_counter(settings) as counting:
        result = counting.step(now, count_lines=options.verbose)
        newest = counting.newest
    if options.verbose:
        size = f"{many(result.lines, 'line')} ({many(result.read, 'byte')})"
        print(f"read {size}, {in_words(result)}")
        print(", ".join(f"{name} {count:,}" for name, count in result.omitted.items()))
        if newest is not None:
            ago = format_duration(max(0, now - newest))
            print(f"newest line {format_time(newest, settings.time_zone, seconds=True)}, {ago} ago")


def import_(settings: Config, options: argparse.Namespace) -> int:
    """Count whole logs, plain or compressed, in any order."""
    from ..counting import in_words, remarks
    from . import imports

    with stores.lock(settings):
        count = imports.rebuild if options.rebuild else imports.import_logs
        result = count(settings, options.files, options.year)
    for sentence in remarks(result, settings.time_zone):
        tell(sentence)
    print(in_words(result))
    for refused in result.refused:
        tell(f"{refused}.")
    return SourceError.status if result.refused else 0


def render(settings: Config, options: argparse.Namespace) -> None:
    """Write the pictures and index.html into output_dir."""
    rendering.draw(settings, int(time.time()))


def report(settings: Config, options: argparse.Namespace) -> None:
    """Print the totals of a range."""
    from ..answer import report
    from ..store import RelayTable, load_reach

    now, zone = int(time.time()), settings.time_zone
    since, until = _range(options, now, zone)
    with stores.open_ledger(settings, with_counts=False) as ledger:
        rrd = stores.open_rrd(settings, ledger)
        if options.by != "total":
            rows = report.totals_by(rrd, ledger, since, until, options.by, zone)
            print(report.format_rows(rows, options.format, zone, options.by))
            return
        found = report.totals(rrd, ledger, since, until)
        remarks = report.state_of_counting(ledger, found, now, zone)
        remarks += report.warning_lines(RelayTable(ledger).warnings(since), zone)
        remarks += report.failure_lines(load_reach(ledger, found.since, found.until).failures)
    print(report.format_report(found, options.format, zone, remarks, is_coloured=is_coloured()))


def check(settings: Config, options: argparse.Namespace) -> int:
    """Print whether all is well, as a monitoring plugin does; 0 ok to 3 unknown."""
    from ..answer import check
    from . import judgement

    now = int(time.time())
    if options.test and not options.has_bare:
        raise UsageError("--test sends a message, so it needs --tell.")
    if options.due and not options.probe:
        raise UsageError("--due says when to look, so it needs --probe.")
    if options.test:
        judgement.send_test(settings, now)
    elif options.has_bare:
        judgement.require_messenger(settings)
    if options.probe:
        from . import probing

        probing.probe(settings, now, only_if_due=options.due)
        now = int(time.time())
    with judgement.judging(settings, now, options.only) as (ledger, found):
        figures = check.figures(ledger, found, now) if ledger else {}
        servers = check.servers(ledger, now, settings.time_zone) if ledger else []
    if found.level or not options.quiet:
        show = check.as_json if options.format == "json" else check.as_plugin
        print(printable(show(found, figures, servers)), flush=True)
    if options.has_bare and not options.test and ledger:
        judgement.tell_operator(settings, now, options.only)
    return found.level


def summary(settings: Config, options: argparse.Namespace) -> None:
    """Print the last whole week or month as a text to mail."""
    from ..answer import summary
    from . import judgement

    now, zone, language = int(time.time()), settings.time_zone, settings.language
    with stores.open_ledger(settings) as ledger:
        found = judgement.judge(settings, ledger, now, language=language)
        rrd = stores.open_rrd(settings, ledger)
        written = summary.summarize(rrd, ledger, now, options.period, zone, found)
    text = summary.as_text(written, host_name(settings), zone, language)
    _print_lines(text.split("\n"))


def relays(settings: Config, options: argparse.Namespace) -> None:
    """Print one row a relay, of the whole days that a range touches."""
    from ..answer import relays

    zone = settings.time_zone
    since, until = _range(options, int(time.time()), zone)
    with stores.open_ledger(settings) as ledger:
        found = relays.find_relays(ledger, since, until, zone)
    found = relays.choose(found, only=options.only, sort=options.sort, limit=options.limit)
    print(relays.format_relays(found, options.format, zone, width(), is_coloured=is_coloured()))


def _range(options: argparse.Namespace, now: int, zone: tzinfo | None) -> tuple[int, int]:
    """Return the epoch seconds of --since and --until."""
    return parse_time(options.since, now, zone), parse_time(options.until, now, zone)


def metrics(settings: Config, options: argparse.Namespace) -> None:
    """Print running totals and states in the Prometheus text format."""
    from . import judgement

    with stores.open_ledger(settings) as ledger:
        print(judgement.metrics(settings, ledger, int(time.time())), end="")


def tlsrpt(settings: Config, options: argparse.Namespace) -> int:
    """Count TLS reports of others about us; what cannot be used is named, the others count."""
    from . import reports

    intake = reports.Intake(settings)
    intake.count_files(options.files, int(time.time()))
    for sentence in intake.unusable():
        tell(sentence)
    print(intake.in_words())
    return intake.status


def ship(settings: Config, options: argparse.Namespace) -> None:
    """Send running totals and states to a VictoriaMetrics."""
    from . import shipping

    shipping.send_counts(settings, again=options.again)


def explain(settings: Config, options: argparse.Namespace) -> None:
    """Read log lines and print of each what it counts as, or why it does not count."""
    from . import explaining

    explaining.explain_lines(settings, options.file, options.format, everything=options.all)


def doctor(settings: Config, options: argparse.Namespace) -> int:
    """Print what keeps the numbers from being right; 1 if something must be mended."""
    from ..dane import servers
    from ..doctor import diagnose, facts, findings
    from . import logs, probing

    now = int(time.time())
    targets = [servers.parse_target(text) for text in options.mx] or probing.targets(settings)
    found = diagnose(facts.gather(logs.with_likely_log(settings, now), targets, now))
    show = findings.as_json if options.format == "json" else findings.as_text
    _print_lines(show(found).split("\n"))
    return int(any(each.grade is findings.Grade.FAIL for each in found))


def tlsa(settings: Config, options: argparse.Namespace) -> None:
    """Print the TLSA records to publish for a certificate, and what would break them."""
    from ..dane import certificates, servers, zone_file

    name = servers.parse_host(options.name)
    targets = [servers.Target(name, port) for port in dict.fromkeys(options.port or [servers.SMTP])]
    chains = certificates.read_chains(options.file, name)
    _print_lines(zone_file.zone_lines(chains, targets, int(time.time())))


def config(settings: Config, options: argparse.Namespace) -> None:
    """Print the configuration in force as a file."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As the file is read: a path may be any bytes.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    print(as_file(settings))


def demo(settings: Config, options: argparse.Namespace) -> None:
    """Count the sample logs and made-up traffic into DIR, draw, print where the page is."""
    from ..counting import in_words
    from ..store import add_reports
    from . import demo, imports

    folder = os.path.abspath(options.dir)
    now = int(time.time())
    here = settings._replace(
        state_dir=os.path.join(folder, "state"),
        output_dir=os.path.join(folder, "www"),
        log=os.path.join(folder, "mail.log"),
        metrics_file="",
        show_destinations=True,  # they are made up
    )
    others = [path for path in (here.state_dir, here.output_dir, here.log) if os.path.lexists(path)]
    if others and not os.path.exists(os.path.join(here.state_dir, demo.MARK)):
        raise UsageError(
            f"{others[0]} already exists and was not made by `demo`; name an empty folder."
        )
    with stores.lock(here):
        demo.prepare(here.state_dir, here.log, now)
        result = imports.import_logs(here, [here.log, *demo.sample_logs()], demo.YEAR)
        with stores.open_ledger_to_add(here) as ledger:
            add_reports(ledger, demo.reports(now))
    print(in_words(result))
    print(rendering.draw(here, now))
