"""What README, man pages and units say is what the program does."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from datetime import timezone
from pathlib import Path

import pytest

from dane_mailgraph.categories import FAMILIES
from dane_mailgraph.cli import command_line
from dane_mailgraph.config import FILE
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix.explanation import explain
from dane_mailgraph.settings import SETTINGS, Setting

ROOT = Path(__file__).parents[1]
README, REFERENCE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/reference.md")
)
PROGRAM, SETTING = (
    (ROOT / "man" / name).read_text(encoding="utf-8")
    for name in ("dane-mailgraph.8", "dane-mailgraph.conf.5")
)
UNITS = sorted((ROOT / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]

PARSER = command_line.parser()
(_VERBS,) = [action for action in PARSER._actions if isinstance(action, argparse._SubParsersAction)]
VERBS: dict[str, argparse.ArgumentParser] = _VERBS.choices


def section(page: str, name: str) -> str:
    """A section of a man page, as its source has it."""
    return re.split(
        r"^\.S[sh] ", page.split(f"\n.Ss {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE
    )[0]


def own_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """A verb's options that are no settings."""
    common = {*(setting.name for setting in SETTINGS), "help", "config"}
    return [action for action in parser._actions if action.dest not in common]


# ---- settings -------------------------------------------------------------------------------


def test_the_table_of_settings_lists_each_with_its_default_and_meaning() -> None:
    rows = [
        (name, default)
        for name, default in re.findall(
            r"^\| `(\w+)` \| (`.*?`|empty) \| (?=[a-z])", REFERENCE, re.MULTILINE
        )
    ]

    assert rows == [
        (each.name, f"`{each.default}`" if each.default else "empty") for each in SETTINGS
    ]
    for each in SETTINGS:
        assert f"| {each.help} |\n" in REFERENCE


def test_the_man_page_lists_each_setting_with_its_default() -> None:
    said = re.findall(r"^\.It Ic (\w+) =(.*)$", section(SETTING, "Settings"), re.MULTILINE)

    assert [(name, default.strip()) for name, default in said] == [
        (each.name, each.default) for each in SETTINGS
    ]
    assert FILE in SETTING and FILE in PROGRAM


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_man_page_begins_with_what_help_says_of_a_setting(setting: Setting) -> None:
    text = section(SETTING, "Settings").split(f".It Ic {setting.name} =", 1)[1].split("\n", 1)[1]

    assert " ".join(text.split()).lower().startswith(f"{setting.help.lower()}.")


# ---- verbs ----------------------------------------------------------------------------------


def test_the_man_page_and_the_table_of_verbs_list_each_verb() -> None:
    assert re.findall(r"^\.It Cm (\w+)", section(PROGRAM, "Verbs"), re.MULTILINE) == list(VERBS)
    assert re.findall(r"^\.Nm\n\.Cm (\w+)$", PROGRAM, re.MULTILINE) == list(VERBS)
    assert [verb for verb in VERBS if f"| `{verb}" not in REFERENCE] == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_man_page_lists_each_option_of_a_verb(verb: str) -> None:
    synopsis = PROGRAM.split(f".Nm\n.Cm {verb}\n", 1)[1].split(".Nm\n", 1)[0]
    text = re.split(
        r"^\.It Cm ",
        section(PROGRAM, "Verbs").split(f".It Cm {verb}", 1)[1],
        maxsplit=1,
        flags=re.MULTILINE,
    )[0]
    for action in own_options(VERBS[verb]):
        for option in action.option_strings or ():
            assert f"Fl {option[1:]}" in synopsis + text or f", {option[1:]}" in text
        if not action.option_strings:
            assert f"Ar {action.metavar}" in synopsis
        for choice in (action.choices or ()) if action.dest == "format" else ():
            assert choice in synopsis


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
@pytest.mark.parametrize("name", ["dane-mailgraph.8", "dane-mailgraph.conf.5"])
def test_mandoc_finds_nothing_to_say_of_a_man_page(name: str) -> None:
    done = subprocess.run(
        ["mandoc", "-Tlint", str(ROOT / "man" / name)], capture_output=True, text=True, check=False
    )

    # Which other pages there are is the machine's matter.
    assert [
        line for line in done.stdout.splitlines() if "referenced manual not found" not in line
    ] == []


