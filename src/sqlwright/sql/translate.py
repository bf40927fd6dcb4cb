"""SQL in the words of another engine: from and to SQLite, DuckDB, PostgreSQL and MySQL.

sqlglot knows the dialects; what is done here is what they let through without saying: texts in double quotes, columns
that are neither grouped nor aggregated, LIKE that ignores case, numbers compared with texts, divisions whose result
depends on the types, and dates, which SQLite keeps as texts (see `sql.dates`). That takes the kinds of the columns.
All names are written in lower case and quoted, so that no word of another engine is in the way: the tables are copied
under such names.

A translation is a proposal. Whether it means the same is for the rows to say (see `evaluation.dialects`).

Not covered: SQLite's `julianday` and `date(x, '+1 day')` in other engines, what SQLite chooses from a group beyond the
smallest value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.errors import DataError
from sqlwright.sql.dates import dates_as_texts, drop_zones, texts_as_dates

Dialect = Literal["sqlite", "duckdb", "postgres", "mysql"]
Kind = Literal["integer", "real", "text", "boolean", "date", "timestamp"]
Kinds = Mapping[str, Mapping[str, Kind]]
"""The kind of every column, by table and column in lower case."""

_KINDS: dict[exp.DType, Kind] = {
    **dict.fromkeys(exp.DataType.INTEGER_TYPES, "integer"),
    **dict.fromkeys(exp.DataType.REAL_TYPES, "real"),
    **dict.fromkeys(exp.DataType.TEXT_TYPES, "text"),
}

_Node = TypeVar("_Node", bound=exp.Expr)
_LOOSE = ("sqlite", "mysql")
"""Dialects that compare numbers with texts and choose a value for columns that aren't grouped."""
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


def translate(sql: str, source: Dialect, target: Dialect, kinds: Kinds) -> str:
    """Return the `sql` of the engine `source` as the engine `target` reads it.

    Raises:
        DataError: it can't be parsed.
    """
    try:
        tree = sqlglot.parse_one(sql, dialect=source)
        _lower_names(tree)
        names = _Names(tree, kinds)
        _name_queries(tree)
        if source == "sqlite":
            _texts_in_double_quotes(tree, names)
        if source in _LOOSE and target != "sqlite":
            _bare_columns(tree, names)
            _comparisons(tree, names)
        if source == "sqlite":
            texts_as_dates(tree)
            _arithmetic(tree, names, target)
        elif source == "mysql":
            drop_zones(tree)
        elif source == "postgres":
            _integer_divisions(tree, names, target)
        if target == "sqlite":
            dates_as_texts(tree)
        _likes(tree, names, source, target)
        return tree.sql(dialect=target, identify=True)
    except SqlglotError as error:
        raise DataError(f"expected a query that can be translated, found: {str(error).partition(chr(10))[0]}") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"expected a query that can be translated, found one that can't be read ({error}).") from None


