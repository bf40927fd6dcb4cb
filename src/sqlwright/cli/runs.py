"""`sqlwright runs list | show RUN | compare A B`: what the folders of runs say.

Reads only; a run that another process works on can be looked at. Not covered: the page `report.html` in the
folder, which shows every question.
"""

from __future__ import annotations

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from sqlwright.cli.options import RUNS, Json, Runs
from sqlwright.cli.tables import aligned, print_json, safe, write_page
from sqlwright.errors import DataError, RecipeError
from sqlwright.records import HARDNESS, Completion, Question, Verdict, read_records

app = App(name="runs", help="Runs that were made: list, show, and two of them compared.")

_STATES = {"done": "done", "begun": "interrupted"}


@app.command(name="list")
def list_runs(*, runs: Runs = RUNS, json: Json = False) -> int:
    """List the runs in a folder, with how far they are and their scores."""
    found = [_summary(path) for path in _folders(runs)]
    if json:
        print_json(found)
    elif not found:
        print(f"No runs in {runs}. Make one: sqlwright run recipes/quickstart.toml")
    else:
        rows = [("run", "stages done", "EX before", "EX after", "questions")]
        rows += [
            (
                one["name"],
                ", ".join(name for name, state in one["stages"].items() if state == "done") or "none",
                _value(one["scores"], "before", "ex"),
                _value(one["scores"], "after", "ex"),
                f"{one['questions']:,}" if one["questions"] else "",
            )
            for one in found
        ]
        print(safe("\n".join(aligned(rows, (False, False, True, True, True))), keep_lines=True))
    return 0


@app.command
def show(run: str, /, *, runs: Runs = RUNS, json: Json = False) -> int:
    """Show a run: its stages, its scores by hardness, what it was made of.

    Args:
        run: The run's name, or its folder.
    """
    folder = _find(run, runs)
    summary = _summary(folder)
    if json:
        print_json(summary | {"report": _report(folder)})
    else:
        print(safe(_text(summary, _report(folder)), keep_lines=True))
    return 0


@app.command
def compare(
    first: str,
    second: str,
    /,
    *,
    runs: Runs = RUNS,
    html: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    json: Json = False,
) -> int:
    """Tell what the second run gains over the first: the paired difference, and whether it is chance.

    Greedy predictions are compared, or those after repair and vote where both runs have them.

    Args:
        first: The run to compare with: its name, or its folder.
        second: The run that may be better.
        html: Also write the comparison to this file, as a page with every question.
    """
    from sqlwright.evaluation.comparison import compare as paired

    folders = _find(first, runs), _find(second, runs)
    every = [_verdicts(folder) for folder in folders]
    best = all(any(_is_best(one.metric) for one in verdicts) for verdicts in every)
    sides = [_latest(verdicts, best) for verdicts in every]
    known = [dict.fromkeys(verdict.metric for verdict in side) for side in sides]
    metrics = [name for name in known[0] if name in known[1] and name != "ex_keep_distinct"]
    if not metrics:
        raise DataError(
            f"{folders[0]} and {folders[1]}: expected a metric that both have, found none. Score them alike."
        )
    short = folders[0].name != folders[1].name
    names = (folders[0].name, folders[1].name) if short else (str(folders[0]), str(folders[1]))
    found = [paired(sides[0], sides[1], metric, names) for metric in metrics]
    if html is not None:
        write_page(html, _page(folders, names, sides, best))
    if json:
        print_json([json_module.loads(one.to_json()) for one in found])
    else:
        print(safe("\n\n".join(one.table() for one in found), keep_lines=True))
    return 0


def _page(folders: tuple[Path, Path], names: tuple[str, str], sides: list[list[Verdict]], best: bool) -> str:
    """Return the page that sets the second run beside the first."""
    from sqlwright.runs.compare_page import Side, scored_page

    questions = {one.id: one for one in read_records(folders[1] / "questions.jsonl", Question)}
    file = "completions.best.jsonl" if best else "completions.jsonl"
    answers = [{one.id: one.sql for one in read_records(folder / file, Completion)} for folder in folders]
    texts = {id_: (one.text, one.golds[0] if one.golds else "") for id_, one in questions.items()}
    both = [Side(name, side, answer) for name, side, answer in zip(names, sides, answers, strict=True)]
    path = folders[1] / "databases.json"
    files = json_module.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    databases = {name: Path(file) for name, file in files.items()}
    return scored_page(f"{names[0]} and {names[1]}", both, texts, [], databases)


