"""The systems that `training.py` compares, each a function from a `Job` to the trained model.

A system notes its losses, the ends of its steps and the questions in them in the job's `Measured`; all start from the
same weights, matrices and token ids and take the same optimizer, rate and clipping.

Not covered: what is printed, and the loss after training (see `training.py`).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlwright.recipe import TrainSettings


@dataclass
class Measured:
    """What one system did: wall and CPU seconds from the start to the end of each step, and questions in that step."""

    system: str
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    questions: list[int] = field(default_factory=list)
    tokens: int = 0
    peak_mb: float = 0.0
    final_loss: float = 0.0
    note: str = ""

    @property
    def rate(self) -> float:
        """Questions a second over all steps."""
        return 1 / self._per_question(self.seconds)

    @property
    def cpu(self) -> float:
        """CPU seconds a question, of all threads: hardly disturbed by what else the machine does."""
        return self._per_question(self.cpu_seconds)

    def _per_question(self, ends: Sequence[float]) -> float:
        # The first step, which also warms up, is counted: it has the questions of other schemas than the rest.
        return ends[-1] / sum(self.questions)


@dataclass
class Job:
    """What a system gets: the model without LoRA, the planned steps, and where to note what it does."""

    model: Any
    tokenizer: Any
    plan: Any
    settings: TrainSettings
    seed: int
    result: Measured
    started: float = 0.0
    cpu_started: float = 0.0

    def count_tokens(self, module: Any, inputs: tuple[Any, ...], _output: Any) -> None:
        """Count what passes through the embedding in training, padding included."""
        if module.training:
            self.result.tokens += inputs[0].numel()

    def end_step(self) -> None:
        """Note the time of a finished step."""
        self.result.seconds.append(time.perf_counter() - self.started)
        self.result.cpu_seconds.append(time.process_time() - self.cpu_started)

    def start(self) -> None:
        """Start the clocks."""
        self.started, self.cpu_started = time.perf_counter(), time.process_time()


def train_sqlwright(job: Job, _variant: str) -> Any:
    """Return the model as the `train` stage of a run trains it, metrics files and checkpoint included."""
    from sqlwright.training.trainer import train

    job.result.questions = [sum(map(len, step)) for step in job.plan.steps]
    with tempfile.TemporaryDirectory() as folder:
        job.start()
        done = train(
            job.model,
            job.plan,
            job.settings,
            seed=job.seed,
            folder=Path(folder),
            progress=lambda *_: job.end_step(),
        )
    job.result.losses = done.losses
    job.result.note = f"groups of up to {job.settings.questions_per_sequence} questions a schema"
    return done.model


def train_with_trainer(job: Job, variant: str) -> Any:
    """Return the model trained by `Trainer`, the questions in SQLWright's order, `variant` questions a batch."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = [row(question) for step in job.plan.steps for group in step for question in group]
    job.result.questions = [sum(map(len, step)) for step in job.plan.steps]
    size, per_step = int(variant or 8), job.settings.questions_per_step
    if set(job.result.questions) != {per_step} or per_step % size:
        raise SystemExit(
            f"trainer-{size}: expected steps of {per_step} questions that batches of {size} fill, found steps of "
            f"{sorted(set(job.result.questions))}. Choose --questions as a multiple of {per_step}."
        )
    job.tokenizer.padding_side = "right"
    job.tokenizer.pad_token = job.tokenizer.pad_token or job.tokenizer.eos_token
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=with_lora(job),
            args=TrainingArguments(**shared_arguments(job, folder, size, per_step // size)),
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(job.tokenizer, label_pad_token_id=-100),
        )
        return run_trainer(job, trainer)


def train_with_trl(job: Job, _variant: str) -> Any:
    """Return the model trained by `SFTTrainer` on packs of as many tokens as SQLWright's batches."""
    from trl import SFTConfig, SFTTrainer, pack_dataset

    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    questions = [question for step in job.plan.steps for group in step for question in group]
    rows = [{key: row(question)[key] for key in ("input_ids", "labels")} for question in questions]
    dataset = Dataset.from_list(rows)
    length = job.settings.tokens_per_batch
    packs = len(pack_dataset(dataset, length, "bfd"))
    per_step = math.ceil(packs / len(job.plan.steps))
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            packing=True,
            packing_strategy="bfd",
            max_length=length,
            # Best-fit-decreasing sorts by length: without a shuffle the longest questions would all come first.
            shuffle_dataset=True,
            gradient_checkpointing=False,
            **shared_arguments(job, folder, 1, per_step),
        )
        trainer = SFTTrainer(model=with_lora(job), args=config, train_dataset=dataset, processing_class=job.tokenizer)
        held = [len(lengths) for lengths in trainer.train_dataset["seq_lengths"]]
        job.result.questions = [sum(held[i : i + per_step]) for i in range(0, len(held), per_step)]
        model = run_trainer(job, trainer)
        apart = leak_between_questions(model, trainer.data_collator, sorted(rows, key=_length)[:2])
    job.result.note = (
        f"{packs} packs of up to {length} tokens, {min(job.result.questions)} to {max(job.result.questions)} "
        f"questions a step; a question's neighbour in its pack changes its logits by {apart:.0e}"
        + (": packs are CONTAMINATED" if apart > 0.05 else "")
    )
    return model


