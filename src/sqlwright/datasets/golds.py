"""What the golds themselves tell: whether they run, how hard they are, and what they are about.

Not covered: whether a gold answers its question; that takes a reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlwright.datasets.dataset import Dataset, Dropped
from sqlwright.errors import DatabaseError
from sqlwright.records import Hardness, Question

if TYPE_CHECKING:
    from sqlwright.databases import Executor


def check_golds(dataset: Dataset, executor: Executor, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Return the dataset without the golds that fail; a question none of whose golds run is left out.

    Every gold left out is in `dropped` with the database's message. A question keeps its id when it loses an
    alternative. Questions without golds, and those about no database (whose golds are no SQL), stay as they are.

    Args:
        dataset: the questions, with their databases.
        executor: runs each different (database, gold) once.
        progress: called with (golds run, golds to run).
    """
    jobs = {(q.database, gold): "" for q in dataset.questions if q.database for gold in q.golds}
    paths = ((dataset.databases[database], gold) for database, gold in jobs)
    for number, (job, outcome) in enumerate(zip(jobs, executor.map(paths), strict=True), 1):
        if not outcome.ok:
            jobs[job] = outcome.message or outcome.error_class or outcome.status
        if progress:
            progress(number, len(jobs))
    questions: list[Question] = []
    dropped = list(dataset.dropped)
    for question in dataset.questions:
        running = tuple(gold for gold in question.golds if not jobs.get((question.database, gold)))
        for gold in question.golds:
            if gold not in running:
                reason = f"gold fails: {jobs[question.database, gold]}"
                dropped.append(Dropped(question.source, reason, gold))
        if running == question.golds:
            questions.append(question)
        elif running:
            questions.append(dataclasses.replace(question, golds=running))
    kept = {question.database for question in questions}
    databases = {name: path for name, path in dataset.databases.items() if name in kept}
    return dataclasses.replace(dataset, questions=tuple(questions), databases=databases, dropped=tuple(dropped))


def with_hardness(dataset: Dataset) -> Dataset:
    """Return the dataset with hardness filled in, judged by each question's first gold.

    Spider's official rule decides where the gold is in its grammar (see `sqlwright.sql.spider_grammar`), and the rule
    on sqlglot's tree elsewhere. Hardness that the file gave stays; questions without golds, and golds that no parser
    reads, stay without.
    """
    tables: dict[str, dict[str, tuple[str, ...]]] = {}

    def judge(question: Question) -> Hardness | None:
        if question.database not in tables:
            described = columns_by_table(dataset.databases[question.database])
            # In lower case, as the official rule has them.
            tables[question.database] = {
                table.lower(): tuple(map(str.lower, columns)) for table, columns in described.items()
            }
        return hardness_of(question.golds[0], tables[question.database])

    return _filled(dataset, "hardness", judge)


def with_category(dataset: Dataset) -> Dataset:
    """Return the dataset with sql-eval's categories filled in, told from each question's first gold.

    A category that the file gave stays; a gold with none of their marks stays without.
    """
    from sqlwright.sql.category import category

    return _filled(dataset, "category", lambda question: category(question.golds[0]))


def columns_by_table(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of every table, as the database spells them; none if the database is gone or damaged."""
    from sqlwright.databases import describe

    try:
        schema = describe(path, samples=0)
    except DatabaseError:
        return {}
    return {table.name: tuple(column.name for column in table.columns) for table in schema.tables}


def _filled(dataset: Dataset, field: str, judge: Callable[[Question], str | None]) -> Dataset:
    """Return the dataset with `field` judged where it is open and there are golds; each (database, gold) once."""
    known: dict[tuple[str, str], str | None] = {}
    questions = []
    for question in dataset.questions:
        if getattr(question, field) is None and question.golds and question.database:
            key = (question.database, question.golds[0])
            if key not in known:
                known[key] = judge(question)
            value: dict[str, Any] = {field: known[key]}
            question = dataclasses.replace(question, **value)
        questions.append(question)
    return dataclasses.replace(dataset, questions=tuple(questions))


def hardness_of(sql: str, schema: Mapping[str, tuple[str, ...]]) -> Hardness | None:
    """Return how hard a gold is on a schema (columns by table, in lower case); None where no parser reads it."""
    from sqlwright.sql.ast_hardness import ast_hardness
    from sqlwright.sql.hardness import hardness
    from sqlwright.sql.spider_grammar import parse_spider
    from sqlwright.sql.spider_words import SpiderSyntaxError

    try:
        return hardness(parse_spider(sql, schema))
    except SpiderSyntaxError:
        return ast_hardness(sql)
