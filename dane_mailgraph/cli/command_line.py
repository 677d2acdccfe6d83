"""The command line: arguments become a verb and its settings, errors become exit statuses."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from .. import __version__, config
from ..answer import REMEMBERED
from ..errors import MailgraphError, StoreError, UsageError
from .commands import VERBS, Verb, settings_in_force
from .terminal import discard_unwritten, open_streams, tell, unprinted


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    open_streams()
    try:
        try:
            options = parser().parse_args(arguments)
            verb: Verb = options.verb
            status = verb(settings_in_force(options), options) or 0
        except SystemExit:  # --help and --version print, too
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except MailgraphError as error:
        tell(str(error))
        status = error.status
    except OSError as error:
        tell(str(unprinted(error)))
        status = StoreError.status
    finally:
        discard_unwritten()
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        tell(f"{message}; see `{self.prog} --help`.")
        self.exit(UsageError.status)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version; argparse's own ignores an output that cannot be written."""
        print(message, end="", file=file or sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; help, man page and completions follow it."""
    settings = ", ".join(f"{setting.name} ({setting.option})" for setting in config.SETTINGS)
    command = _Parser(
        prog="dane-mailgraph",
        description="Graphs of the TLS and DANE outcome of Postfix's outbound connections.",
        epilog=f"Settings: {settings}. Each is also a line of {config.FILE} and an environment variable, "
        f"such as {config.SETTINGS[0].variable}.",
    )
    command.add_argument("--version", action="version", version=f"dane-mailgraph {__version__}")
    verbs = command.add_subparsers(metavar="VERB", required=True)
    for name, verb in VERBS.items():
        each = verbs.add_parser(
            name, help=verb.__doc__, description=verb.__doc__, allow_abbrev=False
        )
        each.set_defaults(verb=verb)
        each.add_argument(
            "--config", metavar="FILE", help=f"configuration file, {config.FILE} by default"
        )
        for setting in config.SETTINGS:
            each.add_argument(
                setting.option,
                dest=setting.name,
                metavar="VALUE",
                help=f"{setting.help} (default: {setting.default or 'empty'})",
            )
        if name in _OWN:
            _OWN[name](each)
    return command


# ---- what the verbs have of their own -------------------------------------------------------


def _collect_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-v", "--verbose", action="store_true", help="say what was read and counted")


def _year(text: str) -> int:
    if not text.isdecimal() or not 2000 <= int(text) <= 2100:
        raise argparse.ArgumentTypeError(f"{text} is no year from 2000 to 2100")
    return int(text)


def _import_options(verb: argparse.ArgumentParser) -> None:
    logs = "a log: plain, .gz, .bz2, .xz, .zst, or - for standard input; or mailgraph_dane.rrd"
    verb.add_argument("files", metavar="FILE", nargs="+", help=logs)
    verb.add_argument(
        "--year",
        type=_year,
        help="the year of the first line, where stamps have none and the file's own time misleads",
    )
    verb.add_argument(
        "--rebuild",
        action="store_true",
        help="make a fresh store from all these logs; the old one is kept aside",
    )


def _days(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return int(text)


def _report_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--since", default="24h", metavar="T", help="ISO 8601, or 24h, 7d, now (default: 24h)"
    )
    verb.add_argument("--until", default="now", metavar="T", help="the same (default: now)")
    verb.add_argument("--format", choices=("text", "json", "csv"), default="text")
    verb.add_argument("--by", choices=("relay",), help="to whom: a line a relay, of whole days")
    verb.add_argument(
        "--only",
        metavar="CATEGORY",
        help="with --by: relays counted in this category or family, as plaintext or failures; or unauthenticated",
    )
    verb.add_argument(
        "--sort", metavar="BY", help="with --by: name, last, total (the default), a category"
    )
    verb.add_argument(
        "--changes",
        action="store_true",
        help="relays that were authenticated whenever they were seen and, since T, are not; status 1 if there are any",
    )
    verb.add_argument(
        "--days",
        type=_days,
        metavar="N",
        help=f"with --changes: on N days at least (default: {REMEMBERED})",
    )


def _explain_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="a log (default: standard input)"
    )
    verb.add_argument("--format", choices=("text", "json"), default="text")


def _doctor_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--mx",
        metavar="NAME[:PORT]",
        action="append",
        default=[],
        help="a server of our own whose TLSA records must match its certificate; may be repeated "
        "(default: Postfix's myhostname, port 25)",
    )
    verb.add_argument("--format", choices=("text", "json"), default="text")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port from 1 to 65535")
    return int(text)


def _tlsa_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "file",
        metavar="CERT",
        help="the server's certificate in PEM, followed by the issuers that are sent along",
    )
    verb.add_argument(
        "--name",
        metavar="NAME",
        required=True,
        help="the name of the server, as the MX record has it",
    )
    verb.add_argument(
        "--port",
        type=_port,
        metavar="PORT",
        action="append",
        help="a port that it serves; may be repeated (default: 25)",
    )


def _demo_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "dir",
        metavar="DIR",
        nargs="?",
        default="dane-mailgraph-demo",
        help="folder for it all (default: dane-mailgraph-demo)",
    )


_OWN: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "collect": _collect_options,
    "import": _import_options,
    "report": _report_options,
    "explain": _explain_options,
    "doctor": _doctor_options,
    "tlsa": _tlsa_options,
    "demo": _demo_options,
}
"""Name of a verb -> what adds the options that are no settings."""
