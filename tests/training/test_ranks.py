"""Two processes on the CPU train as one: the same losses and weights, one set of files, one stop for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

torch = pytest.importorskip("torch")

from sqlwright.training.packing import Encoded  # noqa: E402
from sqlwright.training.ranks import Ranks, join  # noqa: E402

needs("peft")

from together import learn  # noqa: E402


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def test_two_processes_learn_what_one_does_however_often_they_are_stopped(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    learn(tmp_path / "one")
    folder = tmp_path / "two"
    folder.mkdir()
    script = Path(__file__).with_name("together.py")
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, str(script), str(folder)], env=environment, timeout=120, check=True)
    exits = json.loads((folder / "exits.json").read_text(encoding="utf-8"))
    assert sorted(exits["stopped"]) == [130, 143], "one was told so, and the other stopped with it"
    assert 3 <= exits["steps"] < len(losses(tmp_path / "one"))
    assert exits["continued"] == [0, 0]
    assert losses(folder) == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-4)


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 5))
def test_every_group_is_one_ranks(sizes: list[int], world: int) -> None:
    groups = [[Encoded(str(number), "db", (1,), (2,) * size, 0)] for number, size in enumerate(sizes)]
    dealt = [Ranks(rank, world).deal(groups) for rank in range(world)]
    assert Counter(group[0].id for own in dealt for group in own) == Counter(group[0].id for group in groups)
    loads = [sum(1 + len(group[0].branch) for group in own) for own in dealt]
    assert max(loads, default=0) - min(loads, default=0) <= max((1 + size for size in sizes), default=0)


def test_alone_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() == Ranks()
    assert Ranks().add_up([], 1.0, 2.0) == [1.0, 2.0]
    assert Ranks().tell("word") == "word"
