"""Shared fixtures: public data unpacked once per machine from the archives beside the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from servers import Server, mariadb_server, postgres_server
from short_model import first_blocks

from sqlwright.models.llama_server import PROGRAM
from sqlwright.models.threads import let_threads_wait

let_threads_wait()

# What xllamacpp answers, wherever a llama-server was built; `tests/models/test_llama_server.py` asks that one.
os.environ.setdefault(PROGRAM, "xllamacpp")

# No example has a deadline: a disk that syncs for half a second says nothing about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Tests that run side by side share the cores out, so that what they measure and start doesn't crowd the others.
_cores = sorted(os.sched_getaffinity(0))
_number, _count = (os.environ.get(f"PYTEST_XDIST_WORKER{name}", "") for name in ("", "_COUNT"))
if _number.startswith("gw") and 1 < int(_count) <= len(_cores):
    os.sched_setaffinity(0, _cores[int(_number[2:]) :: int(_count)])

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "data"


def unpack(name: str) -> Path:
    """Return the folder with the contents of the archive `name`; skip the test where it is absent."""
    archive = ARCHIVES / f"{name}.tar.xz"
    if not archive.is_file():
        pytest.skip(f"needs the public data archive {name}.tar.xz in ../shared/data")
    stat = archive.stat()
    key = hashlib.sha256(f"{archive}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"sqlwright-test-data-{os.getuid()}" / f"{name}-{key}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent))
        with tarfile.open(archive) as tar:
            tar.extractall(aside, filter="data")
        try:
            aside.rename(folder)
        except OSError:  # another test process was faster
            shutil.rmtree(aside)
    return folder


@pytest.fixture(scope="session")
def archive() -> Callable[[str], Path]:
    """Return a function from an archive's name to the folder with its unpacked contents."""
    return unpack


@pytest.fixture(scope="session")
def spider_root() -> Path:
    """Return the Spider folder: dev.json, tables.json, database/."""
    return unpack("spider") / "spider"


@pytest.fixture(scope="session")
def parity_root() -> Path:
    """Return the folder with recorded official verdicts of two systems on Spider dev."""
    return unpack("parity") / "parity"


@pytest.fixture(scope="session")
def sample_databases() -> Path:
    """Return the folder with chinook.sqlite, northwind.sqlite and sakila.sqlite."""
    return unpack("sample_dbs") / "sample_dbs"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Return a private PostgreSQL server; skip where PostgreSQL or psycopg is absent."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """Return a private MariaDB server; skip where MariaDB or PyMySQL is absent."""
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """Return the tiny model of the catalogue (98 MB, pulled once per machine); skip where it can't be had."""
    from sqlwright.errors import ModelError
    from sqlwright.models.download import pull

    try:
        return pull("smollm2-135m-instruct")
    except ModelError as error:
        pytest.skip(f"needs the tiny model: {error}")


@pytest.fixture(scope="session")
def short_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny model cut to its first 6 of 30 blocks."""
    return first_blocks(tiny_model, tmp_path_factory.mktemp("short") / "short.gguf", 6)


@pytest.fixture(scope="session")
def base_model() -> Path:
    """Return the default base model; skip where it isn't on this machine (it is never pulled for a test)."""
    from sqlwright.models.verify import local_path

    found = local_path("qwen2.5-coder-0.5b-instruct")
    if found is None:
        pytest.skip("needs the base model: sqlwright models pull qwen2.5-coder-0.5b-instruct")
    return found
