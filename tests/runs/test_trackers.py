"""Trackers: what they are told, once, however often a run is continued; and what they keep, read from their files."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from needs import needs

pytest.importorskip("torch")

from random_models import random_model

from sqlwright.errors import ModelError
from sqlwright.recipe import Recipe, TrainSettings
from sqlwright.runs import trackers
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run
from sqlwright.runs.trackers import TRACKERS, Tracking, forget, tracking
from sqlwright.training.packing import Encoded
from sqlwright.training.trainer import make_plan, train

needs("peft")

SETTINGS = TrainSettings(rank=2, questions_per_step=1, questions_per_sequence=1, checkpoint_every=3, validate_every=2)
QUESTIONS = [Encoded(f"q{n}", "db", (5, 6, 7), (8 + n, 9, 10), 1) for n in range(8)]


class Remembering:
    """A tracker that keeps what it is told, by run."""

    told: ClassVar[dict[str, list[tuple[int, str, float]]]] = {}

    def __init__(self, folder: Path, name: str) -> None:
        self._own = self.told.setdefault(name, [])

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._own += [(step, key, value) for key, value in values.items()]

    def close(self) -> None:
        pass


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> type[Remembering]:
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", Remembering)
    monkeypatch.setattr(Remembering, "told", {})
    return Remembering


def learn(folder: Path, tracked: Tracking, stop_at: int = 99) -> None:
    """Train eight steps, or go on with them; killed when the tracker has just been told of a step."""

    def track(line: dict[str, Any]) -> None:
        tracked.metrics(line)
        if line["step"] == stop_at:
            raise KeyboardInterrupt

    plan = make_plan(QUESTIONS, QUESTIONS[:2], SETTINGS, 0)
    try:
        train(random_model("llama"), plan, SETTINGS, seed=0, folder=folder, track=track)
    except KeyboardInterrupt:
        assert stop_at < 8


def run_in(folder: Path, tracker: str) -> Run:
    recipe = Recipe(name="followed", train=TrainSettings(tracker=tracker))  # type: ignore[arg-type]
    return Run(recipe, folder / "followed.toml", RunFolder(folder), Silent())


def test_a_run_that_goes_on_says_nothing_twice(remembering: type[Remembering], tmp_path: Path) -> None:
    for stop_at in (5, 7, 99):  # the checkpoints before are those of steps 3 and 6
        with tracking(run_in(tmp_path, "tensorboard")) as tracked:
            assert tracked
            learn(tmp_path, tracked, stop_at)
            tracked.scores({"after fine-tuning/ex": 0.5})
    ((name, told),) = remembering.told.items()
    assert name.startswith("followed-")
    assert set(Counter((step, key) for step, key, _ in told if "score" not in key).values()) == {1}
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for key in ("loss", "validation_loss", "learning_rate"):
        wanted = [(line["step"], line[key]) for line in lines if key in line]
        assert [(step, value) for step, own, value in told if own == key] == wanted
    assert {"questions_per_second", "peak_memory_mb"} <= {key for _, key, _ in told}
    assert [one for one in told if one[1].startswith("score/")] == [(5, "score/after fine-tuning/ex", 0.5)]
    forget(run_in(tmp_path, "tensorboard"))
    with tracking(run_in(tmp_path, "tensorboard")) as again:
        assert again
        again.metrics({"step": 0, "validation_loss": 1.0})
    assert len(remembering.told) == 2, "another training is another run"


def test_a_tracker_that_fails_does_not_stop_the_training(
    remembering: type[Remembering], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no connection")

    monkeypatch.setattr(Remembering, "log", fail)
    said: list[str] = []
    learn(tmp_path, Tracking(tmp_path, "tensorboard", "x", said.append))
    assert said == ["The tracker tensorboard failed, and the run goes on without it: no connection"]
    assert len((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) > 8


def test_none_is_told_unless_asked(tmp_path: Path) -> None:
    with tracking(run_in(tmp_path, "none")) as tracked:
        assert tracked is None
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ImportError("none", name="wandb")

    monkeypatch.setitem(trackers.TRACKERS, "wandb", missing)  # type: ignore[arg-type]
    with pytest.raises(
        ModelError, match=r"needs a package that is not installed \(wandb\)\. Run: pip install '\.\[wandb"
    ):
        Tracking(tmp_path, "wandb", "x", print)


def tensorboard(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard" / name)).Reload()
    assert events.Scalars("score/after fine-tuning/ex")[0].value == 0.5
    return [(one.step, one.value) for one in events.Scalars("loss")]


def trackio(folder: Path, name: str) -> list[tuple[int, float]]:
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs(trackers.PROJECT, name)
    assert [one["score/after fine-tuning/ex"] for one in logs if "score/after fine-tuning/ex" in one] == [0.5]
    return [(one["step"], one["loss"]) for one in logs if "loss" in one]


def mlflow(folder: Path, name: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(trackers.PROJECT)
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.metrics["score/after fine-tuning/ex"] == 0.5
    return [(one.step, one.value) for one in client.get_metric_history(found.info.run_id, "loss")]


def wandb(folder: Path, name: str) -> list[tuple[int, float]]:
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        assert path.name == f"run-{name}.wandb"
        for data in _records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            values = {one.key or one.nested_key[0]: one.value_json for one in record.history.item}
            if "loss" in values:
                found.append((int(values["_step"]), float(values["loss"])))
    return found


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a file in LevelDB's log format, behind a head of seven bytes."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        if 0x8000 - place % 0x8000 < 7:  # no head of a part fits into the rest of a block
            place += 0x8000 - place % 0x8000
            continue
        _, length, part = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # all of a record, or its end
            yield whole
            whole = b""


READERS: dict[str, Callable[[Path, str], list[tuple[int, float]]]] = {
    "tensorboard": tensorboard,
    "trackio": trackio,
    "mlflow": mlflow,
    "wandb": wandb,
}


@pytest.mark.parametrize("tracker", TRACKERS)
def test_what_it_keeps_is_what_was_logged(tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"needs {tracker}")
    # Trackio reads its folder when it is first imported.
    monkeypatch.setenv("TRACKIO_DIR", os.environ.get("TRACKIO_DIR", str(tmp_path / "trackio")))
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "followed"
    folder.mkdir()
    for stop_at in (5, 99):
        with tracking(run_in(folder, tracker)) as tracked:
            assert tracked
            learn(folder, tracked, stop_at)
            if stop_at == 99:
                tracked.scores({"after fine-tuning/ex": 0.5})
    name = json.loads((folder / "tracker.json").read_text(encoding="utf-8"))["run"]
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    wanted = [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in lines if "loss" in line]
    assert READERS[tracker](folder, name) == wanted