class _Names:
    """Says which table and kind a column has, looking from the query it stands in outwards."""

    def __init__(self, tree: exp.Expr, kinds: Kinds) -> None:
        self.kinds = kinds
        self.made = {alias.alias for alias in tree.find_all(exp.Alias)}
        for alias in tree.find_all(exp.TableAlias):
            self.made |= {alias.name, *(column.name for column in alias.args.get("columns") or ())}

    def sources(self, query: exp.Select) -> dict[str, str]:
        """Return the tables of a query by the names they go by; inner queries have no table ("")."""
        clauses = [query.args.get("from_"), *(query.args.get("joins") or ())]
        entries = [clause.this for clause in clauses if clause is not None]
        return {entry.alias_or_name: entry.name if isinstance(entry, exp.Table) else "" for entry in entries}

    def table(self, column: exp.Column) -> str | None:
        """Return the table of a column; None where none is known to have it."""
        query = column.find_ancestor(exp.Select)
        while query is not None:
            sources = self.sources(query)
            if column.table:
                if column.table in sources:
                    return sources[column.table]
            else:
                for table in sources.values():
                    if column.name in self.kinds.get(table, {}):
                        return table
            query = query.find_ancestor(exp.Select)
        return None

    def kind(self, value: exp.Expr) -> Kind | None:
        """Return the kind of an expression's values, as far as it is plain to see."""
        if isinstance(value, exp.Paren | exp.Min | exp.Max | exp.Sum | exp.Neg):
            return self.kind(value.this)
        if isinstance(value, exp.Subquery | exp.Alias):
            return self.kind(value.this)
        if isinstance(value, exp.Select) and len(value.selects) == 1:
            return self.kind(value.selects[0])
        if isinstance(value, exp.Count | exp.Length | exp.Extract):
            return "integer"
        if isinstance(value, exp.Avg | exp.Round):
            return "real"
        if isinstance(value, exp.Cast):
            return _KINDS.get(value.to.this)
        if isinstance(value, exp.Case | exp.Coalesce):
            return self._common(value)
        if isinstance(value, exp.Literal):
            return "text" if value.is_string else "integer" if value.is_int else "real"
        if isinstance(value, exp.Add | exp.Sub | exp.Mul | exp.Div):
            sides = {self.kind(value.this), self.kind(value.expression)}
            return "integer" if sides == {"integer"} else None if None in sides else "real"
        if isinstance(value, exp.Column):
            return self.kinds.get(self.table(value) or "", {}).get(value.name)
        return None

    def _common(self, value: exp.Case | exp.Coalesce) -> Kind | None:
        if isinstance(value, exp.Case):
            results = [branch.args["true"] for branch in value.args["ifs"]] + [value.args.get("default")]
        else:
            results = [value.this, *value.expressions]
        kinds = {self.kind(one) for one in results if one is not None and not isinstance(one, exp.Null)}
        if kinds == {"integer", "real"}:
            return "real"
        return kinds.pop() if len(kinds) == 1 else None


def _lower_names(tree: exp.Expr) -> None:
    for name in tree.find_all(exp.Identifier):
        name.meta["text"] = name.name
        name.set("this", name.name.lower())


def _name_queries(tree: exp.Expr) -> None:
    """Name the queries that stand in a FROM, as PostgreSQL and MySQL want it."""
    for number, query in enumerate(list(tree.find_all(exp.Subquery)), 1):
        if isinstance(query.parent, exp.From | exp.Join) and not query.alias:
            query.set("alias", exp.TableAlias(this=exp.to_identifier(f"made_{number}")))


def _texts_in_double_quotes(tree: exp.Expr, names: _Names) -> None:
    """What stands in double quotes and is no column is a text to SQLite."""
    for column in list(tree.find_all(exp.Column)):
        name = column.this
        if isinstance(name, exp.Identifier) and name.quoted and not column.table:
            known = names.table(column) is not None or name.name in names.made
            if not known:
                column.replace(exp.Literal.string(name.meta["text"]))


def _bare_columns(tree: exp.Expr, names: _Names) -> None:
    """Columns that are neither grouped nor aggregated get one value of the group: its smallest."""
    for query in list(tree.find_all(exp.Select)):
        group = query.args.get("group")
        having, order = query.args.get("having"), query.args.get("order")
        outputs = [*query.expressions, *([having] if having else []), *([order] if order else [])]
        if group is None and not any(next(_own(output, query, exp.AggFunc), None) for output in outputs):
            continue
        keys = {(names.table(key), key.name) for key in _own(group, query, exp.Column)} if group else set()
        aliases = {select.alias for select in query.selects if select.alias}
        for output in outputs:
            for column in list(_own(output, query, exp.Column)):
                inside = column.find_ancestor(exp.AggFunc, exp.Window, exp.Select)
                if isinstance(inside, exp.AggFunc | exp.Window) or isinstance(column.this, exp.Star):
                    continue
                if (names.table(column), column.name) in keys or (column.name in aliases and not column.table):
                    continue
                column.replace(exp.Min(this=column.copy()))


