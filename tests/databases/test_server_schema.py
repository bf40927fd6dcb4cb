"""Descriptions of PostgreSQL, MySQL and DuckDB databases: the same words as for SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from servers import Server, make_mariadb_database, make_postgres_database

from sqlwright.databases import Schema, Table, describe
from sqlwright.errors import DatabaseError

ATTACKS = Path(__file__).parent / "attacks"


def table(schema: Schema, name: str) -> Table:
    return next(one for one in (*schema.tables, *schema.views) if one.name == name)


def check(schema: Schema, keys: tuple[str, ...]) -> None:
    """Check what the three databases have in common."""
    singer, concert = table(schema, "singer"), table(schema, "concert")
    assert [column.name for column in singer.columns] == ["id", "name", "age", "country", "born"]
    assert (singer.primary_key, singer.columns[0].primary_key) == (("id",), True)
    assert [column.not_null for column in singer.columns][1:3] == [True, False]
    assert singer.columns[1].samples == ("Joe Sharp", "Timbaland")
    assert singer.columns[4].samples == ("1972-02-03", "1992-05-01")
    assert singer.columns[2].samples == ()
    assert [(key.columns, key.table, key.to_columns) for key in concert.foreign_keys] == [
        (("singer_id",), "singer", ("id",))
    ]
    assert concert.primary_key == keys
    assert [column.name for column in table(schema, "french").columns] == ["name", "age"]
    assert singer.rows in (4, 5)


def test_postgres(postgres: Server) -> None:
    script = (ATTACKS / "postgres" / "database.sql").read_text(encoding="utf-8")
    schema = describe(make_postgres_database(postgres, "described", script).replace("reader@", "reader:hush@"))
    check(schema, ("id",))
    assert (schema.name, schema.engine) == ("described", "PostgreSQL")
    assert "hush" not in schema.path
    sale = table(schema, "shop.sale")
    assert (sale.rows, sale.foreign_keys[0].table) == (1, "singer")
    assert table(schema, 'odd "name"').columns[0].samples == ("x",)
    assert [view.name for view in schema.views] == ["french", "old"]


def test_mariadb(mariadb: Server) -> None:
    script = (ATTACKS / "mysql" / "database.sql").read_text(encoding="utf-8")
    schema = describe(make_mariadb_database(mariadb, "described", script))
    check(schema, ("id",))
    assert (schema.name, schema.engine) == ("described", "MySQL")


def test_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    path = tmp_path / "described.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute((ATTACKS / "duckdb" / "database.sql").read_text(encoding="utf-8"))
    schema = describe(path)
    check(schema, ())
    assert (schema.name, schema.engine) == ("described", "DuckDB")


def test_a_database_that_is_not_there_is_an_error(postgres: Server, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match='database "nowhere" does not exist'):
        describe(postgres.url("nowhere"))
    with pytest.raises(DatabaseError, match="can't be read as a DuckDB database"):
        describe(tmp_path / "none.duckdb")
