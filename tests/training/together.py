"""A random model, trained by two processes, one of which is told to stop, and then by two others to the end.

    python together.py FOLDER

The processes are forked once torch is here, which is what makes the test quick; what a launcher would set is set here.
Writes FOLDER/exits.json: how both ended, before and after.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import torch
from nursery import in_child

from sqlwright.recipe import TrainSettings
from sqlwright.training.lora import trainable
from sqlwright.training.ranks import join
from sqlwright.training.trainer import make_plan, train

SETTINGS = TrainSettings(
    learning_rate=0.01,
    epochs=2,
    rank=4,
    questions_per_step=4,
    questions_per_sequence=2,
    tokens_per_batch=128,
    checkpoint_every=2,
)


def learn(folder: Path, pause: float = 0.0) -> None:
    """Train with `pause` seconds after each step; rank 0 writes the matrices to `folder/weights.pt`."""
    spec = importlib.util.spec_from_file_location("models", Path(__file__).parent / "conftest.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    groups = made.random_questions([(12, [(3, 4)] * 7), (20, [(4, 5)] * 8), (6, [(2, 3)] * 9)])
    plan = make_plan([question for group in groups for question in group], [], SETTINGS, 0)
    ranks = join()
    result = train(
        made.random_model("qwen2"),
        plan,
        SETTINGS,
        seed=0,
        folder=folder,
        progress=lambda *_: time.sleep(pause),
        ranks=ranks,
    )
    if ranks.leads:
        weights = {name: weight.detach() for name, weight in trainable(result.model).items()}
        torch.save(weights, folder / "weights.pt")


def start(folder: Path, pause: float) -> list[int]:
    """Return the process numbers of two ranks that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def train_as(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        learn(folder, pause)

    return [in_child(partial(train_as, rank)) for rank in range(2)]


def ended(numbers: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in numbers]


def main() -> None:
    folder = Path(sys.argv[1])
    numbers = start(folder, pause=0.1)
    metrics = folder / "metrics.jsonl"
    while not metrics.is_file() or metrics.read_text(encoding="utf-8").count('"loss"') < 3:
        time.sleep(0.02)
    os.kill(numbers[1], signal.SIGTERM)  # the one that doesn't write
    stopped = ended(numbers)
    done = metrics.read_text(encoding="utf-8").count('"loss"')
    values = {"stopped": stopped, "steps": done, "continued": ended(start(folder, pause=0.0))}
    (folder / "exits.json").write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main()
