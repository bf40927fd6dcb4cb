"""Trackers that follow a run: each by its own client, behind one protocol, and each value sent once.

A tracker gets the lines of `metrics.jsonl` as they are written, and the scores at the end. `tracker.json` in the run
folder has the tracked run's name and how far it has been told: it is written before a value is sent, so that a run that
is continued goes on in the same tracked run and says nothing twice. What was on its way when a process was killed may
be missing there; `metrics.jsonl` has it.

Nothing leaves the machine unless the tracker's own environment variables say so (`WANDB_MODE`, `MLFLOW_TRACKING_URI`,
`TRACKIO_SPACE_ID`). Not covered: preference (`prefer`), settings, files.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlwright.errors import ModelError
from sqlwright.runs.folder import write_text
from sqlwright.runs.run import Run

PROJECT = "sqlwright"
_FILE = "tracker.json"
# What says where a line of metrics belongs, and is no value.
_PLACE = ("step", "questions", "seconds")


class Tracker(Protocol):
    """A tracked run that is open."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send values of a step."""

    def close(self) -> None:
        """Send what is waiting and end the connection."""


class TensorBoard:
    """Event files in the run folder's `tensorboard/`."""

    def __init__(self, folder: Path, name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard" / name))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Append to the event file, at once: the process may be killed."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class Trackio:
    """A run of Trackio's project `sqlwright`, in its local database."""

    def __init__(self, folder: Path, name: str) -> None:
        import trackio

        self._run = trackio.init(
            PROJECT, name=name, resume="allow", embed=False, auto_log_cpu=False, auto_log_gpu=False
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Hand the values to Trackio's sender."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Wait until all is stored."""
        self._run.finish()


class Mlflow:
    """A run of MLflow's experiment `sqlwright`, in `mlflow.db` beside the run folders by default."""

    def __init__(self, folder: Path, name: str) -> None:
        from mlflow import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve().parent / 'mlflow.db'}"
        self._client = MlflowClient(place)
        experiment = self._client.get_experiment_by_name(PROJECT)
        number = experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
        found = self._client.search_runs([number], f"attributes.run_name = '{name}'")
        self._id = (found[0] if found else self._client.create_run(number, run_name=name)).info.run_id
        self._client.update_run(self._id, status="RUNNING")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Store the values."""
        for key, value in values.items():
            self._client.log_metric(self._id, key, value, step=step)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._id)


class Wandb:
    """A run of Weights & Biases' project `sqlwright`, by default offline in the run folder's `wandb/`."""

    def __init__(self, folder: Path, name: str) -> None:
        import wandb

        self._run = wandb.init(
            project=PROJECT,
            id=name,
            name=name,
            resume="allow",
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Hand the values to the client's process."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Wait until all is stored."""
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, str], Tracker]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "mlflow": Mlflow,
    "wandb": Wandb,
}


class Tracking:
    """What a stage tells the tracker, each value once; see `tracking`."""

    def __init__(self, folder: Path, tracker: str, run_name: str, say: Callable[[str], None]) -> None:
        self._path, self._say = folder / _FILE, say
        known = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}
        if known.get("tracker") != tracker:
            known = {"tracker": tracker, "run": f"{run_name}-{secrets.token_hex(4)}", "told": [0, -1], "scores": {}}
        self._state: dict[str, Any] = known
        try:
            self._tracker: Tracker | None = TRACKERS[tracker](folder, known["run"])
        except ImportError as error:
            raise ModelError(
                f'train.tracker = "{tracker}": needs a package that is not installed ({error.name}). '
                f"Run: pip install '.[{tracker}]'"
            ) from None

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Send a line of metrics, unless the tracker has it."""
        place = [line["step"], int("validation_loss" in line)]
        if place > self._state["told"]:
            self._state["told"] = place
            self._send({key: value for key, value in line.items() if key not in _PLACE}, line["step"])

    def scores(self, scores: Mapping[str, float]) -> None:
        """Send scores by name, unless the tracker has them as they are, behind the last step."""
        if scores and self._state["scores"] != scores:
            self._state["scores"] = dict(scores)
            named = {"score/" + re.sub(r"[^\w ./-]", "", name): value for name, value in scores.items()}
            self._send(named, self._state["told"][0])

    def close(self) -> None:
        """Let the tracker store what is waiting."""
        self._try(lambda tracker: tracker.close())

    def _send(self, values: Mapping[str, float], step: int) -> None:
        write_text(self._path, json.dumps(self._state) + "\n")
        self._try(lambda tracker: tracker.log(values, step))

    def _try(self, work: Callable[[Tracker], None]) -> None:
        """Have the tracker do something; where it fails, go on without it."""
        if self._tracker is None:
            return
        try:
            work(self._tracker)
        except Exception as error:  # clients raise what they like, and none of it is worth a training
            self._tracker = None
            self._say(f"The tracker {self._state['tracker']} failed, and the run goes on without it: {error}")


@contextmanager
def tracking(run: Run) -> Iterator[Tracking | None]:
    """Yield what tells the recipe's tracker about the run, None where it names none.

    Raises `ModelError` where the tracker's package is not installed.
    """
    tracker = run.recipe.train.tracker
    if tracker == "none":
        yield None
        return
    told = Tracking(run.folder.path, tracker, run.recipe.name, run.reporter.say)
    try:
        yield told
    finally:
        told.close()


def forget(run: Run) -> None:
    """Have the next training followed as a run of its own."""
    (run.folder.path / _FILE).unlink(missing_ok=True)