def leak_between_questions(model: Any, collator: Any, rows: Sequence[dict[str, Any]]) -> float:
    """Return how much the second question's logits change, relative to the largest, with the first packed before it."""
    import torch

    first, second = rows
    both = {key: first[key] + second[key] for key in ("input_ids", "labels")}
    both["seq_lengths"] = [_length(first), _length(second)]
    alone = dict(second, seq_lengths=[_length(second)])
    model.eval()
    logits = []
    with torch.no_grad():
        for entry in (both, alone):
            batch = {name: value for name, value in collator([entry]).items() if name != "labels"}
            device = next(model.parameters()).device
            moved = {n: v.to(device) if torch.is_tensor(v) else v for n, v in batch.items()}
            logits.append(model(**moved, use_cache=False).logits[0, -_length(second) :].float())
    return float((logits[0] - logits[1]).abs().max() / logits[1].abs().max())


def with_lora(job: Job) -> Any:
    """Return the model under PEFT with PEFT's own arithmetic, the matrices drawn as `sqlwright.training.lora` does."""
    import torch
    from peft import LoraConfig, get_peft_model

    from sqlwright.training.targets import target_modules

    settings = job.settings
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=target_modules(job.model, settings.targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        return get_peft_model(job.model, config)


def row(question: Any) -> dict[str, list[int]]:
    """Return a question as one sequence, with labels on its target only."""
    ids = [*question.prefix, *question.branch]
    learned = question.branch[question.loss_start :]
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [-100] * (len(ids) - len(learned)) + [*learned],
    }


def shared_arguments(job: Job, folder: str, size: int, accumulate: int) -> dict[str, Any]:
    """Return the settings that make `Trainer` and `SFTTrainer` do what SQLWright's loop does."""
    import torch

    return {
        "output_dir": folder,
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": accumulate,
        "num_train_epochs": 1,
        "learning_rate": job.settings.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": job.settings.weight_decay,
        "max_grad_norm": job.settings.max_gradient_norm,
        "train_sampling_strategy": "sequential",
        "bf16": job.model.dtype == torch.bfloat16,
        "use_cpu": job.model.device.type == "cpu",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "seed": job.seed,
    }


def run_trainer(job: Job, trainer: Any) -> Any:
    """Train with clocks around the steps; return the trained model."""
    from transformers import PrinterCallback, TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            job.end_step()

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    job.start()
    trainer.train()
    job.result.losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return trainer.model


SYSTEMS: dict[str, Callable[[Job, str], Any]] = {
    "sqlwright": train_sqlwright,
    "trainer": train_with_trainer,
    "trl": train_with_trl,
}


def _length(entry: dict[str, Any]) -> int:
    return len(entry["input_ids"])
