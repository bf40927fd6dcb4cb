"""Questions from a database alone: how many pass each filter, how long it takes, and what training on them brings.

    python bench/synthesis.py --databases DIR [--only sakila northwind chinook] [--questions 300] [--no-model]
                              [--out FOLDER] [--pages] [--train] [--from shipped|base] [--epochs 2] [--rate 1e-4]
                              [--interpolation 0.5]

`DIR` holds sakila.sqlite and northwind.sqlite; Chinook is packaged. Each database is done by `synthesize` in this
process; what was interrupted continues. `--pages` writes docs/synthesis-pairs.md: the table of filters and 30 pairs
per database, drawn by the seed and unedited. `--train` fine-tunes the default model on Chinook's pairs, from the
adapter that ships or from the base, half-way from where it started to where it ended unless `--interpolation` says
otherwise, and scores it before and after, as written and repaired, on the 30 questions of
chinook.questions.jsonl, written by hand before anything was predicted; pairs whose SQL is a hand-written gold but for
values are left out of training, and the run would refuse them.
Exits with 1 if a database has fewer pairs than asked for, or took more than 45 minutes, what was interrupted included.

Not covered: other models; unanswerable questions are counted, not trained on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from setting import facts_line, machine
from sqlwright.cli.terminal import TerminalReporter, duration
from sqlwright.databases import describe
from sqlwright.datasets import package_path, read_jsonl
from sqlwright.errors import SQLWrightError
from sqlwright.runs.synthesis import Synthesised, synthesise_file
from sqlwright.sql.skeleton import template

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "synthesis-pairs.md"
HAND_WRITTEN = HERE / "chinook.questions.jsonl"
NAMES = ("sakila", "northwind", "chinook")
SHOWN = 30
GOAL_SECONDS = 45 * 60
STARTS = {
    "shipped": ('adapter = "shipped"', "rank = 64"),
    "base": ('adapter = "none"', "layers = 12"),
}
"""By where training starts: the line of [model], and the one of [train] that makes as much room as that has."""
_UNEDITED = "Drawn by the seed and unedited, wrong ones included."


@dataclass(frozen=True)
class Made:
    """What a database gave, and the seconds that it took in all, interrupted runs included."""

    name: str
    found: Synthesised
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--databases", type=Path, required=True, help="folder with sakila.sqlite and northwind.sqlite")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-model", action="store_true", help="word by rules alone")
    parser.add_argument("--out", type=Path, default=Path("synthesis"), help="folder for what is made")
    parser.add_argument("--pages", action="store_true", help="write docs/synthesis-pairs.md")
    parser.add_argument("--train", action="store_true", help="fine-tune on Chinook's pairs and score before and after")
    parser.add_argument("--from", dest="start", choices=tuple(STARTS), default="shipped")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--interpolation", type=float, default=0.5)
    options = parser.parse_args()
    facts = facts_line(machine(("xllamacpp", "torch", "sqlwright")))
    print(facts, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        made = [make(name, options) for name in options.only]
        for one in made:
            report(one)
        if options.pages:
            PAGE.write_text(page(made, facts, options), encoding="utf-8")
        if options.train:
            fine_tune(options)
    except SQLWrightError as error:
        raise SystemExit(str(error)) from None
    missed = [one for one in made if one.found.partial or one.seconds > GOAL_SECONDS]
    print("MISSED" if missed else "met", f"{options.questions} pairs per database in at most 45 minutes each")
    return 1 if missed else 0


def make(name: str, options: argparse.Namespace) -> Made:
    """Return what `synthesize` makes of one database."""
    database = package_path("chinook/chinook.sqlite") if name == "chinook" else options.databases / f"{name}.sqlite"
    reporter = TerminalReporter()
    reporter.stage(name, "run")
    found = synthesise_file(
        database,
        options.out / f"{name}.jsonl",
        questions=options.questions,
        seed=options.seed,
        use_model=not options.no_model,
        reporter=reporter,
    )
    return Made(name, found, found.seconds)


def report(one: Made) -> None:
    """Print the counts of one database."""
    found = one.found
    print(f"\n{one.name}: {found.accepted} of {found.asked_for} pairs in {duration(one.seconds)}")
    for title, counts in (("filters", found.counts), ("hardness", found.hardness), ("category", found.category)):
        print(f"  {title}: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))


def page(made: Sequence[Made], facts: str, options: argparse.Namespace) -> str:
    """Return the page of filters and unedited pairs."""
    names = [one.name for one in made]
    way = (f" --only {' '.join(names)}" if len(names) < len(NAMES) else "") + (
        " --no-model" if options.no_model else ""
    )
    how = "by rules alone" if options.no_model else "in the wording that led back to its result"
    lines = [
        "# Pairs that `synthesize` made",
        "",
        f"Made by `python bench/synthesis.py --databases DIR --pages --questions {options.questions}{way}`",
        f"on: {facts}.",
        f"Every question stands {how}. How they come about: [synthesis.md](synthesis.md).",
        "",
        "| | " + " | ".join(one.name for one in made) + " |",
        "|---|" + "---:|" * len(made),
    ]
    rows = dict.fromkeys(name for one in made for name in one.found.counts)
    lines += [f"| {row} | " + " | ".join(f"{one.found.counts.get(row, 0):,}" for one in made) + " |" for row in rows]
    lines.append("| **pairs written** | " + " | ".join(str(one.found.accepted) for one in made) + " |")
    lines.append("| minutes | " + " | ".join(f"{one.seconds / 60:.1f}" for one in made) + " |")
    for one in made:
        lines += ["", f"## {one.name}", "", _UNEDITED, ""]
        text = one.found.files[0].read_text(encoding="utf-8")
        pairs = [json.loads(line) for line in text.splitlines()]
        for pair in random.Random(options.seed).sample(pairs, min(SHOWN, len(pairs))):
            question = pair["question"].replace("|", "\\|").replace("<", "&lt;")
            lines += [f"- {question}", f"  `{pair['sql']}`"]
    return "\n".join(lines) + "\n"


def fine_tune(options: argparse.Namespace) -> None:
    """Train on Chinook's pairs, score the hand-written questions before and after, and print both."""
    from sqlwright import pipeline
    from sqlwright.recipe_file import read_recipe

    root = package_path("chinook")
    tables = {
        table.name: [column.name for column in table.columns] for table in describe(root / "chinook.sqlite").tables
    }
    asked = {template(gold, tables) for one in read_jsonl([HAND_WRITTEN], root).questions for gold in one.golds}
    pairs = (options.out / "chinook.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line) for line in pairs if template(json.loads(line)["sql"], tables) not in asked]
    print(f"\ntraining on {len(kept)} of {len(pairs)} pairs; the others are a hand-written gold but for values")
    learned = options.out / "chinook.train.jsonl"
    lines = [json.dumps(one | {"database": "chinook"}, ensure_ascii=False) for one in kept]
    learned.write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = options.out / f"chinook-{options.start}.toml"
    model, room = STARTS[options.start]
    recipe.write_text(
        f'name = "{recipe.stem}-{"rules" if options.no_model else "model"}"\n'
        f"[model]\n{model}\n"
        f'[data]\nformat = "jsonl"\ntrain = ["{learned.name}"]\nevaluate = ["{HAND_WRITTEN}"]\n'
        # One schema: as many questions as fit share it.
        'databases = "package:chinook"\nvalidation_databases = 0\n'
        f"[train]\nepochs = {options.epochs}\nlearning_rate = {options.rate}\n{room}\n"
        f"interpolation = {options.interpolation}\n"
        "questions_per_step = 24\nquestions_per_sequence = 24\n"
        '[predict]\nrepair = true\n[evaluate]\nmetrics = ["robust"]\n[export]\ncheck_prompts = 0\n',
        encoding="utf-8",
    )
    for overrides in ([f"name={recipe.stem}", "train.epochs=0"], []):
        outcome = pipeline.run(read_recipe(recipe, overrides), recipe, options.out / "runs", TerminalReporter())
        print(outcome.table(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
