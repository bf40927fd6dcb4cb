"""How the model that ships does beyond Spider: 90 hand-written questions about Chinook, Northwind and Sakila.

    python bench/beyond.py --databases DIR [--adapter FOLDER] [--only chinook northwind sakila] [--show]

`DIR` holds northwind.sqlite and sakila.sqlite; Chinook is packaged. The questions (`*.questions.jsonl`, 30 each, with
golds) were written by hand before anything was predicted, and nothing is trained on them. Base and adapter answer
greedily with the adapter's prompts (torch engine), as written and repaired as `ask` does; right is what the robust
comparison calls right. `--show` prints what the adapter gets wrong.

Not covered: votes (`ladder.py`), time (`ask.py`). The repairs were written with answers about Northwind in view.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.datasets import package_path, read_jsonl
from sqlwright.decoding import Repairer, predict, prompt_waves
from sqlwright.evaluation.robust import RobustItem, score_robust
from sqlwright.evaluation.statistics import score
from sqlwright.models.adapter import read_adapter
from sqlwright.models.engines import open_engine
from sqlwright.models.verify import find_model
from sqlwright.prompts import build_prompts

HERE = Path(__file__).resolve().parent
NAMES = ("chinook", "northwind", "sakila")
_MAX_TOKENS = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--databases", type=Path, required=True, help="folder with northwind.sqlite and sakila.sqlite")
    parser.add_argument("--adapter", type=Path, default=package_path("adapter"))
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    databases = {
        name: package_path("chinook/chinook.sqlite") if name == "chinook" else options.databases / f"{name}.sqlite"
        for name in options.only
    }
    questions = [
        question
        for name in options.only
        for question in read_jsonl([HERE / f"{name}.questions.jsonl"], databases[name].parent).questions
    ]
    adapter = read_adapter(options.adapter)
    path = find_model(adapter.base)
    counts: dict[tuple[str, str], dict[str, bool]] = {}
    for label, lora in (("base", None), ("adapter", adapter.gguf)):
        with open_engine("torch", path, lora, parallel=96) as engine, Executor(workers=2) as executor:
            prompts = build_prompts(questions, databases, adapter.prompt_format(path), engine.count_tokens)
            written = {
                one.id: one.sql for wave in predict(engine, prompt_waves(prompts, 96), _MAX_TOKENS) for one in wave
            }
            repairer = Repairer(databases, executor)
            mended = {
                q.id: repairer.mended(
                    written[q.id], executor.run(databases[q.database], written[q.id]), q.database, q.text
                )[0]
                for q in questions
            }
            for how, sqls in (("as written", written), ("repaired", mended)):
                items = [RobustItem(q.id, databases[q.database], q.golds, sqls[q.id]) for q in questions]
                counts[label, how] = {verdict.id: verdict.correct for verdict in score_robust(items, executor)}
        if options.show and lora:
            for q in questions:
                if not counts[label, "repaired"][q.id]:
                    print(f"\n{q.database}: {q.text}\n  gold  {q.golds[0]}\n  found {mended[q.id]}")
    print("\n| | " + " | ".join([*options.only, "all", "95 % interval"]) + " |")
    print("|---|" + "---:|" * (len(options.only) + 1) + "---|")
    for (label, how), right in counts.items():
        each = [sum(right[q.id] for q in questions if q.database == name) for name in options.only]
        whole = score([right[q.id] for q in questions])
        cells = [
            f"{one} of {sum(q.database == name for q in questions)}"
            for one, name in zip(each, options.only, strict=True)
        ]
        print(
            f"| {label}, {how} | "
            + " | ".join([*cells, f"{whole.correct} of {whole.total}", f"{whole.low:.2f} to {whole.high:.2f}"])
            + " |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
