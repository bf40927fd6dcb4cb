"""The names and flags that don't change, help, version, usage errors, and nothing heavy before it is needed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sqlwright import __version__
from sqlwright.cli.commands import GROUPS

CONTRACT = [
    line.split("\t")
    for line in (Path(__file__).parent / "fixtures" / "contract.tsv").read_text(encoding="utf-8").splitlines()[1:]
]
RUN = "from sqlwright.cli import main; main()"


@pytest.mark.parametrize(("verb", "options"), CONTRACT, ids=[verb for verb, _ in CONTRACT])
def test_help_names_every_option(sqlwright: Callable[..., Any], verb: str, options: str) -> None:
    ended = sqlwright(*verb.split(), "--help")
    assert ended.code == 0
    assert ended.err == ""
    assert f"sqlwright {verb}" in ended.out
    labels = {word for line in ended.out.splitlines() for word in line.split()[:1]}
    assert set(options.split()) <= labels
    assert max(map(len, ended.out.splitlines())) <= 100


def test_contract_names_every_verb() -> None:
    verbs = {command.name for commands in GROUPS.values() for command in commands}
    assert {verb.split()[0] for verb, _ in CONTRACT} == verbs


def test_first_page_names_every_verb_and_exit_code(command: Callable[..., Any]) -> None:
    ended = command("--help")
    assert ended.code == 0
    for commands in GROUPS.values():
        for one in commands:
            assert f"  {one.name}" in ended.out
    for code in range(8):
        assert f" {code} " in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100


def test_first_page_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['sqlwright', '--help']\n"
        "from sqlwright.cli import main\n"
        "try: main()\n"
        "finally: print(sorted(set(sys.modules) & {'cyclopts', 'rich', 'pydantic', 'sqlglot'}), file=sys.stderr)"
    )
    fastest = 9.0
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        fastest = min(fastest, time.perf_counter() - started)
    assert done.stderr.strip() == "[]"
    assert fastest < 0.3


def test_version(command: Callable[..., Any]) -> None:
    assert command("--version") == (0, f"sqlwright {__version__}\n", "")


def test_without_a_verb_the_page_goes_to_stderr(command: Callable[..., Any]) -> None:
    ended = command()
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: sqlwright COMMAND" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scroe"], "Did you mean score?"),
        (["--nonsense"], "found '--nonsense'"),
        (["models", "lst"], 'Did you mean "list"?'),
        (["score", "--benchmark", "spidr", "--gold", "a", "--predictions", "b"], 'Did you mean "spider"?'),
        (["score", "--benchmark", "spider", "--gold", "a"], "--predictions"),
        (["score", "--benchmark", "spider", "--golds", "a"], "--golds"),
        (["run"], "RECIPE"),
        (["ask", "how many?"], "--database"),
        (["run", "nowhere.toml"], "nowhere.toml: expected a recipe, found no such file"),
        (["recipe", "explain", "epochs"], "It is `train.epochs`."),
        (["recipe", "copy", "quickstrat"], "Did you mean `quickstart`?"),
        (["runs", "show", "nothing"], "expected a run of runs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_end_with_2(sqlwright: Callable[..., Any], words: list[str], message: str) -> None:
    ended = sqlwright(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_debug_shows_the_traceback(command: Callable[..., Any], tmp_path: Path) -> None:
    ended = command("recipe", "check", tmp_path / "none.toml", env={"SQLWRIGHT_DEBUG": "1", "PATH": ""})
    assert ended.code == 2
    assert "Traceback" in ended.err
    assert "RecipeError" in ended.err


def test_a_reader_that_leaves_is_no_error() -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"set -o pipefail; '{sys.executable}' -c '{RUN}' recipe explain | head -1; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_a_full_disk_is_said(command: Callable[..., Any]) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with full.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "recipe", "explain"], stdout=out, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
