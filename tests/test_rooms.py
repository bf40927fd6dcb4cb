"""The order of the rooms: a folder imports only from those before it, so that data flows one way.

Every import counts, those inside functions and those for types too: an import that is put off is still a dependency.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sqlwright

PACKAGE = Path(sqlwright.__file__).resolve().parent
ROOMS = (
    "databases",
    "sql",
    "datasets",
    "prompts",
    "models",
    "training",
    "decoding",
    "evaluation",
    "export",
    "serving",
    "runs",
    "cli",
)
SHARED = {"records", "recipe", "recipe_file", "errors", ""}
"""What every room may import; the empty name is the package itself."""
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every module that a file imports; relative imports are made absolute."""
    package = ("sqlwright", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, *([node.module] if node.module else [])])
            # `from sqlwright import pipeline` names a module, `from sqlwright.records import Score` doesn't.
            yield from ((node.lineno, f"{base}.{alias.name}" if base == "sqlwright" else base) for alias in node.names)


def room_of(name: str) -> str | None:
    """Return the room or top module of a dotted name; None for other packages."""
    parts = name.split(".")
    if parts[0] != "sqlwright":
        return None
    top = parts[1] if len(parts) > 1 else ""
    return top if (PACKAGE / top).is_dir() or (PACKAGE / f"{top}.py").is_file() else ""


def forbidden(path: Path, tree: ast.AST) -> list[str]:
    """Return what a file imports against the rule, each with its line."""
    parts = path.relative_to(PACKAGE).parts
    own = parts[0] if len(parts) > 1 else path.stem
    found = []
    for line, name in imported(path, tree):
        room = room_of(name)
        if name.split(".")[0] == "sqlglot" and own != "sql":
            found.append(f"{path.name}:{line} imports {name}: only sql/ may")
        if room is None or room in SHARED or room == own or own in ("pipeline", "__init__"):
            continue
        if own == "cli" and room == "pipeline":
            continue
        if own not in ROOMS or room not in ROOMS or ROOMS.index(room) > ROOMS.index(own):
            found.append(f"{path.name}:{line} imports {name}: {room} is not before {own}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_imports_only_from_rooms_before_its_own(path: Path) -> None:
    assert forbidden(path, ast.parse(path.read_text(encoding="utf-8"))) == []


def test_every_folder_with_code_is_a_room_in_the_order() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    assert {folder.relative_to(PACKAGE).parts[0] for folder in folders} == set(ROOMS)


def test_the_top_modules_are_the_five_of_the_map() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert modules == {"__init__", "records", "recipe", "recipe_file", "errors", "pipeline"}


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("sql/x.py", "from sqlwright.evaluation import spider"),
        ("databases/x.py", "def f():\n    import sqlwright.cli.app"),
        (
            "training/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sqlwright.export import check",
        ),
        ("runs/x.py", "from sqlwright import pipeline"),
        ("models/x.py", "from ..runs import run"),
        ("models/deep/x.py", "from ...serving.ask import ask"),
        ("datasets/x.py", "import sqlglot"),
        ("records.py", "from sqlwright.databases import Executor"),
    ],
)
def test_the_rule_catches_what_it_forbids(place: str, code: str) -> None:
    assert forbidden(PACKAGE / place, ast.parse(code))


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("cli/x.py", "from sqlwright import pipeline, __version__"),
        ("evaluation/x.py", "from sqlwright.databases import Executor"),
        ("sql/x.py", "import sqlglot.expressions"),
        ("serving/x.py", "from .ask import ask"),
        ("pipeline.py", "from sqlwright.runs.run import Run"),
        ("__init__.py", "from sqlwright.serving.ask import ask"),
    ],
)
def test_the_rule_lets_pass_what_it_allows(place: str, code: str) -> None:
    assert not forbidden(PACKAGE / place, ast.parse(code))
