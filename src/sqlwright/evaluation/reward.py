"""The reward of an answer: 1 for what the robust metric calls right, less for what is only near it.

Verdicts alone say nothing where all answers to a question are wrong, which is where a small model has most to learn.
So a wrong answer gets credit for what is right in it, `WEIGHTS` in all at most half of a right one:

* `executable`: it runs;
* `columns`: half for their number, half for their names (F-measure; a name is an expression's text, spaces and case
  left out);
* `rows`: F-measure of the rows as multisets, values in any order within a row, floats by six digits;
* `skeleton`: how alike the two queries are built (keywords, functions and operators; see `sql.skeleton`).

Of several golds that run the nearest counts. What can't be judged (no gold runs, a result was cut or the comparison
given up) is worth nothing: no model should learn from it.

Not covered: rewards for short or quick queries; an answer that is right by chance is right.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Executor, Outcome
from sqlwright.evaluation.robust import METRIC, Progress, RobustItem, judge, run_once
from sqlwright.records import Verdict
from sqlwright.sql.skeleton import skeleton

WEIGHTS = {"executable": 0.1, "columns": 0.1, "rows": 0.2, "skeleton": 0.1}
"""What each part of a wrong answer is worth; a right answer is worth 1."""

UNJUDGED = frozenset({"gold_failed", "truncated", "undecided"})
"""Reasons that say nothing of the answer."""

# Words of a skeleton that are compared: an answer's length is hostile input.
_WORDS = 400
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Reward:
    """The verdict on an answer, its reward from 0 to 1 (1 exactly where it is right), and what came of its query."""

    verdict: Verdict
    value: float
    outcome: Outcome


def score_rewards(
    items: Iterable[RobustItem | tuple[str, Path | str, Sequence[str], str]],
    executor: Executor,
    progress: Progress | None = None,
) -> list[Reward]:
    """Return the reward of each item, in order; each different query is run once."""
    todo = [RobustItem(*item) for item in items]
    outcomes = run_once(executor, ((i.database_path, sql) for i in todo for sql in (*i.golds, i.prediction)))
    found = []
    for number, item in enumerate(todo, 1):
        golds = [(sql, outcomes(item.database_path, sql)) for sql in item.golds]
        predicted = outcomes(item.database_path, item.prediction)
        told = judge(golds, predicted)
        verdict = Verdict(item.id, METRIC, told.equal, told.reason, told.detail, Path(item.database_path).stem)
        found.append(Reward(verdict, _value(verdict, golds, item.prediction, predicted), predicted))
        if progress:
            progress(number, len(todo))
    return found


def parts(gold: str, wanted: Outcome, sql: str, found: Outcome) -> dict[str, float]:
    """Return how right an answer is in each of `WEIGHTS`, from 0 to 1.

    `wanted` is what came of the gold, which ran; `found` what came of `sql`.
    """
    alike = _alike(skeleton(gold).split()[:_WORDS], skeleton(sql).split()[:_WORDS])
    if not found.ok:
        return {"executable": 0.0, "columns": 0.0, "rows": 0.0, "skeleton": alike}
    counts = len(found.columns), len(wanted.columns)
    number = min(counts) / max(1, *counts)
    names = _overlap([_name(name) for name in wanted.columns], [_name(name) for name in found.columns])
    rows = _overlap([_row(row) for row in wanted.rows], [_row(row) for row in found.rows])
    return {"executable": 1.0, "columns": (number + names) / 2, "rows": rows, "skeleton": alike}


def _value(verdict: Verdict, golds: Sequence[tuple[str, Outcome]], sql: str, found: Outcome) -> float:
    if verdict.correct:
        return 1.0
    if verdict.reason in UNJUDGED:
        return 0.0
    near = [parts(gold, wanted, sql, found) for gold, wanted in golds if wanted.ok]
    return max(sum(WEIGHTS[name] * share for name, share in one.items()) for one in near)


def _overlap(wanted: Sequence[Hashable], found: Sequence[Hashable]) -> float:
    """Return the F-measure of two multisets; nothing in common with an empty one."""
    common = (Counter(wanted) & Counter(found)).total()
    return 2 * common / max(1, len(wanted) + len(found))


def _alike(wanted: Sequence[str], found: Sequence[str]) -> float:
    if not wanted or not found:
        return 0.0
    return difflib.SequenceMatcher(None, wanted, found, autojunk=False).ratio()


def _name(text: str) -> str:
    return re.sub(r"\s", "", text).lower().strip('"`[]')


def _row(row: Sequence[object]) -> tuple[str, ...]:
    """Return what rows share that have equal values in any order."""
    return tuple(sorted(_plain(value) for value in row))


def _plain(value: object) -> str:
    if isinstance(value, float):
        value = float(f"{value:.{_DIGITS}g}")
        value = int(value) if value.is_integer() else value
    return repr(value)
