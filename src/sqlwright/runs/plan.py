"""What a run would cost, before it runs: questions, tokens, minutes and memory, and a prompt with its learned tokens.

The estimate counts multiplications from the model's header and divides by this machine's speed, measured for half a
second. Weights are never read. Not covered: other load on the machine; GPUs are estimated as if they were this CPU.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlwright.datasets import READERS
from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.duplicates import drop_repeats
from sqlwright.datasets.golds import with_hardness
from sqlwright.datasets.mixture import read_mixture, weigh
from sqlwright.models.tokenizer import token_ids
from sqlwright.prompts import Shot, build_prompts, cut_notes, make_shots, pieces
from sqlwright.records import Prompt, Question
from sqlwright.runs.run import Run
from sqlwright.runs.stages.prefer import prefers
from sqlwright.runs.stages.prepare import divide, evaluation_files, train_files
from sqlwright.runs.stages.train import trains, widths
from sqlwright.training.estimate import Sizes

if TYPE_CHECKING:
    from sqlwright.training.packing import Encoded

# Learned tokens stand between these marks in the prompt that is shown.
OPEN, CLOSE = "⟦", "⟧"
# Decoding speed relative to packed reading, and the share of matrix speed that a whole model reaches.
_EFFICIENCY = 0.75
_DECODE_SLOWDOWN = 4.0


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A run before it runs. Minutes and megabytes are estimates for this machine."""

    name: str
    folder: str
    stages: list[tuple[str, list[str]]]
    questions: dict[str, int]
    databases: dict[str, int]
    steps: int
    tokens_packed: int
    tokens_unpacked: int
    tokens_learned: int
    schemas_cut: list[str]
    minutes: dict[str, float]
    memory_mb: float
    prompt: str
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the plan for a reader."""
        lines = [f"Run {self.name} in {self.folder}", "", "Stages"]
        for name, reasons in self.stages:
            minutes = f"about {self.minutes[name]:.1f} min" if name in self.minutes and reasons else ""
            state = "will run: " + "; ".join(reasons[:3]) if reasons else "up to date"
            lines.append(f"  {name:<13} {minutes:>14}  {state}")
        lines += ["", "Data"]
        for part, count in self.questions.items():
            lines.append(f"  {part:<13} {count:>6} questions, {self.databases[part]} databases")
        if self.steps:
            ratio = self.tokens_unpacked / max(1, self.tokens_packed)
            lines += [
                "",
                "Training",
                f"  {self.steps} steps, {self.tokens_packed:,} tokens packed "
                f"({self.tokens_unpacked:,} unpacked: {ratio:.1f} times as many), {self.tokens_learned:,} learned",
                f"  memory about {self.memory_mb / 1000:.1f} GB",
            ]
        lines += [f"  cut: {name}" for name in self.schemas_cut]
        lines += ["", f"A prompt; what is learned stands between {OPEN} and {CLOSE}", "", self.prompt]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


def make_plan_report(run: Run, states: list[tuple[str, list[str]]]) -> PlanReport:
    """Return the plan of a run whose stages have the given reasons to run (none: up to date)."""
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan

    tokenizer = load_tokenizer(run.model_path)
    parts, databases = _questions(run)
    shots = make_shots(parts["train"], databases, run.target) if run.recipe.prompt.few_shot else []
    prompts = {part: _prompts(run, questions, databases, tokenizer, shots) for part, questions in parts.items()}
    end = tokenizer.eos_token_id
    encoded = {part: encode(own, tokenizer, end) for part, own in prompts.items()}
    settings = run.recipe.train
    hardness = {question.id: question.hardness for question in parts["train"]}
    plan = (
        make_plan(encoded["train"], encoded["validation"], settings, run.recipe.seed, hardness) if trains(run) else None
    )
    learned = sum(q.targets for step in plan.steps for g in step for q in g) if plan else 0
    unpacked = sum(len(q.prefix) + len(q.branch) for step in plan.steps for g in step for q in g) if plan else 0
    validation = sum(len(g[0].prefix) + sum(len(q.branch) for q in g) for g in plan.validation) if plan else 0
    sizes = Sizes.of_model(run.model_path)
    speed = _matrix_speed() * _EFFICIENCY
    train_flops = sizes.training_flops(plan.tokens if plan else 0, learned, settings)
    train_flops += 2 * sizes.forward_flops(validation)
    asked = encoded["evaluate"]
    prefixes = {q.prefix for q in asked}
    read = sum(map(len, prefixes)) + sum(q.loss_start for q in asked)
    written = _DECODE_SLOWDOWN * sum(q.targets for q in asked)
    predict = sizes.forward_flops(read + written) / speed / 60
    samples = run.recipe.predict.samples
    best = sizes.forward_flops(read + samples * written) / speed / 60 if samples > 1 else 0.0
    minutes = {
        "train": train_flops / speed / 60 + 0.3,
        "predict.base": predict,
        "predict": predict,
        "export": sizes.forward_flops(3 * read * min(1.0, run.recipe.export.check_prompts / max(1, len(asked))))
        / speed
        / 60
        + 0.5,
    }
    minutes |= {"predict.best": best} if run.recipe.predict.ladder else {}
    if prefers(run):
        minutes["prefer"] = _preference_flops(run, encoded["train"], sizes) / speed / 60 + 0.5
    made = run.recipe.data.made_pairs * len({q.database for q in parts["train"]} - {""})
    minutes["train"] *= 1 + made / max(1, len(parts["train"]))
    example = next((own[0] for own in prompts.values() if own), None)
    return PlanReport(
        name=run.recipe.name,
        folder=str(run.folder.path),
        stages=states,
        questions={part: len(own) for part, own in parts.items()},
        databases={part: len({q.database for q in own} - {""}) for part, own in parts.items()},
        steps=len(plan.steps) if plan else 0,
        tokens_packed=plan.tokens if plan else 0,
        tokens_unpacked=unpacked,
        tokens_learned=learned,
        schemas_cut=cut_notes(prompt for own in prompts.values() for prompt in own),
        minutes=minutes,
        memory_mb=sizes.training_bytes(settings, *widths(run)) / 1e6 if plan else 0.0,
        prompt=marked(example) if example else "(no questions)",
        notes=_notes(run, made),
    )


def marked(prompt: Prompt) -> str:
    """Return the prompt as the model reads it, with the learned part between marks."""
    return "".join(pieces(f"{prompt.prefix}{prompt.suffix}{OPEN}{prompt.target}{CLOSE}"))


def _notes(run: Run, made: int) -> list[str]:
    """Return what the figures leave out or take on trust; `made` pairs are made of the training databases."""
    pairs = f"Up to {made:,} pairs that `prepare` makes come to these: in the minutes, not in steps and tokens."
    return [note for note, holds in ((pairs, made), (run.model_note, True)) if holds and note]


def _questions(run: Run) -> tuple[dict[str, list[Question]], dict[str, Any]]:
    """Return questions by part and database files by name, without running any gold."""
    root = run.resolve(run.recipe.data.databases)
    empty: tuple[Dataset, dict[str, float]] = Dataset((), {}, (), None), {}
    learn, ask = train_files(run), evaluation_files(run)
    train, weights = read_mixture(learn, READERS, root) if learn else empty
    evaluate, _ = read_mixture(ask, READERS, root) if ask else empty
    train = drop_repeats(train)
    if run.recipe.train.phases:
        train = with_hardness(train)
    learned, held_out, asked = divide(run, train.questions, evaluate.questions)
    learned = weigh(learned, weights, run.recipe.seed)
    parts = {"train": learned, "validation": held_out, "evaluate": asked}
    return {part: list(own) for part, own in parts.items()}, train.databases | evaluate.databases


def _prompts(
    run: Run, questions: list[Question], databases: dict[str, Any], tokenizer: Any, shots: list[Shot]
) -> list[Prompt]:
    def count_tokens(text: str) -> int:
        return len(token_ids(tokenizer, text))

    return build_prompts(questions, databases, run.format, count_tokens, run.target, shots=shots)


def _preference_flops(run: Run, questions: Sequence[Encoded], sizes: Sizes) -> float:
    """Return the operations of drawing answers as long as the golds and learning from them."""
    recipe, settings = run.recipe, run.recipe.prefer
    rounds = settings.epochs if settings.method == "grpo" else 1.0
    share = min(1.0, (settings.questions or len(questions)) / max(1, len(questions)))
    prefixes = sum(len(one.prefix) for one in questions) / recipe.train.questions_per_sequence
    asked, golds = sum(one.loss_start for one in questions), sum(one.targets for one in questions)
    drawn = sizes.forward_flops(prefixes + asked + _DECODE_SLOWDOWN * settings.samples * golds)
    # Answers to a question that are learned from; GRPO's pass through the model four times, twice without gradients.
    answers = {"rejection": 2, "dpo": 4, "grpo": 3 * settings.samples}[settings.method]
    tokens = round(prefixes + answers * (asked + golds))
    learned = sizes.training_flops(tokens, answers * golds, recipe.train)
    return share * (rounds * drawn + settings.epochs * learned)


def _matrix_speed() -> float:
    """Return the speed of float32 matrix products on this machine in operations per second."""
    import torch

    a, b = torch.randn(1024, 896), torch.randn(896, 4864)
    a @ b
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 0.5:
        a @ b
        count += 1
    return 2 * 1024 * 896 * 4864 * count / (time.perf_counter() - started)
