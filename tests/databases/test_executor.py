"""The executor keeps its promises: limits, order, threads, clear errors, nothing left behind."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sqlwright.databases import Executor, Limits
from sqlwright.errors import DatabaseError

COUNT = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {}) SELECT n FROM c"
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
BUSY = """
import sys
from sqlwright.databases import Executor, Limits
with Executor(workers=1) as executor:
    executor.run(sys.argv[1], "SELECT 1").require()
    print("ready", flush=True)
    executor.run(sys.argv[1], sys.argv[2], limits=Limits(seconds=300))
"""


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        ending = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ending or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1  # a thread may outlive the first
    except OSError:
        return False


def gone_within(pids: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_an_outcome_has_columns_rows_and_time(executor: Executor, database: Path) -> None:
    outcome = executor.run(database, "SELECT id, name AS who FROM singer WHERE id < 3")
    assert outcome.ok and outcome.require() is outcome
    assert outcome.columns == ("id", "who")
    assert outcome.rows == [(1, "Joe Sharp"), (2, "Timbaland")]
    assert not outcome.truncated and 0 < outcome.seconds < 10


def test_values_come_back_as_sqlite_returned_them(executor: Executor, database: Path) -> None:
    (row,) = executor.run(
        database, "SELECT 1, 1.0, '1', x'31', NULL, -9223372036854775808, 1e-320, -9e999, -0.0, x'', ''"
    ).rows
    assert [type(value) for value in row[:4]] == [int, float, str, bytes]
    assert row == (1, 1.0, "1", b"1", None, -(2**63), 1e-320, -math.inf, 0.0, b"", "")


def test_a_failure_says_why(executor: Executor, database: Path) -> None:
    outcome = executor.run(database, "DROP TABLE singer")
    assert outcome.status == "refused" and outcome.error_class == "refused"
    with pytest.raises(DatabaseError, match="only reads, found DELETE sqlite_master"):
        outcome.require()


@pytest.mark.parametrize("sql", [ENDLESS, "SELECT printf('%.*c', 999999999, 'x')"], ids=["endless", "inside C code"])
def test_time_limit_is_kept(executor: Executor, database: Path, sql: str) -> None:
    executor.run(database, "SELECT 1").require()
    start = time.monotonic()
    outcome = executor.run(database, sql, limits=Limits(seconds=0.5))
    assert outcome.status == "time_limit" and "0.5 s" in outcome.message
    assert 0.5 <= time.monotonic() - start < 1.0
    assert executor.run(database, "SELECT 1").rows == [(1,)]


def test_memory_limit_is_kept_and_the_next_query_has_its_full_share(executor: Executor, database: Path) -> None:
    limits = Limits(seconds=30, memory_mb=64)
    hungry = f"SELECT hex(zeroblob(50000)) || n FROM ({COUNT.format(2000)}) ORDER BY 1"
    modest = f"SELECT hex(zeroblob(50000)) || n FROM ({COUNT.format(150)}) ORDER BY 1"
    for _ in range(2):
        assert executor.run(database, hungry, limits=limits).status == "memory_limit"
        assert executor.run(database, modest, limits=limits).ok


def test_rows_are_cut_and_it_is_said(executor: Executor, database: Path) -> None:
    limits = Limits(rows=10)
    for wanted, cut in ((9, False), (10, False), (11, True), (5000, True)):
        outcome = executor.run(database, COUNT.format(wanted), limits=limits)
        assert (len(outcome.rows), outcome.truncated) == (min(wanted, 10), cut)
        assert outcome.rows == [(n,) for n in range(1, min(wanted, 10) + 1)]


def test_cells_are_cut_and_it_is_said(executor: Executor, database: Path) -> None:
    outcome = executor.run(database, "SELECT n, n, n FROM digit", limits=Limits(cells=12))
    assert len(outcome.rows) == 4 and outcome.truncated
    assert not executor.run(database, "SELECT n, n, n FROM digit", limits=Limits(cells=30)).truncated


def test_bytes_are_cut_at_a_row_and_it_is_said(executor: Executor, database: Path) -> None:
    wide = "SELECT hex(zeroblob(500)) FROM digit"
    outcome = executor.run(database, wide, limits=Limits(bytes=3500))
    assert outcome.rows == [("0" * 1000,)] * 3 and outcome.truncated
    assert len(executor.run(database, wide, limits=Limits(bytes=20_000)).rows) == 10
    outcome = executor.run(database, wide, limits=Limits(bytes=10))
    assert outcome.ok and outcome.rows == [] and outcome.truncated


def test_a_large_result_arrives_whole(executor: Executor, database: Path) -> None:
    limits = Limits(seconds=60, rows=300_000)
    outcome = executor.run(database, COUNT.format(300_000), limits=limits)
    assert not outcome.truncated
    assert outcome.rows == [(n,) for n in range(1, 300_001)]


def test_map_keeps_the_order_and_is_lazy(executor: Executor, database: Path) -> None:
    taken = []

    def jobs() -> object:
        for number in range(1000):
            taken.append(number)
            yield database, f"SELECT {number}"

    outcomes = executor.map(jobs())  # type: ignore[arg-type]
    assert next(outcomes).rows == [(0,)]
    assert len(taken) < 100
    assert [outcome.rows[0][0] for outcome in outcomes] == list(range(1, 1000))


def test_map_goes_on_after_failures(executor: Executor, database: Path) -> None:
    jobs = [(database, "SELECT 1"), (database, "nonsense"), (database, ENDLESS), (database, "SELECT 2")]
    statuses = [outcome.status for outcome in executor.map(jobs, limits=Limits(seconds=0.5))]
    assert statuses == ["ok", "error", "time_limit", "ok"]


def test_a_map_that_is_left_kills_what_still_runs(executor: Executor, database: Path) -> None:
    executor.run(database, "SELECT 1").require()
    outcomes = executor.map([(database, "SELECT 1")] + [(database, ENDLESS)] * 20, limits=Limits(seconds=60))
    assert next(outcomes).ok
    start = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 2
    assert executor.run(database, "SELECT 1").ok


def test_run_may_be_called_from_many_threads(executor: Executor, database: Path) -> None:
    def ask(number: int) -> bool:
        if number % 25 == 0:
            return executor.run(database, ENDLESS, limits=Limits(seconds=0.2)).status == "time_limit"
        return executor.run(database, f"SELECT {number}, name FROM singer WHERE id = 1").rows == [(number, "Joe Sharp")]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(1, 101)))


def test_close_ends_running_queries(database: Path) -> None:
    executor = Executor(workers=1)
    executor.run(database, "SELECT 1").require()
    statuses: list[str] = []
    thread = threading.Thread(target=lambda: statuses.append(executor.run(database, ENDLESS).status))
    thread.start()
    time.sleep(0.2)
    executor.close()
    executor.close()
    thread.join(timeout=2)
    assert statuses == ["error"]
    with pytest.raises(DatabaseError, match="closed"):
        executor.run(database, "SELECT 1")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_workers_end_with_the_executor(database: Path) -> None:
    before = set(children(os.getpid()))
    with Executor(workers=2) as executor:
        list(executor.map([(database, "SELECT 1")] * 20))
        workers = sorted(set(children(os.getpid())) - before)
        assert workers
    assert gone_within(workers, 1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_workers_die_with_their_parent_even_inside_a_query(database: Path, sent: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(database), ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
    workers = children(parent.pid)
    assert len(workers) == 1 and alive(workers[0])
    time.sleep(0.2)
    parent.send_signal(sent)
    _, complaint = parent.communicate(timeout=10)
    assert (b"KeyboardInterrupt" in complaint) == (sent == signal.SIGINT)
    assert gone_within(workers, 5)


def test_an_executor_of_another_process_refuses(executor: Executor, database: Path) -> None:
    executor.run(database, "SELECT 1").require()
    executor.pid += 1
    with pytest.raises(DatabaseError, match="another process"):
        executor.run(database, "SELECT 1")
    executor.pid -= 1


def test_bad_paths_are_clear_errors(executor: Executor, database: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "text.sqlite").write_text("name,age\n" * 100, encoding="utf-8")
    (tmp_path / "short.sqlite").write_bytes(database.read_bytes()[:3000])
    os.mkfifo(tmp_path / "pipe.sqlite")
    for name, said in {
        "missing.sqlite": "No such file",
        "missing/missing.sqlite": "No such file",
        "empty.sqlite": "an empty file",
        "text.sqlite": "another kind of file or an encrypted one",
        "short.sqlite": "damaged",
        "pipe.sqlite": "no plain file",
        ".": "a folder",
    }.items():
        outcome = executor.run(tmp_path / name, "SELECT * FROM singer", limits=Limits(seconds=5))
        assert outcome.status == "error" and outcome.error_class == "runtime_error", name
        assert said in outcome.message and str(tmp_path) in outcome.message, outcome.message


def test_odd_file_names(executor: Executor, database: Path) -> None:
    for name in ("é ü%20?#&.sqlite", "mode=rw?x", os.fsdecode(b"\xff.sqlite")):
        shutil.copy(database, database.with_name(name))
        assert executor.run(database.with_name(name), "SELECT count(*) FROM digit").rows == [(10,)]
        assert executor.run(str(database.with_name(name)), "DELETE FROM digit").status == "refused"


def test_a_quiet_wal_database_is_read_without_files_beside_it(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    writer = sqlite3.connect(path)
    writer.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    assert executor.run(path, "SELECT x FROM t").rows == [(1,)]
    writer.execute("INSERT INTO t VALUES (2)")
    writer.commit()
    assert executor.run(path, "SELECT x FROM t").rows == [(1,), (2,)]
    writer.close()
    assert executor.run(path, "SELECT x FROM t").rows == [(1,), (2,)]
    assert list(tmp_path.iterdir()) == [path]


def test_an_unmerged_log_without_its_index_is_a_clear_error(executor: Executor, tmp_path: Path) -> None:
    writer = sqlite3.connect(tmp_path / "log.sqlite")
    writer.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x)")
    subprocess.run(["cp", tmp_path / "log.sqlite", tmp_path / "copy.sqlite"], check=True)
    subprocess.run(["cp", tmp_path / "log.sqlite-wal", tmp_path / "copy.sqlite-wal"], check=True)
    before = sorted(tmp_path.iterdir())
    outcome = executor.run(tmp_path / "copy.sqlite", "SELECT 1")
    assert outcome.status == "error" and "copy.sqlite-wal" in outcome.message
    assert sorted(tmp_path.iterdir()) == before
    writer.close()


def test_a_locked_database_is_a_clear_error(executor: Executor, database: Path) -> None:
    writer = sqlite3.connect(database)
    writer.execute("BEGIN EXCLUSIVE")
    outcome = executor.run(database, "SELECT * FROM digit", limits=Limits(seconds=2))
    writer.close()
    assert outcome.status == "error" and "locked" in outcome.message


def kill_workers() -> list[int]:
    workers = [pid for pid in children(os.getpid()) if b"worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    return workers


def test_a_worker_that_dies_while_it_waits_is_replaced(executor: Executor, database: Path) -> None:
    executor.run(database, "SELECT 1").require()
    assert gone_within(kill_workers(), 5)
    assert executor.run(database, "SELECT 1").ok


def test_a_worker_that_dies_is_an_outcome(executor: Executor, database: Path) -> None:
    executor.run(database, "SELECT 1").require()
    killer = threading.Timer(0.3, kill_workers)
    killer.start()
    outcome = executor.run(database, ENDLESS)
    killer.join()
    assert outcome.status == "error" and "ended during the query" in outcome.message
    assert executor.run(database, "SELECT 1").ok


def test_a_query_that_waits_behind_one_that_kills_its_worker_is_asked_again(executor: Executor, database: Path) -> None:
    numbers = range(40)
    jobs = [(database, ENDLESS if number % 10 == 3 else f"SELECT {number}") for number in numbers]
    outcomes = list(executor.map(jobs, limits=Limits(seconds=0.5)))
    assert [outcome.status == "time_limit" for outcome in outcomes] == [number % 10 == 3 for number in numbers]
    assert [outcome.rows for outcome in outcomes if outcome.ok] == [[(n,)] for n in numbers if n % 10 != 3]


def test_long_statements_in_a_map_do_not_wait_in_a_full_pipe(executor: Executor, database: Path) -> None:
    long = "SELECT 1 -- " + "x" * 500_000
    started = time.monotonic()
    outcomes = list(executor.map([(database, ENDLESS), *[(database, long)] * 20], limits=Limits(seconds=1)))
    assert [outcome.status for outcome in outcomes] == ["time_limit", *["ok"] * 20]
    assert time.monotonic() - started < 10


def test_workers_that_die_during_a_map_cost_one_query_each(executor: Executor, database: Path) -> None:
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n"
    outcomes = executor.map([(database, slow)] * 30)
    assert next(outcomes).ok
    killed = kill_workers()
    statuses = [outcome.status for outcome in outcomes]
    assert len(statuses) == 29 and 1 <= statuses.count("error") <= len(killed)


def test_run_can_be_called_while_a_map_goes_on(executor: Executor, database: Path) -> None:
    for outcome in executor.map([(database, "SELECT 1")] * 50):
        assert outcome.ok and executor.run(database, "SELECT 2").rows == [(2,)]


def test_no_worker_gets_the_environments_secrets(
    executor: Executor, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    executor.run(database, "SELECT 1").require()
    for worker in children(os.getpid()):
        assert b"secret" not in Path(f"/proc/{worker}/environ").read_bytes()


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"rows": -1}, {"seconds": math.inf}, {"seconds": math.nan}])
def test_limits_must_be_above_zero(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a finite number above 0"):
        Limits(**wrong)  # type: ignore[arg-type]


def test_an_executor_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Executor(workers=0)
