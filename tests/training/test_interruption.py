"""Training that is killed at random points, or asked to stop, and continued: bit for bit the same matrices."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs

needs("peft")

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which nursery.py trained once undisturbed and several times disturbed."""
    return trained(tmp_path_factory.mktemp("nursery"))


def trained(folder: Path, *numbers: str) -> Path:
    seed = str(random.SystemRandom().randrange(10**6))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "nursery.py"), str(folder), seed, *numbers],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-2000:]}"
    return folder


@pytest.mark.parametrize("name", ["killed", "interrupted", "terminated"])
def test_the_matrices_are_those_of_an_undisturbed_run(root: Path, name: str) -> None:
    plain, disturbed = (torch.load(root / f"{one}.pt", weights_only=True) for one in ("plain", name))
    assert plain.keys() == disturbed.keys()
    assert all(torch.equal(plain[key], disturbed[key]) for key in plain)
    assert any(weight.abs().sum() > 0 for key, weight in plain.items() if "lora_B" in key)


@pytest.mark.parametrize("name", ["killed", "interrupted", "terminated"])
def test_the_metrics_are_those_of_an_undisturbed_run(root: Path, name: str) -> None:
    def read(folder: Path) -> list[tuple[object, ...]]:
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines()]
        return [(line["step"], line["questions"], line.get("loss"), line.get("validation_loss")) for line in found]

    assert read(root / name) == read(root / "plain")


@pytest.mark.slow
def test_twenty_kills_in_sixty_steps(tmp_path: Path) -> None:
    root = trained(tmp_path, "60", "20")
    plain, killed = (torch.load(root / f"{one}.pt", weights_only=True) for one in ("plain", "killed"))
    assert plain.keys() == killed.keys() and all(torch.equal(plain[key], killed[key]) for key in plain)
    exits = json.loads((root / "exits.json").read_text(encoding="utf-8"))["killed"]
    assert exits[:-1].count(-9) >= 15 and exits[-1] == 0


def test_exit_codes(root: Path) -> None:
    exits = json.loads((root / "exits.json").read_text(encoding="utf-8"))
    assert exits["plain"] == [0]
    assert exits["interrupted"] == [130, 0]
    assert exits["terminated"] == [143, 0]
    assert exits["killed"][:-1].count(-9) >= 2, "most kills met a running training"
    assert exits["killed"][-1] == 0
