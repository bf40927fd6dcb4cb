"""Training the same questions three ways, in one run: SQLWright, padded batches in Trainer, packing in TRL.

    python bench/training.py [--model NAME_OR_GGUF] [--questions 36] [--systems sqlwright trainer-4 ...] [--json OUT]

Every system runs in a process of its own on the same token ids, frozen weights, number format, initial LoRA matrices,
AdamW, constant learning rate, gradient clipping and (TRL: as nearly as its packs allow) questions per optimizer step:

    sqlwright    `sqlwright.training.trainer.train`: shared-schema packing
    trainer-N    Hugging Face `Trainer` with PEFT, N questions per padded batch, gradients accumulated to the same
                 questions in every step and in the same order, so that its losses must be SQLWright's
    trl          TRL's `SFTTrainer`, `packing=True` (best-fit-decreasing, one pack per batch)

All frameworks run without gradient checkpointing, as it would only slow the baselines. Prints questions a second (from
the end of the first step, which warms up, to the end of the last), peak memory of training, tokens that pass through
the model, the loss of every step, and the loss per target token on all trained questions after training, measured for
all systems by the same code. Exits with 1 if SQLWright isn't 6 times as fast as the fastest `trainer-N`, or its loss
differs, or it takes more memory.

Not covered: several devices, quantised base weights, the quality of the trained adapters.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from setting import (
    die_with_children,
    draw_blocks,
    facts_line,
    forget_peak,
    in_own_process,
    machine,
    peak_memory_mb,
    quickstart,
    write_prompts,
)
from sqlwright.models.verify import find_model
from sqlwright.recipe import TrainSettings
from sqlwright.sql.extract import extract_sql

GOAL = 6.0
SAME_LOSS = 0.005  # of the loss: rounding in float32 stays below 1e-4, bfloat16 needs more
PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "sqlwright")


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
        """Questions a second after the first step; over all steps if there is only one."""
        return 1 / self._per_question(self.seconds)

    @property
    def cpu(self) -> float:
        """CPU seconds a question, of all threads: hardly disturbed by what else the machine does."""
        return self._per_question(self.cpu_seconds)

    def _per_question(self, ends: Sequence[float]) -> float:
        if len(ends) == 1:
            return ends[0] / self.questions[0]
        return (ends[-1] - ends[0]) / sum(self.questions[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct", help="catalogue name or GGUF file")
    parser.add_argument("--questions", type=int, default=36)
    parser.add_argument("--questions-per-step", type=int, default=12)
    parser.add_argument("--questions-per-sequence", type=int, default=12)
    parser.add_argument("--systems", nargs="+", default=["sqlwright", "trainer-4", "trl"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        options.json.write_text(json.dumps(asdict(measure(options.measure, options))), encoding="utf-8")
        return 0
    unknown = [system for system in options.systems if system.partition("-")[0] not in SYSTEMS]
    if unknown:
        parser.error(f"expected sqlwright, trainer-N or trl as systems, found {', '.join(unknown)}")
    find_model(options.model)  # a missing model is said before anything runs
    facts = machine(PACKAGES)
    print(facts_line(facts), flush=True)
    die_with_children()
    results: list[Measured] = []
    for system in options.systems:
        handed = {key: value for key, value in vars(options).items() if key not in ("systems", "json", "measure")}
        results.append(Measured(**in_own_process(__file__, system, handed)))
        print(f"{system}: {results[-1].rate:.3f} questions/s", file=sys.stderr, flush=True)
        if options.json:
            held = {"machine": facts, "options": vars(options) | {"json": str(options.json)}}
            held["systems"] = [asdict(result) | {"rate": result.rate} for result in results]
            options.json.write_text(json.dumps(held, indent=2), encoding="utf-8")
    return report(results)


def measure(system: str, options: argparse.Namespace) -> Measured:
    """Return what training with `system` takes and where it leads; runs in a process of its own."""
    import torch

    from sqlwright.models.weights import load_model
    from sqlwright.training.attention import use_shared_prefix_attention
    from sqlwright.training.device import choose_device, choose_dtype, choose_threads
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan, mean_loss

    torch.set_num_threads(choose_threads(0))
    path = find_model(options.model)
    # Warm-up 0 and a final rate of 1 are a constant learning rate: the one schedule that all frameworks share exactly.
    settings = TrainSettings(
        warmup=0,
        final_rate=1,
        checkpoint_every=10**6,
        questions_per_step=options.questions_per_step,
        questions_per_sequence=options.questions_per_sequence,
    )
    dataset = quickstart("train")
    prompts, tokenizer = write_prompts(path, dataset, dataset.questions, target=extract_sql)
    encoded = encode(prompts, tokenizer, tokenizer.eos_token_id)
    drawn = draw_blocks(
        encoded, lambda one: len(one.prefix), options.questions, settings.questions_per_sequence, options.seed
    )
    plan = make_plan(drawn, [], settings, options.seed)
    device = choose_device("auto")
    model = load_model(path, choose_dtype(options.dtype, device), device)
    result = Measured(system)
    job = Job(model, tokenizer, plan, settings, options.seed, result)
    count = model.get_input_embeddings().register_forward_hook(job.count_tokens)
    forget_peak()
    trained = SYSTEMS[system.partition("-")[0]](job, system.partition("-")[2])
    result.peak_mb = peak_memory_mb()
    count.remove()
    use_shared_prefix_attention(model)
    groups = [group for step in plan.steps for group in step]
    trained.eval()
    result.final_loss = mean_loss(trained, groups, settings.tokens_per_batch)
    return result


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

    from sqlwright.training.lora import TARGETS

    settings = job.settings
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(TARGETS[settings.targets]),
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


def report(results: Sequence[Measured]) -> int:
    """Print the table, the losses step by step and the verdict; return the exit code."""
    padded = [result for result in results if result.system.startswith("trainer")]
    base = max(padded, key=lambda result: result.rate, default=None)
    print(
        f"\n{'system':12}{'questions/s':>12}{'ratio':>8}{'CPU s/question':>16}{'peak MB':>9}{'tokens/question':>17}"
        f"{'mean step loss':>16}{'loss afterwards':>17}"
    )
    for result in results:
        ratio = f"{result.rate / base.rate:.2f}x" if base else "-"
        total = sum(result.questions)
        print(
            f"{result.system:12}{result.rate:12.3f}{ratio:>8}{result.cpu:16.2f}{result.peak_mb:9.0f}"
            f"{result.tokens / total:17.1f}"
            f"{sum(result.losses) / len(result.losses):16.5f}{result.final_loss:17.5f}"
        )
    print("\nloss per target token of each step (questions in the step)")
    for result in results:
        steps = [f"{loss:.5f} ({count})" for loss, count in zip(result.losses, result.questions, strict=True)]
        print(f"{result.system:12}{'  '.join(steps)}")
    print()
    for result in results:
        if result.note:
            print(f"{result.system:12}{result.note}")
    own = next((result for result in results if result.system == "sqlwright"), None)
    return verdict(own, base) if own and base else 0


def verdict(own: Measured, base: Measured) -> int:
    """Print whether the goals are met; return the exit code."""
    pairs = [*zip(own.losses, base.losses, strict=True), (own.final_loss, base.final_loss)]
    apart = max(abs(ours - theirs) / theirs for ours, theirs in pairs)
    ratio = own.rate / base.rate
    goals = {
        f"{ratio:.2f} times as fast as {base.system} (goal {GOAL:.0f})": ratio >= GOAL,
        f"losses differ by at most {apart:.2%} (goal {SAME_LOSS:.1%})": apart <= SAME_LOSS,
        f"memory {own.peak_mb / base.peak_mb:.2f} of {base.system} (goal 1)": own.peak_mb <= base.peak_mb,
    }
    for text, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'}  {text}")
    return 0 if all(goals.values()) else 1


def _length(entry: dict[str, Any]) -> int:
    return len(entry["input_ids"])


if __name__ == "__main__":
    sys.exit(main())
