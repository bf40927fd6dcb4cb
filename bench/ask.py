"""What an answer of `sqlwright ask` costs, rung by rung of the ladder, with the model loaded.

    python bench/ask.py [--questions 20] [--samples 8] [--adapter FOLDER] [--json OUT]

Asks questions of the quickstart's evaluation databases one after another, as `ask` does (xllamacpp, or the llama-server
that was built here; the shipped adapter unless another is given), and prints per rung the seconds a question, of which:

    greedy     the prompt written, read and answered, and the SQL run
    repaired   the same, and names and texts put right where the SQL can't be run or finds nothing
    vote       the same, with `--samples` answers for every question, all run, repaired and voted on

then tokens read and written a second and the peak memory. A database's first question reads its schema, and later ones
find it in the prompt cache: both are printed. Exits with 1 if greedy takes more than 1.5 seconds a question, the vote
more than 6, or memory more than 1,500 MB.

Not covered: accuracy by rung (see docs/experiments.md), loading the model, which `ask` pays for each time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setting import draw_blocks, facts_line, machine, peak_memory_mb, quickstart, require_model
from sqlwright.databases import Executor
from sqlwright.datasets import Dataset
from sqlwright.decoding import Repairer, completion, vote
from sqlwright.models.choose import DEFAULT_MODEL, choose_model
from sqlwright.models.gguf import GgufEngine
from sqlwright.models.llama_server import own_program
from sqlwright.prompts import PromptWriter
from sqlwright.records import Question
from sqlwright.serving.ask import MAX_TOKENS, TEMPERATURE

GREEDY, VOTE, MEMORY = 1.5, 6.0, 1500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--adapter", help="folder of an adapter or run, or `none`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    options = parser.parse_args()
    require_model(DEFAULT_MODEL)
    facts = machine(("xllamacpp", "sqlwright"))
    facts["llama-server"] = "of this machine" if own_program() else "none"
    print(facts_line(facts), flush=True)
    dataset = quickstart("evaluate")
    questions = draw_blocks(dataset.questions, lambda one: len(one.database), options.questions, 4, options.seed)
    rows, memory = measure(dataset, questions, options)
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "questions": rows, "peak_mb": memory}, indent=1))
    return report(rows, memory, options.samples)


def measure(
    dataset: Dataset, questions: Sequence[Question], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], float]:
    """Return a row per question (seconds by rung, tokens, whether its database was new), and the peak memory in MB."""
    chosen = choose_model(DEFAULT_MODEL, options.adapter, Path("runs-that-are-not-there"))
    if chosen.adapter is None:
        raise SystemExit("bench/ask.py: expected an adapter, for its prompts; found none.")
    fmt = chosen.adapter.prompt_format(chosen.path)
    context = fmt.max_schema_tokens + fmt.own_tokens + 512
    rows: list[dict[str, Any]] = []
    with (
        GgufEngine(
            chosen.path, chosen.adapter.weights, context=context, parallel=max(1, options.samples - 1)
        ) as engine,
        Executor(workers=1) as executor,
        PromptWriter(fmt, engine.count_tokens) as writer,
    ):
        repairer = Repairer(dataset.databases, executor)
        seen: set[str] = set()
        for question in questions:
            place = dataset.databases[question.database]
            started = time.perf_counter()
            prompt = writer.write(question, place)
            answers = engine.answer(prompt.prefix, [prompt.suffix], MAX_TOKENS)
            sql = completion(prompt, answers[0]).sql
            outcome = executor.run(place, sql)
            greedy = time.perf_counter()
            repairer.mended(sql, outcome, question.database, question.text)
            repaired = time.perf_counter()
            answers += engine.draw(prompt.suffix, MAX_TOKENS, options.samples - 1, TEMPERATURE)
            vote(prompt, answers, place, executor, repairer, question.text)
            rows.append(
                {
                    "database": question.database,
                    "new": question.database not in seen,
                    "greedy": greedy - started,
                    "repaired": repaired - started,
                    "vote": time.perf_counter() - started,
                    "read": engine.count_tokens(prompt.prefix + prompt.suffix),
                    "suffix": engine.count_tokens(prompt.suffix),
                    "written": len(answers[0].tokens),
                    "written in all": sum(len(one.tokens) for one in answers),
                }
            )
            seen.add(question.database)
            print(f"{len(rows)} of {len(questions)}", file=sys.stderr, flush=True)
        memory = peak_memory_mb() + server_memory_mb()
    return rows, memory


def server_memory_mb() -> float:
    """Return the peak memory of a llama-server that answers in the place of xllamacpp, in MB; 0 where none does."""
    program = own_program()
    if program is None:
        return 0.0
    own = [
        path.with_name("status").read_text(encoding="ascii")
        for path in Path("/proc").glob("[0-9]*/exe")
        if os.access(path, os.R_OK) and path.resolve() == program
    ]
    if len(own) != 1:
        raise SystemExit(f"bench/ask.py: expected one {program} to run, found {len(own)}.")
    return int(own[0].partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def report(rows: Sequence[dict[str, Any]], memory: float, samples: int) -> int:
    """Print the table and whether the goals are met; return the exit code."""

    def mean(name: str, chosen: Sequence[dict[str, Any]]) -> float:
        return sum(row[name] for row in chosen) / max(1, len(chosen))

    groups = {
        "all": rows,
        "first of a database": [row for row in rows if row["new"]],
        "later ones": [row for row in rows if not row["new"]],
    }
    print(f"\n{'seconds a question':22}{'n':>5}{'greedy':>9}{'repaired':>10}{f'vote of {samples}':>11}")
    for name, own in groups.items():
        cells = f"{mean('greedy', own):9.2f}{mean('repaired', own):10.2f}{mean('vote', own):11.2f}"
        print(f"{name:22}{len(own):5}{cells}")
    more = sum(row["vote"] - row["repaired"] for row in rows)
    tokens = sum(row["written in all"] - row["written"] for row in rows)
    own = f"{mean('suffix', rows):.0f} of them the question's own"
    print(f"\nprompts of {mean('read', rows):.0f} tokens, {own}; answers of {mean('written', rows):.0f}")
    print(f"side by side {tokens / max(more, 1e-9):.1f} tokens are written a second")
    print(f"peak memory {memory:.0f} MB\n")
    goals = {
        f"greedy {mean('greedy', rows):.2f} s a question (goal {GREEDY})": mean("greedy", rows) <= GREEDY,
        f"vote of {samples} {mean('vote', rows):.2f} s a question (goal {VOTE:.0f})": mean("vote", rows) <= VOTE,
        f"memory {memory:.0f} MB (goal {MEMORY})": memory <= MEMORY,
    }
    for text, met in goals.items():
        print("met   " if met else "MISSED", text)
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
