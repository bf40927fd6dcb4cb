"""Run SQL written by a model: in a worker process that is killed when it overruns.

Layers, from outside in: the input gate (size, characters); exactly one reading statement by the engine's own
parser; a connection that can't write; a worker process with limits on wall clock, memory and output, without
the right to write files; the cut of long results, which is always said. The caller never hangs and never has
to trust the SQL, nor the bytes that a worker sends.

Workers hold no state between queries (every query has a fresh connection), so that any worker takes any
query: the pages of a database are kept by the operating system's cache, not by a worker.

Not covered here: binding parameters to a query, Windows (needs `poll` on pipes), memory limits on systems
without `/proc` (there the size of a single value is limited, not the sum), engines other than SQLite.
"""

from __future__ import annotations

import binascii
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from sqlwright.databases.outcome import Limits, Outcome
from sqlwright.errors import DatabaseError

_HERE = Path(__file__).resolve().parent
# A loaded machine may take long to start a process; that time isn't the query's.
_START_SECONDS = 60.0
# NUL and the control characters that no SQL has outside of attacks; surrogates are halves of characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
# What a worker gets of the environment: how to load libraries and what time it is, no secrets.
_ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "TZ", "TZDIR")


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
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._free = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._closed = False
        self.pid = os.getpid()

    def run(self, database: Path | str, sql: str, *, limits: Limits | None = None) -> Outcome:
        """Return what came of running `sql` on the SQLite file `database`; failure is an outcome, too.

        `limits` replaces the executor's own for this query.

        Raises:
            DatabaseError: the executor is closed, was made in another process, or can't start a worker.
        """
        return self._run(database, sql, limits or self.limits, None)

    def map(self, jobs: Iterable[tuple[Path | str, str]], *, limits: Limits | None = None) -> Iterator[Outcome]:
        """Yield the outcomes of (database, sql) jobs in their order, with all workers at work.

        Jobs are taken as needed: at most a few per worker are ahead of what was yielded. When the iteration
        ends early, the queries still running are killed.
        """
        chosen = limits or self.limits
        batch = _Batch()
        pending: deque[Future[Outcome]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="sqlwright-executor")
        try:
            for database, sql in jobs:
                pending.append(pool.submit(self._run, database, sql, chosen, batch))
                if len(pending) >= 8 * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            with self._lock:
                batch.stopped = True
                running = list(batch.workers)
            for worker in running:
                worker.kill()
            pool.shutdown(wait=True)

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

    def _run(self, database: Path | str, sql: str, limits: Limits, batch: _Batch | None) -> Outcome:
        refusal = _gate(sql, limits)
        if refusal is not None:
            return refusal
        request = {
            "database": os.path.abspath(database),  # noqa: PTH100 - Path.resolve asks the disk for every part
            "sql": sql,
            "limits": {name: getattr(limits, name) for name in ("seconds", "memory_mb", "rows", "cells", "bytes")},
        }
        with self._free:
            worker = self._take(batch)
            keep = False
            try:
                outcome, keep = worker.ask(json.dumps(request).encode("ascii"), limits)
            finally:
                self._put(worker, batch, keep)
        return outcome

    def _take(self, batch: _Batch | None) -> _Worker:
        if self.pid != os.getpid():
            raise DatabaseError("This Executor was made in another process: make one in the process that uses it.")
        with self._lock:
            if self._closed or (batch is not None and batch.stopped):
                raise DatabaseError("This Executor is closed: make another.")
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.ended:  # killed while it waited, by the system for its memory, say
            worker.discard()
            worker = None
        if worker is None:
            worker = _Worker(_HERE / "sqlite.py")
        with self._lock:
            self._busy.add(worker)
            if batch is not None:
                batch.workers.add(worker)
            late = self._closed or (batch is not None and batch.stopped)
        if late:  # it was started while the others were being stopped
            self._put(worker, batch, False)
            raise DatabaseError("This Executor was closed while a query waited for its worker.")
        return worker

    def _put(self, worker: _Worker, batch: _Batch | None, keep: bool) -> None:
        with self._lock:
            self._busy.discard(worker)
            if batch is not None:
                batch.workers.discard(worker)
            keep = keep and not self._closed
            if keep:
                self._idle.append(worker)
        if not keep:
            worker.discard()