# ---- guides ---------------------------------------------------------------------------------

GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *GUIDES, ROOT / "sample_logs" / "README.md"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MAKE_TARGETS = MAKEFILE.split(".PHONY:")[1].split("\n\n")[0].replace("\\", "").split()
COUNTING = (ROOT / "docs" / "counting.md").read_text(encoding="utf-8")
SCENES: list[str] = re.findall(r"^```\n(# expect: .*?)^```$", COUNTING, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.split("\n")[0])
def test_the_lines_of_the_counting_rules_count_as_the_annotations_above_them_say(
    scene: str,
) -> None:
    expected, lines = scene.splitlines()[::2], scene.encode().splitlines()[1::2]
    clock = Clock(timezone.utc, 1795485600)  # 2026-11-24T02:00Z
    for expect, said in zip(
        expected, explain(lines, clock, PeerSet("127.0.0.0/8 ::1 unix")), strict=True
    ):
        times = re.search(r"counted (\d+) times", said.note)
        counts = (
            (f"{times[1]} x " if times else "") + " ".join(said.counts)
            if said.counts
            else "nothing, "
        )
        assert expect.removeprefix("# expect: ").startswith(counts)


def test_the_counting_rules_have_a_line_of_each_family() -> None:
    assert [family for family in FAMILIES if f" {family}." not in "".join(SCENES)] == []


COMMAND = re.compile(
    r"^(?:.*\| )?(?:sudo -u dane-mailgraph )?dane-mailgraph ([a-z]+)(.*)$", re.MULTILINE
)


def code(text: str) -> str:
    """What a page sets as code, in lines and in sentences."""
    return "\n".join(
        "".join(each) for each in re.findall(r"^```(.*?)^```|`([^`]+)`", text, re.S | re.M)
    )


def anchors(page: Path) -> set[str]:
    """What a link can name behind `#`: the headings, as the forges write them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
    for link, anchor in links:
        target = page.parent / link if link else page

        assert target.exists()
        assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_on_a_page_have_the_verbs_and_options_that_it_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for verb, rest in COMMAND.findall(code(text)):
        assert verb in VERBS
        known = {option for each in VERBS[verb]._actions for option in each.option_strings}
        assert set(re.findall(r"(?<= )--[a-z-]+", rest)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_make_targets_on_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\bmake (?:[A-Z]+=\S+ )*([a-z][a-z-]+)", code(text))

    assert set(named) <= {*MAKE_TARGETS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_modules_and_tests_on_a_page_exist(page: Path) -> None:
    named = re.findall(r"`(?:python )?([\w/.]+\.(?:py|json))`", page.read_text(encoding="utf-8"))
    places = ROOT, ROOT / "dane_mailgraph"
    missing = [each for each in named if not any((place / each).exists() for place in places)]

    assert set(missing) <= {"status.json", "languages/CODE.json"}


def test_the_line_that_walks_through_the_house_counts_as_it_says() -> None:
    house = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    walk = house.split("\n## A line's walk", 1)[1].split("\n## ")[0]
    line = re.findall(r"^```\n(.*)\n```$", walk, re.MULTILINE)[0].encode()
    (said,) = explain([line], Clock(timezone.utc, 1795485600), PeerSet("127.0.0.0/8 ::1 unix"))

    assert f": {said.time}." in walk
    assert said.counts and all(f"`{each}`" in walk for each in said.counts)


def test_the_tables_that_a_change_touches_are_where_the_house_says() -> None:
    house = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    rows = re.findall(r"row of `(\w+)` in `([\w/.]+)`", house)

    assert len(rows) >= 8
    for name, path in rows:
        source = (ROOT / "dane_mailgraph" / path).read_text(encoding="utf-8")
        assert re.search(rf"^{name}\b.*= \(|^{name}\b.*= tuple\(|^{name}\b.*= \{{", source, re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_prose_of_a_page_has_lines_of_at_most_100_characters(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    long = [line for line in prose.splitlines() if len(line) > 100]

    assert [line for line in long if not line.startswith(("|", "!", "<img"))] == []


def test_readme_names_each_guide() -> None:
    assert [page.name for page in GUIDES if f"](docs/{page.name})" not in README] == []


def test_make_help_names_each_target() -> None:
    said = re.findall(r"^\t@echo 'make ([a-z-]+)", MAKEFILE, re.MULTILINE)
    also = re.findall(r"\bmake ([a-z-]+)", MAKEFILE.split("\nhelp:")[1].split("\n\n")[0])

    assert {*MAKE_TARGETS} - {*said, *also} == {"help", "ready"}


# ---- completions ----------------------------------------------------------------------------

ASK_BASH = """
. "$1"
shift
COMP_WORDS=(dane-mailgraph "$@") COMP_CWORD=$#
"$(complete -p dane-mailgraph | sed 's/.*-F \\([^ ]*\\).*/\\1/')" dane-mailgraph
echo "${COMPREPLY[*]}"
"""


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make install` fills in a prefix's share."""
    folder = tmp_path_factory.mktemp("share")
    subprocess.run(
        [sys.executable, str(ROOT / "tools" / "completions.py"), str(folder)], check=True
    )
    return folder


