"""Learning from the model's own answers, on a toy database: every method raises the reward of what is drawn after it.

The model is the tiny one cut to two blocks, which is taught the questions until it knows about a third of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import needs
from short_model import first_blocks
from toy import PAIRS, write_toy

pytest.importorskip("torch")

from sqlwright import pipeline
from sqlwright.databases import Executor
from sqlwright.errors import DataError, RecipeError
from sqlwright.evaluation.reward import score_rewards
from sqlwright.models.adapter import read_adapter
from sqlwright.models.torch_engine import TorchEngine
from sqlwright.prompts import build_prompts
from sqlwright.recipe import read_recipe
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run
from sqlwright.runs.stages import prefer
from sqlwright.sql.extract import extract_sql

needs("peft")

LEARN = ("prefer.learning_rate=1e-3", "prefer.samples=16", "predict.parallel=48")
METHODS = {
    "dpo": ("prefer.method=dpo", "prefer.epochs=6", *LEARN),
    "grpo": ("prefer.method=grpo", "prefer.epochs=8", "prefer.beta=0.02", *LEARN),
    "rejection": ("prefer.method=rejection", "prefer.epochs=6", *LEARN),
}


class Heard(Silent):
    """A reporter that keeps what stages did, and stops the work where it is told to."""

    def __init__(self, stop: tuple[str, int] | None = None) -> None:
        self.actions: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.stop = stop

    def stage(self, name: str, action: str, why: str = "") -> None:
        self.actions[name], self.reasons[name] = action, why

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        assert 0 <= done <= total
        if self.stop == (label, done):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with recipe and runs after fine-tuning alone."""
    folder = tmp_path_factory.mktemp("toy")
    recipe = write_toy(folder, first_blocks(tiny_model, folder / "two.gguf", 2), epochs=36)
    learn(recipe)
    return folder


def learn(recipe: Path, *overrides: str, stop: tuple[str, int] | None = None, only: str = "train") -> Heard:
    heard = Heard(stop)
    pipeline.run(read_recipe(recipe, overrides), recipe, recipe.parent / "runs", heard, only=only)
    return heard


def copied(trained: Path, target: Path) -> Path:
    """Return the recipe of a copy of the trained run."""
    shutil.copytree(trained, target, symlinks=True)
    return target / "toy.toml"


def run_of(recipe: Path) -> Run:
    return Run(read_recipe(recipe), recipe, RunFolder(recipe.parent / "runs" / "toy"), Silent())


def drawn(recipe: Path, adapter: Path) -> float:
    """Return the mean reward of 96 answers that are drawn with an adapter, by a seed that no method uses."""
    run = run_of(recipe)
    with TorchEngine(run.model_path, adapter / "adapter.gguf", device="cpu", dtype="float32", threads=1) as engine:
        questions = run.questions("train")
        prompts = build_prompts(questions, run.databases, run.format, engine.count_tokens)
        asked = [(prompts[0].prefix, [prompt.suffix for prompt in prompts])]
        (answers,) = engine.sample_wave(asked, 16, 16, 1.0, seed=77, greedy=False)
    items = [
        (question.id, run.databases["zoo"], question.golds, extract_sql(answer.text))
        for question, several in zip(questions, answers, strict=True)
        for answer in several
    ]
    with Executor(1) as executor:
        rewards = score_rewards(items, executor)
    return sum(one.value for one in rewards) / len(rewards)


@pytest.fixture(scope="module")
def before(trained: Path) -> float:
    return drawn(trained / "toy.toml", trained / "runs" / "toy" / "adapter")


