"""The robust metric: whether a prediction's result is the gold's, but for harmless differences.

It is the default of SQLWright's own reports. Rows are multisets; their order is checked where the gold has an
ORDER BY at its top level. The order of columns is free. Numbers are equal within a relative 1e-6, NULL equals
NULL only, the text '1' isn't the number 1 (see `matching`). Two empty results are equal if they have as many
columns. Several golds are alternatives; columns beyond the gold's can be allowed.

The reasons of wrong answers are the executor's error classes and, for queries that ran:

* `wrong_columns`: another number of columns (with extra columns allowed: fewer than the gold's);
* `empty`: no rows where the gold has some;
* `wrong_rows`: other rows; `wrong_order`: the right rows in another order;
* `truncated`: a result was cut at the executor's limits, so nothing can be said;
* `undecided`: the comparison was given up as too long;
* `gold_failed`: no gold could be run; the detail has the database's message.

Not covered: golds whose ORDER BY leaves ties (the prediction must break them alike), and results that are
equal on this database by chance (see the test-suite databases of Spider's official metric).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlwright.databases import Executor, Outcome
from sqlwright.evaluation.matching import GaveUpError, Row, find_columns
from sqlwright.records import Verdict

METRIC = "robust"

Progress = Callable[[int, int], None]
"""Called with (questions done, questions in all)."""

# Values looked at to explain a difference; larger results are only said to differ.
_EXPLAINED = 100_000

# What can hide the words of a statement: strings, quoted names and comments; then parentheses and words.
_TOKEN = re.compile(
    r"""'(?:''|[^'])*' | "(?:""|[^"])*" | `(?:``|[^`])*` | \[[^\]]*\]
      | --[^\n]* | /\*.*?(?:\*/|\Z) | [()] | \w+ | [^\s\w]""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a result and its number of columns, which an empty result has, too."""

    columns: int
    rows: Sequence[Row]

    @classmethod
    def of(cls, outcome: Outcome) -> Rows:
        """Return the rows of a query that ran."""
        return cls(len(outcome.columns), outcome.rows)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two results are equal; if not, the reason (see the module) and a sentence for a reader."""

    equal: bool
    reason: str = ""
    detail: str = ""


class RobustItem(NamedTuple):
    """A prediction to score: the id of its question, the database's file, the golds, the predicted SQL."""

    id: str
    database_path: Path | str
    golds: Sequence[str]
    prediction: str


def results_equal(gold: Rows, predicted: Rows, *, ordered: bool, extra_columns: bool = False) -> Comparison:
    """Return whether the predicted result equals the gold one.

    Args:
        gold: what the gold query returned.
        predicted: what the prediction returned.
        ordered: whether rows must come in the gold's order.
        extra_columns: whether the prediction may have columns beyond the gold's.
    """
    width = gold.columns
    if predicted.columns < width or (predicted.columns > width and not extra_columns):
        return Comparison(False, "wrong_columns", f"expected {width} columns, found {predicted.columns}")
    if gold.rows and not predicted.rows:
        return Comparison(False, "empty", f"expected {len(gold.rows)} rows, found none")
    if len(gold.rows) != len(predicted.rows):
        return Comparison(False, "wrong_rows", f"expected {len(gold.rows)} rows, found {len(predicted.rows)}")
    if predicted.columns == width and all(map(_same, gold.rows, predicted.rows)):
        return Comparison(True)
    try:
        if find_columns(gold.rows, predicted.rows, width, ordered) is not None:
            return Comparison(True)
        if ordered and find_columns(gold.rows, predicted.rows, width, False) is not None:
            return Comparison(False, "wrong_order", f"the right {len(gold.rows)} rows in another order")
    except GaveUpError:
        size = f"{len(gold.rows)} rows of {width} and {predicted.columns} columns"
        return Comparison(False, "undecided", f"comparing {size} was given up as too long")
    return Comparison(False, "wrong_rows", _first_difference(gold, predicted))


