"""MySQL and MariaDB: attacks on a real MariaDB leave no trace, what reads runs, and limits hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from catalogue import problems
from servers import ADMIN, Server, make_mariadb_database

from sqlwright.databases import Executor, Limits

ATTACKS = Path(__file__).parent / "attacks" / "mysql"
TRACES = (
    "SELECT * FROM singer ORDER BY id",
    "SELECT * FROM concert ORDER BY id",
    "SELECT * FROM log",
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'attacked' ORDER BY 1",
    "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'attacked'",
    "SELECT user, host FROM mysql.user ORDER BY 1, 2",
    "SELECT @@max_connections",
)


@pytest.fixture(scope="module")
def attacked(mariadb: Server) -> str:
    return make_mariadb_database(mariadb, "attacked", (ATTACKS / "database.sql").read_text(encoding="utf-8"))


def trace(server: Server) -> list[Any]:
    found = []
    with server.connect("attacked") as connection, connection.cursor() as cursor:
        for sql in TRACES:
            cursor.execute(sql)
            found.append(cursor.fetchall())
    return found


def test_attacks(mariadb: Server, attacked: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # the server could write here
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    before = trace(mariadb)
    wrong = problems(ATTACKS / "attacks.jsonl", attacked, tmp_path, "SELECT name FROM singer ORDER BY id LIMIT 1")
    assert not wrong, "\n" + "\n".join(wrong)
    assert trace(mariadb) == before
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


def test_a_role_that_may_too_much_is_turned_away(mariadb: Server, attacked: str) -> None:
    with Executor(workers=1) as executor:
        outcome = executor.run(mariadb.url("attacked", ADMIN), "SELECT 1")
    assert outcome.status == "refused"
    assert "FILE" in outcome.message
    assert "CREATE USER reader" in outcome.message


def test_an_address_that_leads_nowhere(mariadb: Server) -> None:
    with Executor(workers=1) as executor:
        for url in ("mysql://reader:hush@127.0.0.1:1/x", "mariadb://reader:hush@127.0.0.1:x/y"):
            outcome = executor.run(url, "SELECT 1")
            assert "can't be reached" in outcome.message
            assert "hush" not in outcome.message


def test_results_are_cut_at_the_limits(attacked: str) -> None:
    series = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 900) SELECT n FROM c"
    with Executor(workers=1) as executor:
        outcome = executor.run(attacked, series, limits=Limits(rows=7))
        assert (outcome.truncated, outcome.rows) == (True, [(n,) for n in range(1, 8)])
        assert not executor.run(attacked, series, limits=Limits(rows=900)).truncated
