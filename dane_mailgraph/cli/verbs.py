"""The table of verbs: what each does, and the options that it has beside the settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..config import Config
from ..store import KEPT
from ..times import PERIODS
from . import commands

_Command = Callable[[Config, argparse.Namespace], "int | None"]


class Option(NamedTuple):
    """An option or operand of a verb."""

    names: tuple[str, ...]
    """`-v`, `--verbose`; of an operand its one name in the result."""
    help: str | Callable[[], str]
    """A text, or what makes it where the verb needs what others need not load."""
    rest: Mapping[str, Any]
    """What else `argparse.ArgumentParser.add_argument` takes."""

    @property
    def takes_value(self) -> bool:
        """Whether the next argument belongs to it."""
        return "action" not in self.rest or self.rest["action"] == "append"


class Verb(NamedTuple):
    """One verb."""

    help: str
    command: _Command
    """Returns the exit status; None is 0."""
    options: tuple[Option, ...] = ()
    error_status: int | None = None
    """Exit status of all errors; None is that of each error."""
    bare: str = ""
    """A setting whose option may stand without a value, and then asks for what the setting says.

    `options.has_bare` says whether it was given.
    """


def _option(*names: str, help: str | Callable[[], str], **rest: Any) -> Option:
    return Option(names, help, rest)


def _format(*formats: str) -> Option:
    return _option(
        "--format",
        choices=formats,
        default="text",
        metavar="FORMAT",
        help=f"{', '.join(formats[:-1])} or {formats[-1]} (default: text)",
    )


def _year(text: str) -> int:
    if not text.isdecimal() or not 2000 <= int(text) <= 2100:
        raise argparse.ArgumentTypeError(f"{text} is no year from 2000 to 2100")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port from 1 to 65535")
    return int(text)


def _only_help() -> str:
    from ..answer import NAMES

    return f"judge only these: {', '.join(NAMES)}"


def _conditions(text: str) -> list[str]:
    from ..answer import NAMES

    names = text.replace(",", " ").split()
    wrong = [name for name in names if name not in NAMES]
    if wrong or not names:
        raise argparse.ArgumentTypeError(
            f"there is no condition {', '.join(wrong) or text}; names are {', '.join(NAMES)}"
        )
    return names


def _rows(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number of rows")
    return int(text)


_TIMES = "ISO 8601, or 24h, 7d, today, yesterday, now"

_RANGE = (
    _option("--since", default="24h", metavar="TIME", help=f"{_TIMES} (default: 24h)"),
    _option("--until", default="now", metavar="TIME", help=f"{_TIMES} (default: now)"),
)

_KINDS = tuple(
    dict.fromkeys(
        word
        for words in zip(*((each.family, each.name, each.key) for each in KEPT), strict=True)
        for word in words
    )
)
"""What a relay can be counted in: `failures`, `plaintext`, `deliveries.plaintext`."""

_COLUMNS = ("relay", "name", "first", "last", "last_failure")
"""What relays can be sorted by beside their counts."""

VERBS: dict[str, Verb] = {
    "run": Verb(
        "follow the log and count, until SIGTERM or SIGINT; SIGHUP reads the configuration again",
        commands.run,
    ),
    "collect": Verb(
        "count once what is new in the log, then exit: for cron",
        commands.collect,
        (
            _option(
                "-v",
                "--verbose",
                action="store_true",
                help="print what was read and counted",
            ),
        ),
    ),
    "import": Verb(
        "count whole logs, plain or compressed, in any order",
        commands.import_,
        (
            _option(
                "files",
                metavar="FILE",
                nargs="+",
                help="a log: plain, .gz, .bz2, .xz, .zst, or - for standard input; "
                "or mailgraph_dane.rrd",
            ),
            _option(
                "--year",
                type=_year,
                metavar="YEAR",
                help="year of the first line, where stamps have none and the file's own time "
                "misleads",
            ),
            _option(
                "--rebuild",
                action="store_true",
                help="make a fresh store from all these logs; the old one is kept aside",
            ),
        ),
    ),
    "render": Verb("write the pictures and index.html into output_dir", commands.render),
    "report": Verb(
        "print how much was counted",
        commands.report,
        (
            *_RANGE,
            _option(
                "--by",
                choices=("total", *PERIODS),
                default="total",
                metavar="PERIOD",
                help="a row for each hour, day, week or month, in local time (default: total)",
            ),
            _format("text", "json", "csv"),
        ),
    ),
    "relays": Verb(
        "print one row for each relay, of whole days",
        commands.relays,
        (
            *_RANGE,
            _option(
                "--only",
                metavar="KIND",
                choices=("unauthenticated", *_KINDS),
                help="relays that were counted in a category or family, such as plaintext or "
                "failures; or unauthenticated: not always authenticated",
            ),
            _option(
                "--sort",
                metavar="COLUMN",
                default="total",
                choices=(*_COLUMNS, "total", *_KINDS),
                help="relay, first, last, last_failure, total, a category or a family "
                "(default: total)",
            ),
            _option(
                "--limit", type=_rows, metavar="N", help="print the first N rows (default: all)"
            ),
            _format("text", "json", "csv"),
        ),
    ),
    "check": Verb(
        "say whether all is well: for Nagios, Icinga, Zabbix, cron; exit 0 to 3",
        commands.check,
        (
            _option(
                "--only",
                type=_conditions,
                metavar="CONDITION,...",
                help=_only_help,
            ),
            _option(
                "--probe",
                action="store_true",
                help="look at our own servers now: own_mx and certificate; else the last look "
                "counts",
            ),
            _option(
                "--due",
                action="store_true",
                help="with --probe: look only if the last look is a day old, or an hour where it "
                "found something",
            ),
            _option("--quiet", action="store_true", help="print nothing where all is well"),
            _option("--test", action="store_true", help="with --tell: send a test message now"),
            _format("text", "json"),
        ),
        error_status=3,
        bare="tell",
    ),
    "summary": Verb(
        "print the last whole week or month as a text to mail, with its change",
        commands.summary,
        (
            _option(
                "--period",
                choices=("week", "month"),
                default="week",
                metavar="PERIOD",
                help="week or month (default: week)",
            ),
        ),
    ),
    "metrics": Verb("print counts and states in the Prometheus text format", commands.metrics),
    "tlsrpt": Verb(
        "count TLS reports of others about us (RFC 8460)",
        commands.tlsrpt,
        (
            _option(
                "files",
                metavar="FILE",
                nargs="+",
                help="a report: JSON, .gz, a mail, an mbox, a Maildir, or - for standard input",
            ),
        ),
    ),
    "ship": Verb(
        "send the counts with their own times to a VictoriaMetrics: ship_url",
        commands.ship,
        (
            _option(
                "--again",
                action="store_true",
                help="replace all that it holds of this host, as after a wrong `host`",
            ),
        ),
    ),
    "explain": Verb(
        "read log lines and say of each what it counts as, or why it does not count",
        commands.explain,
        (
            _option(
                "file",
                metavar="FILE",
                nargs="?",
                default="-",
                help="a log (default: standard input)",
            ),
            _option("--all", action="store_true", help="show the lines of other programs too"),
            _format("text", "json"),
        ),
    ),
    "doctor": Verb(
        "say what keeps the numbers from being right, each with the command that mends it",
        commands.doctor,
        (
            _option(
                "--mx",
                metavar="NAME[:PORT]",
                action="append",
                default=[],
                help="a mail server of our own whose TLSA records must match its certificate; "
                "may be repeated (default: those of own_mx)",
            ),
            _format("text", "json"),
        ),
    ),
    "tlsa": Verb(
        "print the TLSA records to publish for a certificate, as lines of a zone file",
        commands.tlsa,
        (
            _option(
                "file",
                metavar="CERT",
                help="the server's certificate in PEM, followed by the issuers that are sent along",
            ),
            _option(
                "--name",
                metavar="NAME",
                required=True,
                help="name of the server, as the MX record has it",
            ),
            _option(
                "--port",
                type=_port,
                metavar="PORT",
                action="append",
                help="a port that it serves; may be repeated (default: 25)",
            ),
        ),
    ),
    "config": Verb("print the configuration in force as a file", commands.config),
    "demo": Verb(
        "count sample logs and made-up traffic into DIR, draw, and print where the page is",
        commands.demo,
        (
            _option(
                "dir",
                metavar="DIR",
                nargs="?",
                default="dane-mailgraph-demo",
                help="folder for it all (default: dane-mailgraph-demo)",
            ),
        ),
    ),
}
"""Name -> verb, in the order of the help."""

NONE = Verb(
    "Graphs of the TLS and DANE outcome of Postfix's outbound mail. "
    "Without a verb: what needs attention, and the figures of the last 24 hours.",
    commands.overview,
)
"""What the command does without a verb."""
