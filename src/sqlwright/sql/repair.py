"""Queries that name a table or column wrongly, mended by the schema.

Most queries of a small model that don't run name a column that its FROM doesn't have, and nearly always the column
exists: in another table of the FROM, in a table that is one join away, or in the only table that the query should have
been about. Each of these is a repair; so are the nearest name for one that exists nowhere, the nearest table, and a
table for a column that several have. What is returned is a proposal for a query that can't be run as it is: it is for
the caller to run it.

Not covered: SQL that doesn't parse, wrong values (see `decoding.repair`), queries that run and mean something else.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.databases import Schema, Table
from sqlwright.sql.names import quoted
from sqlwright.sql.parse import parse_query

Way = Literal["join", "replace"]
"""What is done first for columns of another table: that table is joined, or stands in place of the only one."""

_LIKE = 0.72
"""How alike a name must be to stand for one that doesn't exist."""
_ROW_NAMES = frozenset({"rowid", "oid", "_rowid_"})
_LONGEST_PATH = 3


def repair(sql: str, schema: Schema, question: str = "") -> list[str]:
    """Return what `sql` may have meant, likeliest first; nothing where no name is wrong or there is no telling.

    `question` decides between repairs: a table that it names is likelier.
    """
    known = _Known(schema, question)
    ways: tuple[Way, ...] = ("join", "replace")
    found: list[tuple[bool, str]] = []
    for way in ways:
        tree = parse_query(sql)
        if tree is None:
            return []
        mender = _Mender(known, way)
        try:
            if mender.mend(tree):
                found.append((mender.detour, tree.sql(dialect="sqlite")))
        except (_HopelessError, SqlglotError, RecursionError):
            continue
    # A table that is further away than one join is less likely meant than another table in the place of the one here.
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda one: one[0])))


class _HopelessError(Exception):
    """A name that nothing in the schema is like."""


@dataclass(frozen=True, slots=True)
class _Link:
    """Two columns that rows of two tables are joined by; all names in lower case."""

    table: str
    column: str
    other: str
    other_column: str


class _Known:
    """The schema by names in lower case, and how its tables are linked."""

    def __init__(self, schema: Schema, question: str) -> None:
        self.tables = {table.name.lower(): table for table in (*schema.tables, *schema.views)}
        self.columns = {
            name: {column.name.lower(): column.name for column in table.columns} for name, table in self.tables.items()
        }
        self.links = list(_links(schema.tables))
        self.words = set(_words(question))

    def asked(self, table: str) -> bool:
        """Return whether the question names the table."""
        words = _words(self.tables[table].name)
        return bool(words) and all(any(_same_word(word, asked) for asked in self.words) for word in words)

    def path(self, start: Sequence[str], end: str) -> list[_Link]:
        """Return the links from one of the tables `start` to `end`, the shortest way; empty where there is none."""
        ways: deque[tuple[str, list[_Link]]] = deque((table, []) for table in start)
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
        return _nearest(name, self.tables)

    def owners(self, column: str) -> list[str]:
        """Return the tables that have a column of that name."""
        return [table for table, columns in self.columns.items() if column in columns]


class _Scope:
    """One SELECT: its tables by the names they go by, and its own columns; a table "" holds what can't be known."""

    def __init__(self, select: exp.Select, known: _Known, made: set[str]) -> None:
        self.select, self.known = select, known
        self.tables: dict[str, str] = {}
        for clause in (select.args.get("from_"), *(select.args.get("joins") or ())):
            entry = clause.this if clause is not None else None
            if isinstance(entry, exp.Table):
                name = entry.name.lower()
                self.tables[entry.alias_or_name.lower()] = name if name in known.tables and name not in made else ""
            elif entry is not None:
                self.tables[entry.alias_or_name.lower()] = ""
        self.aliases = {one.alias.lower() for one in select.selects if one.alias}

    def columns(self) -> list[exp.Column]:
        """Return the columns of this SELECT, without those of queries within it."""
        every = self.select.find_all(exp.Column)
        return [one for one in every if one.find_ancestor(exp.Select) is self.select]

    def having(self, column: str) -> list[str]:
        """Return the names of the tables here that have the column."""
        return [name for name, table in self.tables.items() if table and column in self.known.columns[table]]

    @property
    def unknown(self) -> bool:
        """Whether there is a source whose columns can't be known."""
        return "" in self.tables.values()


