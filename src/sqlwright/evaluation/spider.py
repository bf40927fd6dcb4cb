"""Spider's official scores of predictions: execution accuracy, exact set match, hardness, per question and in
all.

The verdicts are those of the official scorer (test-suite evaluation), question by question. Where it would
stop, hang or be written to by a prediction, the question gets a verdict with a reason: an empty prediction is
wrong, a gold that fails is reported as `gold_failed`, a gold outside Spider's grammar has hardness `unknown`
and no EM.

Not covered: SQLWright's own forgiving comparison, intervals, comparison of runs.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlwright.databases import Executor
from sqlwright.errors import DataError
from sqlwright.evaluation.spider_exact_match import Partial, exact_match, key_map
from sqlwright.evaluation.spider_execution import ExecutionVerdict, judge, prepare
from sqlwright.evaluation.spider_files import SpiderPair, read_gold_file, read_pairs, read_prediction_file
from sqlwright.evaluation.spider_table import SpiderItem, official_table
from sqlwright.records import HARDNESS, Hardness
from sqlwright.sql.hardness import hardness
from sqlwright.sql.spider_grammar import Schema, parse_spider
from sqlwright.sql.spider_query import EMPTY, Query
from sqlwright.sql.spider_words import SpiderSyntaxError

__all__ = [
    "SpiderItem",
    "SpiderPair",
    "SpiderResult",
    "read_gold_file",
    "read_pairs",
    "read_prediction_file",
    "score_spider",
    "spider_hardness",
]

Metric = Literal["ex", "em"]

# Tables and their columns as the official scorer reads them, tables in the order they were made.
_SCHEMA_SQL = (
    "SELECT m.name, p.name FROM sqlite_master AS m LEFT JOIN pragma_table_info(m.name) AS p "
    "WHERE m.type = 'table' ORDER BY m.rowid, p.cid"
)


@dataclass(frozen=True, slots=True)
class SpiderResult:
    """The questions with their verdicts, in order, and which metrics were asked for."""

    items: tuple[SpiderItem, ...]
    metrics: tuple[Metric, ...] = ("ex", "em")
    keep_distinct: bool = False

    def table(self) -> str:
        """Return the table that the official scorer prints, without its blank lines."""
        return official_table(
            self.items,
            keep_distinct=self.keep_distinct,
            execution="ex" in self.metrics,
            exact_match="em" in self.metrics,
        )

    def scores(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Return right and scored questions by metric (`ex`, `ex_keep_distinct`, `em`) and level (`all`,
        `easy`, …).

        Levels without questions are left out. Questions without a verdict of the metric don't count.
        """
        names = [name for metric in self.metrics for name in _FIELDS[metric]]
        counted: dict[str, dict[str, tuple[int, int]]] = {}
        for name in names:
            levels = counted[name] = {}
            for level in ("all", *HARDNESS, "unknown"):
                verdicts = [getattr(item, name) for item in self.items if level in ("all", item.hardness)]
                known = [verdict for verdict in verdicts if verdict is not None]
                if known:
                    levels[level] = (sum(known), len(known))
        return counted

    def value(self, name: str) -> float:
        """Return the share of right questions, 0..1, for a metric's name as in `scores`."""
        right, scored = self.scores().get(name, {}).get("all", (0, 0))
        return right / scored if scored else 0.0


_FIELDS: dict[str, tuple[str, ...]] = {"ex": ("ex", "ex_keep_distinct"), "em": ("em",)}


