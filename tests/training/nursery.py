"""A process that trains a random model in children of its own, stops them by signals, and writes what came of it.

    python nursery.py FOLDER SEED [STEPS] [KILLS]

Children are forked before any thread is started: importing torch once for all of them is what makes the test quick.
Writes FOLDER/NAME.pt (LoRA matrices) for the undisturbed and the disturbed runs and FOLDER/exits.json.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import peft  # noqa: F401
import torch
import transformers  # noqa: F401

from sqlwright.recipe import TrainSettings
from sqlwright.training.lora import trainable
from sqlwright.training.trainer import make_plan, train

SETTINGS = TrainSettings(
    learning_rate=0.01, rank=4, questions_per_step=2, questions_per_sequence=2, tokens_per_batch=128, checkpoint_every=2
)


def learn(folder: Path, target: Path, steps: int) -> None:
    """Train (each step a few ms of work and 20 ms of rest) and write the matrices to `target`."""
    place = Path(__file__).parent / "conftest.py"
    spec = importlib.util.spec_from_file_location("models", place)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    questions = [q for group in made.random_questions([(12, [(3, 4)] * steps), (9, [(3, 5)] * steps)]) for q in group]
    plan = make_plan(questions, made.random_questions([(8, [(3, 4)] * 2)], seed=4)[0], SETTINGS, seed=0)
    assert len(plan.steps) == steps
    folder.mkdir(exist_ok=True)
    result = train(
        made.random_model("qwen2"), plan, SETTINGS, seed=0, folder=folder, progress=lambda *_: time.sleep(0.02)
    )
    torch.save({name: weight.detach() for name, weight in trainable(result.model).items()}, target)


def in_child(work: Callable[[], None]) -> int:
    """Return the process number of a child that does the work and exits as an interpreter would."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        torch.set_num_threads(1)
        work()
        code = 0
    except KeyboardInterrupt:
        code = 130
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        os._exit(code)


def steps_done(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_text(encoding="utf-8").count('"loss"') if path.is_file() else 0


def main() -> None:
    """Run the undisturbed training, then the disturbed ones."""
    root = Path(sys.argv[1])
    draw = random.Random(int(sys.argv[2]))
    steps, kills = (int(one) for one in sys.argv[3:] or (12, 3))
    exits: dict[str, list[int]] = {"plain": [], "killed": [], "interrupted": [], "terminated": []}
    stops = {
        "plain": [],
        "killed": [(signal.SIGKILL, steps) for steps in sorted(draw.choices(range(steps), k=kills))],
        "interrupted": [(signal.SIGINT, 3)],
        "terminated": [(signal.SIGTERM, 5)],
    }
    for name, planned in stops.items():
        folder = root / name
        for number, after in [*planned, (0, steps)]:
            child = in_child(lambda folder=folder, name=name: learn(folder, root / f"{name}.pt", steps))  # type: ignore[misc]
            while number and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if steps_done(folder) >= after:
                    time.sleep(draw.random() * 0.03)
                    os.kill(child, number)
                    break
                time.sleep(0.001)
            exits[name].append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    (root / "exits.json").write_text(json.dumps(exits), encoding="utf-8")


if __name__ == "__main__":
    main()
