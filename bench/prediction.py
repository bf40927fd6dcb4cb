"""Prediction with shared prefixes against one question after another through `transformers`.

    python bench/prediction.py [--model NAME_OR_GGUF] [--adapter FOLDER] [--engine torch|gguf] [--questions 60]
                               [--sample 10] [--json OUT]

    sqlwright      `decoding.predict`: every schema is read once, questions are decoded side by side (in torch those of
                   all databases, in the GGUF engine those of one)
    transformers   `model.generate`, batch 1, greedy, the full prompt each time (as DB-GPT-Hub predicts), on the same
                   weights dequantised, with the key-value cache and the same stops

Both get the same prompts, each in a process of its own; loading the model doesn't count. The slow way answers a sample
of the questions (spread over the databases, drawn by the seed); the ratio is that of seconds a question on the sample,
where a question's share of SQLWright's time is its wave's time over its questions, schemas included. Also prints how
many answers agree and the execution accuracy of both. Exits with 1 if SQLWright isn't 5 times as fast on the sample.

Not covered: batched generation in other engines, sampling, voting.
"""

from __future__ import annotations

import argparse
import json
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
    require_model,
    write_prompts,
)
from sqlwright.models.verify import find_model
from sqlwright.recipe import PredictSettings
from sqlwright.records import Prompt

GOAL = 5.0
PACKAGES = ("xllamacpp", "torch", "transformers", "peft", "sqlwright")


@dataclass
class Predicted:
    """What one way of predicting came to: SQL, seconds and decoded tokens by question id, CPU seconds in all."""

    system: str
    sql: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


def main() -> int:
    settings = PredictSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct", help="catalogue name or GGUF file")
    parser.add_argument("--adapter", type=Path, help="folder of a trained adapter (PEFT's format)")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--sample", type=int, default=10, help="questions that transformers answers too")
    parser.add_argument("--engine", choices=("torch", "gguf"), default="torch")
    parser.add_argument("--parallel", type=int, default=0, help="0: 96 with torch, 8 with gguf")
    parser.add_argument("--max-tokens", type=int, default=settings.max_tokens)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        predicted = SYSTEMS[options.measure](options, *chosen_prompts(options))
        options.json.write_text(json.dumps(asdict(predicted)), encoding="utf-8")
        return 0
    if options.adapter and not (options.adapter / "adapter_config.json").is_file():
        parser.error(f"--adapter: expected a folder with adapter_config.json, found none in {options.adapter}")
    require_model(options.model)
    die_with_children()
    facts = machine(PACKAGES)
    print(facts_line(facts), flush=True)
    handed = {key: value for key, value in vars(options).items() if key not in ("json", "measure")}
    own, one_by_one = (Predicted(**in_own_process(__file__, system, handed)) for system in SYSTEMS)
    if options.json:
        held = {"machine": facts, "options": {name: str(value) for name, value in vars(options).items()}}
        held |= {"systems": [asdict(own), asdict(one_by_one)]}
        options.json.write_text(json.dumps(held, indent=2), encoding="utf-8")
    return report(own, one_by_one)


def chosen_prompts(options: argparse.Namespace) -> tuple[list[Prompt], list[Prompt], Any]:
    """Return the prompts of all questions, those of the sample among them, and the tokenizer."""
    dataset = quickstart("evaluate")
    path = find_model(options.model)
    prompts, tokenizer = write_prompts(path, dataset, dataset.questions)

    def size(prompt: Prompt) -> int:
        return len(prompt.prefix)

    # Whole databases, as in any real prediction; the sample is spread over them.
    drawn = draw_blocks(prompts, size, options.questions, 10, options.seed)
    return drawn, draw_blocks(drawn, size, options.sample, 1, options.seed), tokenizer


def predict_sqlwright(
    options: argparse.Namespace, prompts: Sequence[Prompt], _sample: Sequence[Prompt], tokenizer: Any
) -> Predicted:
    """Return the answers to all questions through the chosen engine."""
    from sqlwright.decoding import predict, prompt_groups, prompt_waves
    from sqlwright.export.gguf_adapter import write_gguf_adapter
    from sqlwright.models.engines import PARALLEL, open_engine

    path = find_model(options.model)
    longest = max(len(tokenizer(prompt.prefix + prompt.suffix)["input_ids"]) for prompt in prompts)
    result = Predicted("sqlwright")
    with tempfile.TemporaryDirectory() as folder:
        adapter = None
        if options.adapter:
            adapter = Path(folder) / "adapter.gguf"
            write_gguf_adapter(options.adapter, path, adapter)
        parallel = options.parallel or PARALLEL[options.engine]
        waves = [[group] for group in prompt_groups(prompts, parallel)]
        if options.engine == "torch":
            waves = prompt_waves(prompts, parallel)
        context = longest + options.max_tokens + 8
        with open_engine(options.engine, path, adapter, context=context, parallel=parallel) as engine:
            forget_peak()
            last, cpu = time.perf_counter(), time.process_time()
            for completions in predict(engine, waves, options.max_tokens):
                now = time.perf_counter()
                for completion in completions:
                    result.sql[completion.id] = completion.sql
                    result.tokens[completion.id] = completion.tokens
                    result.seconds[completion.id] = (now - last) / len(completions)
                last = now
            result.cpu_seconds = time.process_time() - cpu
            result.peak_mb = peak_memory_mb()
    return result


