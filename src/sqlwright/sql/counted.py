"""Queries that count the rows of groups which have one row each, and the table that they mean to count.

`SELECT title FROM album GROUP BY title HAVING COUNT(*) > 10`, where the question asks for tracks: every album is there
once, and what is meant are the rows of the table that refers to it. What is returned is a proposal.

Not covered: queries within others or with several tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.databases import Schema
from sqlwright.sql.links import Known
from sqlwright.sql.parse import parse_query
from sqlwright.sql.scopes import Scope


@dataclass(frozen=True, slots=True)
class Counted:
    """The query with the table joined that is likely meant, and one for the mean number of rows of the groups."""

    meant: str
    mean: str


def counted(sql: str, schema: Schema, question: str) -> Counted | None:
    """Return what `sql`, which counts the rows of one table by group, likely means to count.

    That is the one table that refers to this one and that the question names. None where there isn't just one.
    """
    tree = parse_query(sql)
    if not isinstance(tree, exp.Select) or tree.args.get("with_"):
        return None
    known = Known(schema, question)
    try:
        scope = Scope(tree, known, set())
        if len(scope.tables) != 1 or scope.unknown or not _counts_by_column(tree):
            return None
        (own,) = scope.tables.values()
        links = [
            link
            for link in known.links
            if link.table == own != link.other and known.asked(link.other) and _refers(known, link.other, own)
        ]
        if len(links) != 1:
            return None
        groups = exp.select(exp.alias_(exp.Count(this=exp.Star()), "n")).from_(tree.args["from_"].this.copy())
        for part in ("where", "group"):
            if tree.args.get(part):
                groups.set(part, tree.args[part].copy())
        scope.join(links)
        mean = exp.select("AVG(n)").from_(groups.subquery("g"))
        return Counted(tree.sql(dialect="sqlite"), mean.sql(dialect="sqlite"))
    except (SqlglotError, RecursionError):
        return None


def _counts_by_column(select: exp.Select) -> bool:
    group = select.args.get("group")
    counts = [one for one in select.find_all(exp.Count) if one.find_ancestor(exp.Select) is select]
    by_column = group is not None and all(isinstance(one, exp.Column) for one in group.expressions)
    return by_column and any(isinstance(one.this, exp.Star) for one in counts)


def _refers(known: Known, table: str, own: str) -> bool:
    return any(key.table.lower() == own for key in known.tables[table].foreign_keys)
