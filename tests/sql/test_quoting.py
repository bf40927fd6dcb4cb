"""Names that need quotes get them; everything else stays as it stands."""

from __future__ import annotations

import sqlite3

import pytest

from sqlwright.databases import Schema, describe
from sqlwright.sql.quoting import with_quotes
from sqlwright.sql.repair import repair


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    path = tmp_path_factory.mktemp("quoting") / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            'CREATE TABLE "Order" (id int, "Order Date" text, Ship int);'
            'CREATE TABLE "Order Details" (order_id int, "Unit Price" real, "2nd" int);'
            'CREATE TABLE plain (id int, "group" text, "T-Shirt Size" text);'
        )
    return describe(path, 0)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT sum(Unit Price) FROM Order Details", 'SELECT sum("Unit Price") FROM "Order Details"'),
        (
            "select T1.unit  price from order\ndetails as T1 order by T1.2nd",
            'select T1."Unit Price" from "Order Details" as T1 order by T1."2nd"',
        ),
        ("SELECT count(*) FROM Order ORDER BY Ship", 'SELECT count(*) FROM "Order" ORDER BY Ship'),
        ("SELECT p.group FROM plain p GROUP BY p.group", 'SELECT p."group" FROM plain p GROUP BY p."group"'),
        ("SELECT T-Shirt Size FROM plain", 'SELECT "T-Shirt Size" FROM plain'),
        ("SELECT 'Order Details' FROM plain GROUP BY id", "SELECT 'Order Details' FROM plain GROUP BY id"),
        ('SELECT "Unit Price" FROM "Order Details"', 'SELECT "Unit Price" FROM "Order Details"'),
        ("", ""),
    ],
)
def test_names_get_quotes(schema: Schema, sql: str, expected: str) -> None:
    assert with_quotes(sql, schema) == expected
    assert with_quotes(expected, schema) == expected


def test_repairs_see_the_quoted_names(schema: Schema) -> None:
    assert repair("SELECT avg(Unit Price) FROM Order Details", schema) == [
        'SELECT avg("Unit Price") FROM "Order Details"'
    ]
    (found,) = repair("SELECT avg(UnitPrice) FROM Order Details", schema)[-1:]
    assert found == 'SELECT AVG("Unit Price") FROM "Order Details"'
