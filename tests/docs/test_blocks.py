"""What README and docs show works: Python runs, recipes validate, question files are read, links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Block, anchors, blocks, links, prose

from sqlwright.databases import Executor
from sqlwright.datasets import READERS, check_golds, package_path
from sqlwright.recipe_file import read_recipe

EXAMPLES = ROOT / "docs" / "examples"
ROOMS = ROOT / "docs" / "rooms"


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(block: Block, request: pytest.FixtureRequest) -> None:
    if "sqlwright.ask(" in block.text:
        request.getfixturevalue("base_model")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_recipe_validates(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "shown.toml"
    path.write_text(block.text, encoding="utf-8")
    read_recipe(path)


@pytest.mark.parametrize("block", blocks("jsonl", "csv"), ids=str)
def test_question_files_are_read_and_their_golds_run(block: Block, tmp_path: Path) -> None:
    path = tmp_path / f"shown.{block.language}"
    path.write_text(block.text, encoding="utf-8")
    check_file(path, block.language)


@pytest.mark.parametrize("name", ["questions.jsonl", "held-out.jsonl", "questions.csv"])
def test_the_example_files_are_read_and_their_golds_run(name: str) -> None:
    check_file(EXAMPLES / name, name.rpartition(".")[2])


def check_file(path: Path, kind: str) -> None:
    with Executor(workers=1) as executor:
        dataset = check_golds(READERS[kind]([path], package_path("chinook")), executor)
    assert dataset.questions
    assert dataset.dropped == ()


def test_the_example_recipe_is_the_one_that_the_readme_shows() -> None:
    shown = next(block for block in blocks("toml") if block.page.name == "README.md")
    recipe = read_recipe(EXAMPLES / "chinook.toml")
    assert all(line in (EXAMPLES / "chinook.toml").read_text(encoding="utf-8") for line in shown.text.splitlines())
    for name in (*recipe.data.train, *recipe.data.evaluate):
        assert (EXAMPLES / name).is_file()


def test_the_example_of_scoring_runs(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlwright.cli.app import run

    monkeypatch.chdir(ROOT)
    words = ["score", "--benchmark", "spider", "--gold", "docs/examples/gold.sql"]
    words += ["--predictions", "docs/examples/predictions.sql"]
    assert run([*words, "--databases", "src/sqlwright/data/quickstart/database"]) == 0
    assert "spider: scored 6 of 6 questions" in capfd.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"]
    assert {page for page in PAGES if page not in reached} == set()


def test_the_reference_of_settings_is_up_to_date() -> None:
    path = ROOT / "docs" / "make_recipe_reference.py"
    spec = importlib.util.spec_from_file_location("make_recipe_reference", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.PAGE.read_text(encoding="utf-8")
    assert written == module.render(), "run: python docs/make_recipe_reference.py"


def test_settings_named_in_sentences_exist() -> None:
    from sqlwright.pipeline import STAGES
    from sqlwright.recipe import Recipe

    keys = set(Recipe().flat())
    sections = {key.partition(".")[0] for key in keys if "." in key}
    keys |= {stage.name for stage in STAGES}
    for page in PAGES:
        for name in re.findall(r"`([a-z]+\.[a-z_]+)(?: = [^`]*)?`", prose(page)):
            if name.partition(".")[0] in sections and not re.search(r"\.(py|toml|jsonl?|html|md|gguf)$", name):
                assert name in keys, f"{page.name}: {name}"


def test_every_room_has_a_page() -> None:
    package = ROOT / "src" / "sqlwright"
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert {page.stem for page in ROOMS.glob("*.md")} == rooms


@pytest.mark.parametrize("page", sorted(ROOMS.glob("*.md")), ids=lambda page: page.stem)
def test_names_in_a_rooms_table_exist(page: Path) -> None:
    folder = ROOT / "src" / "sqlwright" / page.stem
    defined = {path.stem: names_in(path) for path in folder.glob("*.py")}
    anywhere = set().union(*defined.values()) | set(defined)
    table = re.search(r"^\| \| \|\n\|---\|---\|\n((?:\|.*\n)+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    if table is None:
        listed = re.findall(r"^\| `(\w+)\.py` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert listed and set(listed) <= set(defined)
        return
    for row in table[1].splitlines():
        for name in re.findall(r"`([\w./]+)`", row.split("|")[1]):
            module, dot, attribute = name.partition(".")
            exists = attribute in defined.get(module, set()) if dot else name in anywhere
            assert exists or (folder / name).is_dir(), f"{page.name}: {name}"


def names_in(path: Path) -> set[str]:
    """Return the names that a file defines at its top level."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])(/tmp|/root|/home)/", page.read_text(encoding="utf-8")), page.name