class _Batch:
    """The workers that one `map` uses at the moment; `stopped` when its iteration ended."""

    def __init__(self) -> None:
        self.workers: set[_Worker] = set()
        self.stopped = False


class _WorkerEndedError(Exception):
    """The worker closed its pipe."""


class _OverrunError(Exception):
    """The worker didn't answer in time."""


class _Worker:
    """One worker process and the pipes to it. Used by one thread at a time; `kill` may come from any."""

    def __init__(self, engine: Path) -> None:
        command = [sys.executable, "-I", "-S", str(_HERE / "worker.py"), str(engine)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,  # the terminal's Ctrl-C doesn't reach it
            )
        except OSError as error:
            raise DatabaseError(f"Can't start a worker process for queries: {error}.") from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)
        self._kill_lock = threading.Lock()
        try:
            hello = self._receive(time.monotonic() + _START_SECONDS, 64)
        except (_WorkerEndedError, _OverrunError):
            self.discard()
            raise DatabaseError(
                f"Can't start a worker process for queries: expected {sys.executable} with sqlite3, "
                f"found one that ended or did not answer (exit status {self._process.returncode})."
            ) from None
        except BaseException:
            self.discard()
            raise
        assert hello == b"ready"

    def ask(self, request: bytes, limits: Limits) -> tuple[Outcome, bool]:
        """Return the outcome of a request, and whether the worker can take another."""
        start = time.monotonic()
        try:
            self._send(len(request).to_bytes(4, "big") + request)
            answer = self._receive(start + limits.seconds, limits.bytes + (1 << 20))
            return _outcome(answer, time.monotonic() - start)
        except _OverrunError:
            return self._overrun(limits, time.monotonic() - start), False
        except (_WorkerEndedError, OSError):
            return self._ended(limits, time.monotonic() - start), False
        except (ValueError, KeyError, TypeError, RecursionError):
            message = "the worker's answer can't be read; the query was given up."
            return Outcome("error", message=message, error_class="runtime_error"), False

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End the process and wait until it is gone. May be called again, and by several threads."""
        with self._kill_lock:
            self._process.kill()
            self._process.wait()

    def discard(self) -> None:
        """Kill the process and close the pipes; only for the thread that uses it, or when none does."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._to, view) :]

    def _receive(self, deadline: float, most: int) -> bytes:
        size = int.from_bytes(self._read(4, deadline), "big")
        if size > most:
            raise ValueError(size)
        return self._read(size, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        chunks = []
        while size:
            left = deadline - time.monotonic()
            # An answer that is there counts, however late this thread comes to fetch it.
            if not self._poll.poll(max(left, 0.0) * 1000):
                raise _OverrunError
            chunk = os.read(self._from, min(size, 1 << 20))
            if not chunk:
                raise _WorkerEndedError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _overrun(self, limits: Limits, seconds: float) -> Outcome:
        self.kill()
        message = f"the query was stopped after {limits.seconds:g} s, its time limit."
        return Outcome("time_limit", seconds=seconds, message=message, error_class="time_limit")

    def _ended(self, limits: Limits, seconds: float) -> Outcome:
        self.kill()
        if seconds >= limits.seconds:
            return self._overrun(limits, seconds)
        message = f"the worker process ended during the query (exit status {self._process.returncode})."
        return Outcome("error", seconds=seconds, message=message, error_class="runtime_error")


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


def _outcome(answer: bytes, seconds: float) -> tuple[Outcome, bool]:
    first, *lines = answer.splitlines()
    head = json.loads(first)
    rows: list[tuple[Any, ...]] = []
    for line in lines:
        rows += map(tuple, json.loads(line, object_hook=_from_base64))
    outcome = Outcome(
        status=head["status"],
        columns=tuple(head["columns"]),
        rows=rows,
        truncated=head["truncated"],
        seconds=head.get("seconds", seconds),
        message=head.get("message", ""),
        error_class=head.get("error_class", ""),
    )
    return outcome, not head["retire"]


def _from_base64(value: dict[str, Any]) -> bytes:
    return binascii.a2b_base64(cast(str, value["b"]))
