"""Defog's sql-eval: its official verdicts, a mode without its faults, and the questions on which they differ.

Both know exact match (the gold's result and nothing else) and subset match (columns may be added); a question
counts as correct with either. Any of a gold's alternatives will do.

*Official* is the original's comparison (see `sql_eval_frames`): one row is equal to none, repeated rows are
dropped, floats are compared exactly, columns are put in the order of their names, and a failing gold or a
column that can't be sorted fails the question.

*Fixed* uses the robust comparison: rows are multisets, numbers have a tolerance, two empty results are
equal only if their columns fit; every group of braces is expanded; golds that fail are passed over as long
as one runs. As in the original, order counts only where the question asks for one (category `order_by`, or
the words order, sort or arrange) and the gold has an ORDER BY.

Golds in PostgreSQL's dialect run on a PostgreSQL server, whose URL stands in place of the folder; on SQLite files
those outside the common dialect are reported as failing golds.

Not covered: loading the published dumps into a server (docs/score.md has the commands).
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from sqlwright.databases import Executor, Outcome, at_server, is_url
from sqlwright.datasets.locate import find_database
from sqlwright.datasets.sql_eval_golds import fixed_golds, official_golds
from sqlwright.errors import DataError
from sqlwright.evaluation.benchmark_score import BenchmarkScore, Item, collect
from sqlwright.evaluation.input_files import check_count, read_completions, read_json, read_lines, read_table
from sqlwright.evaluation.robust import (
    Comparison,
    Progress,
    Rows,
    has_top_level_order,
    results_equal,
    run_once,
)
from sqlwright.evaluation.sql_eval_frames import FrameError, exact_match, make_frame, subset_match
from sqlwright.records import Verdict

METRICS = ("fixed", "fixed_exact", "official", "official_exact")

_ASKS_FOR_ORDER = re.compile(r"\b(order|sort|arrange)\b", re.IGNORECASE)
_PREDICTION_COLUMNS = ("generated_query", "prediction", "sql", "query")


class SqlEvalGold(NamedTuple):
    """A row of the question file; `query` holds all alternatives."""

    database: str
    category: str
    question: str
    query: str
    source: str


class Match(NamedTuple):
    """What one mode says: exact or subset match, and the reason of a wrong answer with a sentence."""

    exact: bool
    correct: bool
    reason: str = ""
    detail: str = ""


def score_sql_eval(
    gold: Path,
    predictions: Path,
    databases: Path | str,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> BenchmarkScore:
    """Return the scores of both modes, by category.

    Args:
        gold: CSV with `db_name`, `query_category`, `question`, `query`.
        predictions: one per question in order: CSV with `generated_query` (or `prediction`, `sql`, `query`),
            a JSON list of texts, a run's `completions.jsonl`, or text with one query per line.
        databases: folder with `<db_name>.sqlite`, or the URL of a server that has `<db_name>`.
        executor: runs the queries; by default two workers.
        progress: called after each question.

    Raises:
        DataError: a file is malformed, the counts differ, or a database file is missing.
        DatabaseError: a database of the server can't be reached.
    """
    golds = read_sql_eval_golds(gold)
    predicted = read_sql_eval_predictions(predictions)
    check_count(predictions, len(predicted), len(golds), "the questions")
    paths = {name: _address(databases, name) for name in dict.fromkeys(g.database for g in golds)}
    expanded = [(official_golds(g.query), _fixed(g)) for g in golds]
    jobs = [
        (paths[g.database], query)
        for g, sql, (official, fixed) in zip(golds, predicted, expanded, strict=True)
        for query in (*official, *fixed, sql)
    ]
    items: list[Item] = []
    verdicts: list[Verdict] = []
    owned = Executor(workers=2) if executor is None else nullcontext(executor)
    with owned as running:
        for path in filter(is_url, paths.values()):
            running.run(path, "SELECT 1").require()
        outcome = run_once(running, jobs)
        for index, (one, sql, (official, fixed)) in enumerate(zip(golds, predicted, expanded, strict=True)):
            path = paths[one.database]
            first = [outcome(path, query) for query in official]
            second = [(query, outcome(path, query)) for query in fixed]
            result = outcome(path, sql)
            found = (match_fixed(one, second, result), match_official(one, sql, first, result))
            items.append(_item(index, one, *found))
            verdicts += _verdicts(index, one, *found)
            if progress:
                progress(index + 1, len(golds))
    apart = [str(item["index"]) for item in items if item["differs"]]
    notes = [f"the modes differ on {len(apart)} questions" + (f": {', '.join(apart)}" if apart else "")]
    return collect("sql-eval", items, verdicts, METRICS, notes=notes)


def _address(databases: Path | str, name: str) -> Path | str:
    return at_server(databases, name) if isinstance(databases, str) else find_database(databases, name)


def read_sql_eval_golds(path: Path) -> list[SqlEvalGold]:
    """Return the rows of a question file, in order; raise `DataError` with file and line on a bad one."""
    golds = []
    for line, row in read_table(path, ("db_name", "query_category", "question", "query")):
        where = f"{path}:{line}"
        for name in ("db_name", "query"):
            if not row[name].strip():
                raise DataError(f"{where}: expected text in the column {name}, found none.")
        golds.append(SqlEvalGold(row["db_name"], row["query_category"], row["question"], row["query"], where))
    return golds


def read_sql_eval_predictions(path: Path) -> list[str]:
    """Return the predicted queries in the file's order (see `score_sql_eval` for its forms)."""
    if path.suffix == ".csv":
        rows = read_table(path, ())
        name = next((name for name in _PREDICTION_COLUMNS if rows and name in rows[0][1]), None)
        if rows and name is None:
            raise DataError(
                f"{path}:1: expected a column named {' or '.join(_PREDICTION_COLUMNS)}, found {', '.join(rows[0][1])}."
            )
        return [row[name] for _, row in rows if name]
    if path.suffix == ".json":
        found = read_json(path)
        if not isinstance(found, list):
            raise DataError(f"{path}:1: expected a JSON list of queries, found {type(found).__name__}.")
        for place, entry in enumerate(found, 1):
            if not isinstance(entry, str):
                raise DataError(f"{path}, entry {place}: expected text, found {type(entry).__name__}.")
        return found
    return read_completions(path) if path.suffix == ".jsonl" else read_lines(path)