def _own(part: exp.Expr, query: exp.Select, kind: type[_Node]) -> Iterator[_Node]:
    """Yield the nodes of a kind in a part of a query that aren't in a query within it."""
    return (node for node in part.find_all(kind) if node.find_ancestor(exp.Select) is query)


def _comparisons(tree: exp.Expr, names: _Names) -> None:
    """Make both sides of a comparison the kind that SQLite compares them as."""
    for node in list(tree.find_all(*_COMPARISONS)):
        left, right = node.this, node.expression
        _match(left, right, names)
        _match(right, node.this, names)
    for one in list(tree.find_all(exp.In)):
        for value in one.expressions:
            _match(one.this, value, names)
        inner = one.args.get("query")
        query = inner.this if isinstance(inner, exp.Subquery) else inner
        if isinstance(query, exp.Select) and len(query.selects) == 1:
            output = query.selects[0].unalias()
            _match(one.this, output, names)
            _match(output, one.this, names)
    for span in list(tree.find_all(exp.Between)):
        _match(span.this, span.args["low"], names)
        _match(span.this, span.args["high"], names)


def _match(column: exp.Expr, value: exp.Expr, names: _Names) -> None:
    kind, other = names.kind(column), names.kind(value)
    if not {kind, other} <= {"integer", "real", "text"} or (kind == "text") == (other == "text"):
        return
    if not isinstance(value, exp.Literal):
        if kind == "text" and not isinstance(column, exp.Literal):
            value.replace(exp.cast(value.copy(), "text"))
        return
    if kind == "text":
        value.replace(exp.Literal.string(value.name))
        return
    try:
        float(value.name)
    except ValueError:
        return
    value.replace(exp.Literal.number(value.name))


def _likes(tree: exp.Expr, names: _Names, source: Dialect, target: Dialect) -> None:
    """SQLite's LIKE ignores the case of ASCII letters, and takes numbers as texts; MySQL's does in usual collations.

    PostgreSQL's and DuckDB's don't ignore it: in SQLite that is GLOB, for patterns that are there to be read.
    """
    if source == target:
        return
    for node in list(tree.find_all(exp.Like)):
        if source not in _LOOSE:
            if target == "sqlite" and isinstance(node.expression, exp.Literal):
                node.replace(exp.Glob(this=node.this.copy(), expression=_glob(node.expression.name)))
            continue
        if names.kind(node.this) in ("integer", "real"):
            node.set("this", exp.cast(node.this.copy(), "text"))
        if target == "mysql":
            node.set("this", exp.Lower(this=node.this.copy()))
            node.set("expression", exp.Lower(this=node.expression.copy()))
        elif target != "sqlite":
            node.replace(exp.ILike(this=node.this.copy(), expression=node.expression.copy()))


def _glob(pattern: str) -> exp.Literal:
    special = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return exp.Literal.string("".join(special.get(letter, letter) for letter in pattern))


def _arithmetic(tree: exp.Expr, names: _Names, target: Dialect) -> None:
    """Integers divide to integers; other divisions, means and sums are floats, of texts too."""
    for node in list(tree.find_all(exp.Sum, exp.Avg)):
        value = node.this
        distinct = isinstance(value, exp.Distinct)
        inner = value.expressions[0] if distinct else value
        kind = names.kind(inner)
        if kind == "text" or (isinstance(node, exp.Avg) and target == "mysql"):
            inner.replace(exp.cast(inner.copy(), "double"))
        elif isinstance(node, exp.Sum) and kind == "integer" and target == "postgres":
            node.replace(exp.cast(node.copy(), "bigint"))
    _integer_divisions(tree, names, target)


def _integer_divisions(tree: exp.Expr, names: _Names, target: Dialect) -> None:
    """SQLite and PostgreSQL divide integers to integers."""
    for division in list(tree.find_all(exp.Div)):
        if names.kind(division) == "integer":
            if target in ("duckdb", "mysql"):
                division.replace(exp.IntDiv(this=division.this.copy(), expression=division.expression.copy()))
        else:
            division.this.replace(exp.cast(division.this.copy(), "double"))
