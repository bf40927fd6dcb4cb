"""What the golds themselves tell: whether they run, and how hard Spider's official rule calls them.

Not covered: whether a gold answers its question; that takes a reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlwright.datasets.dataset import Dataset, Dropped
from sqlwright.errors import DatabaseError
from sqlwright.records import Hardness, Question

if TYPE_CHECKING:
    from sqlwright.databases import Executor


def check_golds(dataset: Dataset, executor: Executor, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Return the dataset without the golds that fail; a question none of whose golds run is left out.

    Every gold left out is in `dropped` with the database's message. A question keeps its id when it loses an
    alternative. Questions without golds stay as they are.

    Args:
        dataset: the questions, with their databases.
        executor: runs each different (database, gold) once.
        progress: called with (golds run, golds to run).
    """
    jobs = {(q.database, gold): "" for q in dataset.questions for gold in q.golds}
    paths = ((dataset.databases[database], gold) for database, gold in jobs)
    for number, (job, outcome) in enumerate(zip(jobs, executor.map(paths), strict=True), 1):
        if not outcome.ok:
            jobs[job] = outcome.message or outcome.error_class or outcome.status
        if progress:
            progress(number, len(jobs))
    questions: list[Question] = []
    dropped = list(dataset.dropped)
    for question in dataset.questions:
        running = tuple(gold for gold in question.golds if not jobs[question.database, gold])
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
    """Return the dataset with Spider's official hardness filled in, judged by each question's first gold.

    Hardness that the file gave stays. Queries outside the official grammar (see
    `sqlwright.sql.spider_grammar`) and questions without golds stay without.
    """
    tables: dict[str, dict[str, tuple[str, ...]]] = {}
    levels: dict[tuple[str, str], Hardness | None] = {}
    questions = []
    for question in dataset.questions:
        if question.hardness is None and question.golds:
            if question.database not in tables:
                tables[question.database] = _columns_by_table(dataset.databases[question.database])
            key = (question.database, question.golds[0])
            if key not in levels:
                levels[key] = _hardness(question.golds[0], tables[question.database])
            question = dataclasses.replace(question, hardness=levels[key])
        questions.append(question)
    return dataclasses.replace(dataset, questions=tuple(questions))


def _hardness(sql: str, schema: dict[str, tuple[str, ...]]) -> Hardness | None:
    from sqlwright.sql.hardness import hardness
    from sqlwright.sql.spider_grammar import parse_spider
    from sqlwright.sql.spider_words import SpiderSyntaxError

    try:
        return hardness(parse_spider(sql, schema))
    except SpiderSyntaxError:
        return None


def _columns_by_table(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of every table, in lower case as the official rule has it; none if it's gone."""
    from sqlwright.databases import describe

    try:
        schema = describe(path, samples=0)
    except DatabaseError:
        return {}
    return {t.name.lower(): tuple(column.name.lower() for column in t.columns) for t in schema.tables}