def has_top_level_order(sql: str) -> bool:
    """Return whether a statement has an ORDER BY outside of all parentheses, strings, names and comments.

    Parentheses around the whole statement are looked through.
    """
    words = [token.upper() for token in _TOKEN.findall(sql) if not token.startswith(("--", "/*", "'", '"', "`"))]
    while words and words[-1] == ";":
        words.pop()
    while words[:1] == ["("] and _closes_last(words):
        words = words[1:-1]
    depth = 0
    for word, following in itertools.pairwise(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == "ORDER" and following == "BY":
            return True
    return False


def score_robust(
    items: Iterable[RobustItem | tuple[str, Path | str, Sequence[str], str]],
    executor: Executor,
    progress: Progress | None = None,
    *,
    extra_columns: bool = False,
) -> list[Verdict]:
    """Return one verdict per item, in order.

    Each different (database, SQL) is run once, whether it serves as gold or prediction, and several at a time
    as the executor has workers. A prediction is right if it equals any of the golds that run. A gold that
    fails never ends the scoring.
    """
    todo = [RobustItem(*item) for item in items]
    outcomes = run_once(executor, ((i.database_path, sql) for i in todo for sql in (*i.golds, i.prediction)))
    verdicts = []
    for number, item in enumerate(todo, 1):
        golds = [(sql, outcomes(item.database_path, sql)) for sql in item.golds]
        comparison = judge(golds, outcomes(item.database_path, item.prediction), extra_columns)
        verdicts.append(
            Verdict(
                id=item.id,
                metric=METRIC,
                correct=comparison.equal,
                reason=comparison.reason,
                detail=comparison.detail,
                database=Path(item.database_path).stem,
            )
        )
        if progress:
            progress(number, len(todo))
    return verdicts


def judge(golds: Sequence[tuple[str, Outcome]], predicted: Outcome, extra_columns: bool = False) -> Comparison:
    """Return the comparison with the first gold that agrees, or else with the first gold that ran."""
    ran = [(sql, outcome) for sql, outcome in golds if outcome.ok]
    if not ran:
        why = golds[0][1].message if golds else "the question has no gold"
        return Comparison(False, "gold_failed", why)
    if not predicted.ok:
        return Comparison(False, predicted.error_class, predicted.message)
    first: Comparison | None = None
    for sql, outcome in ran:
        if outcome.truncated or predicted.truncated:
            found = Comparison(False, "truncated", "a result was cut at the executor's limits: raise them")
        else:
            ordered = has_top_level_order(sql)
            found = results_equal(Rows.of(outcome), Rows.of(predicted), ordered=ordered, extra_columns=extra_columns)
        if found.equal:
            return found
        first = first or found
    assert first is not None
    return first


def run_once(executor: Executor, jobs: Iterable[tuple[Path | str, str]]) -> Callable[[Path | str, str], Outcome]:
    """Return a function from (database, sql) to its outcome, which runs each different job once.

    Outcomes arrive in the order of `jobs` as they are asked for, so that a caller that judges in that order
    sees progress. Ask for each as often as it stands in `jobs`: after the last time it is forgotten, to save
    memory.
    """
    uses = Counter((str(database), sql) for database, sql in jobs)
    running: Iterator[Outcome] = executor.map(list(uses))
    arriving = zip(list(uses), running, strict=True)
    known: dict[tuple[str, str], Outcome] = {}

    def outcome(database: Path | str, sql: str) -> Outcome:
        key = (str(database), sql)
        while key not in known:
            done, result = next(arriving)
            known[done] = result
        uses[key] -= 1
        return known[key] if uses[key] else known.pop(key)

    return outcome


def _same(a: Row, b: Row) -> bool:
    return a is b or tuple(a) == tuple(b)


def _closes_last(words: list[str]) -> bool:
    """Return whether the parenthesis at the start is closed by the last word."""
    depth = 0
    for place, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0:
            return place == len(words) - 1
    return False


def _first_difference(gold: Rows, predicted: Rows) -> str:
    """Return a sentence about the first gold column that the prediction lacks."""
    if gold.columns * predicted.columns * len(gold.rows) > _EXPLAINED:
        return "other rows"
    for place in range(gold.columns):
        column: list[Row] = [(row[place],) for row in gold.rows]
        others: Iterator[list[Row]] = ([(row[p],) for row in predicted.rows] for p in range(predicted.columns))
        if not any(_alike(column, other) for other in others):
            return f"no column of the prediction has the values of the gold's column {place + 1}"
    return "the columns agree one by one, but not the rows they form"


def _alike(column: list[Row], other: list[Row]) -> bool:
    try:
        return find_columns(column, other, 1, False) is not None
    except GaveUpError:
        return True
