"""Corrections of a model's SQL, kept as question data: a JSON-lines file that `prepare` reads with the format `jsonl`.

A line holds `id`, `database`, `question`, `sql` (the corrected query) and `wrong` (what the model had written; the
reader of questions ignores it). Lines are only ever appended: under a lock, in one write, synced before the call
returns. So a correction that was acknowledged is there, once, however many processes write and however they end.

Not covered: `prepare` reads corrections of database files, not yet those of servers; file systems whose locks don't
reach other machines; taking a correction back (edit the file: one line is one correction).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.databases.engines import DUCKDB, engine_of, is_url, shown
from sqlwright.errors import DatabaseError, DataError
from sqlwright.records import stable_id

CORRECTIONS = Path("corrections.jsonl")
"""Where corrections go by default: a file in the folder where SQLWright is run, beside `runs/`."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A stored correction; `added` is False if the very same one was there already.

    `database` is the absolute path of the file (or the URL without its password), `wrong` the SQL that was corrected,
    `sql` the right one.
    """

    id: str
    database: str
    question: str
    sql: str
    wrong: str
    path: Path
    added: bool = True


def add_correction(
    question: str,
    database: Path | str,
    *,
    wrong: str,
    sql: str,
    path: Path = CORRECTIONS,
    executor: Executor | None = None,
) -> Correction:
    """Store a correction and return it; the same one given again is not stored twice.

    Args:
        question: what was asked.
        database: the database that was asked, a file or a URL.
        wrong: the SQL that the model wrote.
        sql: the corrected SQL; it is run once, and refused if it doesn't run.
        path: the file, made with its folder if absent.
        executor: runs the corrected SQL; one is made if absent.

    Raises:
        DatabaseError: the corrected SQL is refused or fails; nothing is stored.
        DataError: a text is empty or no text, the correction corrects nothing, or the file can't be written.
    """
    question, wrong, sql = question.strip(), wrong.strip(), sql.strip().rstrip(";").rstrip()
    for name, text in (("question", question), ("corrected SQL", sql)):
        if not text:
            raise DataError(f"Expected the {name} of a correction, found an empty text.")
    if sql == wrong.rstrip(";").rstrip():
        raise DataError("Expected SQL that differs from what the model wrote, found the same. Nothing was stored.")
    reference = database_reference(database)
    with contextlib.nullcontext(executor) if executor else Executor(workers=1) as runner:
        outcome = runner.run(database, sql)
    if not outcome.ok:
        raise DatabaseError(f"The corrected SQL doesn't run: {outcome.message.rstrip('.')}. Nothing was stored.")
    try:
        identity = stable_id("correction", reference, question, wrong, sql)
        values = {"id": identity, "database": reference, "question": question, "sql": sql, "wrong": wrong}
        line = json.dumps(values, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        raise DataError("Expected text in UTF-8, found other bytes in the question or the SQL.") from None
    return Correction(identity, reference, question, sql, wrong, path, _append(path, identity, line))


def database_reference(database: Path | str) -> str:
    """Return what a correction calls its database: the absolute path of a file, or the URL without its password."""
    if is_url(database) and engine_of(database) != DUCKDB:
        return shown(database)
    return str(Path(str(database).removeprefix("duckdb://")).resolve())


def _append(path: Path, identity: str, line: bytes) -> bool:
    """Append the line, synced, unless one with its id is there; return whether it was appended."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # freed with the process, however it ends
            file.seek(0)
            held = file.read()
            if identity in _ids(held):
                return False
            if held and not held.endswith(b"\n"):
                # Left by a writer that was killed, or by an editor: it stays, on a line of its own.
                line = b"\n" + line
            try:
                written = file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes could be written")
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(len(held))
                raise
            if not held:
                _sync_folder(path.parent)
            return True
    except OSError as error:
        raise DataError(
            f"{path}: the correction can't be stored ({error.strerror}). Give another file, or make room."
        ) from None


def _ids(held: bytes) -> Iterator[str]:
    """Yield the ids of the corrections in a file; what is no correction has none."""
    for line in held.split(b"\n"):
        with contextlib.suppress(ValueError):
            values = json.loads(line)
            if isinstance(values, dict) and isinstance(values.get("id"), str):
                yield values["id"]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
