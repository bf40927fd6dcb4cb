"""Training the same questions three ways, in one run: SQLWright, padded batches in Trainer, packing in TRL.

    python bench/training.py [--model NAME_OR_GGUF] [--questions 36] [--systems sqlwright trainer-4 ...] [--json OUT]

Every system runs in a process of its own on the same token ids, frozen weights, number format, initial LoRA matrices,
AdamW, constant learning rate, gradient clipping and (TRL: as nearly as its packs allow) questions per optimizer step:

    sqlwright    `sqlwright.training.trainer.train`: shared-schema packing
    trainer-N    Hugging Face `Trainer` with PEFT, N questions per padded batch, gradients accumulated to the same
                 questions in every step and in the same order, so that its losses must be SQLWright's
    trl          TRL's `SFTTrainer`, `packing=True` (best-fit-decreasing, one pack per batch)

All frameworks run without gradient checkpointing, as it would only slow the baselines. Prints questions a second
(over all steps, from the start of the first to the end of the last), peak memory of training, tokens that pass through
the model, the loss of every step, and the loss per target token on all trained questions after training, measured for
all systems by the same code. Exits with 1 if SQLWright isn't 6 times as fast as the fastest `trainer-N`, or its loss
differs, or it takes more memory.

Not covered: several devices, quantised base weights, the quality of the trained adapters.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from setting import (
    die_with_children,
    draw_blocks,
    facts_line,
    forget_peak,
    in_own_process,
    machine,
    peak_memory_mb,
    quickstart,
    require_model,
    write_prompts,
)
from sqlwright.models.verify import find_model
from sqlwright.recipe import TrainSettings
from training_systems import SYSTEMS, Job, Measured

GOAL = 6.0
SAME_LOSS = 0.005  # of the loss: rounding in float32 stays below 1e-4, bfloat16 needs more
PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "sqlwright")


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
    require_model(options.model)
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

    from sqlwright.models.architectures import use_shared_prefix_attention
    from sqlwright.models.device import choose_device, choose_dtype, choose_threads
    from sqlwright.models.weights import load_model
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
    prompts, tokenizer = write_prompts(path, dataset, dataset.questions, target=True)
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


if __name__ == "__main__":
    sys.exit(main())
