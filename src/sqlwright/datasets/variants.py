"""Training questions asked of databases that look different: other names, other order, fewer and more columns.

A model that is trained on a hundred databases learns their habits: how names are written, how large a schema is. A
variant is a copy of a database in which names follow another convention (`stu_id`, `StudentID`, "Student ID"), words
are written out, shortened or exchanged for synonyms, tables and columns stand in another order, columns and tables that
the questions don't need may be gone, and tables of another database may stand between them. The golds are rewritten
accordingly, and kept where they return the same rows as before.

Not covered: databases above `MOST_ROWS` rows in a table, views, engines other than SQLite.
"""

from __future__ import annotations

import dataclasses
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from sqlwright.databases import Executor, Schema, Table, describe, quoted_name
from sqlwright.errors import DatabaseError
from sqlwright.records import Question, stable_id
from sqlwright.sql.names import quoted
from sqlwright.sql.normalise import normalise
from sqlwright.sql.rename import rename, star_tables

QUESTIONS_PER_VARIANT = 32
MOST_ROWS = 20_000
MOST_COLUMNS = 80

# fmt: off
_SHORT = {
    "account": "acct", "address": "addr", "amount": "amt", "average": "avg", "category": "cat", "character": "char",
    "code": "cd", "customer": "cust", "date": "dt", "department": "dept", "description": "descr", "document": "doc",
    "employee": "emp", "first": "fst", "identifier": "id", "last": "lst", "location": "loc", "maximum": "max",
    "message": "msg", "minimum": "min", "number": "no", "order": "ord", "organization": "org", "percent": "pct",
    "person": "pers", "phone": "tel", "position": "pos", "price": "prc", "product": "prod", "quantity": "qty",
    "reference": "ref", "student": "stud", "temperature": "temp", "transaction": "txn", "value": "val", "year": "yr",
}
_SYNONYMS = {
    "address": "residence", "advisor": "mentor", "aircraft": "plane", "airport": "airfield", "album": "record",
    "amount": "sum", "apartment": "flat", "area": "surface", "author": "writer", "balance": "funds",
    "book": "volume", "branch": "outlet", "budget": "funding", "building": "edifice", "capacity": "seats",
    "car": "automobile", "category": "kind", "city": "town", "club": "society", "color": "colour", "company": "firm",
    "concert": "gig", "cost": "expense", "country": "nation", "course": "class", "customer": "client",
    "date of birth": "birthday", "department": "division", "description": "details", "details": "description",
    "district": "quarter", "duration": "running time", "email": "mail", "employee": "staff member",
    "event": "occasion", "first name": "given name", "fname": "given name", "full name": "whole name",
    "game": "match", "gender": "sex", "grade": "mark", "height": "stature", "hire date": "employed since",
    "home town": "origin", "hometown": "origin", "hotel": "inn", "investor": "backer", "job": "occupation",
    "language": "tongue", "last name": "surname", "lname": "surname", "location": "place", "manager": "boss",
    "match": "game", "member": "associate", "movie": "film", "nationality": "citizenship", "novel": "fiction",
    "order": "purchase", "organization": "body", "owner": "holder", "party": "group", "payment": "remittance",
    "people": "persons", "pet": "companion animal", "phone": "telephone", "photo": "picture", "player": "sportsman",
    "population": "inhabitants", "position": "role", "price": "cost", "product": "article", "professor": "lecturer",
    "publisher": "press", "quantity": "count", "rank": "standing", "rating": "score", "region": "zone",
    "result": "outcome", "revenue": "turnover", "road": "route", "role": "function", "room": "chamber",
    "salary": "wage", "sales": "turnover", "school": "academy", "score": "points", "season": "campaign",
    "sex": "gender", "shop": "store", "singer": "vocalist", "song": "tune", "stadium": "arena", "station": "stop",
    "status": "state", "store": "shop", "street": "road", "student": "pupil", "supplier": "vendor",
    "teacher": "instructor", "team": "squad", "theme": "topic", "total": "overall", "town": "city",
    "train": "railcar", "type": "kind", "weight": "mass", "winner": "champion", "work": "employment",
    "worker": "labourer", "zip": "postal", "zipcode": "postal code",
}
# fmt: on
_LONG = {short: long for long, short in _SHORT.items() if short not in ("id", "no", "cat", "char", "max", "min", "avg")}
_LONG |= {"num": "number", "desc": "description", "info": "information", "fname": "first_name", "lname": "last_name"}


def _joined(join: str, change: Callable[[str], str]) -> Callable[[list[str]], str]:
    return lambda words: join.join(map(change, words))


def _title(word: str) -> str:
    return word[:1].upper() + word[1:]


def _camel(words: list[str]) -> str:
    return words[0] + "".join(map(_title, words[1:]))


