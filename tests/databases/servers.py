"""Private database servers for tests: on loopback, with a data folder that is thrown away, as a user without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ADMIN = "admin"
READER = "reader"


class Server:
    """A running server; `url(database)` is its address for the role that reads, `admin(...)` the one that may all."""

    def __init__(self, scheme: str, port: int, connect: Callable[[str], Any]) -> None:
        self.scheme, self.port, self.connect = scheme, port, connect

    def url(self, database: str = "", user: str = READER) -> str:
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}" + (f"/{database}" if database else "")


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Start PostgreSQL from the system's packages, with a superuser `admin` and a role `reader`."""
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg: pip install '.[servers]'")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/none")]
    if not programs[-1].is_file():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    port = free_port()

    def connect(database: str) -> Any:
        return psycopg.connect(host="127.0.0.1", port=port, user=ADMIN, dbname=database or "postgres", autocommit=True)

    with private_folder("postgres") as (folder, account):
        data = str(folder / "data")
        made = [str(programs[-1]), "-D", data, "-U", ADMIN, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, **account)
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        command = [str(programs[-1].with_name("postgres")), "-D", data, "-p", str(port)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with running(command, account, lambda: connect("").close(), signal.SIGINT):
            with connect("") as connection:
                connection.execute(f"CREATE ROLE {READER} LOGIN")
            yield Server("postgresql", port, connect)


def make_postgres_database(server: Server, name: str, script: str) -> str:
    """Make a database by an SQL script, and return its URL for the role that reads."""
    with server.connect("") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    with server.connect(name) as connection:
        connection.execute(script)
        for (schema,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ).fetchall():
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {READER}")
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}")
    return server.url(name)


@contextmanager
def mariadb_server() -> Iterator[Server]:
    """Start MariaDB from the system's packages, with a user `admin` who may all and one `reader`."""
    pymysql = pytest.importorskip("pymysql", reason="needs PyMySQL: pip install '.[servers]'")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    program, installer = (shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db"))
    if program is None or installer is None:
        pytest.skip("needs MariaDB: apt-get install mariadb-server")
    port = free_port()

    def connect(database: str, user: str = ADMIN) -> Any:
        options = {"charset": "utf8mb4", "autocommit": True, "client_flag": pymysql.constants.CLIENT.MULTI_STATEMENTS}
        return pymysql.connect(host="127.0.0.1", port=port, user=user, database=database or None, **options)

    with private_folder("mysql") as (folder, account):
        data = f"--datadir={folder / 'data'}"
        made = [installer, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, **account)
        # Texts are equal here when their characters are, as in the other engines.
        settings = [
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_nopad_bin",
            f"--socket={folder}/socket",
        ]
        command = [program, "--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1", *settings]
        with running(command, account, lambda: connect("", "root").close(), signal.SIGTERM):
            with connect("", "root") as connection, connection.cursor() as cursor:
                cursor.execute(
                    f"CREATE USER {ADMIN}; CREATE USER {READER}; GRANT ALL ON *.* TO {ADMIN} WITH GRANT OPTION"
                )
            yield Server("mysql", port, connect)


def make_mariadb_database(server: Server, name: str, script: str) -> str:
    """Make a database by an SQL script, and return its URL for the user who reads, and may do what he likes in it."""
    with server.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}; GRANT ALL ON {name}.* TO {READER}")
    with server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute(script)
        while cursor.nextset():
            pass
    return server.url(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_folder(user: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a folder that is thrown away, and for subprocess who works in it: servers refuse to run as root."""
    memory = Path("/dev/shm")  # a new server flushes files hundreds of times
    folder = Path(tempfile.mkdtemp(prefix="sqlwright-server-", dir=memory if memory.is_dir() else None))
    account: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        entry = pwd.getpwnam(user if user in names else "nobody")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        account |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        yield folder, account
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(command: list[str], account: dict[str, Any], probe: Callable[[], object], stop: int) -> Iterator[None]:
    """Run a server until the block is left; it has begun when `probe` raises nothing any more."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet, **account)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                probe()
                break
            except Exception:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
