"""PostgreSQL: attacks on a real server leave no trace, what reads runs, and limits hold."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from catalogue import attacks, problems, text_of
from servers import ADMIN, Server, make_postgres_database

from sqlwright.databases import Executor, Limits
from sqlwright.errors import DatabaseError

ATTACKS = Path(__file__).parent / "attacks" / "postgres"
NEXT = "SELECT name FROM singer ORDER BY id LIMIT 1"
TRACES = (
    "SELECT * FROM singer ORDER BY id",
    "SELECT * FROM concert ORDER BY id",
    "SELECT last_value FROM concert_id_seq",
    "SELECT relname, relkind FROM pg_class ORDER BY relname",
    "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "SELECT rolname, rolsuper FROM pg_roles ORDER BY rolname",
    "SELECT datname FROM pg_database ORDER BY datname",
    "SELECT count(*) FROM pg_largeobject_metadata",
    "SELECT count(*) FROM pg_replication_slots",
)


@pytest.fixture(scope="module")
def attacked(postgres: Server) -> str:
    return make_postgres_database(postgres, "attacked", (ATTACKS / "database.sql").read_text(encoding="utf-8"))


def trace(server: Server) -> list[list[Any]]:
    with server.connect("attacked") as connection:
        return [connection.execute(sql).fetchall() for sql in TRACES]


def test_the_catalogue_is_large_and_has_no_twins() -> None:
    everything = attacks(ATTACKS / "attacks.jsonl")
    assert len(everything) >= 200
    assert len({attack["name"] for attack in everything}) == len(everything)
    assert len({text_of(attack, Path()) for attack in everything}) == len(everything)


def test_attacks(postgres: Server, attacked: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # the server could write here
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    before = trace(postgres)
    wrong = problems(ATTACKS / "attacks.jsonl", attacked, tmp_path, NEXT)
    assert not wrong, "\n" + "\n".join(wrong)
    assert trace(postgres) == before
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


def test_nothing_goes_on_in_the_server_after_a_time_limit(postgres: Server, attacked: str) -> None:
    with Executor(workers=1) as executor:
        assert executor.run(attacked, "SELECT pg_sleep(60)", limits=Limits(seconds=0.5)).status == "time_limit"
    deadline = time.monotonic() + 10
    with postgres.connect("attacked") as connection:
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
        ).fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_superuser_is_turned_away(postgres: Server, attacked: str) -> None:
    with Executor(workers=1) as executor:
        outcome = executor.run(postgres.url("attacked", ADMIN), "SELECT 1")
        assert (outcome.status, outcome.error_class) == ("refused", "refused")
        assert "expected a role that can only read" in outcome.message
        assert "CREATE ROLE" in outcome.message
        with postgres.connect("attacked") as connection:
            connection.execute("CREATE ROLE files LOGIN IN ROLE pg_read_server_files")
        assert executor.run(postgres.url("attacked", "files"), "SELECT 1").status == "refused"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://reader:hush@127.0.0.1:1/x", "can't be reached"),
        ("postgresql://reader:hush@[x", "expected a PostgreSQL URL"),
        ("postgres://reader:hush@127.0.0.1:x/y", "invalid integer"),
    ],
)
def test_an_address_that_leads_nowhere(postgres: Server, url: str, said: str) -> None:
    with Executor(workers=1) as executor:
        outcome = executor.run(url, "SELECT 1")
    assert outcome.error_class == "runtime_error"
    assert said in outcome.message
    assert "hush" not in outcome.message


def test_an_unknown_scheme_is_an_error_without_the_password() -> None:
    with Executor(workers=1) as executor, pytest.raises(DatabaseError, match=r"oracle://u@h/d: expected a file"):
        executor.run("oracle://u:hush@h/d", "SELECT 1")


def test_one_executor_serves_files_and_servers_alike(attacked: str, database: Path) -> None:
    jobs = [(place, NEXT) for place in (attacked, database) for _ in range(6)]
    with Executor(workers=2) as executor:
        assert [outcome.rows for outcome in executor.map(jobs)] == [[("Joe Sharp",)]] * 12


def test_results_are_cut_at_the_limits(attacked: str) -> None:
    series = "SELECT n, repeat('x', 100) FROM generate_series(1, 5000) n"
    with Executor(workers=1) as executor:
        for limits, most in ((Limits(rows=7), 7), (Limits(cells=21), 10), (Limits(bytes=5000), 45)):
            outcome = executor.run(attacked, series, limits=limits)
            assert (outcome.ok, outcome.truncated, len(outcome.rows)) == (True, True, most)
        whole = executor.run(attacked, series, limits=Limits(rows=5000))
        assert (whole.truncated, [row[0] for row in whole.rows]) == (False, list(range(1, 5001)))
