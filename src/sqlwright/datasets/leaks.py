"""Leaks: what a model is asked in evaluation and has met in training, so that the score measures memory.

Three things are leaks, each named `KIND:DATABASE` after the database of the evaluation:

- `schema`: a database of the training part has the same schema under another name;
- `question`: the same question about the same schema;
- `sql`: another question about the same schema whose SQL differs in values at most (one template).

Two databases have the same schema if nine tenths of the columns of the smaller one, named by their tables, case aside,
are in the larger one too. In Spider no training database shares more than two thirds with one of the official
evaluation. A question or the build of a query that occurs on *different* schemas is normal ("How many employees are
there?") and only counted. A database that stands in both parts under its own name is no leak by itself: whoever trains
for one database means it so.

Not covered: the same question in other words, schemas with translated names, and what the base model has read before.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlwright.datasets.duplicates import asked
from sqlwright.errors import DataError
from sqlwright.records import Question

Kind = Literal["schema", "question", "sql"]
Tables = Mapping[str, Sequence[str]]
"""Columns by table."""

SAME_SCHEMA = 0.9
SHOWN = 10
"""Leaks that an error lists."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that both parts have: where it stands in training and in evaluation, and what it is."""

    kind: Kind
    database: str
    train: str
    evaluate: str
    what: str

    @property
    def name(self) -> str:
        """What a recipe calls it to accept it; questions about no database go by `*`."""
        return f"{self.kind}:{self.database or '*'}"


@dataclass(frozen=True, slots=True)
class Leaks:
    """The leaks, and what is normal and only counted: evaluation questions met in training on other schemas.

    `skeletons` of `questions` evaluation questions have a gold that is built like one of the training part.
    """

    found: tuple[Leak, ...]
    questions: int
    same_questions: int
    skeletons: int


def fingerprint(tables: Tables) -> frozenset[tuple[str, str]]:
    """Return what a schema is known by: its (table, column) pairs without case, whatever the database is called."""
    return frozenset((table.casefold(), name.casefold()) for table, columns in tables.items() for name in columns)


def likeness(first: Tables, second: Tables) -> float:
    """Return the share (0..1) of the smaller schema's columns that the other has too, in a table of the same name."""
    return _share(fingerprint(first), fingerprint(second))


def _share(a: frozenset[tuple[str, str]], b: frozenset[tuple[str, str]]) -> float:
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0


def find_leaks(train: Sequence[Question], evaluate: Sequence[Question], schemas: Mapping[str, Tables]) -> Leaks:
    """Return what the evaluation questions share with the training questions.

    `schemas` has the tables of every database, as the database spells them. Each evaluation question is at most one
    leak of a kind, named with the first training question that it shares something with.
    """
    from sqlwright.sql.skeleton import skeleton

    by_database: dict[str, list[Question]] = defaultdict(list)
    for question in train:
        by_database[question.database].append(question)
    asked_of: dict[str, list[Question]] = defaultdict(list)
    for question in evaluate:
        asked_of[question.database].append(question)
    found: list[Leak] = []
    known = _Known({name: schemas.get(name, {}) for name in by_database})
    for database, questions in asked_of.items():
        same = [name for name in known.alike(schemas.get(database, {})) if name != database]
        found += _schema_leaks(database, same, schemas)
        learned = [one for name in (database, *same) for one in by_database.get(name, ())]
        found += _question_leaks(questions, learned, schemas)
    texts = {asked(question) for question in train}
    met = sum(asked(question) in texts for question in evaluate)
    built = {skeleton(gold) for question in train if question.database for gold in question.golds}
    return Leaks(
        found=tuple(found),
        questions=len(evaluate),
        same_questions=met - sum(leak.kind == "question" for leak in found),
        skeletons=sum(any(skeleton(gold) in built for gold in q.golds) for q in evaluate if q.database),
    )


