"""What scoring a benchmark gives back: a row per question, shares with intervals, and other measures.

The command line prints `table()` or `to_json()` and writes `items` as the verdicts file.

Not covered: Spider, whose official table has a form of its own (see `spider_table`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlwright.evaluation.statistics import group_order, report
from sqlwright.records import Report, Score, Verdict

Item = dict[str, object]
"""A question's row: `index`, `db_id`, `hardness`, then one entry per metric and what explains them."""

Measures = dict[str, dict[str, float]]
"""Means that aren't shares of right answers: name → group ("all", a category) → value."""


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """The scores of one prediction file on one benchmark."""

    benchmark: str
    items: tuple[Item, ...]
    verdicts: tuple[Verdict, ...]
    reports: dict[str, Report]
    measures: Measures = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether fewer questions were scored than there are."""
        return any(found.partial for found in self.reports.values())

    def table(self) -> str:
        """Return the scores as lines of text: a row per metric and group, then the reasons and the notes."""
        rows = [("metric", "group", "right", "of", "score", "95 % interval")]
        for metric, found in self.reports.items():
            rows.append((metric, "all", *_cells(found.overall)))
            for groups in found.by.values():
                rows.extend((metric, name, *_cells(part)) for name, part in groups.items())
        for name, values in self.measures.items():
            rows.extend((name, group, "", "", _number(value), "") for group, value in values.items())
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        left = (True, True, False, False, False, True)
        lines = [
            "  ".join(
                cell.ljust(width) if start else cell.rjust(width)
                for cell, width, start in zip(row, widths, left, strict=True)
            ).rstrip()
            for row in rows
        ]
        for metric, found in self.reports.items():
            if found.partial:
                lines.append(f"{metric}: scored {found.overall.total:,} of {found.expected:,}")
            if found.reasons:
                reasons = ", ".join(f"{name} {count}" for name, count in found.reasons.items())
                lines.append(f"{metric}, wrong answers: {reasons}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> str:
        """Return the scores as one JSON document: benchmark, reports, measures, items, notes."""
        document = {
            "benchmark": self.benchmark,
            "reports": {name: dataclasses.asdict(found) for name, found in self.reports.items()},
            "measures": self.measures,
            "items": self.items,
            "notes": self.notes,
        }
        return json.dumps(document, ensure_ascii=False)


def collect(
    benchmark: str,
    items: Sequence[Item],
    verdicts: Sequence[Verdict],
    metrics: Sequence[str],
    *,
    expected: int | None = None,
    measures: Measures | None = None,
    notes: Sequence[str] = (),
) -> BenchmarkScore:
    """Return the benchmark's score with one report for each of `metrics`, in that order."""
    reports = {name: report(verdicts, name, expected, notes=notes) for name in metrics}
    return BenchmarkScore(benchmark, tuple(items), tuple(verdicts), reports, measures or {}, tuple(notes))


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values, 0 without any."""
    return math.fsum(values) / len(values) if values else 0.0


def means_by_group(values: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return the mean of all (group, value) pairs under "all" and of each group under its name."""
    groups: dict[str, list[float]] = {}
    for group, value in values:
        if group:
            groups.setdefault(group, []).append(value)
    parts = {group: mean(groups[group]) for group in sorted(groups, key=group_order)}
    return {"all": mean([value for _, value in values]), **parts}


def _cells(score: Score) -> tuple[str, str, str, str]:
    return (
        f"{score.correct:,}",
        f"{score.total:,}",
        _number(score.value),
        f"{_number(score.low)} to {_number(score.high)}",
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
