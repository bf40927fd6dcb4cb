"""A random model, trained by two processes, one of which is told to stop, and then by two others to the end.

    python together.py FOLDER [KIND [layers]]

KIND is one of `train.kind`; with `layers` the layers are shared out over both, as accelerate's configuration asks for.
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


def learn(folder: Path, pause: float = 0.0, kind: str = "lora") -> None:
    """Train with `pause` seconds after each step; rank 0 writes what was learned to `folder/weights.pt`."""
    settings = SETTINGS.model_copy(update={"kind": kind})
    spec = importlib.util.spec_from_file_location("models", Path(__file__).parent / "conftest.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    groups = made.random_questions([(12, [(3, 4)] * 7), (20, [(4, 5)] * 8), (6, [(2, 3)] * 9)])
    plan = make_plan([question for group in groups for question in group], groups[0], settings, 0)
    ranks = join()
    result = train(
        made.random_model("qwen2"),
        plan,
        settings,
        seed=0,
        folder=folder,
        progress=lambda *_: time.sleep(pause),
        ranks=ranks,
    )
    if ranks.leads:
        weights = result.weights or {name: weight.detach() for name, weight in trainable(result.model).items()}
        torch.save(weights, folder / "weights.pt")


def start(folder: Path, pause: float, kind: str) -> list[int]:
    """Return the process numbers of two ranks that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def train_as(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        learn(folder, pause, kind)

    return [in_child(partial(train_as, rank)) for rank in range(2)]


def ended(numbers: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in numbers]


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "lora"
    if sys.argv[3:] == ["layers"]:
        importlib.import_module("torch.distributed.fsdp")  # seconds, for all four at once
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}
    numbers = start(folder, 0.1, kind)
    metrics = folder / "metrics.jsonl"
    while not metrics.is_file() or metrics.read_text(encoding="utf-8").count('"loss"') < 3:
        if os.waitpid(numbers[0], os.WNOHANG)[0]:
            raise SystemExit("the first process ended before its third step")
        time.sleep(0.02)
    os.kill(numbers[1], signal.SIGTERM)  # the one that doesn't write
    stopped = ended(numbers)
    done = metrics.read_text(encoding="utf-8").count('"loss"')
    values = {"stopped": stopped, "steps": done, "continued": ended(start(folder, 0.0, kind))}
    (folder / "exits.json").write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main()