def refuse_leaks(leaks: Iterable[Leak], accepted: Iterable[str], where: str) -> tuple[Leak, ...]:
    """Return the accepted leaks; raise where there are others.

    Args:
        leaks: what was found.
        accepted: names such as `sql:shop`, or `sql:*` for that kind on every database.
        where: the file that lists all of them, for the message.

    Raises:
        DataError: leaks that aren't accepted by name; the first ten are listed.
    """
    names = set(accepted)
    leaks = tuple(leaks)
    refused = [leak for leak in leaks if not names & {leak.name, f"{leak.kind}:*"}]
    if not refused:
        return leaks
    lines = [f"  - {leak.name}: {leak.what}" for leak in refused[:SHOWN]]
    if len(refused) > SHOWN:
        lines.append(f"  … and {len(refused) - SHOWN} more, listed in {where}")
    needed = ", ".join(f'"{name}"' for name in dict.fromkeys(leak.name for leak in refused))
    raise DataError(
        f"expected nothing of data.evaluate in data.train, found {len(refused)} leak{'s' * (len(refused) != 1)}: the "
        "score would measure memory.\n" + "\n".join(lines) + "\nTake them out of one part, or accept them by name: "
        f"data.accept_leaks = [{needed}]"
    )


class _Known:
    """Schemas that are looked up by their rarest columns: sets that share so much must share one of those."""

    def __init__(self, schemas: Mapping[str, Tables]) -> None:
        self.prints = {name: fingerprint(tables) for name, tables in schemas.items()}
        self.counts = Counter(column for own in self.prints.values() for column in own)
        self.by_column: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.by_rare_column: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, own in self.prints.items():
            for column in own:
                self.by_column[column].append(name)
            for column in self.rarest(own):
                self.by_rare_column[column].append(name)

    def rarest(self, own: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the rarest columns of a schema, one of which any schema has that holds enough of them."""
        columns = sorted(own, key=lambda column: (self.counts[column], column))
        return columns[: len(columns) - math.ceil(SAME_SCHEMA * len(columns) - 1e-9) + 1] if columns else []

    def alike(self, tables: Tables) -> list[str]:
        """Return the names of the schemas that are the same as `tables`, in their order."""
        own = fingerprint(tables)
        names = {name for column in self.rarest(own) for name in self.by_column.get(column, ())}
        names |= {name for column in own for name in self.by_rare_column.get(column, ())}
        return [name for name in self.prints if name in names and _share(own, self.prints[name]) >= SAME_SCHEMA]


def _schema_leaks(database: str, same: Iterable[str], schemas: Mapping[str, Tables]) -> Iterator[Leak]:
    for name in same:
        share = f"{likeness(schemas[name], schemas[database]):.0%}"
        what = f"{database} has the schema of {name}, which is trained on ({share} of the smaller one's columns)"
        yield Leak("schema", database, name, database, what)


def _question_leaks(
    questions: Sequence[Question], train: Sequence[Question], schemas: Mapping[str, Tables]
) -> Iterator[Leak]:
    """Yield the questions about one database whose text or template stands in `train`, which is about its schema."""
    texts: dict[tuple[str, ...], Question] = {}
    templates: dict[str, Question] = {}
    for question in train:
        texts.setdefault(asked(question), question)
        for one in _templates(question, schemas):
            templates.setdefault(one, question)
    for question in questions if train else ():
        known = texts.get(asked(question))
        if known is not None:
            what = f"{question.source} asks what {known.source} asks: {question.text}"
            yield Leak("question", question.database, known.source, question.source, what)
            continue
        shared = next((one for one in _templates(question, schemas) if one in templates), None)
        if shared is not None:
            known = templates[shared]
            what = f"{question.source} has the SQL of {known.source} but for values: {shared}"
            yield Leak("sql", question.database, known.source, question.source, what)


def _templates(question: Question, schemas: Mapping[str, Tables]) -> Iterator[str]:
    from sqlwright.sql.skeleton import template

    for gold in question.golds if question.database else ():
        yield template(gold, schemas.get(question.database, {}))
