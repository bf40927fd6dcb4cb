"""Checkpoints: all that a training run needs to go on as if it had not stopped, in one file written whole."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_NAME = re.compile(r"step-(\d{6})\.pt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after `step` optimizer steps: LoRA matrices by name, AdamW's state, questions seen, seconds spent."""

    step: int
    plan: str
    questions: int
    seconds: float
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]


def save(folder: Path, state: Checkpoint, keep: int = 2) -> Path:
    """Write the checkpoint (aside, synced, renamed), delete all but the newest `keep`, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{state.step:06d}.pt"
    aside = path.with_suffix(".partial")
    fields = {name: getattr(state, name) for name in Checkpoint.__slots__}
    with aside.open("wb") as file:
        torch.save(fields, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    for old in _all(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path, plan: str, say: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint of the plan, or None.

    A damaged one, or one of another plan, is skipped and said so through `say`. Only tensors and plain values are
    read, never code.
    """
    for path in reversed(_all(folder)):
        try:
            state = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch raises many kinds here; each means that the file is no whole checkpoint
            say(f"Checkpoint {path.name} can't be read ({type(error).__name__}): going back to the one before.")
            continue
        if state.plan == plan:
            return state
        say(f"Checkpoint {path.name} belongs to other settings or questions: it is not used.")
    return None


def _all(folder: Path) -> list[Path]:
    """Return the checkpoint files, oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name))