def by_bash(folder: Path, *words: str) -> set[str]:
    file = folder / "bash-completion" / "completions" / "dane-mailgraph"
    done = subprocess.run(
        ["bash", "-c", ASK_BASH, "bash", file, *words], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def by_fish(folder: Path, *words: str) -> set[str]:
    file = folder / "fish" / "vendor_completions.d" / "dane-mailgraph.fish"
    ask = f"source {file}; complete -C 'dane-mailgraph {' '.join(words)}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask], capture_output=True, text=True, check=True
    )
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes_each_verb_its_options_and_their_choices(
    shell: str, completions: Path
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    ask = by_bash if shell == "bash" else by_fish

    assert ask(completions, "") >= set(VERBS)
    for name, verb in VERBS.items():
        options = {
            option
            for action in verb._actions
            for option in action.option_strings
            if option.startswith("--") and action.help != argparse.SUPPRESS
        }
        assert ask(completions, name, "--") == options
    assert ask(completions, "report", "--format", "") == {"text", "json", "csv"}
    assert ask(completions, "render", "--renderer", "") == {"matplotlib", "rrdtool"}
    assert "plaintext" in ask(completions, "relays", "--only", "")
    assert "/etc/passwd" in ask(completions, "import", "/etc/passw")
    assert "/etc/passwd" in ask(completions, "collect", "--log", "/etc/passw")


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_can_read_its_completions(completions: Path) -> None:
    file = completions / "zsh" / "site-functions" / "_dane-mailgraph"
    done = subprocess.run(["zsh", "-n", str(file)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_text().startswith("#compdef dane-mailgraph\n")


# ---- units ----------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_units_are_without_fault(tmp_path: Path) -> None:
    program = tmp_path / "dane-mailgraph"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text().replace("/opt/dane-mailgraph/bin/dane-mailgraph", str(program))
        (tmp_path / unit.name).write_text(text)
    command = [
        "systemd-analyze",
        "verify",
        "--man=no",
        "--recursive-errors=yes",
        *(str(tmp_path / unit.name) for unit in UNITS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_the_services_can_reach_little(unit: Path) -> None:
    most = _EXPOSED.get(unit.name, 0.4)
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={max(9, round(10 * most))}",
        str(unit),
    ]  # in tenths
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposure) <= most


_EXPOSED = {
    "dane-mailgraph-check.service": 0.9,
    "dane-mailgraph-ship.service": 1.1,
    "dane-mailgraph-probe.service": 1.6,
}
"""One hands mail to this machine, one talks to a server that only the operator knows, one asks our
own servers and reads certificates."""


def test_units_and_cron_run_verbs_that_there_are() -> None:
    texts = [path.read_text() for path in (*UNITS, ROOT / "cron" / "dane-mailgraph")]
    verbs = re.findall(r"/opt/dane-mailgraph/bin/dane-mailgraph (\w+)", "".join(texts))

    assert set(verbs) == {"run", "collect", "render", "check", "ship"} and set(verbs) <= set(VERBS)
