"""The command line: arguments become a verb and its settings, errors become exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

from .. import __version__
from ..config import FILE
from ..errors import MailgraphError, UsageError
from ..settings import PREFIX, SETTINGS
from .commands import settings_in_force
from .terminal import discard_unwritten, open_streams, output_error, printable, tell
from .verbs import NONE, VERBS, Verb

_NAME = "dane-mailgraph"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    os.umask(0o022)  # a store and a page have the same modes, whichever user made them
    open_streams()
    given = sys.argv[1:] if arguments is None else arguments
    verb = next((VERBS[word] for word in given if word in VERBS), NONE)
    try:
        try:
            name, rest = _arrange(given)
            options = (verb_parser(name) if name else parser()).parse_args(rest)
            verb = VERBS.get(name, NONE)
            status = verb.command(settings_in_force(options), options) or 0
        except SystemExit:  # --help and --version print, too
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except MailgraphError as error:
        status = _report(error, verb, given)
    except OSError as error:
        status = _report(output_error(error), verb, given)
    finally:
        discard_unwritten()
    return status


def _report(error: MailgraphError, verb: Verb, given: Sequence[str]) -> int:
    """Print an error and return the exit status; a monitoring plugin prints it as its answer."""
    if verb.error_status is None:
        tell(str(error))
        return error.status
    import json  # 2 ms that most starts need not spend

    # The arguments may be what is wrong, so they are not parsed.
    is_json = "--format=json" in given or ("--format", "json") in pairwise(given)
    answer = {"level": "unknown", "text": str(error), "conditions": []}
    try:
        print(printable(json.dumps(answer) if is_json else f"UNKNOWN - {error}"), flush=True)
    except OSError:
        tell(str(error))
    return verb.error_status


# ---- the verb, wherever it stands -----------------------------------------------------------

_SHARED = {
    "--help": False,
    "--config": True,
    **{setting.option: True for setting in SETTINGS},
}
"""Long option that every verb has -> whether the next argument is its value."""


def _arrange(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the verb, wherever it stands, and the other arguments; the verb may be empty.

    Raises:
        UsageError: There is no such verb, or the verb has no such option.
    """
    everywhere = _options_of(NONE, *VERBS.values())
    words = list(_words(arguments, everywhere))
    place, name = next(((n, word) for n, word in words if not word.startswith("-")), (None, ""))
    before = [word for n, word in words if place is None or n < place]
    _check_options(before, everywhere, _NAME)
    if name and name not in VERBS:
        raise UsageError(f"there is no verb {name}{_near(name, VERBS)}; see `{_NAME} --help`.")
    verb = VERBS.get(name, NONE)
    _check_options((word for _, word in words), _options_of(verb), f"{_NAME} {name}".rstrip())
    # A `--` right before the verb belongs to the verb, and does not begin its operands.
    left_out = [place, place - 1] if place and arguments[place - 1] == "--" else [place]
    return name, [word for n, word in enumerate(arguments) if n not in left_out]


def _check_options(words: Iterable[str], known: Iterable[str], command: str) -> None:
    """Raise UsageError for a long option that the command does not have."""
    for word in words:
        if word.startswith("--") and word not in known:
            near = _near(word, known)
            raise UsageError(f"{command} has no option {word}{near}; see `{command} --help`.")


def _options_of(*verbs: Verb) -> Mapping[str, bool]:
    """Return the long options of some verbs -> whether the next argument is their value."""
    own = {
        name: option.takes_value
        for verb in verbs
        for option in verb.options
        for name in option.names
        if name.startswith("--")
    }
    return {**_SHARED, **({"--version": False} if NONE in verbs else {}), **own}


def _words(arguments: Sequence[str], takes_value: Mapping[str, bool]) -> Iterator[tuple[int, str]]:
    """Yield place and word of each argument that is not an option's value; of options the name."""
    bare = {f"--{verb.bare}" for verb in VERBS.values() if verb.bare}
    rest = iter(enumerate(arguments))
    for place, word in rest:
        if word == "--":
            yield from ((n, each) for n, each in rest if not each.startswith("-"))
            return
        yield place, word.partition("=")[0] if word.startswith("--") else word
        following = arguments[place + 1 : place + 2]
        is_bare = word in bare and following and (following[0] in VERBS or following[0][:1] == "-")
        if takes_value.get(word) and not is_bare:
            next(rest, None)


def _near(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # 2 ms that most starts need not spend

    return "".join(f" (did you mean {each}?)" for each in get_close_matches(word, known, 1))


# ---- parsers --------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`.")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version; argparse's own ignores an output that cannot be written."""
        print(message, end="", file=file or sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command without a verb, which also lists the verbs."""
    command = _Parser(
        prog=_NAME,
        usage=f"{_NAME} [option ...] [VERB [option ...]]",
        description=NONE.help,
        epilog=f"Each line of {FILE} is also an option, such as --state-dir, and an environment "
        f"variable, such as {PREFIX}STATE_DIR; `{_NAME} config` prints all. `{_NAME} VERB --help` "
        "lists those that a verb uses.",
        allow_abbrev=False,
        add_help=False,
    )
    verbs = command.add_subparsers(title="verbs", metavar="VERB")
    for name, verb in VERBS.items():
        _fill(verbs.add_parser(name, help=verb.help, **_parser_options(verb)), name)
    _fill(command, "")
    command.add_argument("--version", action="version", version=f"{_NAME} {__version__}")
    return command


def verb_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of one verb."""
    return _fill(_Parser(prog=f"{_NAME} {name}", **_parser_options(VERBS[name])), name)


def _parser_options(verb: Verb) -> dict[str, Any]:
    description = f"{verb.help[0].upper()}{verb.help[1:]}."
    return {"description": description, "allow_abbrev": False, "add_help": False}


def _fill(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """Add the options of a verb, then the settings: those that it uses are in its help."""
    parser.set_defaults(has_bare=False)
    for option in VERBS.get(name, NONE).options:
        text = option.help if isinstance(option.help, str) else option.help()
        parser.add_argument(*option.names, help=text, **option.rest)
    parser.add_argument("-h", "--help", action="help", help="print this and exit")
    settings = parser.add_argument_group("settings")
    settings.add_argument("--config", metavar="FILE", help=f"file of settings (default: {FILE})")
    for setting in SETTINGS:
        used = name in (*setting.verbs, "config")
        is_bare = setting.name == VERBS.get(name, NONE).bare
        settings.add_argument(
            setting.option,
            dest=setting.name,
            metavar=setting.takes,
            help=setting.description if used else argparse.SUPPRESS,
            action=_Bare if is_bare else "store",
            nargs="?" if is_bare else None,
        )
    return parser


class _Bare(argparse.Action):
    """Notes that an option which may stand bare was given, with or without a value."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        namespace.has_bare = True
        if values is not None:
            setattr(namespace, self.dest, values)
