"""Queries that run and link tables by columns that don't belong together, linked as the schema does.

What a small model writes may run and mean nothing: a join on two columns of which each refers to a third table, an IN
whose inner column is one of the outer query (SQLite takes it for that without a word), a count of the rows of each
primary key without a table to count, a count of the groups within each group, a join that only repeats rows. Columns of
the same name are left alone, and so is what the schema has no single link for. What is returned is a proposal.

Not covered: joins whose condition is a USING or stands in the WHERE; links of several columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sqlwright.databases import Schema
from sqlwright.sql.links import Known, Link, identifier
from sqlwright.sql.scopes import Scope, rewritten
from sqlwright.sql.slips import as_membership, one_column


def relinked(sql: str, schema: Schema, question: str = "") -> str | None:
    """Return `sql` with its tables linked as in the schema; None where they are, or there is no telling.

    `question` decides which table's rows are counted where the query names none.
    """
    return rewritten(sql, schema, question, _linked)


def _linked(scope: Scope) -> bool:
    if scope.unknown or not scope.tables:
        return False
    changed = _joins(scope) | _inner_columns(scope) | _counted(scope) | _count_of_groups(scope.select)
    return changed | _needless(scope) | _joined_twice(scope)


def _joins(scope: Scope) -> bool:
    """Join by the one link of the schema what is joined by other columns; return whether anything was changed."""
    changed = False
    for join in list(scope.select.args.get("joins") or ()):
        condition = join.args.get("on")
        if not isinstance(condition, exp.EQ):
            continue
        sides = [_place(scope, one) for one in (condition.this, condition.expression)]
        if None in sides or join.side:
            continue
        (name, column), (other_name, other_column) = (one for one in sides if one is not None)
        table, other = scope.tables[name], scope.tables[other_name]
        links = [link for link in scope.known.links if (link.table, link.other) == (table, other)]
        if table == other or column == other_column or any(_joins_by(link, column, other_column) for link in links):
            continue
        path = links if len(links) == 1 else [] if links else _around(scope.known, table, column, other)
        if not path:
            continue
        joins = list(scope.select.args["joins"])
        at = next(number for number, one in enumerate(joins) if one is join)
        scope.select.set("joins", joins[:at])
        scope.join(path[:-1])
        scope.select.set("joins", [*scope.select.args.get("joins", ()), *joins[at:]])
        base = name if len(path) == 1 else list(scope.tables)[-1]
        condition.set("this", scope.column(base, path[-1].column))
        condition.set("expression", scope.column(other_name, path[-1].other_column))
        changed = True
    return changed


def _needless(scope: Scope) -> bool:
    """Drop joins that only repeat rows; return whether there were any.

    Such are joins of a table with itself by the same column, and of a table that refers to another one, isn't asked
    for and gives nothing. Where DISTINCT takes the repeats away, the latter may be meant: "those that have one".
    """
    changed = False
    select = scope.select
    for join in list(select.args.get("joins") or ()):
        name, condition = join.this.alias_or_name.lower(), join.args.get("on")
        if join.side or not isinstance(condition, exp.EQ) or name not in scope.tables:
            continue
        sides = [one for one in (_place(scope, side) for side in (condition.this, condition.expression)) if one]
        if len(sides) < 2 or name not in (sides[0][0], sides[1][0]) or sides[0][0] == sides[1][0]:
            continue
        own, other = sorted(sides, key=lambda one: one[0] != name)
        itself = (scope.tables[name], own[1]) == (scope.tables[other[0]], other[1])
        if not itself and (select.args.get("distinct") or _counts_rows(select) or not _repeats(scope, own, other)):
            continue
        inside = {id(one) for one in condition.find_all(exp.Column)}
        used = [one for one in select.find_all(exp.Column) if id(one) not in inside and _is_of(scope, one, name)]
        if all(one.name.lower() == own[1] for one in used):
            for one in used:
                one.replace(scope.column(*other))
            scope.drop(name)
            changed = True
    return changed


def _joined_twice(scope: Scope) -> bool:
    """Make one of two joins of a table that are made alike, to one row or by one column; return whether there were any.

    Such are two of a table by its key, and two by one column of which only one has conditions.
    """
    select = scope.select
    changed = False
    for join in list(select.args.get("joins") or ()):
        name, condition = join.this.alias_or_name.lower(), join.args.get("on")
        if join.side or not isinstance(condition, exp.EQ) or name not in scope.tables:
            continue
        ends = _ends(scope, condition)
        own = next((end for end in ends if end[0] == name), None)
        if own is None or len(ends) < 2:
            continue
        other = next(end for end in ends if end is not own)
        first = next((one for one in _twins(scope, name) if _alike(scope, one, own, other)), None)
        if first is None:
            continue
        scope.drop(name)
        for one in [one for one in select.find_all(exp.Column) if one.table.lower() == name]:
            scope.qualify(one, first)
        changed = True
    return changed


def _twins(scope: Scope, name: str) -> list[str]:
    """Return the names before it in the FROM that its table goes by, too."""
    clauses = (scope.select.args["from_"], *scope.select.args["joins"])
    order = [clause.this.alias_or_name.lower() for clause in clauses]
    return [one for one in order[: order.index(name)] if scope.tables[one] == scope.tables[name]]


def _alike(scope: Scope, first: str, own: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return whether `first` stands for the same rows as the table joined by `own` and `other`, as far as is known."""
    name, column = own
    tested = {one: _tested(scope, one) for one in (first, name)}
    if other == (first, column):
        keys = [key.lower() for key in scope.known.tables[scope.tables[name]].primary_key]
        return keys == [column] or not _shown(scope, first, column)
    if all(tested.values()) or other[0] in (first, name):
        return False
    return any(
        {(first, column), other} == set(_ends(scope, join.args["on"]))
        for join in scope.select.args["joins"]
        if isinstance(join.args.get("on"), exp.EQ)
    )