def match_official(gold: SqlEvalGold, sql: str, golds: list[Outcome], predicted: Outcome) -> Match:
    """Return the original's verdict: the first exact match, else whether any alternative is a subset."""
    if not predicted.ok:
        return Match(False, False, predicted.error_class, predicted.message)
    result = make_frame(predicted.columns, predicted.rows)
    correct = False
    for outcome in golds:
        if not outcome.ok:
            return Match(False, False, "gold_failed", outcome.message)
        if outcome.truncated or predicted.truncated:
            return Match(False, False, "truncated", "a result was cut at the executor's limits: raise them")
        wanted = make_frame(outcome.columns, outcome.rows)
        try:
            if exact_match(wanted, result, gold.category, gold.question, gold.query, sql):
                return Match(True, True)
            correct = subset_match(wanted, result, gold.category, gold.question) or correct
        except FrameError as error:
            return Match(False, False, "not_comparable", f"the original ends with an error: {error}")
    if correct:
        return Match(False, True)
    return Match(False, False, "wrong_result", f"none of {len(golds)} gold results fits")


def match_fixed(gold: SqlEvalGold, golds: list[tuple[str, Outcome]], predicted: Outcome) -> Match:
    """Return the verdict without the original's faults (see the module's text)."""
    ran = [(query, outcome) for query, outcome in golds if outcome.ok]
    if not ran:
        return Match(False, False, "gold_failed", golds[0][1].message if golds else "the gold is empty")
    if not predicted.ok:
        return Match(False, False, predicted.error_class, predicted.message)
    asks = gold.category == "order_by" or _ASKS_FOR_ORDER.search(gold.question) is not None
    correct = False
    first: Comparison | None = None
    for query, outcome in ran:
        if outcome.truncated or predicted.truncated:
            return Match(False, False, "truncated", "a result was cut at the executor's limits: raise them")
        ordered = asks and has_top_level_order(query)
        wanted, found = Rows.of(outcome), Rows.of(predicted)
        exact = results_equal(wanted, found, ordered=ordered)
        if exact.equal:
            return Match(True, True)
        if exact.reason == "wrong_columns":
            correct = correct or results_equal(wanted, found, ordered=ordered, extra_columns=True).equal
        first = first or exact
    if correct or first is None:
        return Match(False, correct)
    return Match(False, False, first.reason, first.detail)


def _fixed(gold: SqlEvalGold) -> list[str]:
    try:
        return fixed_golds(gold.query)
    except DataError as error:
        raise DataError(f"{gold.source}: {error}") from None


def _item(index: int, gold: SqlEvalGold, fixed: Match, official: Match) -> Item:
    return {
        "index": index,
        "db_id": gold.database,
        "hardness": gold.category,
        "fixed": fixed.correct,
        "fixed_exact": fixed.exact,
        "official": official.correct,
        "official_exact": official.exact,
        "differs": fixed.correct != official.correct,
        "reason": fixed.reason,
        "detail": fixed.detail,
        "official_reason": official.reason,
        "official_detail": official.detail,
    }


def _verdicts(index: int, gold: SqlEvalGold, fixed: Match, official: Match) -> list[Verdict]:
    """Return a verdict for each of `METRICS`; a subset match isn't exact."""
    verdicts = []
    for name, match in (("fixed", fixed), ("official", official)):
        for metric, right in ((name, match.correct), (f"{name}_exact", match.exact)):
            verdicts.append(
                Verdict(
                    id=str(index),
                    metric=metric,
                    correct=right,
                    reason="" if right else match.reason or "subset_only",
                    detail="" if right else match.detail,
                    database=gold.database,
                    category=gold.category or None,
                )
            )
    return verdicts
