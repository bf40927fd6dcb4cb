"""Checkpoints: whole or absent, the newest that can be read and belongs to the plan, never code."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sqlwright.training import checkpoint  # noqa: E402
from sqlwright.training.checkpoint import Checkpoint  # noqa: E402


def state(step: int, plan: str = "plan") -> Checkpoint:
    return Checkpoint(step, plan, 10 * step, 0.5, {"a": torch.full((3,), float(step))}, {"state": {}, "groups": [1]})


def test_the_newest_two_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path, "plan", pytest.fail) is None
    for step in (1, 2, 10):
        checkpoint.save(tmp_path / "c", state(step))
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["step-000002.pt", "step-000010.pt"]
    found = checkpoint.newest(tmp_path / "c", "plan", pytest.fail)
    assert found is not None
    assert (found.step, found.questions, found.optimizer) == (10, 100, {"state": {}, "groups": [1]})
    assert torch.equal(found.weights["a"], torch.full((3,), 10.0))


@pytest.mark.parametrize("keep", [0, 1, 40, 0.5, -1], ids=str)
def test_a_truncated_one_falls_back_to_the_one_before_and_says_so(tmp_path: Path, keep: float) -> None:
    checkpoint.save(tmp_path, state(1))
    path = checkpoint.save(tmp_path, state(2))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    said: list[str] = []
    found = checkpoint.newest(tmp_path, "plan", said.append)
    assert found is not None
    assert found.step == 1
    assert len(said) == 1
    assert "step-000002.pt can't be read" in said[0]


def test_one_of_another_plan_is_not_used_and_it_is_said(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1, "other"))
    said: list[str] = []
    assert checkpoint.newest(tmp_path, "plan", said.append) is None
    assert "other settings or questions" in said[0]


def test_what_was_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1))
    (tmp_path / "step-000002.partial").write_bytes(b"half")
    found = checkpoint.newest(tmp_path, "plan", pytest.fail)
    assert found is not None
    assert found.step == 1


class Attack:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "attacked"
    torch.save({"step": Attack(target)}, tmp_path / "step-000001.pt")
    said: list[str] = []
    assert checkpoint.newest(tmp_path, "plan", said.append) is None
    assert said
    assert not target.exists()
