"""How a model does beyond Spider's habits: hand-written questions, and Spider's own in other words.

    python bench/beyond.py --databases DIR [--run RUN] [--adapter FOLDER] [--only GROUP ...] [--no-base] [--show]

`DIR` holds northwind.sqlite and sakila.sqlite; Chinook is packaged. 30 questions each (`*.questions.jsonl`) were
written by hand before anything was predicted. With `--run`, the folder of a run whose evaluation part is Spider's
held-out training databases, 59 of its questions are asked in other words (`reworded.jsonl`, also written before: no
column is called by its name if there is another word), and the same ones as they stand. Nothing is trained on any.

Base and adapter answer greedily with the adapter's prompts (torch engine), as written and repaired as `ask` does; right
is what the robust comparison calls right. `--show` prints what the adapter gets wrong.

Not covered: votes (`ladder.py`), time (`ask.py`). The repairs were written with answers about Northwind in view.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.datasets import package_path
from sqlwright.decoding import Repairer, predict, prompt_waves
from sqlwright.evaluation.robust import RobustItem, score_robust
from sqlwright.evaluation.statistics import score
from sqlwright.models.adapter import Adapter, read_adapter
from sqlwright.models.engines import open_engine
from sqlwright.models.verify import find_model
from sqlwright.prompts import build_prompts
from sqlwright.records import Question

HERE = Path(__file__).resolve().parent
HAND_WRITTEN = ("chinook", "northwind", "sakila")
GROUPS = (*HAND_WRITTEN, "reworded", "originals")
_MAX_TOKENS = 200
_ROWS = 96


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--databases", type=Path, required=True, help="folder with northwind.sqlite and sakila.sqlite")
    parser.add_argument("--run", type=Path, help="run whose evaluation part is held-out training databases of Spider")
    parser.add_argument("--adapter", type=Path, default=package_path("adapter"))
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--no-base", action="store_true", help="only the adapter")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    groups, databases = read_groups(options.databases, options.run)
    groups = {name: questions for name, questions in groups.items() if name in options.only}
    adapter = read_adapter(options.adapter)
    rights = {}
    models = {} if options.no_base else {"base": None}
    for label, lora in (models | {"adapter": adapter.weights}).items():
        every = [question for questions in groups.values() for question in questions]
        sqls = answer(every, databases, adapter, lora)
        for how, found in sqls.items():
            rights[f"{label}, {how}"] = judge(every, databases, found)
        if options.show and lora:
            for q in every:
                if not rights["adapter, repaired"][q.id]:
                    print(f"\n{q.id}: {q.text}\n  gold  {q.golds[0]}\n  found {sqls['repaired'][q.id]}")
    report(groups, rights)
    return 0


def read_groups(samples: Path, run: Path | None) -> tuple[dict[str, list[Question]], dict[str, Path]]:
    """Return the questions by group, and the databases by name."""
    databases = {name: samples / f"{name}.sqlite" for name in HAND_WRITTEN}
    databases["chinook"] = package_path("chinook/chinook.sqlite")
    groups = {name: _read(name, f"{name}.questions.jsonl", "question") for name in HAND_WRITTEN}
    if run:
        paths = json.loads((run / "databases.json").read_text(encoding="utf-8"))
        for name, key in (("reworded", "question"), ("originals", "original")):
            groups[name] = _read(name, "reworded.jsonl", key)
            databases |= {one.database: Path(paths[one.database]) for one in groups[name]}
    return groups, databases


def _read(group: str, file: str, key: str) -> list[Question]:
    lines = (HERE / file).read_text(encoding="utf-8").splitlines()
    return [
        Question(
            f"{group} {number}",
            one["database"],
            one[key],
            tuple([one["sql"]] if isinstance(one["sql"], str) else one["sql"]),
        )
        for number, one in enumerate(map(json.loads, lines), 1)
    ]


def answer(
    questions: Sequence[Question], databases: dict[str, Path], adapter: Adapter, lora: Path | None
) -> dict[str, dict[str, str]]:
    """Return the SQL to each question, as written and repaired."""
    path = find_model(adapter.base)
    with open_engine("torch", path, lora, context=0, parallel=_ROWS) as engine, Executor(workers=2) as executor:
        prompts = build_prompts(questions, databases, adapter.prompt_format(path), engine.count_tokens)
        waves = predict(engine, prompt_waves(prompts, _ROWS), _MAX_TOKENS)
        written = {one.id: one.sql for wave in waves for one in wave}
        repairer = Repairer(databases, executor)
        mended = {}
        for q in questions:
            outcome = executor.run(databases[q.database], written[q.id])
            mended[q.id] = repairer.mended(written[q.id], outcome, q.database, q.text)[0]
    return {"as written": written, "repaired": mended}


def judge(questions: Sequence[Question], databases: dict[str, Path], sqls: dict[str, str]) -> dict[str, bool]:
    """Return which of the questions are right."""
    items = [RobustItem(q.id, databases[q.database], q.golds, sqls[q.id]) for q in questions]
    with Executor(workers=2) as executor:
        return {verdict.id: verdict.correct for verdict in score_robust(items, executor)}


def report(groups: dict[str, list[Question]], rights: dict[str, dict[str, bool]]) -> None:
    """Print the table: a row for each way, a column for each group, and the hand-written ones together."""
    print("\n| | " + " | ".join(groups) + " | hand-written together |")
    print("|---|" + "---:|" * len(groups) + "---|")
    for way, right in rights.items():
        cells = [f"{sum(right[q.id] for q in own)} of {len(own)}" for own in groups.values()]
        flags = [right[q.id] for name in HAND_WRITTEN for q in groups.get(name, ())]
        if flags:
            whole = score(flags)
            cells.append(f"{whole.correct} of {whole.total} ({whole.low:.2f} to {whole.high:.2f})")
        print(f"| {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    raise SystemExit(main())
