"""Answers put right by what the database has: names by its schema, texts by its rows.

What can't be run for a wrong name gets repairs in order (see `sql.repair`), and the first that runs is kept. What runs
is rid of slips (see `sql.slips`), linked as the schema's tables are (see `sql.relink`), and made to count what is meant
(see `sql.counted`). Then it is looked at for texts that the column they are compared with doesn't hold: the column that
does hold the text is taken, in the same table or in one that is linked to it. What finds nothing takes the row's own
spelling, too, flags as the column writes them, short forms (see `short_forms`), and values with the text among their
words; queries for a year or for what isn't there are turned into a form that can find it (see `sql.periods`,
`sql.absent`). These are kept only if they find something. A date that the question doesn't give, where it asks for what
didn't happen, is tested for NULL. Other answers that run and find rows are left alone.

Not covered: other engines than SQLite; queries that find rows and mean something else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlwright.databases import Executor, Limits, Outcome, Schema, Table, engine_of, quoted_name
from sqlwright.databases.notes import describe_with_notes
from sqlwright.decoding.short_forms import by_beginning, by_initials
from sqlwright.sql.absent import absent, undated
from sqlwright.sql.counted import counted
from sqlwright.sql.names import literal
from sqlwright.sql.periods import whole_periods
from sqlwright.sql.placed import Compared, compared_texts, holds_texts, with_text
from sqlwright.sql.relink import relinked
from sqlwright.sql.repair import repair
from sqlwright.sql.slips import slips

_LOOK_UP = Limits(seconds=2, rows=2000)
_SPELT_LIKE = 0.82
"""How alike a value must be to stand for one that the column doesn't hold."""
_FLAGS = {True: frozenset({"1", "true", "t", "yes", "y"}), False: frozenset({"0", "false", "f", "no", "n"})}
"""What flags are written as, in lower case."""
_ROWS_OF_ONE = 1.1
"""Rows of a group, in the mean, below which counting them says nothing."""
_SHORTEST_PART = 3
"""Letters that a text must have to be looked for within values."""
_FARTHEST = 2
"""Joins on the way to a table whose texts are looked at, at most."""


def telling(outcome: Outcome) -> bool:
    """Return whether a result says something: it has a value other than zero and NULL."""
    return any(value not in (0, None) for row in outcome.rows for value in row)


