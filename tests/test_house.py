"""The code keeps to docs/house.md: who may import whom, who touches which package, and that everything says what it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dane_mailgraph

PACKAGE = Path(dane_mailgraph.__file__).parent
HOUSE = (Path(__file__).parents[1] / "docs" / "house.md").read_text(encoding="utf-8")

HANDS = {
    "sqlite3": "ledger",
    "rrdtool": "rrd",
    "pygtail": "tail",
    "jinja2": "page",
    "matplotlib": "picture",
    "numpy": "picture",
    "zstandard": "archive",
    "dns": "resolver",
}
"""Package -> the one module that imports it."""

TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.glob("*.py")}


def order() -> list[str]:
    """The modules as the first table of docs/house.md lists them."""
    (table,) = re.findall(r"^\| module \|.*\n\|[-| ]+\n((?:\|.*\n)+)", HOUSE, re.MULTILINE)
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports, wherever in it: `.store` for our own, `matplotlib` for others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            yield from [f".{node.module}"] if node.module else [f".{alias.name}" for alias in node.names]


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def test_the_table_lists_every_module_once() -> None:
    assert sorted(order()) == sorted(set(TREES) - {"__init__", "__main__"})


@pytest.mark.parametrize("module", sorted(set(TREES) - {"__init__", "__main__"}))
def test_a_module_imports_only_from_above_itself(module: str) -> None:
    above = {f".{each}" for each in order()[: order().index(module)]} | {".__version__"}

    assert {each for each in imported(TREES[module]) if each.startswith(".")} <= above


def test_nothing_below_the_command_line_is_imported_by_the_package_itself() -> None:
    assert set(imported(TREES["__init__"])) <= {"__future__"}
    assert {each for each in imported(TREES["__main__"]) if each.startswith(".")} == {".cli"}


@pytest.mark.parametrize("package", sorted(HANDS))
def test_a_package_of_others_is_imported_in_one_module_only(package: str) -> None:
    assert [module for module, tree in TREES.items() if package in imported(tree)] == [HANDS[package]]


def test_a_module_whose_row_begins_with_a_package_is_the_one_that_imports_it() -> None:
    named = [(package, module) for module, package in re.findall(r"^\| `(\w+)` \| (\w+): ", HOUSE, re.MULTILINE)]

    assert set(named) <= set(HANDS.items()) and named


def test_no_other_package_is_imported_than_those_that_the_house_names() -> None:
    import sys

    known = {*HANDS, *sys.stdlib_module_names}
    others = {each for tree in TREES.values() for each in imported(tree) if not each.startswith(".")} - known

    assert not others


@pytest.mark.parametrize("module", sorted(TREES))
def test_everything_public_says_what_it_is(module: str) -> None:
    tree = TREES[module]
    silent = [node.name for node in public(tree.body) if not (ast.get_docstring(node) or "").strip()]

    assert (ast.get_docstring(tree) or "").strip()
    assert not silent