class _Mender:
    """Mends the SELECTs of a tree, the outer ones first."""

    def __init__(self, known: _Known, way: Way) -> None:
        self.known, self.way = known, way
        self.changed = False
        self.detour = False

    def mend(self, tree: exp.Query) -> bool:
        """Mend the tree in place; return whether anything was changed."""
        made = {one.alias.lower() for one in tree.find_all(exp.CTE)}
        for table in list(tree.find_all(exp.Table)):
            self._mend_table(table, made)
        scopes: dict[int, _Scope] = {}
        for select in list(tree.find_all(exp.Select)):
            scope = scopes[id(select)] = _Scope(select, self.known, made)
            outer = [scopes[id(one)] for one in _selects_around(select) if id(one) in scopes]
            self._mend_scope(scope, outer)
        return self.changed

    def _mend_table(self, table: exp.Table, made: set[str]) -> None:
        name = table.name.lower()
        if not name or name in self.known.tables or name in made:
            return
        nearest = self.known.nearest_table(name)
        if nearest is None:
            raise _HopelessError
        select = table.find_ancestor(exp.Select)
        for column in select.find_all(exp.Column) if select is not None and not table.alias else ():
            if column.table.lower() == name:
                column.set("table", _identifier(self.known.tables[nearest].name))
        table.set("this", _identifier(self.known.tables[nearest].name))
        self.changed = True

    def _mend_scope(self, scope: _Scope, outer: Sequence[_Scope]) -> None:
        own = scope.columns()
        for column in own:
            if column.args.get("db"):  # as in city.Temperature.Jan
                column.set("db", None)
                self.changed = True
            owners = [] if column.table or _using(scope.select) else scope.having(column.name.lower())
            if len(owners) > 1:
                self._qualify(column, next((one for one in owners if one != _other_side(column)), owners[0]))
        wrong = [column for column in own if self._is_wrong(column, scope, outer)]
        if wrong and not (self.way == "replace" and self._replace_table(scope, own, outer)):
            self._mend_conditions(scope, wrong)
            for column in wrong:
                if column.find_ancestor(exp.Select) is scope.select:
                    self._mend_column(column, scope)
        self._mend_order(scope.select)

    def _mend_order(self, select: exp.Select) -> None:
        """Group by what is shown where rows are ordered by an aggregate of groups that nobody made."""
        order = select.args.get("order")
        shown = [one.unalias() for one in select.selects]
        if order is None or select.args.get("group") or any(one.find(exp.AggFunc, exp.Star) for one in shown):
            return
        if any(node.find_ancestor(exp.Select) is select for node in order.find_all(exp.AggFunc)):
            select.set("group", exp.Group(expressions=[one.copy() for one in shown]))
            self.changed = True

    def _mend_conditions(self, scope: _Scope, wrong: Sequence[exp.Column]) -> None:
        """Put links of the schema in the place of join conditions that name a wrong column."""
        joins = list(scope.select.args.get("joins") or ())
        first = scope.select.args["from_"].this.alias_or_name.lower() if scope.select.args.get("from_") else ""
        before = [first]
        kept: list[exp.Join] = []
        for join in joins:
            name = join.this.alias_or_name.lower()
            condition = join.args.get("on")
            table = scope.tables.get(name)
            if condition is not None and table and any(column in wrong for column in condition.find_all(exp.Column)):
                near = [scope.tables[one] for one in before if scope.tables.get(one)]
                path = self.known.path(near, table)
                if path:
                    scope.select.set("joins", kept)
                    self._join(scope, path[:-1])
                    kept = list(scope.select.args.get("joins") or ())
                    before += [one for one in scope.tables if one not in before and scope.tables[one] != table]
                    link = path[-1]
                    base = next(one for one in (*before, *scope.tables) if scope.tables.get(one) == link.table)
                    own = self._column(scope, base, link.column)
                    join.set(
                        "on",
                        exp.EQ(
                            this=own,
                            expression=exp.column(
                                _identifier(self.known.columns[table][link.other_column]),
                                table=_identifier(join.this.alias_or_name),
                            ),
                        ),
                    )
                    self.changed = True
            kept.append(join)
            before.append(name)
        scope.select.set("joins", kept)

    def _is_wrong(self, column: exp.Column, scope: _Scope, outer: Sequence[_Scope]) -> bool:
        name = column.name.lower()
        if isinstance(column.this, exp.Star) or name in _ROW_NAMES:
            return False
        for one in (scope, *outer):
            if column.table:
                table = one.tables.get(column.table.lower())
                if table is not None:
                    return bool(table) and name not in self.known.columns[table]
            elif one.unknown or one.having(name) or (one is scope and name in one.aliases):
                return False
        return bool(column.table) or not column.this.quoted

    def _replace_table(self, scope: _Scope, own: Sequence[exp.Column], outer: Sequence[_Scope]) -> bool:
        """Put the one table that has all columns in place of the only one; return whether there is one."""
        if len(scope.tables) != 1 or scope.unknown:
            return False
        (present,) = scope.tables.values()
        outside = {name for one in outer for name in one.tables}
        names = {
            column.name.lower()
            for column in own
            if not isinstance(column.this, exp.Star)
            and column.name.lower() not in scope.aliases
            and column.table.lower() not in outside
            and not (column.this.quoted and not column.table and not self.known.owners(column.name.lower()))
        }
        fitting = [table for table, columns in self.known.columns.items() if names <= columns.keys()]
        if not fitting or present in fitting:
            return False
        chosen = min(fitting, key=lambda table: (not self.known.asked(table), len(self.known.path([present], table))))
        node = scope.select.args["from_"].this
        for column in own:
            if column.table and not node.alias:
                column.set("table", _identifier(self.known.tables[chosen].name))
        node.set("this", _identifier(self.known.tables[chosen].name))
        self.changed = True
        return True

    def _mend_column(self, column: exp.Column, scope: _Scope) -> None:
        """Put a column right: another table of the FROM, a table to join, the nearest name, in this order."""
        name = column.name.lower()
        here = scope.having(name)
        if here:
            self._qualify(column, here[0])
            return
        near = [table for table in scope.tables.values() if table]
        paths = {table: self.known.path(near, table) for table in self.known.owners(name)}
        reached = {table: path for table, path in paths.items() if path}
        alias = scope.tables.get(column.table.lower()) if column.table else None
        similar = _nearest(name, self.known.columns[alias] if alias else self._names(scope))
        if reached and (similar is None or min(map(len, reached.values())) == 1):
            table = min(reached, key=lambda one: (len(reached[one]), not self.known.asked(one)))
            path = reached[table]
            if len(path) == 1 and path[0].other_column == name:  # what refers to it is here
                base = next(one for one, own in scope.tables.items() if own == path[0].table)
                column.set("this", _identifier(self.known.columns[path[0].table][path[0].column]))
                if column.table or len(scope.tables) > 1:
                    self._qualify(column, base)
                self.changed = True
                return
            self.detour |= len(path) > 1
            self._join(scope, path)
            self._qualify(column, scope.having(name)[-1])
            return
        if similar is None:
            similar = _nearest(name, self._names(scope))
        if similar is None:
            raise _HopelessError
        owner = scope.having(similar)[0]
        if alias and similar in self.known.columns[alias]:
            owner = column.table.lower()
        column.set("this", _identifier(self.known.columns[scope.tables[owner]][similar]))
        if column.table or len(scope.tables) > 1:
            self._qualify(column, owner)
        self.changed = True

    def _names(self, scope: _Scope) -> set[str]:
        return {name for table in scope.tables.values() if table for name in self.known.columns[table]}

    def _join(self, scope: _Scope, path: Sequence[_Link]) -> None:
        """Join the tables of a path, and name the table of every column that is now ambiguous."""
        for column in scope.columns():
            owners = scope.having(column.name.lower())
            if not column.table and owners and column.name.lower() not in scope.aliases:
                self._qualify(column, owners[0])
        for link in path:
            base = next(name for name, table in scope.tables.items() if table == link.table)
            table = self.known.tables[link.other]
            present = {name.lower() for name in scope.tables}
            alias = f"T{len(present) + 1}" if any(re.fullmatch(r"t\d+", one) for one in present) else ""
            while alias.lower() in present:
                alias = f"{alias}_"
            node = exp.Table(this=_identifier(table.name))
            if alias:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
            own = self._column(scope, base, link.column)
            other = exp.column(
                _identifier(self.known.columns[link.other][link.other_column]),
                table=exp.to_identifier(alias) if alias else _identifier(table.name),
            )
            scope.select.append("joins", exp.Join(this=node, on=exp.EQ(this=own, expression=other)))
            scope.tables[alias.lower() or link.other] = link.other
        self.changed = True

    def _qualify(self, column: exp.Column, name: str) -> None:
        scope = column.find_ancestor(exp.Select)
        assert scope is not None
        for clause in (scope.args.get("from_"), *(scope.args.get("joins") or ())):
            if clause is not None and clause.this.alias_or_name.lower() == name:
                column.set("table", _identifier(clause.this.alias_or_name))
        self.changed = True

    def _column(self, scope: _Scope, name: str, column: str) -> exp.Column:
        spelt = self.known.columns[scope.tables[name]][column]
        return exp.column(_identifier(spelt), table=self._spelt(scope, name))

    def _spelt(self, scope: _Scope, name: str) -> exp.Identifier:
        clauses = (scope.select.args.get("from_"), *(scope.select.args.get("joins") or ()))
        names = [clause.this.alias_or_name for clause in clauses if clause is not None]
        return _identifier(next(one for one in names if one.lower() == name))