class Repairer:
    """Repairs queries on the given databases, whose schemas are read once; `repaired` counts them."""

    def __init__(self, databases: Mapping[str, Path | str], executor: Executor) -> None:
        self._databases, self._executor = databases, executor
        self._schemas: dict[str, Schema] = {}
        self.repaired = 0

    def mended(self, sql: str, outcome: Outcome, database: str, question: str) -> tuple[str, Outcome]:
        """Return a query that is likelier meant than `sql`, and its outcome; `sql` and `outcome` if there is none.

        `outcome` is what came of `sql`; queries stopped at a limit are left alone. `database` is a name.
        """
        place = self._databases[database]
        if engine_of(place).name != "sqlite":
            return sql, outcome
        found = self._named(sql, outcome, place, database, question) if outcome.status == "error" else (sql, outcome)
        if found[1].ok:
            found = self._unslipped(*found, place, database, question)
            found = self._relinked(*found, place, database, question)
            found = self._counted(*found, place, database, question)
            found = self._undated(*found, place, question)
        if found[1].ok:
            found = self._placed(*found, place, database)
        if found[1].ok and not telling(found[1]):
            found = self._turned(*found, place, database, question)
        self.repaired += found[0] != sql
        return found

    def _schema(self, database: str) -> Schema:
        if database not in self._schemas:
            self._schemas[database] = describe_with_notes(self._databases[database], 0, executor=self._executor)
        return self._schemas[database]

    def _named(
        self, sql: str, outcome: Outcome, place: Path | str, database: str, question: str
    ) -> tuple[str, Outcome]:
        for text in repair(sql, self._schema(database), question):
            found = self._executor.run(place, text)
            if found.ok:
                return text, found
        return sql, outcome

    def _unslipped(
        self, sql: str, outcome: Outcome, place: Path | str, database: str, question: str
    ) -> tuple[str, Outcome]:
        """Return the query without slips, unless it then finds the same or less."""
        text = slips(sql, self._schema(database), question)
        found = self._executor.run(place, text) if text else outcome
        better = found.ok and found.rows != outcome.rows and (telling(found) or not telling(outcome))
        return (text, found) if text and better else (sql, outcome)

    def _relinked(
        self, sql: str, outcome: Outcome, place: Path | str, database: str, question: str
    ) -> tuple[str, Outcome]:
        """Return the query with its tables linked as the schema does, unless it then finds less."""
        text = relinked(sql, self._schema(database), question)
        found = self._executor.run(place, text) if text else outcome
        return (text, found) if text and found.ok and (telling(found) or not telling(outcome)) else (sql, outcome)

    def _counted(
        self, sql: str, outcome: Outcome, place: Path | str, database: str, question: str
    ) -> tuple[str, Outcome]:
        """Return the query with the rows counted that are meant, where its own groups have hardly more than one."""
        other = counted(sql, self._schema(database), question)
        if other is None:
            return sql, outcome
        mean = self._executor.run(place, other.mean, limits=_LOOK_UP)
        if not (mean.ok and mean.rows and (mean.rows[0][0] or _ROWS_OF_ONE) < _ROWS_OF_ONE):
            return sql, outcome
        found = self._executor.run(place, other.meant)
        better = found.ok and found.rows != outcome.rows and telling(found)
        return (other.meant, found) if better else (sql, outcome)

    def _undated(self, sql: str, outcome: Outcome, place: Path | str, question: str) -> tuple[str, Outcome]:
        """Return the query with dates that nobody gave tested for NULL, if it then finds something."""
        text = undated(sql, question)
        found = self._executor.run(place, text) if text else outcome
        return (text, found) if text and found.ok and telling(found) else (sql, outcome)

    def _placed(self, sql: str, outcome: Outcome, place: Path | str, database: str) -> tuple[str, Outcome]:
        """Return the query with its texts where the database holds them, if it then finds something.

        Where it finds something already, only a text that its column doesn't hold is looked at, and its spelling stays.
        """
        schema = self._schema(database)
        text, parts = sql, []
        for one in compared_texts(sql, schema):
            held = next(self._places(one, place, schema, telling(outcome)), None)
            if telling(outcome) and (one.value.isdigit() or held is None or held[2] != one.value):
                continue
            if held is not None and held != (one.table, one.column, one.value):
                text = with_text(text, schema, one.number, *held) or text
            elif held is None and (column := self._part(one, place, schema)):
                parts.append((one, column))
        for one, column in reversed(parts):  # which are no comparisons with a text any more, and not counted as such
            text = with_text(text, schema, one.number, one.table, column, one.value, part=True) or text
        if text == sql:
            return sql, outcome
        found = self._executor.run(place, text)
        return (text, found) if found.ok and telling(found) and found.rows != outcome.rows else (sql, outcome)

    def _turned(
        self, sql: str, outcome: Outcome, place: Path | str, database: str, question: str
    ) -> tuple[str, Outcome]:
        """Return a query for a year or for what isn't there in a form that finds it, if there is one."""
        for text in (whole_periods(sql, question), *absent(sql, self._schema(database))):
            found = self._executor.run(place, text) if text != sql else outcome
            if found.ok and telling(found):
                return text, found
        return sql, outcome

    def _places(self, one: Compared, place: Path | str, schema: Schema, finds: bool) -> Iterator[tuple[str, str, str]]:
        """Yield (table, column, text as it stands there) where the text is, the likeliest first.

        What is short for it, or it for that, is looked for unless the query `finds` something.
        """
        tables = {table.name.lower(): table for table in schema.tables}
        if one.table not in tables:
            return
        own = self._spelling(place, tables[one.table].name, one.column, one.value)
        if own is not None:
            yield one.table, one.column, own
        if one.value.lower() in _FLAGS[True] | _FLAGS[False]:
            flag = self._flag(place, tables[one.table].name, one.column, one.value.lower() in _FLAGS[True])
            if flag is not None:
                yield one.table, one.column, flag
            return
        known = self._values(place, tables[one.table].name, one.column)
        form = None if finds else by_initials(one.value, known)
        if form is not None:
            yield one.table, one.column, form
        for table in _by_distance(tables[one.table], one.column, schema):
            for column in table.columns:
                if holds_texts(column.type) and (table.name.lower(), column.name.lower()) != (
                    one.table,
                    one.column,
                ):
                    found = self._spelling(place, table.name, column.name, one.value)
                    if found is not None:
                        yield table.name.lower(), column.name.lower(), found
        near = (None if finds else by_beginning(one.value, known)) or _nearest(one.value, known)
        if near is not None:
            yield one.table, one.column, near

    def _part(self, one: Compared, place: Path | str, schema: Schema) -> str | None:
        """Return the column whose values have the text among their words: its own, or else the only one beside it."""
        table = next((table for table in schema.tables if table.name.lower() == one.table), None)
        if table is None or len(one.value) < _SHORTEST_PART or not re.fullmatch(r"[^\W_]+( [^\W_]+)*", one.value):
            return None
        whole = re.compile(rf"\b{re.escape(one.value)}\b", re.IGNORECASE)
        found = [
            column.name.lower()
            for column in table.columns
            if holds_texts(column.type) and any(map(whole.search, self._values(place, table.name, column.name)))
        ]
        return one.column if one.column in found else found[0] if len(found) == 1 else None

    def _spelling(self, place: Path | str, table: str, column: str, value: str) -> str | None:
        """Return the text as the column holds it, itself first, then with other capitals; None if it doesn't."""
        name, source, text = quoted_name(column), quoted_name(table), literal(value)
        sql = (
            f"SELECT {name} FROM {source} WHERE {name} = {text} COLLATE NOCASE AND typeof({name}) = 'text' "
            f"ORDER BY {name} <> {text} LIMIT 1"
        )
        outcome = self._executor.run(place, sql, limits=_LOOK_UP)
        return str(outcome.rows[0][0]) if outcome.ok and outcome.rows else None

    def _flag(self, place: Path | str, table: str, column: str, wanted: bool) -> str | None:
        """Return how the column writes true or false; None where it holds anything else, or more than one way."""
        name = quoted_name(column)
        sql = f"SELECT DISTINCT {name} FROM {quoted_name(table)} WHERE {name} IS NOT NULL LIMIT 5"
        outcome = self._executor.run(place, sql, limits=_LOOK_UP)
        known = {str(row[0]) for row in outcome.rows} if outcome.ok else set()
        found = {text for text in known if text.lower() in _FLAGS[wanted]}
        others = {text for text in known if text.lower() in _FLAGS[not wanted]}
        return found.pop() if len(found) == 1 and known == found | others else None

    def _values(self, place: Path | str, table: str, column: str) -> list[str]:
        """Return the texts that a column holds, each once; of a long column the first ones."""
        name = quoted_name(column)
        sql = f"SELECT DISTINCT {name} FROM {quoted_name(table)} WHERE typeof({name}) = 'text'"
        outcome = self._executor.run(place, sql, limits=_LOOK_UP)
        return [str(row[0]) for row in outcome.rows] if outcome.ok else []