def score_spider(
    pairs: Sequence[SpiderPair | tuple[str, str, str]],
    *,
    databases: Path,
    tables: Path | None = None,
    executor: Executor,
    keep_distinct: bool = False,
    plug_value: bool = False,
    metrics: Sequence[Metric] = ("ex", "em"),
    progress: Callable[[int, int], None] | None = None,
) -> SpiderResult:
    """Return the official verdicts on (gold SQL, database, predicted SQL) triples, in their order.

    `databases` holds a folder per database with `NAME/NAME.sqlite`; all other SQLite files in it are used too
    (test-suite accuracy). `tables` is Spider's `tables.json`, needed for EM; by default it is looked for
    beside `databases`. `keep_distinct` and `plug_value` are the official switches: the first only chooses
    which of two execution verdicts the table and the reasons tell. `progress` is called with questions done
    and in all.

    Raises:
        DataError: a database or `tables.json` is missing, unreadable, or doesn't fit the golds.
    """
    questions = [_without_value_words(SpiderPair(*pair)) for pair in pairs]
    by_database: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        by_database.setdefault(question.database, []).append(number)
    files = {name: _files(databases, name) for name in by_database}
    keys = _key_maps(tables, databases, by_database) if "em" in metrics else {}
    switches = _Switches(tuple(metrics), keep_distinct, plug_value)
    items: dict[int, SpiderItem] = {}
    for name, numbers in by_database.items():
        scorer = _DatabaseScorer(files[name], executor, keys.get(name, {}), switches)
        asked = [questions[number] for number in numbers]
        items.update(zip(numbers, scorer.items(numbers, asked), strict=True))
        if progress:
            progress(len(items), len(questions))
    return SpiderResult(tuple(items[number] for number in range(len(questions))), tuple(metrics), keep_distinct)


def spider_hardness(
    golds: Sequence[tuple[str, str]], *, databases: Path, executor: Executor
) -> list[Hardness | Literal["unknown"]]:
    """Return the official hardness of (gold SQL, database) pairs; `unknown` outside Spider's grammar.

    Raises:
        DataError: a database is missing or unreadable.
    """
    names = {name for _, name in golds}
    schemas = {name: _read_schema(_files(databases, name)[0], executor) for name in names}
    return [_parsed(gold, schemas[name]).hardness for gold, name in golds]


class _Parsed(NamedTuple):
    """A query's structure, or None and why there is none."""

    query: Query | None
    message: str

    @property
    def hardness(self) -> Hardness | Literal["unknown"]:
        """The official hardness, if there is one."""
        return hardness(self.query) if self.query else "unknown"


class _Switches(NamedTuple):
    """What is asked for."""

    metrics: tuple[Metric, ...]
    keep_distinct: bool
    plug_value: bool


class _Match(NamedTuple):
    """EM's verdict on one question."""

    correct: bool | None
    partial: Mapping[str, Partial]
    reason: str = ""
    detail: str = ""


class _DatabaseScorer:
    """Scores the questions of one database, so that only its golds' results are held."""

    def __init__(self, files: Sequence[Path], executor: Executor, keys: Mapping[str, str], switches: _Switches) -> None:
        self.files = files
        self.executor = executor
        self.keys = keys
        self.switches = switches
        self.schema = _read_schema(files[0], executor)
        # Questions of one database often share a gold, and right predictions equal it.
        self.parsed: dict[str, _Parsed] = {}
        self.matches: dict[tuple[str, str], _Match] = {}

    def items(self, numbers: Sequence[int], questions: Sequence[SpiderPair]) -> list[SpiderItem]:
        """Return the verdicts on the questions with these places in the input."""
        with ThreadPoolExecutor(1) as beside:
            # Exact match is computed while the executor's processes are at work; the queries are waited for
            # in this thread, where Ctrl-C ends them.
            matching = beside.submit(lambda: [self._match(question) for question in questions])
            executed = self._executed(questions)
            matches = matching.result()
        return [
            self._item(number, question, match, ways)
            for number, question, match, ways in zip(numbers, questions, matches, executed, strict=True)
        ]

    def _item(
        self,
        number: int,
        question: SpiderPair,
        match: _Match,
        ways: tuple[ExecutionVerdict, ExecutionVerdict] | None,
    ) -> SpiderItem:
        removed, kept = ways or (None, None)
        told = kept if self.switches.keep_distinct else removed
        return SpiderItem(
            index=number,
            database=question.database,
            hardness=self._parse(question.gold).hardness,
            ex=removed.correct if removed else None,
            ex_keep_distinct=kept.correct if kept else None,
            em=match.correct,
            partial=match.partial,
            reason=told.reason if told else "",
            detail=told.detail if told else "",
            em_reason=match.reason,
            em_detail=match.detail,
            gold=question.gold,
            prediction=question.prediction,
            session=question.session,
            turn=question.turn,
        )

    def _executed(self, questions: Sequence[SpiderPair]) -> list[tuple[ExecutionVerdict, ExecutionVerdict] | None]:
        """Return each question's verdicts with DISTINCT removed and kept; None where EX isn't asked for."""
        if "ex" not in self.switches.metrics:
            return [None] * len(questions)
        removed = [prepare(one.gold, one.prediction, keep_distinct=False) for one in questions]
        kept = [prepare(one.gold, one.prediction, keep_distinct=True) for one in questions]
        verdicts = judge([*removed, *kept], self.files, self.executor, plug_value=self.switches.plug_value)
        return [(verdicts[one], verdicts[other]) for one, other in zip(removed, kept, strict=True)]

    def _match(self, question: SpiderPair) -> _Match:
        key = question.gold, question.prediction
        if key not in self.matches:
            self.matches[key] = self._new_match(*key)
        return self.matches[key]

    def _new_match(self, gold_sql: str, predicted_sql: str) -> _Match:
        if "em" not in self.switches.metrics:
            return _Match(None, {})
        gold = self._parse(gold_sql)
        if gold.query is None:
            return _Match(None, {}, "gold_failed", f"the gold is outside Spider's grammar: {gold.message}")
        predicted = self._parse(predicted_sql)
        # As in the original, a prediction that can't be parsed is compared as an empty query.
        correct, partial = exact_match(predicted.query or EMPTY, gold.query, self.keys)
        if predicted.query is None:
            return _Match(correct, partial, "unparsable", predicted.message)
        if correct:
            return _Match(correct, partial)
        wrong = [name for name, part in partial.items() if not part.correct] or ["tables"]
        return _Match(correct, partial, "different", f"differs in {', '.join(wrong)}")

    def _parse(self, sql: str) -> _Parsed:
        if sql not in self.parsed:
            self.parsed[sql] = _parsed(sql, self.schema)
        return self.parsed[sql]


