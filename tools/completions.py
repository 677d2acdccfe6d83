"""Write what the shells complete into the folders of a prefix, from the parser itself: completions.py FOLDER."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab

from dane_mailgraph.cli import command_line

WHERE = {
    "bash": "bash-completion/completions/dane-mailgraph",
    "zsh": "zsh/site-functions/_dane-mailgraph",
    "fish": "fish/vendor_completions.d/dane-mailgraph.fish",
}
"""Shell -> its file below a prefix's `share`."""

_FILES, _FOLDERS = {"config", "log", "file", "files"}, {"state_dir", "output_dir", "dir"}


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)


def completions(shell: str) -> str:
    """The completion file of a shell."""
    parser = command_line.parser()
    for action in _actions(parser):
        if action.dest in _FILES | _FOLDERS:
            action.complete = shtab.FILE if action.dest in _FILES else shtab.DIR  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


if __name__ == "__main__":
    for each, name in WHERE.items():
        path = Path(sys.argv[1], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completions(each), encoding="utf-8")