# Conventions for names, as often as they are drawn; None keeps the database's own.
_STYLES: tuple[tuple[Callable[[list[str]], str] | None, int], ...] = (
    (None, 4),
    (_joined("_", str), 3),
    (_joined("", _title), 4),
    (_camel, 2),
    (_joined("_", str.upper), 2),
    (_joined("_", _title), 1),
    (_joined(" ", _title), 3),
)


@dataclasses.dataclass(frozen=True)
class Variants:
    """Questions in the order they came, some of them about a variant; the variants' files by name."""

    questions: tuple[Question, ...]
    databases: dict[str, Path]
    varied: int


def vary(
    questions: Sequence[Question],
    databases: Mapping[str, Path],
    folder: Path,
    executor: Executor,
    *,
    share: float,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Variants:
    """Return the questions with `share` of them asked of variants of their databases, which are written to `folder`.

    Questions that can't be asked of a variant stay as they are. `progress` is called with (questions tried, to try).
    """
    draw = random.Random(seed)
    groups = _groups(questions, share, draw)
    sources: dict[str, Schema | None] = {}
    changed: dict[str, Question] = {}
    made: dict[str, Path] = {}
    numbers: Counter[str] = Counter()
    names = sorted({name for name, _ in groups})
    total, done = sum(len(group) for _, group in groups), 0
    for name, group in groups:
        other = draw.choice(names)
        for one in (name, other):
            if one not in sources:
                sources[one] = _source(databases[one], executor)
        source, beside = sources[name], sources[other]
        own = random.Random(f"{seed} {name} {numbers[name]}")
        if source:
            numbers[name] += 1
            variant = f"{name}~{numbers[name]}"
            asked = _Variant(source, beside if other != name else None, group, own).write(
                folder / variant / f"{variant}.sqlite", executor
            )
            changed |= {one.id: dataclasses.replace(one, database=variant) for one in asked}
            if asked:
                made[variant] = folder / variant / f"{variant}.sqlite"
        done += len(group)
        if progress:
            progress(done, total)
    result = tuple(
        dataclasses.replace(changed[one.id], id=stable_id(one.id, changed[one.id].database))
        if one.id in changed
        else one
        for one in questions
    )
    return Variants(result, made, len(changed))


def _groups(questions: Sequence[Question], share: float, draw: random.Random) -> list[tuple[str, list[Question]]]:
    """Return (database, questions) for each variant: `share` of every database's questions that have golds."""
    by_database: dict[str, list[Question]] = {}
    for question in questions:
        if question.database and question.golds and not question.history:
            by_database.setdefault(question.database, []).append(question)
    groups = []
    for name in sorted(by_database):
        chosen = draw.sample(by_database[name], round(share * len(by_database[name])))
        count = max(1, round(len(chosen) / QUESTIONS_PER_VARIANT))
        groups += [(name, chosen[start::count]) for start in range(count) if chosen[start::count]]
    return groups


def _source(database: Path, executor: Executor) -> Schema | None:
    """Return the schema of a database that can be varied, None of another."""
    try:
        schema = describe(database, 0, executor=executor)
    except DatabaseError:
        return None
    fits = schema.engine == "SQLite" and all(
        table.rows is not None and table.rows <= MOST_ROWS for table in schema.tables
    )
    return schema if fits and schema.tables else None


class _Variant:
    """One variant: what of the schema stays, by which names, in which order."""

    def __init__(self, source: Schema, beside: Schema | None, questions: Sequence[Question], draw: random.Random):
        self.source, self.questions, self.draw = source, questions, draw
        words = [name for table in source.tables for name in (table.name, *(one.name for one in table.columns))]
        self.golds = {gold: normalise(gold, words) for question in questions for gold in question.golds}
        self.tables = self._kept()
        strangers = self._strangers(beside) if beside else []
        self.owners = {table.name: source for table in self.tables} | {one.name: beside for one in strangers if beside}
        self.tables += strangers
        draw.shuffle(self.tables)
        self.style = draw.choices([one for one, _ in _STYLES], [often for _, often in _STYLES])[0]
        self.words = draw.choice(({}, {}, _SHORT, _LONG, self._synonyms(), self._synonyms()))
        self.table_names = self._names(table.name for table in self.tables)
        self.column_names = self._names(column.name for table in self.tables for column in table.columns)

    def _synonyms(self) -> dict[str, str]:
        """Return two in three of the synonyms: names that the questions' words have to be understood for."""
        return {word: other for word, other in _SYNONYMS.items() if self.draw.random() < 2 / 3}

    def write(self, path: Path, executor: Executor) -> list[Question]:
        """Write the database and return the questions whose golds have the same rows there as before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            for table in self.tables:
                connection.execute(self._create(table))
                cells = ", ".join(quoted_name(column.name) for column in table.columns)
                owner = self.owners[table.name]
                rows = executor.run(owner.path, f"SELECT {cells} FROM {quoted_name(table.name)}")
                if not rows.ok or rows.truncated:
                    return []
                places = ", ".join("?" * len(table.columns))
                name = quoted_name(self.table_names[table.name.lower()])
                connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows.rows)
            connection.commit()
        asked = (self._asked(question, path, executor) for question in self.questions)
        return [one for one in asked if one]

    def _asked(self, question: Question, path: Path, executor: Executor) -> Question | None:
        golds = []
        for gold in question.golds:
            changed = rename(self.golds[gold], self.table_names, self.column_names)
            if changed is None:
                continue
            before, after = executor.run(self.source.path, gold), executor.run(path, changed)
            if before.ok and after.ok and sorted(map(repr, before.rows)) == sorted(map(repr, after.rows)):
                golds.append(changed)
        return dataclasses.replace(question, golds=tuple(golds)) if golds else None

    def _kept(self) -> list[Table]:
        """Return the tables, and of each the columns, that the questions need, and some of the others."""
        words = {word.lower() for gold in self.golds.values() for word in re.findall(r"\w+", gold)}
        whole = {name for gold in self.golds.values() for name in star_tables(gold)}
        drop_tables, drop_columns = self.draw.choice((0, 0.5)), self.draw.choice((0, 0.3, 0.6))
        shuffled = self.draw.random() < 0.5
        needed = {table.name for table in self.source.tables if set(re.findall(r"\w+", table.name.lower())) <= words}
        kept = []
        for table in self.source.tables:
            if table.name not in needed and self.draw.random() < drop_tables:
                continue
            columns = list(table.columns)
            if table.name.lower() not in whole:
                keys = {*table.primary_key, *(name for key in table.foreign_keys for name in key.columns)}
                keys |= self._referred(table)
                columns = [
                    one
                    for one in columns
                    if one.name in keys
                    or set(re.findall(r"\w+", one.name.lower())) <= words
                    or self.draw.random() >= drop_columns
                ] or columns[:1]
                if shuffled:
                    self.draw.shuffle(columns)
            kept.append(dataclasses.replace(table, columns=tuple(columns)))
        return kept

    def _referred(self, table: Table) -> set[str]:
        """Return the columns of a table that others refer to."""
        keys = (key for other in self.source.tables for key in other.foreign_keys)
        return {name for key in keys if key.table == table.name for name in key.to_columns}

    def _strangers(self, beside: Schema) -> list[Table]:
        """Return some tables of another database, none by a name that is taken, or none at all."""
        taken = {table.name.lower() for table in self.tables}
        free = [table for table in beside.tables if table.name.lower() not in taken]
        room = MOST_COLUMNS - sum(len(table.columns) for table in self.tables)
        chosen = self.draw.sample(free, min(len(free), self.draw.choice((0, 0, 1, 2, 4))))
        return chosen if sum(len(table.columns) for table in chosen) <= room else []

    def _names(self, names: Iterable[str]) -> dict[str, str]:
        """Return new names by the old ones in lower case; the old ones where two would become one."""
        known = {name.lower(): name for name in names}
        new = {name: _renamed(spelt, self.style, self.words) for name, spelt in known.items()}
        twice = Counter(one.lower() for one in new.values())
        return new if max(twice.values(), default=0) < 2 else known

    def _create(self, table: Table) -> str:
        """Return the CREATE TABLE of a table by its new names, with the keys whose tables are still there."""
        there = {one.name: {column.name for column in one.columns} for one in self.tables}
        parts = []
        for column in table.columns:
            key = " PRIMARY KEY" if table.primary_key == (column.name,) else ""
            parts.append(f"{self._column(column.name)} {column.type}{key}".strip())
        if len(table.primary_key) > 1 and set(table.primary_key) <= there[table.name]:
            parts.append(f"PRIMARY KEY ({', '.join(map(self._column, table.primary_key))})")
        for link in table.foreign_keys:
            same = self.owners[table.name] is self.owners.get(link.table)
            if same and set(link.columns) <= there[table.name] and set(link.to_columns) <= there[link.table]:
                to = f" ({', '.join(map(self._column, link.to_columns))})" if link.to_columns else ""
                target = quoted(self.table_names[link.table.lower()])
                parts.append(f"FOREIGN KEY ({', '.join(map(self._column, link.columns))}) REFERENCES {target}{to}")
        return f"CREATE TABLE {quoted(self.table_names[table.name.lower()])} ({', '.join(parts)})"

    def _column(self, name: str) -> str:
        return quoted(self.column_names[name.lower()])


def _renamed(name: str, style: Callable[[list[str]], str] | None, other: Mapping[str, str]) -> str:
    """Return a name by another convention, its words exchanged for those that `other` has for them."""
    if style is None:
        return name
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", name)
    text = " ".join(part.lower() for part in parts)
    # Longest first, and each word once: "first name" is one thing, and a sum that was an amount stays one.
    found = "|".join(sorted(map(re.escape, other), key=len, reverse=True))
    text = re.sub(rf"\b(?:{found})\b", lambda one: other[one.group()], text) if other else text
    words = text.replace("_", " ").split()
    if not words or words[0].isdigit():
        return name
    return style(words)
