"""Notes beside a database: what they change in its schema; every mistake is found; the first ones read back."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlwright.databases import ForeignKey, describe
from sqlwright.databases.describe_file import write_notes
from sqlwright.databases.keys import with_inferred_keys
from sqlwright.databases.notes import describe_with_notes, notes_path
from sqlwright.databases.profile import profile
from sqlwright.errors import DatabaseError, DataError

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a database without declared keys, made from fixtures/shop.sql."""
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / "shop.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


def test_notes_are_put_into_the_schema(shop: Path) -> None:
    plain = with_inferred_keys(describe(shop, 2))
    assert describe_with_notes(shop, 2) == plain, "no notes, no change but for keys"
    notes_path(shop).write_text((FIXTURES / "shop.sqlwright.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    schema = describe_with_notes(shop, 2)
    customer, orders = schema.tables[0], schema.tables[1]
    assert customer.description == "people who bought at least once"
    assert [column.description for column in customer.columns] == ["", "full name", "NO is Norway: a code", ""]
    assert customer.columns[1].samples == ("Ann", "Bob"), "as they were read"
    assert customer.columns[2].samples == ("NO", "SE"), "as the notes have them, at most as many as wanted"
    assert orders.foreign_keys == (ForeignKey(("customer_id",), "customer", ("id",)),)
    assert schema.glossary == (("big order", "an order above 1e3"),)
    assert schema.instructions == ("Amounts are in cents.", "Ignore orders of 2010: they are tests.")
    assert [table.name for table in schema.tables] == [table.name for table in plain.tables]


def test_every_mistake_is_said_with_its_line(shop: Path) -> None:
    path = notes_path(shop)
    path.write_text((FIXTURES / "mistakes.sqlwright.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        describe_with_notes(shop)
    expected = (FIXTURES / "mistakes.txt").read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [f"- {line}" for line in expected]
    assert str(caught.value).startswith(f"{path}: {len(expected)} mistakes in the notes.")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "text", ["tables: [", "a: b: c", "\x00", "- &a [*a]\n- {", "!!python/object:os.system x: y: z"]
)
def test_what_is_no_yaml_is_an_error(shop: Path, text: str) -> None:
    notes_path(shop).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="expected notes in YAML"):
        describe_with_notes(shop)


@pytest.mark.parametrize("text", ["", "# nothing\n", "tables:\njoins:\nglossary:\ninstructions:\n"])
def test_empty_notes_change_nothing(shop: Path, text: str) -> None:
    notes_path(shop).write_text(text, encoding="utf-8")
    assert describe_with_notes(shop) == with_inferred_keys(describe(shop))


def test_notes_that_contain_themselves_and_notes_without_end(shop: Path) -> None:
    notes_path(shop).write_text("tables: &a {customer: *a}\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected one of description, rows, columns, found 'customer'"):
        describe_with_notes(shop)
    notes_path(shop).write_text("#" * 4_000_001, encoding="utf-8")
    with pytest.raises(DataError, match="at most 4,000,000 bytes"):
        describe_with_notes(shop)


def test_the_first_notes_say_what_the_data_says(shop: Path) -> None:
    path, found = write_notes(shop)
    assert path.read_text(encoding="utf-8") == (FIXTURES / "first.sqlwright.yaml").read_text(encoding="utf-8")
    assert [path.name for path in shop.parent.iterdir() if path != shop] == ["shop.sqlwright.yaml"]
    (key,) = found.keys
    assert (key.table, key.column, key.to_table, key.to_column) == ("orders", "customer_id", "customer", "id")


def test_the_first_notes_are_read_back_and_add_the_keys_that_were_found(shop: Path) -> None:
    plain = describe(shop, 2)
    write_notes(shop)
    schema = describe_with_notes(shop, 2)
    assert [table.columns for table in schema.tables] == [table.columns for table in plain.tables]
    assert schema.tables[1].foreign_keys == (ForeignKey(("customer_id",), "customer", ("id",)),)


def test_notes_are_never_overwritten_unless_told(shop: Path) -> None:
    path = notes_path(shop)
    path.write_text("# mine\n", encoding="utf-8")
    with pytest.raises(DataError, match="--force"):
        write_notes(shop)
    assert path.read_text(encoding="utf-8") == "# mine\n"
    write_notes(shop, force=True)
    assert "tables:" in path.read_text(encoding="utf-8")


def test_keys_that_are_declared_elsewhere_are_found_from_the_data(tmp_path: Path) -> None:
    bare = tmp_path / "bare.sqlite"
    connection = sqlite3.connect(bare)
    source = sqlite3.connect(CHINOOK)
    declared = set()
    for table in describe(CHINOOK, 0).tables:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        connection.execute(f'CREATE TABLE "{table.name}" ({columns}, PRIMARY KEY ({", ".join(table.primary_key)}))')
        rows = source.execute(f'SELECT * FROM "{table.name}"').fetchall()
        connection.executemany(f'INSERT INTO "{table.name}" VALUES ({", ".join("?" * len(table.columns))})', rows)
        declared |= {(table.name, key.columns[0], key.table) for key in table.foreign_keys}
    connection.commit()
    connection.close()
    source.close()
    found = {(key.table, key.column, key.to_table) for key in profile(bare).keys}
    assert found <= declared, "nothing is made up"
    # What stays open is called otherwise than the key: SupportRepId, ReportsTo.
    assert {column for _, column, _ in declared - found} == {"SupportRepId", "ReportsTo"}


def test_a_name_without_the_data_is_no_key(shop: Path) -> None:
    connection = sqlite3.connect(shop)
    connection.execute("UPDATE orders SET customer_id = customer_id + 100 WHERE id > 1")
    connection.commit()
    connection.close()
    assert profile(shop).keys == ()


@pytest.mark.parametrize("name", ["missing.sqlite", "postgresql://shop@localhost/shop"])
def test_what_cannot_be_described(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatabaseError, match=name.rpartition("/")[2]):
        write_notes(name if "://" in name else tmp_path / name)
    assert list(tmp_path.iterdir()) == []


NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique_by=str.casefold), value=NAMES)
def test_any_name_and_value_is_written_so_that_it_reads_back(tmp_path: Path, names: list[str], value: str) -> None:
    path = tmp_path / "odd.sqlite"
    path.unlink(missing_ok=True)
    columns = [name.replace('"', '""') for name in names if name.strip() and not name.lower().startswith("sqlite_")]
    columns = [name for name in columns if " ".join(name.split()) == name] or ["plain"]
    connection = sqlite3.connect(path)
    connection.execute(f'CREATE TABLE "{columns[0]}" ({", ".join(f"""{chr(34)}{c}{chr(34)} TEXT""" for c in columns)})')
    connection.execute(f'INSERT INTO "{columns[0]}" VALUES ({", ".join("?" * len(columns))})', [value] * len(columns))
    connection.commit()
    connection.close()
    try:
        plain = describe(path, 2)
    except DatabaseError:  # a control character that the executor's gate refuses
        return
    write_notes(path, force=True)
    assert describe_with_notes(path, 2).tables == plain.tables
