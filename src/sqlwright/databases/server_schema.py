"""Describe a database of another engine than SQLite: what its catalogue says, and a few sample values.

Each engine has two questions to its catalogue, answered in the same form by all. Everything is asked through the
executor. Tables that lie outside of PostgreSQL's search path are called `schema.table`.

Not covered: check constraints, indexes, the text of CREATE statements (`create_sql` stays empty), tables of other
databases of the same MySQL server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlwright.databases.engines import DUCKDB, MYSQL, POSTGRES, database_name, engine_of, shown
from sqlwright.databases.executor import Executor
from sqlwright.databases.schema import (
    COUNTED_ROWS,
    LIMITS,
    SAMPLE_LENGTH,
    SCANNED_ROWS,
    Column,
    ForeignKey,
    Schema,
    Table,
    first_texts,
    is_sampled,
)
from sqlwright.errors import DatabaseError


class _Catalogue(NamedTuple):
    """What an engine is asked, and how it spells things.

    `columns` gives (table, how the table is written in SQL, whether it is a view, column, type, not null), in order;
    `keys` gives (table, key, kind, column, table referred to, column referred to), kind "p" for the primary key.
    `quote` stands around names, `text` is the type to cast to.
    """

    columns: str
    keys: str
    quote: str
    text: str


_SCHEMA_NAME = "{0}.relnamespace::regnamespace || '.' || {0}.relname"
_POSTGRES_NAME = f"CASE WHEN pg_table_is_visible({{0}}.oid) THEN {{0}}.relname ELSE {_SCHEMA_NAME} END"
_CATALOGUES = {
    POSTGRES: _Catalogue(
        f"""SELECT {_POSTGRES_NAME.format("c")}, c.oid::regclass::text, c.relkind IN ('v', 'm'), a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT c.relispartition AND n.nspname <> 'information_schema'
            AND n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
        ORDER BY c.oid, a.attnum""",
        f"""SELECT {_POSTGRES_NAME.format("c")}, k.oid::text, k.contype::text, a.attname,
            CASE WHEN f.oid IS NOT NULL THEN {_POSTGRES_NAME.format("f")} END, b.attname
        FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
        CROSS JOIN LATERAL unnest(k.conkey, coalesce(k.confkey, k.conkey)) WITH ORDINALITY AS p (own, other, place)
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = p.own
        LEFT JOIN pg_class AS f ON f.oid = k.confrelid
        LEFT JOIN pg_attribute AS b ON b.attrelid = f.oid AND b.attnum = p.other
        WHERE k.contype IN ('p', 'f') ORDER BY k.oid, p.place""",
        '"',
        "text",
    ),
    MYSQL: _Catalogue(
        """SELECT c.table_name, concat('`', replace(c.table_name, '`', '``'), '`'), t.table_type <> 'BASE TABLE',
            c.column_name, c.column_type, c.is_nullable = 'NO'
        FROM information_schema.columns AS c
        JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
        WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'VIEW')
        ORDER BY t.create_time, c.table_name, c.ordinal_position""",
        """SELECT table_name, concat(table_name, '.', constraint_name),
            CASE WHEN referenced_table_name IS NULL THEN 'p' ELSE 'f' END,
            column_name, referenced_table_name, referenced_column_name
        FROM information_schema.key_column_usage WHERE table_schema = database()
            AND (constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL)
        ORDER BY table_name, constraint_name, ordinal_position""",
        "`",
        "char",
    ),
    DUCKDB: _Catalogue(
        """SELECT c.table_name, '"' || replace(c.table_name, '"', '""') || '"', t.table_type = 'VIEW', c.column_name,
            c.data_type, c.is_nullable = 'NO'
        FROM information_schema.columns AS c
        JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
            AND t.table_catalog = c.table_catalog
        WHERE c.table_schema = 'main' AND c.table_catalog = current_database()
        ORDER BY c.table_name, c.ordinal_position""",
        """SELECT table_name, constraint_index::VARCHAR, lower(constraint_type[1]), unnest(constraint_column_names),
            referenced_table, unnest(referenced_column_names)
        FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')
            AND database_name = current_database()
        ORDER BY table_name, constraint_index""",
        '"',
        "varchar",
    ),
}


def describe_server(database: Path | str, samples: int, executor: Executor) -> Schema:
    """Return the schema of a database that isn't SQLite's (see `describe`).

    Raises:
        DatabaseError: it can't be reached or asked.
    """
    engine = engine_of(database)
    catalogue = _CATALOGUES[engine]

    def ask(sql: str) -> list[tuple[Any, ...]]:
        outcome = executor.run(database, sql, limits=LIMITS)
        if not outcome.ok:
            raise DatabaseError(f"{shown(database)}: {outcome.message.removeprefix(f'{shown(database)}: ')}")
        return outcome.rows

    keys = ask(catalogue.keys)
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in ask(catalogue.columns):
        found.setdefault(row[0], []).append(row)
    tables: list[Table] = []
    views: list[Table] = []
    for name, rows in found.items():
        own = [key for key in keys if key[0] == name]
        primary = tuple(column for _, _, kind, column, _, _ in own if kind == "p")
        columns = tuple(Column(row[3], row[4], bool(row[5]), row[3] in primary) for row in rows)
        if rows[0][2]:
            views.append(Table(name, columns))
            continue
        wanted = [column for column in columns if samples > 0 and is_sampled(column.type)]
        source = rows[0][1]
        counted = ask(f"SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {COUNTED_ROWS + 1}) AS counted")[0][0]
        columns = _with_samples(columns, wanted, ask(_sampling(catalogue, wanted, source)) if wanted else [], samples)
        size = counted if counted <= COUNTED_ROWS else None
        tables.append(Table(name, columns, primary, tuple(_foreign_keys(own)), rows=size))
    return Schema(database_name(database), shown(database), tuple(tables), tuple(views), engine.title)


def _sampling(catalogue: _Catalogue, wanted: Iterable[Column], source: str) -> str:
    quote = catalogue.quote
    names = (quote + column.name.replace(quote, 2 * quote) + quote for column in wanted)
    cuts = (f"substr(CAST({name} AS {catalogue.text}), 1, {SAMPLE_LENGTH + 1})" for name in names)
    return f"SELECT {', '.join(cuts)} FROM {source} LIMIT {SCANNED_ROWS}"


def _with_samples(
    columns: tuple[Column, ...], wanted: list[Column], rows: list[tuple[Any, ...]], count: int
) -> tuple[Column, ...]:
    found = {column.name: first_texts((row[place] for row in rows), count) for place, column in enumerate(wanted)}
    return tuple(replace(column, samples=found.get(column.name, ())) for column in columns)


def _foreign_keys(rows: list[tuple[Any, ...]]) -> Iterable[ForeignKey]:
    """Yield the foreign keys of one table."""
    parts: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        if row[2] == "f":
            parts.setdefault(row[1], []).append(row)
    for pairs in parts.values():
        yield ForeignKey(tuple(row[3] for row in pairs), pairs[0][4], tuple(row[5] for row in pairs))
