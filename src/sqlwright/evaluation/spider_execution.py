"""Spider's official execution accuracy, and test-suite accuracy, of predictions on one database.

A prediction is right if its result equals the gold's on every SQLite file of the database's folder: with the
one file of Spider that is execution accuracy (EX), with the distilled databases test-suite accuracy (TS).
Every query runs once per file; queries run in parallel and under the executor's limits.

Where the official scorer would stop or hang, or would let a prediction write to the database, there is a
verdict with a reason instead.

Not covered: hardness and exact set match (see `sqlwright.evaluation.spider`); a comparison that forgives
harmless differences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from sqlwright.databases import Executor, Outcome
from sqlwright.evaluation.spider_rows import equal_results
from sqlwright.sql.lexer import without_distinct
from sqlwright.sql.spider_values import plugged

_YEAR_NOW = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)
# Assignments of literals tried per prediction; the official scorer tries all of them, however long it takes.
MOST_PLUGGED = 10_000


class Pair(NamedTuple):
    """A gold and a prediction as they are run, apart from plugged values."""

    gold: str
    prediction: str

    @property
    def ordered(self) -> bool:
        """Whether the order of rows matters: the words stand anywhere in the gold, with one space."""
        return "order by" in self.gold.lower()


class ExecutionVerdict(NamedTuple):
    """Whether the results are equal; if not, the error class and a sentence for a reader."""

    correct: bool
    reason: str = ""
    detail: str = ""


RIGHT = ExecutionVerdict(True)


def prepare(gold: str, prediction: str, keep_distinct: bool) -> Pair:
    """Return the pair as the official scorer runs it.

    Split comparisons (`> =`) are joined, inside strings too. Unless `keep_distinct`, the word DISTINCT is
    dropped from both, and all statements but the first.
    """
    texts = [sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=") for sql in (gold, prediction)]
    if not keep_distinct:
        texts = [without_distinct(sql) for sql in texts]
    return Pair(*texts)


def judge(
    pairs: Iterable[Pair], files: Sequence[Path], executor: Executor, *, plug_value: bool = False
) -> dict[Pair, ExecutionVerdict]:
    """Return the verdict on each pair, by running both queries on every one of `files`.

    With `plug_value`, a prediction is also right if it becomes so with the gold's literals in its slots; at
    most `MOST_PLUGGED` such texts are tried. A wrong verdict is about the prediction as written.
    """
    golds: dict[tuple[Path, str], Outcome] = {}
    verdicts: dict[Pair, ExecutionVerdict] = {}
    texts = {pair: _texts(pair, plug_value) for pair in pairs}
    # Few texts at a time, then more: most right predictions are right as written or with few exchanges.
    size = 1
    while texts:
        attempts = [(pair, text) for pair, upcoming in texts.items() for text in islice(upcoming, size)]
        found = _judge_attempts(attempts, files, executor, golds)
        for (pair, _), verdict in zip(attempts, found, strict=True):
            if verdict.correct or pair not in verdicts:
                verdicts[pair] = verdict
        tried = {pair for pair, _ in attempts}
        texts = {pair: rest for pair, rest in texts.items() if pair in tried and _may_improve(verdicts[pair])}
        size = min(256, 4 * size)
    return verdicts


def _texts(pair: Pair, plug_value: bool) -> Iterator[str]:
    """Yield the prediction, then the texts with plugged values."""
    yield pair.prediction
    if plug_value:
        yield from islice(plugged(pair.gold, pair.prediction), MOST_PLUGGED)


def _may_improve(verdict: ExecutionVerdict) -> bool:
    return not verdict.correct and verdict.reason not in ("gold_failed", "empty")


def _judge_attempts(
    attempts: Sequence[tuple[Pair, str]],
    files: Sequence[Path],
    executor: Executor,
    golds: dict[tuple[Path, str], Outcome],
) -> list[ExecutionVerdict]:
    """Return a verdict per (pair, text): right on all files, or the first failure."""
    verdicts = [RIGHT] * len(attempts)
    for file in files:
        # What failed on one file needn't be asked of the others.
        users: dict[str, list[int]] = {}
        for number, (_, text) in enumerate(attempts):
            if verdicts[number].correct:
                users.setdefault(text, []).append(number)
        wanted = dict.fromkeys(attempts[number][0].gold for numbers in users.values() for number in numbers)
        for text, outcome in _outcomes(file, list(wanted), list(users), executor, golds):
            for number in users[text]:
                pair = attempts[number][0]
                verdicts[number] = _compare(golds[file, pair.gold], text, outcome, pair.ordered)
    return verdicts


def _outcomes(
    file: Path,
    wanted_golds: Sequence[str],
    texts: Sequence[str],
    executor: Executor,
    golds: dict[tuple[Path, str], Outcome],
) -> Iterator[tuple[str, Outcome]]:
    """Yield each text's outcome, once all golds are in `golds`; a text that is a gold isn't run again."""
    new = [gold for gold in wanted_golds if (file, gold) not in golds]
    known = [text for text in texts if (file, text) in golds or text in wanted_golds]
    others = sorted(set(texts).difference(known))
    jobs = [*new, *others]
    results = zip(jobs, executor.map((file, _YEAR_NOW.sub("2020", sql)) for sql in jobs), strict=True)
    for gold, outcome in islice(results, len(new)):
        golds[file, gold] = outcome
    return chain(((text, golds[file, text]) for text in known), results)


def _compare(gold: Outcome, text: str, predicted: Outcome, ordered: bool) -> ExecutionVerdict:
    """Return the verdict on one prediction's outcome on one file."""
    if not gold.ok or gold.truncated:
        return ExecutionVerdict(False, "gold_failed", gold.message or "the gold's result is over the limits")
    if not text.strip():
        return ExecutionVerdict(False, "empty", "there is no prediction")
    if not predicted.ok:
        return ExecutionVerdict(False, predicted.error_class, predicted.message)
    if not predicted.truncated and equal_results(gold.rows, predicted.rows, ordered):
        return RIGHT
    found = f"{'more than ' if predicted.truncated else ''}{_shape(predicted)}"
    if (gold.rows or predicted.rows) and len(gold.columns) != len(predicted.columns):
        return ExecutionVerdict(False, "wrong_columns", f"expected {_shape(gold)}, found {found}")
    if len(gold.rows) != len(predicted.rows) or predicted.truncated:
        return ExecutionVerdict(False, "wrong_rows", f"expected {_shape(gold)}, found {found}")
    if ordered and equal_results(gold.rows, predicted.rows, False):
        return ExecutionVerdict(False, "wrong_rows", "the right rows in another order")
    there = set(predicted.rows)
    missing = next((row for row in gold.rows if row not in there), gold.rows[0])
    return ExecutionVerdict(False, "wrong_rows", f"expected among {_shape(gold)}: {_shown(missing)}")


def _shape(outcome: Outcome) -> str:
    rows, columns = len(outcome.rows), len(outcome.columns)
    return f"{rows:,} row{'s' * (rows != 1)} of {columns} column{'s' * (columns != 1)}"


def _shown(row: tuple[object, ...]) -> str:
    text = repr(row)
    return text if len(text) <= 120 else text[:119] + "…"