def _without_value_words(pair: SpiderPair) -> SpiderPair:
    # The official scorer takes "value" for a placeholder, wherever it stands.
    return pair._replace(prediction=pair.prediction.replace("value", "1"))


def _parsed(sql: str, schema: Schema) -> _Parsed:
    try:
        return _Parsed(parse_spider(sql, schema), "")
    except SpiderSyntaxError as error:
        return _Parsed(None, str(error))


def _read_schema(file: Path, executor: Executor) -> Schema:
    """Return columns by table, in lower case."""
    outcome = executor.run(file, _SCHEMA_SQL)
    if not outcome.ok:
        raise DataError(f"{file}: expected a SQLite database, found: {outcome.message}")
    schema: dict[str, tuple[str, ...]] = {}
    for table, column in outcome.rows:
        known = schema.setdefault(table.lower(), ())
        schema[table.lower()] = known if column is None else (*known, column.lower())
    return schema


def _files(databases: Path, name: str) -> tuple[Path, ...]:
    """Return the SQLite files of a database, its own first."""
    folder = databases / name
    own = folder / f"{name}.sqlite"
    if not own.is_file():
        known = sorted(entry.name for entry in databases.iterdir()) if databases.is_dir() else []
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]}?" if near else " Is that the folder with one folder per database?"
        raise DataError(f"{own}: expected the database {name} of the gold file, found no such file.{hint}")
    others = sorted(
        entry.name
        for entry in os.scandir(folder)
        if ".sqlite" in entry.name and entry.name != own.name and not entry.name.endswith(("-journal", "-wal", "-shm"))
    )
    return (own, *(folder / other for other in others))


def _key_maps(tables: Path | None, databases: Path, names: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the foreign-key map of each of the named databases."""
    path = tables or databases.parent / "tables.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = {entry["db_id"]: key_map(entry) for entry in entries if entry["db_id"] in names}
    except OSError:
        raise DataError(
            f"{path}: expected Spider's tables.json, which exact match (EM) needs for foreign keys, found no "
            "such file. Give it with --tables, or score execution only."
        ) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{path}: expected Spider's tables.json, found something else ({error!r}).") from None
    missing = sorted(set(names) - set(found))
    if missing:
        raise DataError(f"{path}: expected entries for all databases, found none for {', '.join(missing)}.")
    return found
