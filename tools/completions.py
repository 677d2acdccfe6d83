"""Write completions for the shells into the folders of a prefix: completions.py FOLDER."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab

from dane_mailgraph.cli import command_line
from dane_mailgraph.config import SETTINGS

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
    return shtab.complete(parser, shell)


if __name__ == "__main__":
    for each, name in WHERE.items():
        path = Path(sys.argv[1], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completions(each), encoding="utf-8")
