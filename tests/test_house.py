"""The code keeps to docs/house.md: which package may use which, and through which names."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dane_mailgraph

ROOT = Path(dane_mailgraph.__file__).parent
HOUSE = (Path(__file__).parents[1] / "docs" / "house.md").read_text(encoding="utf-8")

DOORS = {
    "sqlite3": "store.ledger",
    "rrdtool": "store.librrd",
    "pygtail": "log.hint",
    "jinja2": "site.page",
    "matplotlib": "site.render_agg",
    "numpy": "site.render_agg",
    "zstandard": "log.files",
    "dns": "dane.resolver",
}
"""Package of others -> the one module that imports it."""

TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in sorted(ROOT.rglob("*.py"))
    if "sample_logs" not in path.parts
}
"""`store.rrd`, `errors`, `store.__init__` -> its syntax tree."""


@cache
def packages() -> list[str]:
    """The packages as the first table of docs/house.md lists them, lowest first; `` is the root."""
    table = re.findall(r"^\| package \|.*\n\|[-| ]+\n((?:\|.*\n)+)", HOUSE, re.MULTILINE)[0]
    return [
        name.rstrip("/").removeprefix("dane_mailgraph")
        for name in re.findall(r"^\| `([\w/]+)` \|", table, re.MULTILINE)
    ]


def home(module: str) -> str:
    """The package of a module; empty for the root."""
    return module.rpartition(".")[0]


@cache
def imports(module: str) -> tuple[tuple[str, str, str], ...]:
    """Each import in a module: our package (`-` for others), module in it, and name."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[tuple[str, str, str]]:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (("-", alias.name.partition(".")[0], "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield "-", (node.module or "").partition(".")[0], ""
        elif isinstance(node, ast.ImportFrom):
            above = node.level == 2 or not home(module)
            first, _, rest = (node.module or "").partition(".")
            for alias in node.names:
                if not above:
                    yield home(module), first or alias.name, alias.name
                elif first in packages():
                    yield first, rest, alias.name
                elif alias.name in packages():
                    yield alias.name, "", ""
                else:
                    yield "", first or alias.name, alias.name


def face(package: str) -> set[str]:
    """The names that a package lists for others."""
    for node in TREES[f"{package}.__init__"].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def inside(module: str) -> bool:
    """Whether it is a module proper, and not a face or the program's entry."""
    return not module.endswith(("__init__", "__main__"))


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def test_the_table_lists_every_package_once() -> None:
    assert sorted(packages()) == sorted({home(module) for module in TREES})


@pytest.mark.parametrize("module", sorted(filter(inside, TREES)))
def test_a_module_imports_only_from_its_own_package_and_those_below(module: str) -> None:
    below = packages()[: packages().index(home(module)) + 1]

    assert {package for package, _, _ in imports(module)} <= {*below, "-"}


@pytest.mark.parametrize("module", sorted(TREES))
def test_a_package_is_used_through_the_names_of_its_face(module: str) -> None:
    deep = {
        (package, within, name)
        for package, within, name in imports(module)
        if package not in ("-", "", home(module)) and within
    }
    hidden = {
        (package, name)
        for package, within, name in imports(module)
        if package not in ("-", "", home(module)) and not within and name not in face(package)
    }

    assert not deep
    assert not hidden


@pytest.mark.parametrize("package", sorted(filter(None, packages())))
def test_a_face_names_nothing_that_is_used_by_no_other_package(package: str) -> None:
    used = {
        name
        for module in TREES
        for other, within, name in imports(module)
        if other == package != home(module) and not within
    }

    assert face(package) <= used


@pytest.mark.parametrize("package", packages())
def test_the_modules_of_a_package_import_each_other_in_no_circle(package: str) -> None:
    graph = {
        module: {
            f"{package}.{within}".lstrip(".")
            for other, within, _ in imports(module)
            if other == package and within
        }
        for module in TREES
        if home(module) == package and inside(module)
    }

    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", sorted(DOORS))
def test_a_package_of_others_is_imported_in_one_module_only(package: str) -> None:
    assert [module for module in TREES if ("-", package, "") in imports(module)] == [DOORS[package]]


def test_no_other_package_is_imported_than_those_that_have_a_door() -> None:
    others = {name for module in TREES for package, name, _ in imports(module) if package == "-"}

    assert others <= {*DOORS, *sys.stdlib_module_names}


def loaded_by(modules: str) -> set[str]:
    """The modules that a process has loaded that imports these."""
    code = f"import sys; from dane_mailgraph.cli import {modules}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join([str(ROOT.parent), *sys.path])},
    )
    assert not done.returncode, done.stderr
    return set(done.stdout.split())


def test_the_counter_holds_for_years_only_what_it_needs() -> None:
    loaded = loaded_by("command_line, counter, daemon")

    assert "dane_mailgraph.counting.live_log" in loaded
    assert not loaded & {"ssl", "hashlib", "subprocess", "tempfile", "pathlib", "dataclasses"}
    assert not {each for each in loaded if each.startswith(("dane_mailgraph.answer", "email"))}


def test_what_answers_loads_nothing_that_counts() -> None:
    loaded = loaded_by("command_line, commands, judgement")

    assert "dane_mailgraph.answer.conditions" in loaded
    assert not {
        each
        for each in loaded
        if each.startswith(("dane_mailgraph.counting", "dane_mailgraph.postfix."))
    }


@pytest.mark.parametrize("module", sorted(TREES))
def test_everything_public_says_what_it_is(module: str) -> None:
    tree = TREES[module]
    silent = [
        node.name for node in public(tree.body) if not (ast.get_docstring(node) or "").strip()
    ]

    assert (ast.get_docstring(tree) or "").strip()
    assert not silent
