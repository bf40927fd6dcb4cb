"""Learning from the model's own answers, on a toy database: every method raises the reward of what is drawn after it.

The model is the tiny one cut to two blocks, which is taught the questions until it knows about a third of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from sqlwright.recipe_file import read_recipe
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run
from sqlwright.runs.stages import prefer
from sqlwright.sql.extract import extract_sql

needs("peft")

DRAW = ("prefer.samples=8", "predict.parallel=24")
METHODS = {
    "dpo": ("prefer.method=dpo", "prefer.epochs=8", "prefer.learning_rate=1e-3", *DRAW),
    "grpo": ("prefer.method=grpo", "prefer.epochs=8", "prefer.learning_rate=7e-4", "prefer.beta=0.01", *DRAW),
    "rejection": ("prefer.method=rejection", "prefer.epochs=6", "prefer.learning_rate=2e-3", *DRAW),
}


class Heard(Silent):
    """A reporter that keeps what stages did, and stops the work where it is told to."""

    def __init__(self, stop: tuple[str, int] | None = None) -> None:
        self.actions: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.stop = stop

    def stage(self, name: str, action: str, why: str = "") -> None:
        self.actions[name], self.reasons[name] = action, why

    def progress(
        self, label: str, done: int, total: int, note: str = "", curve: Sequence[float] = (), unit: str = ""
    ) -> None:
        assert 0 <= done <= total
        if self.stop == (label, done):
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Toy:
    """A recipe and a folder of runs of it."""

    recipe: Path
    runs: Path

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.runs / "toy")

    def copy(self, target: Path) -> Toy:
        shutil.copytree(self.runs, target, symlinks=True)
        return replace(self, runs=target)

    def run(self, *overrides: str) -> Run:
        return Run(read_recipe(self.recipe, overrides), self.recipe, self.folder, Silent())

    def learn(self, *overrides: str, stop: tuple[str, int] | None = None) -> Heard:
        heard = Heard(stop)
        pipeline.run(read_recipe(self.recipe, overrides), self.recipe, self.runs, heard, only="train")
        return heard

    def drawn(self, adapter: Path) -> float:
        """Return the mean reward of 384 answers that are drawn with an adapter, by a seed that no method uses."""
        run = self.run()
        path = adapter / "adapter.gguf"
        with TorchEngine(run.model_path, path, parallel=384, device="cpu", dtype="float32", threads=1) as engine:
            questions = run.questions("train")
            prompts = build_prompts(questions, run.databases, run.format, engine.count_tokens)
            asked = [(prompts[0].prefix, [prompt.suffix for prompt in prompts])]
            (answers,) = engine.sample_wave(asked, 12, 64, 1.0, seed=77, greedy=False)
        items = [
            (question.id, run.databases["zoo"], question.golds, extract_sql(answer.text))
            for question, several in zip(questions, answers, strict=True)
            for answer in several
        ]
        with Executor(1) as executor:
            rewards = score_rewards(items, executor)
        return sum(one.value for one in rewards) / len(rewards)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Return the run after fine-tuning alone."""
    folder = tmp_path_factory.mktemp("toy")
    recipe = write_toy(folder, first_blocks(tiny_model, folder / "two.gguf", 2), epochs=46)
    toy = Toy(recipe, folder / "runs")
    toy.learn()
    return toy


@pytest.fixture(scope="module")
def before(trained: Toy) -> float:
    """Return the mean reward after fine-tuning alone."""
    return trained.drawn(trained.folder.adapter)


@pytest.fixture(scope="module")
def preferred(trained: Toy, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Toy]:
    """Return a function from a method to a run that used it; nothing is done twice."""
    known: dict[str, Toy] = {}

    def get(method: str) -> Toy:
        if method not in known:
            known[method] = trained.copy(tmp_path_factory.mktemp(method) / "runs")
            heard = known[method].learn(*METHODS[method])
            assert heard.actions == {"prepare": "up to date", "train": "up to date", "prefer": "run"}, heard.reasons
        return known[method]

    return get


@pytest.mark.parametrize(
    "method", [pytest.param(one, marks=[pytest.mark.slow] if one == "grpo" else []) for one in METHODS]
)
def test_every_method_raises_the_reward(preferred: Callable[[str], Toy], before: float, method: str) -> None:
    toy = preferred(method)
    folder, facts = toy.folder, toy.folder.facts("prefer")
    after = toy.drawn(folder.preferred)
    print(f"{method}: mean reward {before:.3f} -> {after:.3f}; {facts}")
    assert before < 0.75
    assert after > before + 0.08
    assert read_adapter(folder.path).folder == prefer.made(toy.run(*METHODS[method])) == folder.preferred
    assert prefer.made(toy.run()) == folder.adapter
    assert toy.learn(*METHODS[method]).actions == dict.fromkeys(("prepare", "train", "prefer"), "up to date")
    mined = [json.loads(text) for text in (folder.path / "mined.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({one["id"] for one in mined}) == len(mined) == facts["answers"]
    assert len(mined) == len(PAIRS) * 8 * (8 if method == "grpo" else 1)
    assert all((one["reward"] == 1) == one["correct"] for one in mined)
    assert not list(folder.path.rglob("*.partial"))


def test_without_preference_the_adapter_before_is_the_runs_again(
    preferred: Callable[[str], Toy], tmp_path: Path
) -> None:
    toy = preferred("dpo").copy(tmp_path / "again")
    off = toy.learn()
    assert (off.actions["train"], off.actions["prefer"]) == ("up to date", "redo")
    assert not toy.folder.preferred.exists() and not (toy.folder.path / "mined.jsonl").exists()
    assert "prefer" not in toy.learn().actions


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
    preferred: Callable[[str], Toy], override: str, changed: str
) -> None:
    hand = preferred("dpo").run(*METHODS["dpo"], override)
    reasons = hand.folder.changed("prefer", prefer.inputs(hand))
    assert [reason.split()[0] for reason in reasons] == ([changed] if changed else [])


def test_a_run_that_was_stopped_while_drawing_and_learning_ends_the_same(
    trained: Toy, preferred: Callable[[str], Toy], tmp_path: Path
) -> None:
    whole = preferred("dpo").folder.path
    toy = trained.copy(tmp_path / "stopped")
    own = toy.folder.path
    for stop, lines in ((("mine", 3), 24), (("prefer", 2), 48)):
        with pytest.raises(KeyboardInterrupt):
            toy.learn(*METHODS["dpo"], stop=stop)
        text = (own / "mined.jsonl").read_text(encoding="utf-8")
        assert text.count("\n") == lines
        (own / "mined.jsonl").write_text(text[:-40] if lines == 24 else text, encoding="utf-8")
    assert toy.learn(*METHODS["dpo"]).actions["prefer"] == "continue"
    for name in ("mined.jsonl", "preferred/adapter_model.safetensors", "preferred/adapter.gguf"):
        assert (own / name).read_bytes() == (whole / name).read_bytes(), name


def test_what_cannot_be_learned_from_is_said(trained: Toy, tmp_path: Path) -> None:
    toy = trained.copy(tmp_path / "cold")
    with pytest.raises(RecipeError, match=r"prefer\.beta: expected a number above 0"):
        toy.learn("prefer.method=dpo", "prefer.beta=0")
    with pytest.raises(DataError, match=r"0 of 12 answers are right(.|\n)*prefer\.samples"):
        toy.learn("train.epochs=0", "prefer.method=rejection", "prefer.samples=2")
