"""A query about tables and columns that go by other names: only those words change, in place.

Not covered: names that are also an alias of the query; such a query is left to the caller as it can't be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from sqlwright.sql.names import quoted
from sqlwright.sql.parse import parse_query


def rename(sql: str, tables: Mapping[str, str], columns: Mapping[str, str]) -> str | None:
    """Return `sql` with tables and columns by their new names; None where it can't be told which words are names.

    Both mappings have every name of the database in lower case. A column has one new name, in whatever table it is.
    """
    tree = parse_query(sql)
    if tree is None:
        return None
    aliases = {node.alias.lower() for node in tree.find_all(exp.Alias, exp.TableAlias, exp.Table) if node.alias}
    if aliases & (tables.keys() | columns.keys()) or tree.find(exp.With) or tree.find(exp.Placeholder):
        return None
    edits = {}
    for identifier, names in _identifiers(tree, tables, columns):
        name = identifier.name.lower()
        if name in aliases:
            continue
        if name not in names or "start" not in identifier.meta:
            return None
        edits[identifier.meta["start"]] = (identifier.meta["end"] + 1, quoted(names[name]))
    for start in sorted(edits, reverse=True):
        end, text = edits[start]
        sql = sql[:start] + text + sql[end:]
    return sql


def star_tables(sql: str) -> list[str]:
    """Return the tables, in lower case, of a query that takes all columns of something; none for other queries."""
    tree = parse_query(sql)
    stars = tree.find_all(exp.Star) if tree else ()
    whole = any(not isinstance(star.parent, exp.Count) for star in stars)
    return [table.name.lower() for table in tree.find_all(exp.Table)] if tree and whole else []


def _identifiers(
    tree: exp.Query, tables: Mapping[str, str], columns: Mapping[str, str]
) -> Iterator[tuple[exp.Identifier, Mapping[str, str]]]:
    """Yield what stands for a table or a column, and the names that it may have."""
    for node in tree.find_all(exp.Table, exp.Column, exp.Join):
        if isinstance(node, exp.Join):
            yield from ((one, columns) for one in node.args.get("using") or () if isinstance(one, exp.Identifier))
        elif isinstance(node, exp.Table):
            if isinstance(node.this, exp.Identifier):
                yield node.this, tables
        else:
            if isinstance(node.this, exp.Identifier):  # not a star
                yield node.this, columns
            if node.args.get("table"):
                yield node.args["table"], tables
