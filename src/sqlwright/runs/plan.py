"""What a run would cost, before it runs: questions, tokens, minutes and memory, and a prompt with its learned tokens.

The estimate counts multiplications from the model's header and divides by this machine's speed, measured for half a
second. Weights are never read. Not covered: other load on the machine; GPUs are estimated as if they were this CPU.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlwright.datasets import READERS
from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.duplicates import drop_repeats
from sqlwright.models.folder import tensor_shapes
from sqlwright.models.gguf_file import GgufHeader, read_header
from sqlwright.models.tokenizer import token_ids
from sqlwright.prompts import Shot, build_prompts, cut_notes, make_shots, pieces
from sqlwright.records import Prompt, Question
from sqlwright.runs.run import Run
from sqlwright.runs.stages.prepare import asked_files, divide
from sqlwright.runs.stages.train import trains

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
    plan = make_plan(encoded["train"], encoded["validation"], settings, run.recipe.seed) if trains(run) else None
    learned = sum(q.targets for step in plan.steps for g in step for q in g) if plan else 0
    unpacked = sum(len(q.prefix) + len(q.branch) for step in plan.steps for g in step for q in g) if plan else 0
    validation = sum(len(g[0].prefix) + sum(len(q.branch) for q in g) for g in plan.validation) if plan else 0
    base = run.model_path
    sizes = Sizes.of_folder(base) if base.is_dir() else Sizes.of(read_header(base))
    speed = _matrix_speed() * _EFFICIENCY
    train_flops = sizes.training_flops(plan.tokens if plan else 0, learned, settings.layers) + 2 * sizes.forward_flops(
        validation
    )
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
        memory_mb=sizes.training_bytes(settings.tokens_per_batch, settings.rank) / 1e6 if plan else 0.0,
        prompt=marked(example) if example else "(no questions)",
        notes=[f"Up to {made:,} pairs that `prepare` makes come to these: in the minutes, not in steps and tokens."]
        if made
        else [],
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a Llama-like model that decide cost: parameters of the layers and of the head, and widths."""

    layer_parameters: int
    head_parameters: int
    embedding_parameters: int
    layers: int
    hidden: int
    inner: int

    @classmethod
    def of(cls, header: GgufHeader) -> Sizes:
        """Return the sizes that the header of a model file gives."""
        counts = {name: math.prod(place.shape) for name, place in header.tensors.items()}
        embedding = counts.get("token_embd.weight", 0)
        return cls(
            layer_parameters=sum(count for name, count in counts.items() if name.startswith("blk.")),
            head_parameters=counts.get("output.weight", embedding),
            embedding_parameters=embedding + counts.get("output.weight", 0),
            layers=int(header.setting("block_count")),
            hidden=int(header.setting("embedding_length")),
            inner=int(header.setting("feed_forward_length")),
        )

    @classmethod
    def of_folder(cls, folder: Path) -> Sizes:
        """Return the sizes that the weights of a folder of transformers have."""
        shapes = tensor_shapes(folder)
        inside = {name: match for name in shapes if (match := re.search(r"\.(\d+)\.", name))}
        outside = [shape for name, shape in shapes.items() if name not in inside and len(shape) == 2]
        embedding = max(outside, key=math.prod)
        head = math.prod(shapes.get("lm_head.weight", embedding))
        tied = "lm_head.weight" not in shapes
        return cls(
            layer_parameters=sum(math.prod(shapes[name]) for name in inside),
            head_parameters=head,
            embedding_parameters=math.prod(embedding) + (0 if tied else head),
            layers=len({match[1] for match in inside.values()}),
            hidden=embedding[1],
            inner=max(max(shapes[name]) for name in inside),
        )

    def forward_flops(self, tokens: float) -> float:
        """Return the operations of reading `tokens` tokens, without the head."""
        return 2.0 * self.layer_parameters * tokens

    def training_flops(self, tokens: int, learned: int, layers: int = 0) -> float:
        """Return the operations of a LoRA step on the last `layers` layers (0: all).

        Forward and input gradients; the head for learned tokens only.
        """
        share = min(layers or self.layers, self.layers) / self.layers
        return 2.0 * (1 + share) * self.layer_parameters * tokens + 4.0 * self.head_parameters * learned

    def training_bytes(self, tokens: int, rank: int) -> float:
        """Return the bytes of LoRA training in float32: weights, activations, LoRA with AdamW, the head's chunk."""
        weights = 4.0 * (self.layer_parameters + self.embedding_parameters)
        # Kept per token and layer: inputs of norms and linear layers, q/k/v, and the three inner activations.
        activations = 4.0 * tokens * self.layers * (9 * self.hidden + 4 * self.inner)
        lora = 16.0 * rank * self.layers * (10 * self.hidden + 3 * self.inner)
        return weights + activations + lora + 3 * 4.0 * 256 * (self.head_parameters / self.hidden) + 4e8


def marked(prompt: Prompt) -> str:
    """Return the prompt as the model reads it, with the learned part between marks."""
    return "".join(pieces(f"{prompt.prefix}{prompt.suffix}{OPEN}{prompt.target}{CLOSE}"))


def _questions(run: Run) -> tuple[dict[str, list[Question]], dict[str, Any]]:
    """Return questions by part and database files by name, without running any gold."""
    data = run.recipe.data
    reader = READERS[data.format]
    root = run.resolve(data.databases)

    def read(names: Sequence[str]) -> Dataset:
        return reader([run.resolve(name) for name in names], root) if names else Dataset((), {}, (), None)

    train, evaluate = drop_repeats(read(data.train)), read(asked_files(data))
    learned, held_out, asked = divide(run, train.questions, evaluate.questions)
    parts = {"train": learned, "validation": held_out, "evaluate": asked}
    return {part: list(own) for part, own in parts.items()}, train.databases | evaluate.databases


def _prompts(
    run: Run, questions: list[Question], databases: dict[str, Any], tokenizer: Any, shots: list[Shot]
) -> list[Prompt]:
    def count_tokens(text: str) -> int:
        return len(token_ids(tokenizer, text))

    return build_prompts(questions, databases, run.format, count_tokens, run.target, shots=shots)


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
