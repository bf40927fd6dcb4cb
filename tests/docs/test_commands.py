"""Every command in README and docs is one that the command line takes, and every command has its place in the docs."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import Any

import pytest
from cyclopts import App
from pages import PAGES, ROOT, blocks, commands, inline_commands

from sqlwright import errors
from sqlwright.cli.app import build
from sqlwright.cli.commands import GROUPS

OURS = commands("sqlwright")
VERBS = [command.name for group in GROUPS.values() for command in group]


def leaves(app: App, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every command as words, those of the groups with their second word."""
    found = []
    for name in app:
        if not name.startswith("-"):
            inner = leaves(app[name], (*before, name))
            found += inner or [(*before, name)]
    return found


def options(words: tuple[str, ...]) -> set[str]:
    """Return the options of a command."""
    app: Any = build()
    for word in words:
        app = app[word]
    return {name for argument in app.assemble_argument_collection() for name in argument.names if name.startswith("-")}


def test_there_are_commands_to_look_at() -> None:
    assert len(OURS) > 30


@pytest.mark.parametrize(("block", "words"), OURS, ids=lambda value: str(value) if not isinstance(value, list) else "")
def test_a_command_parses(block: Any, words: list[str]) -> None:
    if words[1:] == ["--version"]:
        return
    assert words[1] in VERBS
    command, bound, rest = build().parse_args(words[1:], exit_on_error=False, print_error=False)
    assert not rest
    assert getattr(command, "__name__", "") != "help_print" or "--help" in words
    assert bound is not None


def test_a_command_that_the_parser_refuses_would_be_found() -> None:
    from cyclopts.exceptions import CycloptsError

    for wrong in (["run", "a.toml", "--epochs", "2"], ["score", "--benchmark", "wikisql"], ["models", "push", "x"]):
        with pytest.raises(CycloptsError):
            build().parse_args(wrong, exit_on_error=False, print_error=False)


def test_commands_in_sentences_name_verbs_and_options_that_exist() -> None:
    every = {words: options(words) for words in leaves(build())}
    for page, words in inline_commands():
        verb = words[1]
        if verb == "COMMAND" or verb.startswith("--"):
            continue
        assert verb in VERBS, f"{page.name}: {' '.join(words)}"
        known = set().union(*(names for name, names in every.items() if name[0] == verb)) | {"--help"}
        used = {word for word in words if word.startswith("--")}
        assert used <= known, f"{page.name}: {' '.join(words)}"


def test_every_command_has_its_place_on_the_page_of_commands() -> None:
    shown = {tuple(words[1:3]) for block, words in OURS if block.page.name == "commands.md"}
    shown |= {words[:1] for words in shown}
    missing = [" ".join(words) for words in leaves(build()) if words not in shown]
    assert missing == []


def test_every_exit_code_has_its_place_on_the_page_of_commands() -> None:
    from sqlwright.cli import app

    table = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    codes = {getattr(value, "exit_code", 0) for value in vars(errors).values()} | {app.BUG, app.INTERRUPTED}
    shown = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(",")}
    assert codes | {app.TERMINATED, app.USAGE} <= shown


def test_files_that_ship_and_are_named_in_commands_exist() -> None:
    for block, words in OURS + commands("python"):
        for word in words[1:]:
            if re.match(r"(docs|src|bench|recipes)/", word):
                assert (ROOT / word).exists(), f"{block}: {word}"


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    named = {words[1] for _, words in commands("make")}
    assert {"demo", "test", "lint"} <= named <= targets


def test_commands_of_the_makefile_parse() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    for name, value in re.findall(r"^(\w+) :?\??= (.+)$", makefile, re.MULTILINE):
        makefile = makefile.replace(f"$({name})", value)
    found = re.findall(r"^\t@\S+/bin/sqlwright (.+)$", makefile, re.MULTILINE)
    assert len(found) == 7
    for text in found:
        words = shlex.split(text)
        build().parse_args(words, exit_on_error=False, print_error=False)
        paths = [word for word in words if re.match(r"(src|recipes)/", word)]
        assert all((ROOT / path).is_file() for path in paths)


def test_extras_that_are_installed_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = re.findall(r"pip install [^`\n]*?\.\[([\w,]+)\]", "\n".join(page.read_text("utf-8") for page in PAGES))
    assert named
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


def test_blocks_name_their_language() -> None:
    known = {"bash", "console", "python", "toml", "jsonl", "csv", "text", "json", "tsv", "sql", ""}
    languages = {block.language for block in blocks(*known, "sh", "py", "yaml", "ini")}
    assert languages <= known
