"""Run SQL written by a model: in a worker process that is killed when it overruns.

Layers, from outside in: the input gate (size, characters); exactly one reading statement by the engine's own
parser; a connection that can't write; a worker process with limits on wall clock, memory and output, without
the right to write files; the cut of long results, which is always said. The caller never hangs and never has
to trust the SQL, nor the bytes that a worker sends.

Workers hold no state between queries (every query has a fresh connection), so that any worker takes any
query: the pages of a database are kept by the operating system's cache, not by a worker.

Not covered here: binding parameters to a query, Windows (needs `poll` on pipes), memory limits on systems
without `/proc` (there the size of a single value is limited, not the sum).
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlwright.databases.engines import address
from sqlwright.databases.lanes import Lanes
from sqlwright.databases.outcome import Limits, Outcome
from sqlwright.databases.process import (
    UNREADABLE,
    OverrunError,
    UnreadableAnswerError,
    WorkerEndedError,
    WorkerProcess,
    most_bytes,
    read_answer,
)
from sqlwright.errors import DatabaseError

# NUL and the control characters that no SQL has outside of attacks; surrogates are halves of characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


class Executor:
    """Runs queries on databases with a pool of killable worker processes.

    Use it as a context manager, or call `close`. `run` may be called from several threads at once; each call
    takes a free worker or waits for one. Workers start when first needed. `pid` is the process it works in.
    """

    def __init__(self, workers: int = 2, limits: Limits = Limits()) -> None:  # noqa: B008 - it is frozen
        if workers < 1:
            raise ValueError(f"Executor: expected at least 1 worker, found {workers}.")
        self.workers = workers
        self.limits = limits
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._free = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._closed = False
        self.pid = os.getpid()

    def run(self, database: Path | str, sql: str, *, limits: Limits | None = None) -> Outcome:
        """Return what came of running `sql` on `database`, a SQLite file or a URL; failure is an outcome, too.

        `limits` replaces the executor's own for this query.

        Raises:
            DatabaseError: the executor is closed, was made in another process, or can't start a worker; or there is
                no engine for the URL.
        """
        chosen = limits or self.limits
        refusal = _gate(sql, chosen)
        if refusal is not None:
            return refusal
        request = _request(database, sql, chosen)
        with self._free:
            worker = self._take()
            keep = False
            try:
                outcome, keep = _ask(worker, request, chosen)
            finally:
                self._put(worker, keep)
        return outcome

    def map(self, jobs: Iterable[tuple[Path | str, str]], *, limits: Limits | None = None) -> Iterator[Outcome]:
        """Yield the outcomes of (database, sql) jobs in their order, with all workers at work.

        Jobs are taken as needed: at most a few per worker are ahead of what was yielded. When the iteration ends
        early, the queries still running are killed. While it goes on it has workers of its own, so that `run` can
        be called in between.
        """
        chosen = limits or self.limits
        lanes = Lanes(self.workers, chosen, self._take, self._put)
        try:
            yield from lanes.outcomes(_gate(sql, chosen) or _request(database, sql, chosen) for database, sql in jobs)
        finally:
            lanes.close()

    def close(self) -> None:
        """Kill all workers; queries running in other threads end as errors. May be called again."""
        with self._lock:
            self._closed = True
            idle, busy = self._idle, list(self._busy)
            self._idle = []
        if self.pid == os.getpid():
            for worker in idle:
                worker.discard()
            for worker in busy:  # the thread that uses it closes its pipes
                worker.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> WorkerProcess:
        if self.pid != os.getpid():
            raise DatabaseError("This Executor was made in another process: make one in the process that uses it.")
        with self._lock:
            if self._closed:
                raise DatabaseError("This Executor is closed: make another.")
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.ended:  # killed while it waited, by the system for its memory, say
            worker.discard()
            worker = None
        if worker is None:
            worker = WorkerProcess()
        with self._lock:
            self._busy.add(worker)
            late = self._closed
        if late:  # it was started while the others were being stopped
            self._put(worker, False)
            raise DatabaseError("This Executor was closed while a query waited for its worker.")
        return worker

    def _put(self, worker: WorkerProcess, keep: bool) -> None:
        with self._lock:
            self._busy.discard(worker)
            keep = keep and not self._closed and len(self._idle) < self.workers
            if keep:
                self._idle.append(worker)
        if not keep:
            worker.discard()


def _request(database: Path | str, sql: str, limits: Limits) -> bytes:
    """Return a query as a worker reads it."""
    request = {
        **address(database),
        "sql": sql,
        "limits": {name: getattr(limits, name) for name in ("seconds", "memory_mb", "rows", "cells", "bytes")},
    }
    return json.dumps(request).encode("ascii")


def _ask(worker: WorkerProcess, request: bytes, limits: Limits) -> tuple[Outcome, bool]:
    """Return the outcome of a request, and whether the worker can take another."""
    start = time.monotonic()
    try:
        worker.send(request)
        answer = worker.receive(start + limits.seconds, most_bytes(limits))
        return read_answer(answer, time.monotonic() - start)
    except OverrunError:
        return worker.overrun(limits, time.monotonic() - start), False
    except (WorkerEndedError, OSError):
        return worker.end(limits, time.monotonic() - start), False
    except UnreadableAnswerError:
        return UNREADABLE, False


def _gate(sql: str, limits: Limits) -> Outcome | None:
    """Return a refusal for text that no engine should see, None for the rest."""
    message = ""
    # A character is at most 4 bytes: short statements needn't be encoded to be measured.
    size = len(sql) if 4 * len(sql) <= limits.sql_bytes else len(sql.encode("utf-8", "replace"))
    if size > limits.sql_bytes:
        message = f"expected a statement of at most {limits.sql_bytes:,} bytes, found {size:,}."
    else:
        found = _FORBIDDEN.search(sql)
        if found is not None:
            message = f"expected text, found the control character U+{ord(found[0]):04X} at {found.start()}."
    return Outcome("refused", message=message, error_class="refused") if message else None
