"""Code Llama's recipes on a small scale: does a model learn infilling, a longer rotary period, dialogues?

    python bench/code_llama.py infilling --code FOLDER
    python bench/code_llama.py context
    python bench/code_llama.py dialogues --dialogues sparc_dev.json --databases spider/database
    [--model NAME_OR_PATH] [--train 200] [--held-out 40] [--layers 12] [--rate 1e-3] [--epochs 1] [--json OUT]

    infilling   gaps cut from MBPP's solutions at characters, half PSM, half SPM; scored on gaps of other solutions, and
                on HumanEval's single-line gaps (`--tasks`) by edit similarity and by their tests. The folder holds
                sanitized-mbpp.json and HumanEval-SingleLineInfilling.jsonl.gz
    context     the base period of the rotary positions is raised to 1e6, which spoils the model; tuning mends it.
                Numbers that stand somewhere in a long list of names are asked for
    dialogues   SParC's turns, each with the turns before it, on databases apart from those that are asked about

Prints the loss per token of the held-out answers and the share of them that is decoded exactly, before and after.
`exact` is read off one pass over the answers: all their tokens are the likeliest ones. Exits with 1 where nothing was
learned: the loss didn't fall, or no more answers are exact nor gaps filled more alike. One run of one seed shows that
learning works, no more.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from sqlwright.datasets import READERS
from sqlwright.datasets.infilling import MARK
from sqlwright.models.threads import let_threads_wait
from sqlwright.models.tokenizer import chat_template, load_tokenizer, token_ids
from sqlwright.models.verify import find_model
from sqlwright.prompts import STYLES, TARGETS, PromptFormat, build_prompts
from sqlwright.recipe import TrainSettings
from sqlwright.records import Prompt

LONG_PERIOD = 1e6


@dataclass
class Measured:
    """The loss per learned token and the share of exact answers; how HumanEval's gaps are filled (see `fill`)."""

    loss: float
    exact: float
    passed: float | None = None
    similarity: float | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", choices=("infilling", "context", "dialogues"))
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--code", type=Path)
    parser.add_argument("--dialogues", type=Path)
    parser.add_argument("--databases", type=Path)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--json", type=Path)
    for name, default in (("train", 200), ("held-out", 40), ("layers", 12), ("seed", 0), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, number in (("rate", 1e-3), ("epochs", 1.0)):
        parser.add_argument(f"--{name}", type=float, default=number)
    options = parser.parse_args()
    let_threads_wait()
    path = find_model(options.model)
    learned, held_out = {"infilling": gaps, "context": lists, "dialogues": turns}[options.part](options, path)
    print(f"{options.part}: {path.name}, {len(learned)} answers to learn from, {len(held_out)} held out")
    before, after, seconds = measure(options, path, learned, held_out)
    for label, one in (("before", before), ("after", after)):
        print(f"{label:<7} loss {one.loss:.3f}, exact {one.exact:.3f}")
        if one.similarity is not None:
            print(f"        {options.tasks} HumanEval gaps: similarity {one.similarity:.3f}, {one.passed:.3f} pass")
    print(f"trained in {seconds:.0f} s")
    if options.json:
        options.json.write_text(json.dumps({"before": asdict(before), "after": asdict(after), "seconds": seconds}))
    better = after.exact > before.exact or (after.similarity or 0) > (before.similarity or 0)
    return 0 if after.loss < before.loss and better else 1


def measure(
    options: argparse.Namespace, path: Path, learned: list[Prompt], held_out: list[Prompt]
) -> tuple[Measured, Measured, float]:
    """Return what the model makes of the held-out answers before training and after it, and the seconds it took."""
    import torch

    from sqlwright.export.gguf_adapter import write_gguf_adapter
    from sqlwright.models.architectures import use_shared_prefix_attention
    from sqlwright.models.weights import load_model
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan, train

    if options.threads:
        torch.set_num_threads(options.threads)
    tokenizer = load_tokenizer(path)
    end = tokenizer.eos_token_id
    settings = TrainSettings(
        learning_rate=options.rate,
        epochs=options.epochs,
        layers=options.layers,
        questions_per_step=12,
        tokens_per_batch=1024,
    )
    asked = encode(held_out, tokenizer, end)
    plan = make_plan(encode(learned, tokenizer, end), [], settings, options.seed)
    theta = LONG_PERIOD if options.part == "context" else 0.0
    model = load_model(path, torch.float32, rope_theta=theta)
    use_shared_prefix_attention(model)
    before = score(model, asked)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        started = time.perf_counter()
        trained = train(
            model, plan, settings, seed=options.seed, folder=place, progress=lambda d, t, n, _: show(f"{d} of {t}, {n}")
        ).model
        seconds = time.perf_counter() - started
        after = score(trained.eval(), asked)
        if options.part == "infilling" and options.tasks:
            trained.save_pretrained(str(place), save_embedding_layers=False)
            write_gguf_adapter(place, path, place / "adapter.gguf", theta)
            before.passed, before.similarity = fill(options, path, None)
            after.passed, after.similarity = fill(options, path, place / "adapter.gguf")
    return before, after, seconds


def score(model: Any, asked: Sequence[Any]) -> Measured:
    """Return loss and exact answers, by one pass over the answers."""
    from sqlwright.training.loss import score_targets
    from sqlwright.training.packing import deal_groups, deal_packs

    total, tokens, exact = 0.0, 0, 0
    for group in deal_groups(asked, 12, 1024, 0):
        for batch in deal_packs([group], 1024):
            scored = score_targets(model, batch)
            total -= float(scored.log_probabilities.sum())
            tokens += len(batch.labels)
            likeliest = scored.likeliest.tolist()
            for question in group:
                exact += all(likeliest[: question.targets])
                del likeliest[: question.targets]
    return Measured(total / tokens, exact / len(asked))


def fill(options: argparse.Namespace, path: Path, adapter: Path | None) -> tuple[float, float]:
    """Return the share of HumanEval's single-line gaps that a model fills so that the tests pass, and the similarity.

    Edit similarity is that of difflib between what is written and what stood there, the mean over the gaps.
    """
    from sqlwright.decoding.infill import infill_all
    from sqlwright.evaluation.code import read_tasks, run_sample
    from sqlwright.evaluation.code_sandbox import ProgramLimits
    from sqlwright.models.torch_engine import TorchEngine

    tasks = read_tasks(options.code / "HumanEval-SingleLineInfilling.jsonl.gz")
    chosen = random.Random(options.seed).sample(tasks, options.tasks)
    with TorchEngine(path, adapter, parallel=10, dtype="float32", threads=options.threads) as engine:
        found = list(infill_all(engine, chat_template(path), [(task.prompt, task.suffix) for task in chosen], 40))
    pairs = list(zip(chosen, found, strict=True))
    ran = [run_sample(task, text, ProgramLimits()) for task, text in pairs]
    alike = [
        SequenceMatcher(None, task.canonical.strip(), text.strip(), autojunk=False).ratio() for task, text in pairs
    ]
    return sum(outcome.passed for outcome in ran) / len(ran), sum(alike) / len(alike)


def gaps(options: argparse.Namespace, path: Path) -> tuple[list[Prompt], list[Prompt]]:
    """Return prompts for gaps in MBPP's solutions; the last of them are held out."""
    solutions = [task["code"] for task in json.loads((options.code / "sanitized-mbpp.json").read_text())]
    random.Random(options.seed).shuffle(solutions)
    fmt = PromptFormat(STYLES["compact"], 0, 512, chat_template(path))
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, code in enumerate(solutions):
            files.append(Path(folder) / f"{number}.py")
            files[-1].write_text(code.replace("\r\n", "\n"))
        questions = [question for question in READERS["infilling"](files).questions if len(question.text) < 700]
    assert all(MARK in question.text for question in questions)
    prompts = build_prompts(questions, {}, fmt, len, lambda gold, _: gold)
    return prompts[: options.train], prompts[-options.held_out :]


def lists(options: argparse.Namespace, path: Path) -> tuple[list[Prompt], list[Prompt]]:
    """Return prompts that ask for six numbers of a long list each."""
    draw = random.Random(options.seed)
    chat = chat_template(path)
    ends = ("ba", "do", "ka", "ne")
    names = [f"{a}{b}" for a in ("bar", "cor", "del", "fin", "gor", "lam", "mur", "tel") for b in ends]

    def one(number: int, count: int) -> list[Prompt]:
        numbers = {name: draw.randrange(100, 1000) for name in draw.sample(names, 24)}
        shared = "".join(f"The number of {name} is {value}.\n" for name, value in numbers.items())
        prompts = []
        for name in draw.sample(list(numbers), count):
            own = f"What is the number of {name}?"
            prefix, suffix = chat.split("Answer with the number alone.", shared, own)
            prompts.append(Prompt(f"{number}-{name}", str(number), prefix, suffix, str(numbers[name])))
        return prompts

    counts = -(-options.train // 6), -(-options.held_out // 6)
    made = [[prompt for number in range(count) for prompt in one(number, 6)] for count in counts]
    return made[0], made[1]


def turns(options: argparse.Namespace, path: Path) -> tuple[list[Prompt], list[Prompt]]:
    """Return prompts for the turns of dialogues; those on the last databases are held out."""
    questions = list(READERS["sparc"]([options.dialogues], options.databases).questions)
    names = sorted({question.database for question in questions})
    random.Random(options.seed).shuffle(names)
    dataset = READERS["sparc"]([options.dialogues], options.databases)
    fmt = PromptFormat(STYLES["compact"], 0, 512, chat_template(path))
    tokenizer = load_tokenizer(path)

    def count(text: str) -> int:
        return len(token_ids(tokenizer, text))

    def prompts(chosen: Sequence[str], limit: int) -> list[Prompt]:
        own = [question for name in chosen for question in questions if question.database == name][:limit]
        return build_prompts(own, dataset.databases, fmt, count, TARGETS["plain"])

    half = len(names) // 2
    return prompts(names[:half], options.train), prompts(names[half:], options.held_out)


def show(text: str) -> None:
    print(text, end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
