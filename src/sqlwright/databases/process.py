"""One worker process, the pipes to it, and what its answers and its end mean.

Not covered here: which worker takes which query (see `executor` and `lanes`), what the worker does (see `worker`).
"""

from __future__ import annotations

import binascii
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

from sqlwright.databases.outcome import Limits, Outcome
from sqlwright.errors import DatabaseError

_HERE = Path(__file__).resolve().parent
# A loaded machine may take long to start a process; that time isn't the query's.
_START_SECONDS = 60.0
# What a worker gets of the environment: how to load libraries and what time it is, no secrets.
_ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "TZ", "TZDIR")
# Room in an answer beside its rows: column names, the status, a message.
_HEAD_ROOM = 1 << 20
# An answer that nobody can read, from a worker that may have been taken over.
UNREADABLE = Outcome(
    "error", message="the worker's answer can't be read; the query was given up.", error_class="runtime_error"
)


class WorkerEndedError(Exception):
    """The worker closed its pipe."""


class OverrunError(Exception):
    """The worker didn't answer in time."""


class UnreadableAnswerError(Exception):
    """The worker sent something else than an answer."""


class WorkerProcess:
    """A running worker. Used by one thread at a time; `kill` may come from any.

    Raises:
        DatabaseError: the process can't be started.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", str(_HERE / "worker.py")]
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
        self._to, self.fileno = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self.fileno, select.POLLIN)
        self._kill_lock = threading.Lock()
        self._arrived = bytearray()
        try:
            hello = self.receive(time.monotonic() + _START_SECONDS, 64)
        except (WorkerEndedError, OverrunError, UnreadableAnswerError):
            self.discard()
            raise DatabaseError(
                f"Can't start a worker process for queries: expected {sys.executable} with sqlite3, "
                f"found one that ended or did not answer (exit status {self._process.returncode})."
            ) from None
        except BaseException:
            self.discard()
            raise
        assert hello == b"ready"

    @property
    def ended(self) -> bool:
        """Whether a worker without a query is gone, or says something unasked."""
        return self._process.poll() is not None or bool(self._poll.poll(0))

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

    def send(self, request: bytes) -> None:
        """Send a request. Waits while the pipe is full; raises `OSError` if the worker is gone."""
        view = memoryview(len(request).to_bytes(4, "big") + request)
        while view:
            view = view[os.write(self._to, view) :]

    def receive(self, deadline: float, most: int) -> bytes:
        """Return the next frame, of at most `most` bytes, if it arrives before `deadline` (monotonic seconds).

        Raises:
            OverrunError, WorkerEndedError, UnreadableAnswerError: why there is none.
        """
        while True:
            frame = self.frame(most)
            if frame is not None:
                return frame
            left = deadline - time.monotonic()
            # An answer that is there counts, however late this thread comes to fetch it.
            if not self._poll.poll(max(left, 0.0) * 1000):
                raise OverrunError
            self.fetch()

    def fetch(self) -> None:
        """Take what has arrived from the pipe; raise `WorkerEndedError` if it is closed. Waits if nothing has."""
        chunk = os.read(self.fileno, 1 << 20)
        if not chunk:
            raise WorkerEndedError
        self._arrived += chunk

    def frame(self, most: int) -> bytes | None:
        """Return the next frame of what was fetched, None if it isn't whole yet."""
        if len(self._arrived) < 4:
            return None
        size = int.from_bytes(self._arrived[:4], "big")
        if size > most:
            raise UnreadableAnswerError
        if len(self._arrived) < 4 + size:
            return None
        frame = bytes(self._arrived[4 : 4 + size])
        del self._arrived[: 4 + size]
        return frame

    def overrun(self, limits: Limits, seconds: float) -> Outcome:
        """End the process; return the outcome of the query that took `seconds`, too long."""
        self.kill()
        message = f"the query was stopped after {limits.seconds:g} s, its time limit."
        return Outcome("time_limit", seconds=seconds, message=message, error_class="time_limit")

    def end(self, limits: Limits, seconds: float) -> Outcome:
        """Return the outcome of the query during which the worker ended by itself."""
        self.kill()
        status = self._process.returncode
        if seconds >= limits.seconds or status == -signal.SIGALRM:  # its own alarm, the parent being busy
            return self.overrun(limits, seconds)
        message = f"the worker process ended during the query (exit status {status})."
        return Outcome("error", seconds=seconds, message=message, error_class="runtime_error")


def most_bytes(limits: Limits) -> int:
    """Return the length of the longest answer that keeps the limits."""
    return limits.bytes + _HEAD_ROOM


def read_answer(answer: bytes, seconds: float) -> tuple[Outcome, bool]:
    """Return the outcome in an answer that took `seconds`, and whether the worker can take another query."""
    try:
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
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNREADABLE, False


def _from_base64(value: dict[str, Any]) -> bytes:
    return binascii.a2b_base64(cast(str, value["b"]))
