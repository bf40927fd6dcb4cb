"""How a run came out: the table of scores before and after, read from the run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlwright.records import HARDNESS
from sqlwright.runs.folder import RunFolder

_NAMES = {
    "robust": "robust execution accuracy",
    "ex": "execution accuracy",
    "em": "exact set match",
    "ex_keep_distinct": "EX, DISTINCT kept",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's results as far as there are any; `elsewhere`: the first of several processes has them."""

    run: RunFolder
    elsewhere: bool = False

    @property
    def folder(self) -> str:
        """Path of the run folder."""
        return str(self.run.path)

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Scores by label (before, after) and metric, as in `report.json`; empty before `evaluate`."""
        if "evaluate" not in self.run.manifest["stages"] or not self.run.report.is_file():
            return {}
        found: dict[str, dict[str, Any]] = json.loads(self.run.report.read_text(encoding="utf-8"))["scores"]
        return found

    @property
    def partial(self) -> bool:
        """Whether some questions have no verdict of the first metric."""
        return any(
            next(iter(metrics.values()))["overall"]["total"] < next(iter(metrics.values()))["expected"]
            for metrics in self.scores.values()
            if metrics
        )

    def table(self) -> str:
        """Return the scores as text: the first metric by hardness, then all metrics; per cent and 95 % interval."""
        scores = self.scores
        metrics = list(dict.fromkeys(name for own in scores.values() for name in own))
        if not metrics:
            return ""
        title = _NAMES.get(metrics[0], metrics[0])
        rows = [[f"{title}, by hardness", "n", *scores]]
        rows += [row for level in HARDNESS if (row := _row(level, metrics[0], level, scores))]
        rows += [["", "", *[""] * len(scores)]] if len(rows) > 1 else []
        for metric in metrics:
            rows += [row] if (row := _row(f"all: {_NAMES.get(metric, metric)}", metric, "all", scores)) else []
        return _aligned(rows)

    def to_json(self) -> dict[str, Any]:
        """Return folder, scores and the facts of every stage."""
        stages = {name: record.get("facts", {}) for name, record in self.run.manifest["stages"].items()}
        return {"run": self.folder, "partial": self.partial, "scores": self.scores, "stages": stages}


def _row(name: str, metric: str, level: str, scores: dict[str, dict[str, Any]]) -> list[str] | None:
    """Return name, number of questions and a cell per label; None where no label has a score."""
    cells = [_cell(own.get(metric), level) for own in scores.values()]
    count = next((total for _, total in filter(None, cells)), None)
    return [name, str(count), *(cell[0] if cell else "" for cell in cells)] if count is not None else None


def _cell(report: dict[str, Any] | None, level: str) -> tuple[str, int] | None:
    score = report and (report["overall"] if level == "all" else report["by"].get("hardness", {}).get(level))
    if not score:
        return None
    interval = f"{100 * score['low']:.0f}–{100 * score['high']:.0f}"
    return f"{100 * score['value']:5.1f} %  ({interval})", score["total"]


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        lines.append("  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]))
    return "\n".join([lines[0], "-" * len(lines[0]), *(line.rstrip() for line in lines[1:])])
