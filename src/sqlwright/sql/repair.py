"""Queries that name a table or column wrongly, mended by the schema.

Most queries of a small model that don't run name a column that its FROM doesn't have, and nearly always the column
exists: in another table of the FROM, in a table that is one join away, or in the only table that the query should have
been about. Each of these is a repair; so are the nearest name for one that exists nowhere, the nearest table, a table
for a column that several have, and quotes for names that need them. What is returned is a proposal for a query that
can't be run as it is: it is for the caller to run it.

Not covered: SQL that doesn't parse for another reason, wrong values (see `decoding.repair`), queries that run and mean
something else (see `sql.relink`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.databases import Schema
from sqlwright.sql.foreign import in_sqlite
from sqlwright.sql.links import Known, Link, identifier, nearest
from sqlwright.sql.parse import parse_query
from sqlwright.sql.quoting import with_dots, with_quotes
from sqlwright.sql.scopes import Scope, selects_around

Way = Literal["join", "replace"]
"""What is done first for columns of another table: that table is joined, or stands in place of the only one."""

_ROW_NAMES = frozenset({"rowid", "oid", "_rowid_"})


def repair(sql: str, schema: Schema, question: str = "") -> list[str]:
    """Return what `sql` may have meant, likeliest first; nothing where no name is wrong or there is no telling.

    `question` decides between repairs: a table that it names is likelier.
    """
    known = Known(schema, question)
    ways: tuple[Way, ...] = ("join", "replace")
    found: list[tuple[bool, str]] = []
    given, sql = sql, in_sqlite(with_dots(with_quotes(sql, schema), schema))
    if sql != given:
        found.append((False, sql))
    for way in ways:
        tree = parse_query(sql)
        if tree is None:
            break
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


class _Mender:
    """Mends the SELECTs of a tree, the outer ones first."""

    def __init__(self, known: Known, way: Way) -> None:
        self.known, self.way = known, way
        self.changed = False
        self.detour = False

    def mend(self, tree: exp.Query) -> bool:
        """Mend the tree in place; return whether anything was changed."""
        made = {one.alias.lower() for one in tree.find_all(exp.CTE)}
        for table in list(tree.find_all(exp.Table)):
            self._mend_table(table, made)
        scopes: dict[int, Scope] = {}
        for select in list(tree.find_all(exp.Select)):
            scope = scopes[id(select)] = Scope(select, self.known, made)
            outer = [scopes[id(one)] for one in selects_around(select) if id(one) in scopes]
            self._mend_scope(scope, outer)
        return self.changed

    def _mend_table(self, table: exp.Table, made: set[str]) -> None:
        name = table.name.lower()
        if not name or name in self.known.tables or name in made:
            return
        select = table.find_ancestor(exp.Select)
        present = {one.name.lower() for one in select.find_all(exp.Table)} if select is not None else set()
        closest = (
            self.known.nearest_table(name) or self.known.role(name, present) or self._table_of_columns(table, select)
        )
        if closest is None:
            raise _HopelessError
        for column in select.find_all(exp.Column) if select is not None and not table.alias else ():
            if column.table.lower() == name:
                column.set("table", identifier(self.known.tables[closest].name))
        table.set("this", identifier(self.known.tables[closest].name))
        self.changed = True

    def _table_of_columns(self, table: exp.Table, select: exp.Select | None) -> str | None:
        """Return the table that has most of the columns which the query takes from an unknown one, half at least.

        Of several, one that the question names comes first, then one with such a column as its key.
        """
        if select is None:
            return None
        called, alone = table.alias_or_name.lower(), not select.args.get("joins")
        every = [one for one in select.find_all(exp.Column) if not isinstance(one.this, exp.Star)]
        names = {
            one.name.lower()
            for one in every
            if one.table.lower() == called or (alone and not one.table and one.find_ancestor(exp.Select) is select)
        }
        shared = {one: len(names & columns.keys()) for one, columns in self.known.columns.items()}
        most = max(shared.values(), default=0)
        if not most or 2 * most < len(names):
            return None

        def unlikely(one: str) -> tuple[bool, bool]:
            keys = {key.lower() for key in self.known.tables[one].primary_key}
            return not self.known.asked(one), not (keys and keys <= names)

        return min((one for one, count in shared.items() if count == most), key=unlikely)

    def _mend_scope(self, scope: Scope, outer: Sequence[Scope]) -> None:
        own = scope.columns()
        if outer and own and not any(column.table or scope.having(column.name.lower()) for column in own):
            outer = ()  # Nothing of its own table: the outer query's columns are not what is meant.
        for column in own:
            if column.args.get("db"):  # as in city.Temperature.Jan
                column.set("db", None)
                self.changed = True
            owners = [] if column.table or _using(scope.select) else scope.having(column.name.lower())
            if len(owners) > 1:
                self._qualify(scope, column, next((one for one in owners if one != _other_side(column)), owners[0]))
        wrong = [column for column in own if self._is_wrong(column, scope, outer)]
        if wrong and self._drop_needless(scope, own, wrong):
            own = scope.columns()
            wrong = [column for column in own if self._is_wrong(column, scope, outer)]
        if wrong and not (self.way == "replace" and self._replace_table(scope, own, outer)):
            self._mend_conditions(scope, wrong)
            for column in wrong:
                if column.find_ancestor(exp.Select) is scope.select:
                    self._mend_column(column, scope)
        self._mend_order(scope.select)

    def _drop_needless(self, scope: Scope, own: Sequence[exp.Column], wrong: Sequence[exp.Column]) -> bool:
        """Drop joins of tables that the question doesn't name and that have none of what is taken from them.

        All of it has to be in other tables of the FROM. Return whether there was such a join.
        """
        joins = list(scope.select.args.get("joins") or ())
        dropped = False
        for join in joins:
            name = join.this.alias_or_name.lower()
            table = scope.tables.get(name)
            condition = join.args.get("on")
            if not table or condition is None or self.known.asked(table):
                continue
            inside = {id(column) for column in condition.find_all(exp.Column)}
            taken = [column for column in own if column.table.lower() == name and id(column) not in inside]
            meant = [self._elsewhere(column, name, scope) for column in taken]
            if not taken or None in meant or not all(any(column is one for one in wrong) for column in taken):
                continue
            for column, found in zip(taken, meant, strict=True):
                owner, spelt = found or ("", "")
                column.set("this", identifier(self.known.columns[scope.tables[owner]][spelt]))
                scope.qualify(column, owner)
            scope.drop(name)
            dropped = self.changed = True
        return dropped

    def _elsewhere(self, column: exp.Column, name: str, scope: Scope) -> tuple[str, str] | None:
        """Return the name of a table of the FROM other than `name`, and its column that is meant; None where none is.

        That is the column of the same name, one that the question names, or the nearest where no table has the name.
        """
        own = column.name.lower()
        others = {one: table for one, table in scope.tables.items() if table and one not in (name, _other_side(column))}
        spelt = own if any(own in self.known.columns[table] for table in others.values()) else None
        spelt = spelt or self.known.asked_column(self._spelt(own), others.values())
        if spelt is None and not self.known.owners(own):
            spelt = nearest(own, [one for table in others.values() for one in self.known.columns[table]])
        owner = next((one for one, table in others.items() if spelt in self.known.columns[table]), None)
        return (owner, spelt) if owner and spelt else None

    def _mend_order(self, select: exp.Select) -> None:
        """Group by what is shown where rows are ordered by an aggregate of groups that nobody made."""
        order = select.args.get("order")
        shown = [one.unalias() for one in select.selects]
        if order is None or select.args.get("group") or any(one.find(exp.AggFunc, exp.Star) for one in shown):
            return
        if any(node.find_ancestor(exp.Select) is select for node in order.find_all(exp.AggFunc)):
            select.set("group", exp.Group(expressions=[one.copy() for one in shown]))
            self.changed = True

    def _mend_conditions(self, scope: Scope, wrong: Sequence[exp.Column]) -> None:
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
                    own, other = scope.column(base, link.column), scope.column(name, link.other_column)
                    condition.replace(exp.EQ(this=own, expression=other))
                    self.changed = True
            kept.append(join)
            before.append(name)
        scope.select.set("joins", kept)

    def _is_wrong(self, column: exp.Column, scope: Scope, outer: Sequence[Scope]) -> bool:
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

    def _replace_table(self, scope: Scope, own: Sequence[exp.Column], outer: Sequence[Scope]) -> bool:
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
                column.set("table", identifier(self.known.tables[chosen].name))
        node.set("this", identifier(self.known.tables[chosen].name))
        self.changed = True
        return True

    def _mend_column(self, column: exp.Column, scope: Scope) -> None:
        """Put a column right: another table of the FROM, a table to join, the nearest name, in this order."""
        name = column.name.lower()
        here = scope.having(name)
        elsewhere = [one for one in here if one != _other_side(column)]
        if elsewhere or (here and _other_name(column) != name):
            self._qualify(scope, column, (elsewhere or here)[0])
            return
        near = [table for table in scope.tables.values() if table]
        asked = None if here else self.known.asked_column(self._spelt(name), near)
        if asked is not None:
            self._rename(scope, column, asked)
            return
        paths = {table: self.known.path(near, table) for table in self.known.owners(name)}
        reached = {table: path for table, path in paths.items() if path}
        if here and not reached:
            self._qualify(scope, column, here[0])
            return
        alias = scope.tables.get(column.table.lower()) if column.table else None
        similar = nearest(name, self.known.columns[alias] if alias else self._names(scope))
        # `rental_rate` is of the table two links away that has it; `name`, of one word, may be any table's.
        far = 2 if "_" in name else 1
        if reached and (similar is None or min(map(len, reached.values())) <= far):
            table = min(reached, key=lambda one: (len(reached[one]), not self.known.asked(one)))
            path = reached[table]
            if len(path) == 1 and path[0].other_column == name:  # what refers to it is here
                base = next(one for one, own in scope.tables.items() if own == path[0].table)
                column.set("this", identifier(self.known.columns[path[0].table][path[0].column]))
                if column.table or len(scope.tables) > 1:
                    self._qualify(scope, column, base)
                self.changed = True
                return
            self.detour |= len(path) > 1
            self._join(scope, path)
            self._qualify(scope, column, scope.having(name)[-1])
            return
        if similar is None:
            similar = nearest(name, self._names(scope))
        if similar is None:
            raise _HopelessError
        self._rename(scope, column, similar)

    def _rename(self, scope: Scope, column: exp.Column, name: str) -> None:
        """Put the name of a column of the FROM in the place of a column's, its own table's first."""
        owners = scope.having(name)
        own = column.table.lower()
        owner = own if own in owners else owners[0]
        column.set("this", identifier(self.known.columns[scope.tables[owner]][name]))
        if column.table or len(scope.tables) > 1:
            self._qualify(scope, column, owner)
        self.changed = True

    def _spelt(self, name: str) -> str:
        """Return a column's name as a table that has it spells it, words and all."""
        owners = self.known.owners(name)
        return self.known.columns[owners[0]][name] if owners else name

    def _names(self, scope: Scope) -> list[str]:
        """Return the names of the columns at hand, in the schema's order: of two that are as near, always the same."""
        return [name for table in scope.tables.values() if table for name in self.known.columns[table]]

    def _join(self, scope: Scope, path: Sequence[Link]) -> None:
        scope.join(path)
        self.changed = True

    def _qualify(self, scope: Scope, column: exp.Column, name: str) -> None:
        scope.qualify(column, name)
        self.changed = True


def _compared(column: exp.Column) -> exp.Column | None:
    """Return the column that this one is compared with."""
    pair = column.parent
    if not isinstance(pair, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        return None
    other = pair.expression if pair.this is column else pair.this
    return other if isinstance(other, exp.Column) else None


def _other_side(column: exp.Column) -> str:
    """Return the table of the column of the same name that this one is compared with; empty where there is none."""
    other = _compared(column)
    return other.table.lower() if other is not None and other.name.lower() == column.name.lower() else ""


def _other_name(column: exp.Column) -> str:
    other = _compared(column)
    return other.name.lower() if other is not None else ""


def _using(select: exp.Select) -> bool:
    return any(join.args.get("using") or join.method for join in select.args.get("joins") or ())
