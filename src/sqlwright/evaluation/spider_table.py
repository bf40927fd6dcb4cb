"""The table that Spider's official scorer prints, from the verdicts on single questions.

Kept from the original: a component that is never right on either side has an F1 of 1. The original's blank
lines between the parts are left out.

Not covered: intervals and other breakdowns (see `sqlwright.evaluation.statistics`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlwright.evaluation.spider_exact_match import COMPONENTS, Partial
from sqlwright.records import HARDNESS, Hardness

TURNS = ("turn 1", "turn 2", "turn 3", "turn 4", "turn > 4")


@dataclass(frozen=True, slots=True)
class SpiderItem:
    """What the official metrics say about one question.

    `ex` has DISTINCT removed from both queries, `ex_keep_distinct` not; `em` is None where the gold is
    outside Spider's grammar, and each metric is None where it wasn't asked for. `reason` is the error class
    of a wrong execution result, with `detail` for a reader; `em_reason` is `unparsable`, `different` or
    `gold_failed`. `index` counts from 0; `session` and `turn` from 1, 0 outside of dialogues.
    """

    index: int
    database: str
    hardness: Hardness | Literal["unknown"]
    ex: bool | None
    ex_keep_distinct: bool | None
    em: bool | None
    partial: Mapping[str, Partial]
    reason: str
    detail: str
    em_reason: str
    em_detail: str
    gold: str
    prediction: str
    session: int = 0
    turn: int = 0


@dataclass
class _Column:
    """Sums over the questions of one column of the table."""

    count: int = 0
    right: int = 0
    matched: int = 0
    in_match: int = 0
    partial: dict[str, list[Partial]] = field(default_factory=lambda: {name: [] for name in COMPONENTS})

    def add(self, executed: bool | None, item: SpiderItem) -> None:
        """Count one question."""
        self.count += 1
        self.right += bool(executed)
        self.matched += bool(item.em)
        self.in_match += item.em is not None
        for name, part in item.partial.items():
            self.partial[name].append(part)

    def mean(self, name: str) -> tuple[float, float, float]:
        """Return accuracy, recall and F1 of a component."""
        parts = self.partial[name]
        accuracy = _share(part.correct for part in parts if part.in_prediction)
        recall = _share(part.correct for part in parts if part.in_gold)
        if not self.count:
            return 0.0, 0.0, 0.0
        if not accuracy and not recall:
            return 0.0, 0.0, 1.0
        return accuracy, recall, 2 * accuracy * recall / (accuracy + recall)


def official_table(items: Sequence[SpiderItem], *, keep_distinct: bool, execution: bool, exact_match: bool) -> str:
    """Return the table as text; with several sessions it has their joint score and a part by turn."""
    columns = {name: _Column() for name in (*HARDNESS, "all")}
    turns = {name: _Column() for name in TURNS}
    sessions: dict[int, list[tuple[bool | None, bool | None]]] = {}
    for item in items:
        executed = item.ex_keep_distinct if keep_distinct else item.ex
        columns["all"].add(executed, item)
        if item.hardness != "unknown":
            columns[item.hardness].add(executed, item)
        turns[TURNS[min(max(item.turn, 1), 5) - 1]].add(executed, item)
        sessions.setdefault(item.session, []).append((executed, item.em))
    dialogues = len(sessions) > 1
    if dialogues:
        joint = columns["joint_all"] = _Column(count=len(sessions), in_match=len(sessions))
        joint.right = sum(all(executed for executed, _ in turns_of) for turns_of in sessions.values())
        joint.matched = sum(all(matched for _, matched in turns_of) for turns_of in sessions.values())
    lines = [_row("", list(columns), "{:20}"), _row("count", [c.count for c in columns.values()], "{:<20d}")]
    lines += _scores(columns, "", execution, exact_match)
    if exact_match:
        lines += _partial_part("---------------------PARTIAL MATCHING ACCURACY----------------------", columns, 0)
        lines += _partial_part("---------------------- PARTIAL MATCHING RECALL ----------------------", columns, 1)
        lines += _partial_part("---------------------- PARTIAL MATCHING F1 --------------------------", columns, 2)
    if dialogues:
        lines += [_row("", list(turns), "{:20}"), _row("count", [c.count for c in turns.values()], "{:<20d}")]
        lines += _scores(turns, "TURN ", execution, exact_match)
    return "\n".join(lines)


def _scores(columns: Mapping[str, _Column], kind: str, execution: bool, exact_match: bool) -> list[str]:
    lines: list[str] = []
    every = columns.values()
    if execution:
        lines.append(f"=====================   {kind}EXECUTION ACCURACY     =====================")
        lines.append(_row("execution", [_ratio(c.right, c.count) for c in every], "{:<20.3f}"))
    if exact_match:
        lines.append(f"====================== {kind}EXACT MATCHING ACCURACY =====================")
        lines.append(_row("exact match", [_ratio(c.matched, c.in_match) for c in every], "{:<20.3f}"))
    return lines


def _partial_part(title: str, columns: Mapping[str, _Column], which: int) -> list[str]:
    return [
        title,
        *(_row(name, [column.mean(name)[which] for column in columns.values()], "{:<20.3f}") for name in COMPONENTS),
    ]


def _row(name: str, values: Sequence[object], form: str) -> str:
    return f"{name:20} " + " ".join(form.format(value) for value in values)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return _ratio(sum(values), len(values))