def _nearest(text: str, known: Sequence[str]) -> str | None:
    """Return the value that is most like the text and has the same digits: dates are no spellings."""
    digits = [letter for letter in text if letter.isdigit()]
    same = (value for value in known if [letter for letter in value if letter.isdigit()] == digits)
    lower = {value.lower(): value for value in same}
    found = difflib.get_close_matches(text.lower(), lower, n=1, cutoff=_SPELT_LIKE)
    return lower[found[0]] if found else None


def _by_distance(table: Table, column: str, schema: Schema) -> list[Table]:
    """Return the table itself, what its column refers to, and then other linked tables, the nearest first."""
    tables = {one.name.lower(): one for one in schema.tables}
    links: dict[str, list[str]] = {name: [] for name in tables}
    for name, one in tables.items():
        for key in one.foreign_keys:
            if key.table.lower() in tables:
                links[name].append(key.table.lower())
                links[key.table.lower()].append(name)
    referred = [
        key.table.lower()
        for key in table.foreign_keys
        if [name.lower() for name in key.columns] == [column] and key.table.lower() in tables
    ]
    found = dict.fromkeys([table.name.lower(), *referred])
    edge = [table.name.lower()]
    for _ in range(_FARTHEST):
        edge = [other for name in edge for other in links[name] if other not in found]
        found |= dict.fromkeys(edge)
    return [tables[name] for name in found]
