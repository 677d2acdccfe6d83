"""Write completions for the shells into the folders of a prefix: completions.py FOLDER."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab

from dane_mailgraph.cli import command_line
from dane_mailgraph.settings import SETTINGS

WHERE = {
    "bash": "bash-completion/completions/dane-mailgraph",
    "zsh": "zsh/site-functions/_dane-mailgraph",
    "fish": "fish/vendor_completions.d/dane-mailgraph.fish",
}
"""Shell -> its file below a prefix's `share`."""

_PATHS = {"FILE": shtab.FILE, "CERT": shtab.FILE, "DIR": shtab.DIRECTORY}
"""Metavar -> what the shell completes it with."""

_VALUES = {setting.name: setting.choices for setting in SETTINGS if setting.choices}


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)


def completions(shell: str) -> str:
    """Return the completion file of a shell."""
    parser = command_line.parser()
    for action in _actions(parser):
        if action.metavar in _PATHS:
            action.complete = _PATHS[action.metavar]  # type: ignore[attr-defined]
        if action.dest in _VALUES:
            action.choices = _VALUES[action.dest]
    return _fish(parser) if shell == "fish" else shtab.complete(parser, shell)


# ---- fish: Debian's shtab does not know it --------------------------------------------------


def _fish(parser: argparse.ArgumentParser) -> str:
    verbs = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    lines = list(_fish_of("__fish_use_subcommand", parser))
    for verb in verbs._choices_actions:
        about = _quoted(_sentence(verb))
        lines.append(f"-n __fish_use_subcommand -a {verb.dest} -d {about}")
    for name, of_verb in verbs.choices.items():
        lines += _fish_of(f"'__fish_seen_subcommand_from {name}'", of_verb)
    return "".join(f"complete -c {parser.prog} {line}\n" for line in lines)


def _fish_of(when: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    shown = [each for each in parser._actions if each.help != argparse.SUPPRESS]
    if not any(not each.option_strings and each.metavar in _PATHS for each in shown):
        yield f"-n {when} -f"
    for action in shown:
        if action.option_strings:
            spellings = " ".join(
                f"-l {each[2:]}" if each.startswith("--") else f"-s {each[1:]}"
                for each in action.option_strings
            )
            yield f"-n {when} {spellings}{_fish_value(action)} -d {_quoted(_sentence(action))}"


def _fish_value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.metavar in _PATHS:
        return " -r -F"
    values = _quoted(" ".join(map(str, action.choices or ())))
    return f" -x -a {values}"


def _sentence(action: argparse.Action) -> str:
    return " ".join((action.help or "").replace("%%", "%").split())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    for each, name in WHERE.items():
        path = Path(sys.argv[1], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completions(each), encoding="utf-8")
