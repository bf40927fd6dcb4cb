"""Golds translated to real engines: kept where the rows are the same, and a reason where not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from servers import Server

from sqlwright.cli.app import run
from sqlwright.databases import Executor, Limits
from sqlwright.errors import DataError
from sqlwright.evaluation.copies import Table, copied
from sqlwright.evaluation.dialects import Gold, Translation, share_table, target_of, translate_golds

CITY = Path(__file__).parent / "fixtures" / "city.sql"
# A busy machine may take long to load an engine for the first query.
PATIENT = Limits(seconds=60)
SAME = (
    'SELECT Name FROM City WHERE country = "Norway"',
    "SELECT count(*), avg(people), sum(people) FROM city",
    "SELECT country, count(*) FROM city GROUP BY country HAVING count(*) > 0 ORDER BY count(*) DESC, country",
    "SELECT name FROM city WHERE name LIKE '%A%' ORDER BY name",
    "SELECT people / 7, people / 7.0 FROM city",
    "SELECT name FROM city WHERE people = (SELECT max(people) FROM city)",
    "SELECT country FROM city EXCEPT SELECT country FROM city WHERE people > 300000",
)
OTHER = (
    ("SELECT nope FROM city", "gold_failed"),
    ("SELECT julianday('2020-01-01')", "runtime_error"),
    ("SELECT sqlite_version()", "wrong_rows"),
)


@pytest.fixture
def golds(tmp_path: Path) -> list[Gold]:
    path = tmp_path / "city.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(CITY.read_text(encoding="utf-8"))
    connection.close()
    return [Gold(place, "city", path, sql) for place, sql in enumerate([*SAME, *(sql for sql, _ in OTHER)])]


def check(found: list[Translation]) -> None:
    assert [(one.reason, one.detail) for one in found[: len(SAME)]] == [("", "")] * len(SAME)
    assert [one.reason for one in found[len(SAME) :]] == [reason for _, reason in OTHER]
    (share,) = share_table(found).values()
    assert (share["golds"], share["kept"]) == (len(found), len(SAME))
    assert share["share"] == pytest.approx(len(SAME) / (len(found) - 1))
    assert share["low"] < share["share"] < share["high"]


def test_duckdb(golds: list[Gold], tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    with Executor(workers=1, limits=PATIENT) as executor:
        check(list(translate_golds(golds, "duckdb", tmp_path, executor)))
    assert [path.name for path in tmp_path.glob("*.duckdb")] == []


def test_postgres(golds: list[Gold], tmp_path: Path, postgres: Server) -> None:
    with postgres.connect("") as connection:
        connection.execute("DROP ROLE IF EXISTS maker")
        connection.execute("CREATE ROLE maker LOGIN CREATEDB")
    with Executor(workers=1, limits=PATIENT) as executor:
        check(list(translate_golds(golds, postgres.url(user="maker"), tmp_path, executor)))
    with postgres.connect("") as connection:
        assert not connection.execute("SELECT 1 FROM pg_database WHERE datname LIKE 'sqlwright%'").fetchall()


def test_mariadb(golds: list[Gold], tmp_path: Path, mariadb: Server) -> None:
    with mariadb.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS maker; GRANT ALL ON `sqlwright\\_%`.* TO maker")
    with Executor(workers=1, limits=PATIENT) as executor:
        check(list(translate_golds(golds, mariadb.url(user="maker"), tmp_path, executor)))


SALES = Table(
    "sale",
    ["id", "day", "made", "open", "pay", "name"],
    ["integer", "date", "timestamp", "boolean", "real", "text"],
    [
        (1, "2024-01-31", "2024-01-31 10:30:00", 1, 10.5, "Ann"),
        (2, "2024-02-29", "2024-02-29 23:59:59", 0, 3.0, "bob"),
        (3, "2023-02-01", "2023-02-01 00:00:00", 1, 7.25, "O'Hara"),
        (4, None, None, None, None, None),
    ],
)
FROM_SERVERS = (
    "SELECT id FROM sale WHERE day >= DATE '2024-01-01' ORDER BY id",
    "SELECT extract(year FROM day), count(*) FROM sale GROUP BY extract(year FROM day)",
    "SELECT count(*) FROM sale WHERE made > TIMESTAMP '2024-01-31 10:00:00'",
    "SELECT sum(CASE WHEN open THEN pay ELSE 0 END) FROM sale",
    "SELECT id, pay * 1.5 FROM sale WHERE name IS NOT NULL ORDER BY pay DESC LIMIT 2",
)
FROM_POSTGRES = (
    *FROM_SERVERS,
    "SELECT name FROM sale WHERE name ILIKE '%A%'",
    "SELECT name FROM sale WHERE name LIKE 'A%'",
    "SELECT date_trunc('month', made) FROM sale",
    "SELECT to_char(day, 'YYYY-MM') FROM sale",
    "SELECT count(*) / 3, sum(id) / 4.0 FROM sale",
    "SELECT id FROM sale WHERE open AND day - INTERVAL '1 month' < DATE '2024-01-15'",
)


def from_copy(place: str, golds: Sequence[str], to: Sequence[str], scratch: Path) -> list[Translation]:
    """Return the translations of golds whose rows lie at `place`."""
    with (
        Executor(workers=1, limits=PATIENT) as executor,
        copied([SALES], target_of(place), place, "sales", scratch) as address,
    ):
        own = [Gold(index, "sale", address, sql) for index, sql in enumerate(golds)]
        return [one for target in to for one in translate_golds(own, target, scratch, executor)]


def test_from_duckdb(tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    golds = [sql for sql in FROM_POSTGRES if "to_char" not in sql] + ["SELECT strftime(day, '%Y-%m') FROM sale"]
    found = from_copy("duckdb", golds, ["sqlite"], tmp_path)
    assert [(one.gold, one.reason, one.detail) for one in found if not one.kept] == []


def test_from_postgres(tmp_path: Path, postgres: Server) -> None:
    pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    with postgres.connect("") as connection:
        connection.execute("DROP ROLE IF EXISTS maker")
        connection.execute("CREATE ROLE maker LOGIN CREATEDB")
    found = from_copy(postgres.url(user="maker"), FROM_POSTGRES, ["sqlite", "duckdb"], tmp_path)
    assert [(one.engine, one.gold, one.reason, one.detail) for one in found if not one.kept] == []


def test_from_mariadb(tmp_path: Path, mariadb: Server) -> None:
    pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    with mariadb.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS maker; GRANT ALL ON `sqlwright\\_%`.* TO maker")
    golds = [*FROM_SERVERS, "SELECT year(day), month(made) FROM sale", "SELECT count(*) / 8 FROM sale"]
    found = from_copy(mariadb.url(user="maker"), golds, ["sqlite", "duckdb"], tmp_path)
    assert [(one.engine, one.gold, one.reason, one.detail) for one in found if not one.kept] == []


def test_a_place_that_is_none() -> None:
    assert target_of("mariadb://x@y") == "mysql"
    assert target_of("sqlite") == "sqlite"
    for place in ("oracle://u:hush@h", "postgresql", "duckdb://x", "sqlite://x"):
        with pytest.raises(DataError, match=r"expected sqlite, duckdb, or a URL") as caught:
            target_of(place)
        assert "hush" not in str(caught.value)


def test_the_command(golds: list[Gold], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    gold, out = tmp_path / "gold.sql", tmp_path / "kept.jsonl"
    gold.write_text("".join(f"{one.sql}\tcity\n" for one in golds), encoding="utf-8")
    words = ["translate", "--gold", str(gold), "--databases", str(tmp_path), "--to", "duckdb", "--out", str(out)]
    assert run(words) == 0
    assert "duckdb" in capsys.readouterr().out
    kept = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["gold"] for row in kept] == list(SAME)
    assert kept[0]["sql"] == 'SELECT "name" FROM "city" WHERE "country" = \'Norway\''
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["engines"]["duckdb"]["kept"] == len(SAME)
    assert [one["reason"] for one in document["failed"]] == [reason for _, reason in OTHER]
