"""A schema as one looks things up in it: names in lower case, tables and columns by name, and how tables are linked.

Not covered: keys of several columns.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from sqlwright.databases import Schema, Table
from sqlwright.databases.keys import name_words
from sqlwright.sql.names import quoted

_LIKE = 0.72
"""How alike a name must be to stand for one that doesn't exist."""
_LONGEST_PATH = 3
_BEGINNING = 4
"""Letters that words of one stem share."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two columns that rows of two tables are joined by; all names in lower case."""

    table: str
    column: str
    other: str
    other_column: str


class Known:
    """The schema by names in lower case, and how its tables are linked."""

    def __init__(self, schema: Schema, question: str) -> None:
        self.tables = {table.name.lower(): table for table in (*schema.tables, *schema.views)}
        self.columns = {
            name: {column.name.lower(): column.name for column in table.columns} for name, table in self.tables.items()
        }
        self.links = list(links_of(schema.tables))
        self.words = set(name_words(question))

    def asked(self, table: str) -> bool:
        """Return whether the question names the table."""
        words = name_words(self.tables[table].name)
        return bool(words) and all(map(self._asked, words))

    def hinted(self, table: str) -> bool:
        """Return whether the question has a word that begins as one of the table's name does (`reserved`)."""
        return any(
            self._asked(word) or any(word[:_BEGINNING] == asked[:_BEGINNING] for asked in self.words)
            for word in name_words(self.tables[table].name)
            if len(word) > 2
        )

    def asked_column(self, name: str, tables: Iterable[str]) -> str | None:
        """Return the column of `tables` that the question names in full and `name` in part, if it is one: no reference.

        Where the contact title is asked for, `title` stands for the column `ContactTitle`.
        """
        own = set(name_words(name))
        found = set()
        for table in tables:
            referring = {link.column for link in self.links if link.table == table}
            for key, column in self.columns[table].items():
                words = set(name_words(column))
                if own < words and key not in referring and all(self._asked(word) for word in words):
                    found.add(key)
        return found.pop() if len(found) == 1 else None

    def _asked(self, word: str) -> bool:
        return any(_same_word(word, asked) for asked in self.words)

    def path(self, start: Sequence[str], end: str) -> list[Link]:
        """Return the links from one of the tables `start` to `end`, the shortest way; empty where there is none."""
        ways: deque[tuple[str, list[Link]]] = deque((table, []) for table in start)
        seen = set(start)
        while ways:
            table, way = ways.popleft()
            if table == end:
                return way
            if len(way) == _LONGEST_PATH:
                continue
            for link in self.links:
                if link.table == table and link.other not in seen:
                    seen.add(link.other)
                    ways.append((link.other, [*way, link]))
        return []

    def nearest_table(self, name: str) -> str | None:
        """Return the table whose name is most like `name`."""
        return nearest(name, self.tables)

    def role(self, name: str, present: Iterable[str]) -> str | None:
        """Return the table that a foreign key called like `name` refers to, None where there is none or several.

        `SupportRep` stands for the employees that `Customer.SupportRepId` refers to; where these are `present` in the
        query already, for the customers that refer to them.
        """
        plain = _plain(name)
        found = {
            (table, key.table.lower())
            for table, described in self.tables.items()
            for key in described.foreign_keys
            if key.table.lower() in self.tables
            and len(key.columns) == 1
            and _plain(key.columns[0]) in (f"{plain}id", f"{plain}code", f"{plain}no", plain)
        }
        if len(found) != 1:
            return None
        (holder, target) = found.pop()
        return holder if target in present else target

    def owners(self, column: str) -> list[str]:
        """Return the tables that have a column of that name."""
        return [table for table, columns in self.columns.items() if column in columns]


def identifier(name: str) -> exp.Identifier:
    """Return a name as an identifier, in quotes where it needs them."""
    return exp.to_identifier(name, quoted=quoted(name) != name)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like `name`, None where none is."""
    plain = _plain(name)
    best, chosen = _LIKE, None
    for one in known:
        other = _plain(one)
        alike = difflib.SequenceMatcher(None, plain, other).ratio()
        if other.endswith(plain) or plain.endswith(other):
            alike = max(alike, 0.8 if min(len(plain), len(other)) > 2 else 0.0)
        if alike > best:
            best, chosen = alike, one
    return chosen


def links_of(tables: Sequence[Table]) -> Iterator[Link]:
    """Yield the links both ways: declared foreign keys, then keys that another table has a column named like."""
    seen = set()
    by_name = {table.name.lower(): table for table in tables}
    for table in tables:
        for key in table.foreign_keys:
            other = by_name.get(key.table.lower())
            columns = key.to_columns or (other.primary_key if other else ())
            if other is None or len(key.columns) != 1 or len(columns) != 1:
                continue
            link = Link(table.name.lower(), key.columns[0].lower(), other.name.lower(), columns[0].lower())
            seen.add(frozenset((link.table, link.other)))
            yield from (link, _turned(link))
    for table in tables:
        keys = {name.lower() for name in table.primary_key}
        for other in tables:
            pair = frozenset((table.name.lower(), other.name.lower()))
            shared = [column.name.lower() for column in other.columns if column.name.lower() in keys - {"id"}]
            if other is not table and shared and len(keys) == 1 and pair not in seen:
                seen.add(pair)
                link = Link(other.name.lower(), shared[0], table.name.lower(), shared[0])
                yield from (link, _turned(link))


def _plain(name: str) -> str:
    return name.replace("_", "").replace(" ", "").lower()


def _turned(link: Link) -> Link:
    return Link(link.other, link.other_column, link.table, link.column)


def _same_word(one: str, other: str) -> bool:
    return one == other or (min(len(one), len(other)) > 2 and _singular(one) == _singular(other))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word.removesuffix("s") if not word.endswith("ss") else word