def _latest(verdicts: list[Verdict], best: bool) -> list[Verdict]:
    """Return the verdicts of the run's last predictions, greedy or best, each named by its metric alone.

    In the file a metric is named with its label, such as `ex, after fine-tuning`; the best come last.
    """
    labels = list(dict.fromkeys(one.metric.partition(", ")[2] for one in verdicts))
    label = next((one for one in reversed(labels) if best or ", " not in one), "")
    own = [one for one in verdicts if one.metric.partition(", ")[2] == label]
    return [dataclasses.replace(one, metric=one.metric.partition(", ")[0]) for one in own]


def _folders(runs: Path) -> list[Path]:
    """Return the folders of runs, the latest first."""
    if not runs.is_dir():
        return []
    found = [path.parent for path in runs.glob("*/manifest.json")]
    return sorted(found, key=lambda folder: (folder / "manifest.json").stat().st_mtime, reverse=True)


def _find(run: str, runs: Path) -> Path:
    """Return the folder of a run, given by name or by path."""
    from sqlwright.recipe_file import nearest

    for path in (runs / run, Path(run)):
        if (path / "manifest.json").is_file():
            return path
    known = [folder.name for folder in _folders(runs)]
    raise RecipeError(
        f"expected a run of {runs} ({', '.join(known) or 'it has none'}) or the folder of one, "
        f"found {run!r}.{nearest(run, known)}"
    )


def _is_best(metric: str) -> bool:
    """Return whether a metric's label names repair or vote behind the predictions: `ex, after fine-tuning, repair`."""
    return metric.count(", ") > 1


def _verdicts(folder: Path) -> list[Verdict]:
    path = folder / "verdicts.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: expected the verdicts of a run, found none. Score it: sqlwright evaluate RECIPE.toml")
    return list(read_records(path, Verdict))


def _summary(folder: Path) -> dict[str, Any]:
    """Return name, folder, state by stage, scores by label and metric, and the number of questions."""
    from sqlwright.runs.folder import RunFolder

    stages = RunFolder(folder).manifest["stages"]
    reports = _report(folder).get("scores", {})
    overall = {
        label: {metric: found["overall"]["value"] for metric, found in metrics.items()}
        for label, metrics in reports.items()
    }
    totals = [found["expected"] for metrics in reports.values() for found in metrics.values()]
    return {
        "name": folder.name,
        "folder": str(folder),
        "stages": {name: _STATES.get(record.get("status"), "unknown") for name, record in stages.items()},
        "scores": overall,
        "questions": max(totals, default=0),
    }


def _report(folder: Path) -> dict[str, Any]:
    """Return `report.json`, empty where the run has none yet."""
    path = folder / "report.json"
    if not path.is_file():
        return {}
    try:
        found = json_module.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found.get("scores", {}), dict):
            raise ValueError("no scores")
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: expected the report of a run, found something else ({error}). "
            "Delete it and score again: sqlwright evaluate RECIPE.toml"
        ) from None
    return dict(found)


def _text(summary: dict[str, Any], report: dict[str, Any]) -> str:
    """Return a run for a reader."""
    lines = [f"{summary['name']}  ({summary['folder']})"]
    lines.append("stages: " + (", ".join(f"{name} {state}" for name, state in summary["stages"].items()) or "none yet"))
    for label, metrics in report.get("scores", {}).items():
        rows: list[tuple[str, ...]] = [(label, *metrics)]
        groups = [("all", [found["overall"] for found in metrics.values()])]
        groups += [
            (name, [found["by"].get("hardness", {}).get(name) for found in metrics.values()]) for name in HARDNESS
        ]
        rows += [
            (f"  {name}", *(_interval(one) if one else "" for one in scores)) for name, scores in groups if any(scores)
        ]
        lines += ["", *aligned(rows, [False] * len(rows[0]))]
        partial = [one for one in metrics.values() if one["overall"]["total"] < one["expected"]]
        lines += [f"  {one['metric']}: scored {one['overall']['total']:,} of {one['expected']:,}" for one in partial]
    if facts := report.get("facts"):
        lines += ["", *aligned([(str(name), str(value)) for name, value in facts.items()], (False, False))]
    lines += [f"note: {note}" for note in report.get("notes", [])]
    return "\n".join(lines)


def _interval(score: dict[str, Any]) -> str:
    return f"{score['value']:.4f} ({score['low']:.3f}–{score['high']:.3f}) of {score['total']:,}"


def _value(scores: dict[str, dict[str, float]], label: str, metric: str) -> str:
    """Return a score by the first word of its label ("before fine-tuning"), or nothing."""
    found = next((metrics for name, metrics in scores.items() if name.startswith(label)), {})
    return f"{found[metric]:.4f}" if metric in found else ""