def _ends(scope: Scope, condition: exp.EQ) -> list[tuple[str, str]]:
    """Return the two columns that a condition compares, as far as it can be told whose they are."""
    return [one for one in (_place(scope, side) for side in (condition.this, condition.expression)) if one]


def _tested(scope: Scope, name: str) -> bool:
    """Return whether a condition of the WHERE or HAVING has a column of the table."""
    clauses = (scope.select.args.get("where"), scope.select.args.get("having"))
    return any(_is_of(scope, one, name) for clause in clauses if clause for one in clause.find_all(exp.Column))


def _shown(scope: Scope, name: str, column: str) -> bool:
    """Return whether another column of the table is used."""
    return any(_is_of(scope, one, name) and one.name.lower() != column for one in scope.select.find_all(exp.Column))


def _is_of(scope: Scope, column: exp.Column, name: str) -> bool:
    return column.table.lower() == name or (not column.table and name in scope.having(column.name.lower()))


def _counts_rows(select: exp.Select) -> bool:
    """Return whether the query counts rows or shows all columns: then every joined row matters."""
    return any(star.find_ancestor(exp.Select) is select for star in select.find_all(exp.Star))


def _repeats(scope: Scope, own: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return whether a table that isn't asked for refers to the other one: the join has a row for each reference."""
    table, parent = scope.tables[own[0]], scope.tables[other[0]]
    keys = [key.lower() for key in scope.known.tables[table].primary_key]
    link = (table, own[1], parent, other[1])
    linked = any((one.table, one.column, one.other, one.other_column) == link for one in scope.known.links)
    return linked and keys != [own[1]] and bool(scope.known.words) and not scope.known.hinted(table)


def _around(known: Known, table: str, column: str, other: str) -> list[Link]:
    """Return the way from a table to another by the one table that the column refers to; empty where there is none."""
    ways = [
        [first, second]
        for first in known.links
        for second in known.links
        if (first.table, first.column) == (table, column) and (second.table, second.other) == (first.other, other)
    ]
    return ways[0] if len(ways) == 1 else []


def _joins_by(link: Link, column: str, other_column: str) -> bool:
    return (link.column, link.other_column) == (column, other_column)


def _place(scope: Scope, node: exp.Expr) -> tuple[str, str] | None:
    """Return the name of a column's table in the FROM and the column's own, None where there is no telling."""
    if not isinstance(node, exp.Column):
        return None
    column = node.name.lower()
    owners = scope.having(column)
    if node.table:
        return (node.table.lower(), column) if node.table.lower() in owners else None
    return (owners[0], column) if len(owners) == 1 else None


def _inner_columns(scope: Scope) -> bool:
    """Have queries that a column is looked up in select the column that refers to the one before it."""
    changed = False
    for test in list(scope.select.find_all(exp.In, exp.EQ)):
        looked_up = one_column(test.args.get("query") or test.expression)
        outer = _place(scope, test.this)
        if test.find_ancestor(exp.Select) is not scope.select or outer is None or looked_up is None:
            continue
        inner, shown = looked_up
        within = Scope(inner, scope.known, scope.made)
        if within.unknown or not within.tables:
            continue
        name = shown.name.lower()
        table, column = scope.tables[outer[0]], outer[1]
        own = [one for one in within.having(name) if not shown.table or one == shown.table.lower()]
        if own and (name == column or any(within.tables[one] == table for one in own)):
            continue
        links = [
            (one, link)
            for one, inside in within.tables.items()
            for link in scope.known.links
            if (link.table, link.other, link.other_column) == (inside, table, column)
        ]
        keys = _keys(within) if not own and not links else []
        if len(links) + len(keys) != 1 or (own and links[0][1].column == name):
            continue
        one, asked = keys[0] if keys else (links[0][0], links[0][1].column)
        group = inner.args.get("group")
        for node in (shown, *(each for each in (group.expressions if group else ()) if each == shown)):
            node.set("this", identifier(scope.known.columns[within.tables[one]][asked]))
            node.set("table", identifier(within.spelt[one]) if len(within.tables) > 1 else None)
        if isinstance(test, exp.EQ):
            as_membership(test)
        changed = True
    return changed


def _keys(scope: Scope) -> list[tuple[str, str]]:
    """Return the only table's name and its key of one column; nothing where there are more."""
    (name, table), *others = scope.tables.items()
    keys = scope.known.tables[table].primary_key
    return [(name, keys[0].lower())] if not others and len(keys) == 1 else []


def _counted(scope: Scope) -> bool:
    """Join the table whose rows are meant where the only table is grouped by its key and rows are counted."""
    select = scope.select
    group = select.args.get("group")
    if len(scope.tables) != 1 or group is None or len(group.expressions) != 1:
        return False
    place = _place(scope, group.expressions[0])
    (table,) = scope.tables.values()
    keys = [name.lower() for name in scope.known.tables[table].primary_key]
    counting = [one for one in select.find_all(exp.Count) if one.find_ancestor(exp.Select) is select]
    if place is None or keys != [place[1]] or not counting:
        return False
    children = [
        link for link in scope.known.links if (link.table, link.column) == (table, keys[0]) and _many(scope, link)
    ]
    chosen = _one([link for link in children if scope.known.asked(link.other)]) or _one(children)
    if chosen is None:
        return False
    scope.join([chosen])
    return True


def _count_of_groups(select: exp.Select) -> bool:
    """Count the groups where each is asked how many different values it has of what it is made by: one."""
    group, shown = select.args.get("group"), select.selects
    count = shown[0].unalias() if len(shown) == 1 else None
    counted = count.this.expressions if isinstance(count, exp.Count) and isinstance(count.this, exp.Distinct) else []
    if (
        group is None
        or list(group.expressions) != list(counted)
        or any(select.args.get(one) for one in ("order", "limit"))
    ):
        return False
    inner = select.copy()
    inner.set("expressions", [one.copy() for one in counted])
    for part in ("from_", "joins", "where", "group", "having", "distinct"):
        select.set(part, None)
    select.set("expressions", [exp.Count(this=exp.Star())])
    select.set("from_", exp.From(this=exp.Subquery(this=inner)))
    return True


def _many(scope: Scope, link: Link) -> bool:
    """Return whether many rows of the link's other table may refer to one."""
    keys = [name.lower() for name in scope.known.tables[link.other].primary_key]
    return keys != [link.other_column]


def _one(links: Sequence[Link]) -> Link | None:
    return links[0] if len(links) == 1 else None