def _selects_around(select: exp.Select) -> Iterator[exp.Select]:
    around = select.find_ancestor(exp.Select)
    while around is not None:
        yield around
        around = around.find_ancestor(exp.Select)


def _other_side(column: exp.Column) -> str:
    """Return the table of the column that this one is set equal to; empty where there is none."""
    pair = column.parent
    if not isinstance(pair, exp.EQ):
        return ""
    other = pair.expression if pair.this is column else pair.this
    return other.table.lower() if isinstance(other, exp.Column) else ""


def _using(select: exp.Select) -> bool:
    return any(join.args.get("using") or join.method for join in select.args.get("joins") or ())


def _links(tables: Sequence[Table]) -> Iterator[_Link]:
    """Yield the links both ways: declared foreign keys, then keys that another table has a column named like."""
    seen = set()
    by_name = {table.name.lower(): table for table in tables}
    for table in tables:
        for key in table.foreign_keys:
            other = by_name.get(key.table.lower())
            columns = key.to_columns or (other.primary_key if other else ())
            if other is None or len(key.columns) != 1 or len(columns) != 1:
                continue
            link = _Link(table.name.lower(), key.columns[0].lower(), other.name.lower(), columns[0].lower())
            seen.add(frozenset((link.table, link.other)))
            yield from (link, _turned(link))
    for table in tables:
        keys = {name.lower() for name in table.primary_key}
        for other in tables:
            pair = frozenset((table.name.lower(), other.name.lower()))
            shared = [column.name.lower() for column in other.columns if column.name.lower() in keys - {"id"}]
            if other is not table and shared and len(keys) == 1 and pair not in seen:
                seen.add(pair)
                link = _Link(other.name.lower(), shared[0], table.name.lower(), shared[0])
                yield from (link, _turned(link))


def _turned(link: _Link) -> _Link:
    return _Link(link.other, link.other_column, link.table, link.column)


def _identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=quoted(name) != name)


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text.replace("_", " "))]


def _same_word(one: str, other: str) -> bool:
    return one == other or (min(len(one), len(other)) > 2 and one.rstrip("s") == other.rstrip("s"))


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like `name`, None where none is."""
    plain = name.replace("_", "").replace(" ", "").lower()
    best, chosen = _LIKE, None
    for one in known:
        other = one.replace("_", "").replace(" ", "").lower()
        alike = difflib.SequenceMatcher(None, plain, other).ratio()
        if other.endswith(plain) or plain.endswith(other):
            alike = max(alike, 0.8 if min(len(plain), len(other)) > 2 else 0.0)
        if alike > best:
            best, chosen = alike, one
    return chosen