@pytest.fixture(scope="module")
def preferred(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a method to the recipe of a run that used it; nothing is done twice."""
    known: dict[str, Path] = {}

    def get(method: str) -> Path:
        if method not in known:
            known[method] = copied(trained, tmp_path_factory.mktemp(method) / "toy")
            heard = learn(known[method], *METHODS[method])
            assert heard.actions == {"prepare": "up to date", "train": "up to date", "prefer": "run"}
        return known[method]

    return get


def facts(recipe: Path) -> dict[str, Any]:
    return RunFolder(recipe.parent / "runs" / "toy").facts("prefer")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_raises_the_reward(preferred: Callable[[str], Path], before: float, method: str) -> None:
    recipe = preferred(method)
    folder = RunFolder(recipe.parent / "runs" / "toy")
    after = drawn(recipe, folder.preferred)
    print(f"{method}: mean reward {before:.3f} -> {after:.3f}; {facts(recipe)}")
    assert before < 0.75
    assert after > before + 0.08
    assert read_adapter(folder.path).folder == folder.preferred
    assert drawn(recipe, folder.adapter) == before, "the adapter before stays as it was"
    mined = [json.loads(text) for text in (folder.path / "mined.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({one["id"] for one in mined}) == len(mined) == facts(recipe)["answers"]
    assert len(mined) == len(PAIRS) * 16 * (8 if method == "grpo" else 1)
    assert all((one["reward"] == 1) == one["correct"] for one in mined)
    assert not list(folder.path.rglob("*.partial"))


def test_nothing_is_done_again_until_something_changes(preferred: Callable[[str], Path], tmp_path: Path) -> None:
    recipe = copied(preferred("dpo").parent, tmp_path / "again")
    folder = RunFolder(recipe.parent / "runs" / "toy")
    assert learn(recipe, *METHODS["dpo"]).actions["prefer"] == "up to date"
    off = learn(recipe)
    assert (off.actions["train"], off.actions["prefer"]) == ("up to date", "redo")
    assert not folder.preferred.exists() and not (folder.path / "mined.jsonl").exists()
    assert "prefer" not in learn(recipe).actions


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("prefer.beta=0.2", "prefer.beta"),
        ("train.tokens_per_batch=256", "train.tokens_per_batch"),
        ("evaluate.seconds=5", "seconds"),
        ("train.checkpoint_every=3", ""),
        ("predict.samples=4", ""),
    ],
)
def test_the_stage_depends_on_what_decides_its_result(
    preferred: Callable[[str], Path], override: str, changed: str
) -> None:
    path = preferred("dpo")
    hand = Run(read_recipe(path, [*METHODS["dpo"], override]), path, RunFolder(path.parent / "runs" / "toy"), Silent())
    reasons = hand.folder.changed("prefer", prefer.inputs(hand))
    assert [reason.split()[0] for reason in reasons] == ([changed] if changed else [])


def test_a_run_that_was_stopped_while_drawing_and_learning_ends_the_same(
    trained: Path, preferred: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = preferred("dpo").parent / "runs" / "toy"
    recipe = copied(trained, tmp_path / "stopped")
    own = recipe.parent / "runs" / "toy"
    for stop in (("mine", 3), ("prefer", 2)):
        with pytest.raises(KeyboardInterrupt):
            learn(recipe, *METHODS["dpo"], stop=stop)
        path = own / "mined.jsonl"
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") == (3 if stop[0] == "mine" else 6) * 16
        path.write_text(text[: -40 if stop[0] == "mine" else None], encoding="utf-8")  # torn
    heard = learn(recipe, *METHODS["dpo"])
    assert heard.actions["prefer"] == "continue"
    for name in ("mined.jsonl", "preferred/adapter_model.safetensors", "preferred/adapter.gguf"):
        assert (own / name).read_bytes() == (whole / name).read_bytes(), name


def test_what_cannot_be_learned_from_is_said(trained: Path, tmp_path: Path) -> None:
    recipe = copied(trained, tmp_path / "cold")
    with pytest.raises(RecipeError, match=r"prefer\.beta: expected a number above 0"):
        learn(recipe, "prefer.method=dpo", "prefer.beta=0")
    with pytest.raises(DataError, match=r"0 of 12 answers are right(.|\n)*prefer\.samples"):
        learn(recipe, "train.epochs=0", "prefer.method=rejection", "prefer.samples=2")
