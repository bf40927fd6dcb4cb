"""One SELECT of a tree: its tables by the names they go by, its own columns, joins added; all of a query changed.

Not covered: the columns of queries in a FROM.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.databases import Schema
from sqlwright.sql.links import Known, Link, identifier
from sqlwright.sql.parse import parse_query


class Scope:
    """One SELECT: its tables by the names they go by, and its own columns; a table "" holds what can't be known."""

    def __init__(self, select: exp.Select, known: Known, made: set[str]) -> None:
        self.select, self.known, self.made = select, known, made
        self.tables: dict[str, str] = {}
        self.spelt: dict[str, str] = {}
        for clause in (select.args.get("from_"), *(select.args.get("joins") or ())):
            entry = clause.this if clause is not None else None
            if entry is not None:
                self.spelt[entry.alias_or_name.lower()] = entry.alias_or_name
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

    def owner(self, column: exp.Column) -> str:
        """Return the name of the table here that has the column; empty where none has, or which can't be told."""
        owners = self.having(column.name.lower())
        name = column.table.lower() or (owners[0] if len(owners) == 1 else "")
        return name if name in owners else ""

    @property
    def unknown(self) -> bool:
        """Whether there is a source whose columns can't be known."""
        return "" in self.tables.values()

    def join(self, path: Sequence[Link]) -> None:
        """Join the tables of a path, and name the table of every column that is now ambiguous."""
        for column in self.columns():
            owners = self.having(column.name.lower())
            if not column.table and owners and column.name.lower() not in self.aliases:
                self.qualify(column, owners[0])
        for link in path:
            base = next(name for name, table in self.tables.items() if table == link.table)
            table = self.known.tables[link.other]
            present = {name.lower() for name in self.tables}
            alias = f"T{len(present) + 1}" if any(re.fullmatch(r"t\d+", one) for one in present) else ""
            while alias.lower() in present:
                alias = f"{alias}_"
            node = exp.Table(this=identifier(table.name))
            if alias:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
            own = self.column(base, link.column)
            other = exp.column(
                identifier(self.known.columns[link.other][link.other_column]),
                table=exp.to_identifier(alias) if alias else identifier(table.name),
            )
            self.select.append("joins", exp.Join(this=node, on=exp.EQ(this=own, expression=other)))
            self.tables[alias.lower() or link.other] = link.other
            self.spelt[alias.lower() or link.other] = alias or table.name

    def drop(self, name: str) -> None:
        """Take the joined table that goes by `name` out of the FROM."""
        joins = self.select.args.get("joins") or ()
        self.select.set("joins", [join for join in joins if join.this.alias_or_name.lower() != name])
        del self.tables[name], self.spelt[name]

    def qualify(self, column: exp.Column, name: str) -> None:
        """Name the table of a column by the name that it goes by here."""
        column.set("table", identifier(self.spelt[name]))

    def column(self, name: str, column: str) -> exp.Column:
        """Return a column of the table that goes by `name` here."""
        spelt = self.known.columns[self.tables[name]][column]
        return exp.column(identifier(spelt), table=identifier(self.spelt[name]))


def rewritten(sql: str, schema: Schema, question: str, change: Callable[[Scope], bool]) -> str | None:
    """Return `sql` with each SELECT as `change` leaves it, which says whether it did anything; None where it never did.

    None, too, for what can't be parsed or changed.
    """
    tree = parse_query(sql)
    if tree is None:
        return None
    known = Known(schema, question)
    made = {one.alias.lower() for one in tree.find_all(exp.CTE)}
    try:
        changes = [change(Scope(select, known, made)) for select in list(tree.find_all(exp.Select))]
        return tree.sql(dialect="sqlite") if any(changes) else None
    except (SqlglotError, RecursionError):
        return None


def selects_around(select: exp.Select) -> Iterator[exp.Select]:
    """Yield the SELECTs that this one stands in, from the inside out."""
    around = select.find_ancestor(exp.Select)
    while around is not None:
        yield around
        around = around.find_ancestor(exp.Select)
