"""An installed SQLWright, away from its checkout: the recipes are there, and work without the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with SQLWright installed from a wheel built of this checkout; about ten seconds."""
    if util.find_spec("setuptools") is None or util.find_spec("pip") is None:
        pytest.skip("needs setuptools and pip to build a wheel without the network")
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "recipes", source / "recipes")
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source)
    target = folder / "target"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return target


def call(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from sqlwright.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=dict(os.environ),
    )


def test_recipes_are_found_copied_and_right(installed: Path, tmp_path: Path) -> None:
    listed = call(installed, tmp_path, "recipe", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    recipes = json.loads(listed.stdout)
    assert {recipe["name"] for recipe in recipes} == {path.stem for path in (ROOT / "recipes").glob("*.toml")}
    assert all(Path(recipe["path"]).is_relative_to(installed) for recipe in recipes)
    copied = call(installed, tmp_path, "recipe", "copy", "quickstart")
    assert (copied.returncode, copied.stdout) == (0, "quickstart.toml\n")
    assert call(installed, tmp_path, "recipe", "check", "quickstart.toml").returncode == 0


def test_the_packaged_data_is_there(installed: Path) -> None:
    for name in ("data/quickstart/train.json", "data/chinook/chinook.sqlite", "runs/report.html.j2", "py.typed"):
        assert (installed / "sqlwright" / name).is_file()