def predict_one_by_one(
    options: argparse.Namespace, _prompts: Sequence[Prompt], sample: Sequence[Prompt], tokenizer: Any
) -> Predicted:
    """Return the answers to the sample through `model.generate`."""
    import torch

    from sqlwright.models.device import choose_device, choose_dtype, choose_threads
    from sqlwright.models.weights import load_model
    from sqlwright.sql.extract import extract_sql

    torch.set_num_threads(choose_threads(0))
    device = choose_device("auto")
    model = load_model(find_model(options.model), choose_dtype("auto", device), device)
    if options.adapter:
        from peft import PeftModel

        # Merged, so that the baseline doesn't pay for PEFT's extra matrices at every token.
        model = PeftModel.from_pretrained(model, str(options.adapter)).merge_and_unload().eval()
    result = Predicted("transformers")
    generate(model, tokenizer, sample[0], max_tokens=2)  # warm-up, not counted
    forget_peak()
    cpu = time.process_time()
    for prompt in sample:
        started = time.perf_counter()
        tokens = generate(model, tokenizer, prompt, options.max_tokens)
        result.seconds[prompt.id] = time.perf_counter() - started
        result.tokens[prompt.id] = len(tokens)
        result.sql[prompt.id] = extract_sql(tokenizer.decode(tokens, skip_special_tokens=True))
    result.cpu_seconds = time.process_time() - cpu
    result.peak_mb = peak_memory_mb()
    return result


def generate(model: Any, tokenizer: Any, prompt: Prompt, max_tokens: int) -> list[int]:
    """Return the tokens of the greedy answer; it ends where the GGUF engine's would."""
    import torch
    from transformers import StoppingCriteriaList

    from sqlwright.models.gguf import STOP

    ids = tokenizer(prompt.prefix + prompt.suffix, add_special_tokens=False, return_tensors="pt").to(model.device)
    start = ids["input_ids"].shape[1]

    def stopped(sequence: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        tail = tokenizer.decode(sequence[0, max(start, sequence.shape[1] - 8) :])
        return torch.tensor([any(stop in tail for stop in STOP)], device=sequence.device)

    with torch.inference_mode():
        output = model.generate(
            **ids,
            max_new_tokens=max_tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            stopping_criteria=StoppingCriteriaList([stopped]),
        )
    return output[0, start:].tolist()


SYSTEMS: dict[str, Callable[[argparse.Namespace, Sequence[Prompt], Sequence[Prompt], Any], Predicted]] = {
    "sqlwright": predict_sqlwright,
    "transformers": predict_one_by_one,
}


def execution_accuracy(predicted: Sequence[Predicted], ids: Sequence[str]) -> list[int]:
    """Return how many of the questions each system answered right, by Spider's execution accuracy."""
    from sqlwright.databases import Executor
    from sqlwright.datasets import package_path
    from sqlwright.evaluation.spider import score_spider

    questions = {question.id: question for question in quickstart("evaluate").questions}
    counts = []
    with Executor(workers=2) as executor:
        for one in predicted:
            pairs = [(questions[key].golds[0], questions[key].database, one.sql[key]) for key in ids]
            databases = package_path("quickstart/database")
            scored = score_spider(pairs, databases=databases, executor=executor, metrics=["ex"])
            counts.append(scored.scores()["ex"]["all"][0])
    return counts


def report(own: Predicted, one_by_one: Predicted) -> int:
    """Print both on the sample, SQLWright on all questions, and the verdict; return the exit code."""
    sample = list(one_by_one.sql)
    right = execution_accuracy([own, one_by_one], sample)
    slow = sum(one_by_one.seconds.values())
    columns = ("seconds/question", 17), ("ratio", 8), ("CPU s/question", 16), ("tokens/question", 17), ("right", 9)
    print("\n" + " " * 30 + "".join(f"{title:>{width}}" for title, width in columns) + f"{'peak MB':>9}")
    for one, count in zip((own, one_by_one), right, strict=True):
        seconds = sum(one.seconds[key] for key in sample)
        line(f"{one.system}, sample", one, sample, f"{slow / seconds:.2f}x", count)
    everything = list(own.sql)
    line("sqlwright, all questions", own, everything, "", execution_accuracy([own], everything)[0])
    agree = sum(own.sql[key] == one_by_one.sql[key] for key in sample)
    print(f"\n{agree} of {len(sample)} answers agree word for word (the GGUF engine computes in 4 to 8 bits)")
    ratio = slow / sum(own.seconds[key] for key in sample)
    met = ratio >= GOAL
    print(f"{'met   ' if met else 'MISSED'}  {ratio:.2f} times as fast as one by one (goal {GOAL:.0f})")
    return 0 if met else 1


def line(name: str, one: Predicted, keys: Sequence[str], ratio: str, right: int) -> None:
    """Print one row of the table."""
    seconds = sum(one.seconds[key] for key in keys) / len(keys)
    tokens = sum(one.tokens[key] for key in keys) / len(keys)
    share = f"{right}/{len(keys)}"
    cpu = f"{one.cpu_seconds / len(keys):.2f}" if len(keys) == len(one.sql) else ""
    print(f"{name:30}{seconds:17.3f}{ratio:>8}{cpu:>16}{tokens:17.1f}{share:>9}{one.peak_mb:9.0f}")


if __name__ == "__main__":
    sys.exit(main())
