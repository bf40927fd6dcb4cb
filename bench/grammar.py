"""What a grammar bound to the schema costs, and what it changes: the same questions answered freely and held to it.

    python bench/grammar.py [--questions 6] [--engine gguf|torch] [--adapter FOLDER|none] [--show]

Asks the first hand-written questions about Chinook (packaged) one after another, each twice, freely and held, in turns
so that other load hits both alike. Prints seconds and processor seconds per token and per question as ratios, the time
to write the grammar and to read it, and how many answers run and are right (robust comparison), without repair.
Exits with 1 if held answers take more than 1.3 times the processor seconds per token.

Not covered: waves of many questions, large schemas.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
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
    """What one way of answering took in all, and its SQL by question."""

    seconds: float = 0.0
    processor: float = 0.0
    tokens: int = 0

    def __post_init__(self) -> None:
        self.sqls: dict[str, str] = {}

    def ask(self, engine: Engine, prompt: Prompt, grammar: str) -> None:
        started, busy = time.perf_counter(), time.process_time()
        wave = [(prompt.prefix, [prompt.suffix])]
        answer = engine.answer_wave(wave, _MAX_TOKENS, grammars=[grammar], progress=lambda _: None)[0][0]
        self.seconds += time.perf_counter() - started
        self.processor += time.process_time() - busy
        self.tokens += len(answer.tokens)
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
        per = (side.seconds / len(questions), side.seconds / side.tokens, side.processor / side.tokens)
        print(f"| {label} | {per[0]:.2f} | {per[1]:.4f} | {per[2]:.4f} | {side.tokens} | {ran} | {right} |")
    ratio = held.processor / held.tokens / (free.processor / free.tokens)
    by_clock = held.seconds / held.tokens / (free.seconds / free.tokens)
    print(
        f"\nheld / freely: {ratio:.2f} of the processor seconds a token, {by_clock:.2f} of the seconds a token, ",
        end="",
    )
    print(f"{held.seconds / free.seconds:.2f} of the seconds a question (goal: at most {GOAL} a token)")
    return int(ratio > GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
