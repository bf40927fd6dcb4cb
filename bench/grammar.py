"""What a grammar bound to the schema costs, and what it changes: the same questions answered freely and held to it.

    python bench/grammar.py [--questions 6] [--engine gguf|torch] [--adapter FOLDER|none] [--show]

Asks the first hand-written questions about Chinook (packaged) one after another, each twice, freely and held, in turns
so that other load hits both alike. Prints the seconds and processor seconds, the time to write the grammar, how many
answers run and are right (robust comparison), without repair, and as ratio the median over the questions.
Exits with 1 if held answers take more than 1.3 times the processor seconds per token.

Not covered: waves of many questions, large schemas.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from beyond import judge, read_groups
from setting import facts_line, machine, require_model
from sqlwright.databases import Executor, describe
from sqlwright.datasets import package_path
from sqlwright.models.adapter import read_adapter
from sqlwright.models.choose import DEFAULT_MODEL
from sqlwright.models.engines import Engine, open_engine
from sqlwright.models.verify import find_model
from sqlwright.prompts import build_prompts
from sqlwright.records import Prompt
from sqlwright.sql.extract import extract_sql
from sqlwright.sql.grammar import sql_grammar

GOAL = 1.3
_MAX_TOKENS = 200


@dataclass
class Side:
    """What one way of answering took, question by question, and its SQL by question."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    sqls: dict[str, str] = field(default_factory=dict)

    def ask(self, engine: Engine, prompt: Prompt, grammar: str) -> None:
        started, busy = time.perf_counter(), time.process_time()
        wave = [(prompt.prefix, [prompt.suffix])]
        answer = engine.answer_wave(wave, _MAX_TOKENS, grammars=[grammar], progress=lambda _: None)[0][0]
        self.seconds.append(time.perf_counter() - started)
        self.processor.append(time.process_time() - busy)
        self.tokens.append(len(answer.tokens))
        self.sqls[prompt.id] = extract_sql(answer.text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=int, default=6)
    parser.add_argument("--engine", choices=("gguf", "torch"), default="gguf")
    parser.add_argument(
        "--adapter", default=str(package_path("adapter")), help="a folder, or `none` for the base alone"
    )
    parser.add_argument("--show", action="store_true", help="print the answers that differ")
    options = parser.parse_args()
    require_model(DEFAULT_MODEL)
    print(facts_line(machine(("xllamacpp", "llguidance", "sqlwright"))), flush=True)
    adapter = read_adapter(package_path("adapter") if options.adapter == "none" else Path(options.adapter))
    database = package_path("chinook/chinook.sqlite")
    questions = read_groups(database.parent, None)[0]["chinook"][: options.questions]
    started = time.process_time()
    grammar = sql_grammar(describe(database, 0))
    print(f"grammar of {len(grammar):,} characters written in {1000 * (time.process_time() - started):.0f} ms")
    model = find_model(adapter.base)
    lora = None if options.adapter == "none" else adapter.gguf
    free, held = Side(), Side()
    with open_engine(options.engine, model, lora, context=4096, parallel=1) as engine:
        databases = {"chinook": database}
        prompts = build_prompts(questions, databases, adapter.prompt_format(model), engine.count_tokens)
        for side, one in ((free, ""), (held, grammar)):  # reads the schema, and the tokens for the grammar's library
            side.ask(engine, prompts[0], one)
        free, held = Side(), Side()
        for number, prompt in enumerate(prompts):
            for side, one in ((free, ""), (held, grammar))[:: -1 if number % 2 else 1]:
                side.ask(engine, prompt, one)
    if options.show:
        for q in questions:
            if free.sqls[q.id] != held.sqls[q.id]:
                print(f"\n{q.id}: {q.text}\n  freely {free.sqls[q.id]}\n  held   {held.sqls[q.id]}")
    print("\n| | seconds a question | a token | processor seconds a token | tokens | run | right |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for label, side in (("freely", free), ("held", held)):
        with Executor(workers=1) as executor:
            ran = sum(executor.run(database, sql).ok for sql in side.sqls.values())
        right = sum(judge(questions, {"chinook": database}, side.sqls).values())
        tokens = sum(side.tokens)
        per = (sum(side.seconds) / len(questions), sum(side.seconds) / tokens, sum(side.processor) / tokens)
        print(f"| {label} | {per[0]:.2f} | {per[1]:.4f} | {per[2]:.4f} | {tokens} | {ran} | {right} |")
    ratio = middle_ratio(held.processor, free.processor, held.tokens, free.tokens)
    by_clock = middle_ratio(held.seconds, free.seconds, held.tokens, free.tokens)
    print(f"\nheld / freely, the middle one of the questions: {ratio:.2f} of the processor seconds a token, ", end="")
    print(f"{by_clock:.2f} of the seconds a token (goal: at most {GOAL})")
    return int(ratio > GOAL)


def middle_ratio(held: list[float], free: list[float], held_tokens: list[int], free_tokens: list[int]) -> float:
    """Return the median over the questions of what a token costs held, as a multiple of what it costs freely."""
    both = zip(held, free, held_tokens, free_tokens, strict=True)
    return statistics.median(h / h_count * f_count / f for h, f, h_count, f_count in both)


if __name__ == "__main__":
    raise SystemExit(main())
