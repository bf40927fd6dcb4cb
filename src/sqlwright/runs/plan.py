"""What a run would cost, before it runs: questions, tokens, minutes and memory, and a prompt with its learned tokens.

What training takes is rehearsed with a model of one and two layers; what answers take is counted in multiplications
from the model's header and divided by this machine's speed. Both are measured now, with whatever else the machine
does, for some seconds. Weights are never read. Not covered: several devices; GPUs are estimated as if they were this
CPU where answers are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlwright.datasets import READERS
from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.duplicates import drop_repeats
from sqlwright.datasets.golds import with_hardness
from sqlwright.datasets.mixture import read_mixture, weigh
from sqlwright.models.tokenizer import token_ids
from sqlwright.prompts import Shot, build_prompts, cut_notes, make_shots, pieces
from sqlwright.recipe import TrainSettings
from sqlwright.records import Prompt, Question
from sqlwright.runs.run import Run
from sqlwright.runs.stages.prefer import prefers
from sqlwright.runs.stages.prepare import divide, evaluation_files, train_files
from sqlwright.runs.stages.train import TRAIN, number_format, widths
from sqlwright.training.estimate import Sizes, fit_tokens
from sqlwright.training.packing import group_size

if TYPE_CHECKING:
    from sqlwright.training.packing import Encoded
    from sqlwright.training.trainer import Plan

# Learned tokens stand between these marks in the prompt that is shown.
OPEN, CLOSE = "⟦", "⟧"
# Decoding speed relative to packed reading, and the share of matrix speed that a whole model reaches.
_EFFICIENCY = 0.75
_DECODE_SLOWDOWN = 4.0
# Seconds that reading a weight takes, and bytes a second that checkpoints are written with.
_LOADING, _DISK_SPEED = 2e-8, 5e8
# The share of the free memory that a rehearsal may take.
_DOUBT = 0.5


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
    tokens_at_once: int | None
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
                f"  memory about {self.memory_mb / 1000:.1f} GB"
                + (f", {self.tokens_at_once:,} tokens at once by what is free now" if self.tokens_at_once else ""),
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
    started = time.perf_counter()
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.training.packing import encode

    tokenizer = load_tokenizer(run.model_path)
    parts, databases = _questions(run)
    shots = make_shots(parts["train"], databases, run.target) if run.recipe.prompt.few_shot else []
    prompts = {part: _prompts(run, questions, databases, tokenizer, shots) for part, questions in parts.items()}
    end = tokenizer.eos_token_id
    encoded = {part: encode(own, tokenizer, end) for part, own in prompts.items()}
    read = time.perf_counter() - started
    sizes = Sizes.of_model(run.model_path)
    speed = _matrix_speed() * _EFFICIENCY
    minutes = _prediction_minutes(run, encoded["evaluate"], sizes, speed)
    if prefers(run):
        minutes["prefer"] = _preference_flops(run, encoded["train"], sizes) / speed / 60 + 0.5
    plan, memory, tokens = None, 0.0, None
    if run.trains:
        hardness = {question.id: question.hardness for question in parts["train"]}
        going_on = dict(states).get(TRAIN) == ["it was interrupted"]
        plan, settings = _training_plan(run, encoded, sizes, hardness, going_on)
        memory = sizes.training_bytes(settings, plan.largest_pass(settings.tokens_per_batch), widths(run))
        seconds = read + sizes.parameters * _LOADING + _training_seconds(run, plan, settings, sizes)
        minutes["train"] = seconds / 60
        tokens = None if run.recipe.train.tokens_per_batch else settings.tokens_per_batch
    made = run.recipe.data.made_pairs * len({q.database for q in parts["train"]} - {""})
    minutes["train"] = minutes.get("train", 0.0) * (1 + made / max(1, len(parts["train"])))
    example = next((own[0] for own in prompts.values() if own), None)
    groups = [group for step in plan.steps for group in step] if plan else []
    return PlanReport(
        name=run.recipe.name,
        folder=str(run.folder.path),
        stages=states,
        questions={part: len(own) for part, own in parts.items()},
        databases={part: len({q.database for q in own} - {""}) for part, own in parts.items()},
        steps=len(plan.steps) if plan else 0,
        tokens_packed=plan.tokens if plan else 0,
        tokens_unpacked=sum(len(q.prefix) + len(q.branch) for group in groups for q in group),
        tokens_learned=sum(q.targets for group in groups for q in group),
        tokens_at_once=tokens,
        schemas_cut=cut_notes(prompt for own in prompts.values() for prompt in own),
        minutes=minutes,
        memory_mb=memory / 1e6,
        prompt=marked(example) if example else "(no questions)",
        notes=_notes(run, made),
    )


def _prediction_minutes(run: Run, asked: Sequence[Encoded], sizes: Sizes, speed: float) -> dict[str, float]:
    """Return the minutes of the stages that answer questions, at so many operations a second."""
    prefixes = {q.prefix for q in asked}
    read = sum(map(len, prefixes)) + sum(q.loss_start for q in asked)
    written = _DECODE_SLOWDOWN * sum(q.targets for q in asked)
    predict = sizes.forward_flops(read + written) / speed / 60
    checked = min(1.0, run.recipe.export.check_prompts / max(1, len(asked)))
    minutes = {"train": 0.0, "predict.base": predict, "predict": predict}
    minutes["export"] = sizes.forward_flops(3 * read * checked) / speed / 60 + 0.5
    samples = run.recipe.predict.samples
    if run.recipe.predict.ladder:
        best = sizes.forward_flops(read + samples * written) / speed / 60 if samples > 1 else 0.0
        minutes["predict.best"] = best
    return minutes


def _training_plan(
    run: Run, encoded: dict[str, list[Encoded]], sizes: Sizes, hardness: Mapping[str, str | None], going_on: bool
) -> tuple[Plan, TrainSettings]:
    """Return the plan of the training, and its settings with the tokens that pass at once."""
    from sqlwright.models.device import choose_device, free_memory
    from sqlwright.training.trainer import make_plan

    settings, device = run.recipe.train, choose_device(run.recipe.model.device)
    if not settings.tokens_per_batch:
        kept = run.folder.manifest["stages"][TRAIN].get("decided", {}) if going_on else {}
        fitting = fit_tokens(sizes, settings, encoded["train"], free_memory(device), widths(run))
        settings = settings.model_copy(update={"tokens_per_batch": kept.get("tokens_per_batch", fitting)})
    plan = make_plan(encoded["train"], encoded["validation"], settings, run.recipe.seed, hardness)
    return plan, settings


def _training_seconds(run: Run, plan: Plan, settings: TrainSettings, sizes: Sizes) -> float:
    """Return how long the steps, validations and checkpoints of the plan take on this machine as it is now."""
    import torch

    from sqlwright.models.device import choose_device, choose_threads, free_memory
    from sqlwright.models.weights import model_config
    from sqlwright.training.rehearsal import rehearse

    device = choose_device(run.recipe.model.device)
    torch.set_num_threads(choose_threads(run.recipe.model.threads))
    dtype, config = number_format(run, device), model_config(run.model_path)
    validated = sum(group_size(group) for group in plan.validation)
    times = 2 + (len(plan.steps) // settings.validate_every if settings.validate_every else 0)
    weights = sizes.learning(settings)
    if config is None or sizes.rehearsal_bytes(settings, dtype.itemsize) > _DOUBT * free_memory(device):
        learned = sum(q.targets for step in plan.steps for group in step for q in group)
        flops = sizes.training_flops(plan.tokens, learned, settings) + times * sizes.forward_flops(validated)
        seconds = flops / (_matrix_speed() * _EFFICIENCY)
    else:
        pace = rehearse(config, settings, plan, device, dtype)
        seconds = pace.seconds(plan, sizes.layers, weights, settings)
        seconds += times * validated * sizes.layers * pace.layer * sizes.forward_share(settings)
    checkpoints = -(-len(plan.steps) // settings.checkpoint_every)
    return seconds + checkpoints * sizes.checkpoint_bytes(settings) / _DISK_SPEED


def marked(prompt: Prompt) -> str:
    """Return the prompt as the model reads it, with the learned part between marks."""
    return "".join(pieces(f"{prompt.prefix}{prompt.suffix}{OPEN}{prompt.target}{CLOSE}"))


def _notes(run: Run, made: int) -> list[str]:
    """Return what the figures leave out or take on trust; `made` pairs are made of the training databases."""
    pairs = f"Up to {made:,} pairs that `prepare` makes come to these: in the minutes, not in steps and tokens."
    return [note for note, holds in ((pairs, made), (run.model_note, True), (run.adapter_note, True)) if holds and note]


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
    prefixes = sum(len(one.prefix) for one in questions) / recipe.train.sharing
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
