"""A random model, trained in as many processes as were started.

torchrun --nproc-per-node 2 together.py FOLDER PAUSE
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import torch

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


if __name__ == "__main__":
    torch.set_num_threads(1)
    learn(Path(sys.argv[1]), float(sys.argv[2]))
