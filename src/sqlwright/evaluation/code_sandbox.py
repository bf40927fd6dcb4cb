"""Run a program written by a model against tests, in processes that can harm nothing and are killed in time.

Three processes: this one starts a judge (`code_judge`) and reads its verdict; the judge fences itself off and
starts the program's own process (`code_candidate`). The verdict comes from the judge alone. Leaving early,
printing, patching builtins, comparing equal to everything or ending the process don't pass a test, because the
program shares neither memory nor tests with the judge.

The whole process group is killed when the time is over and after every verdict; with namespaces (see
`code_judge`), every process that the program started ends with it, whatever group it moved to.

Not covered: what a program may read. It sees the files that the user sees; it can't send them anywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.errors import DatabaseError

_JUDGE = Path(__file__).with_name("code_judge.py")

# Time for starting two interpreters on a loaded machine, on top of the program's own.
_START_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """What one program may use: wall time of all its tests in seconds, address space in MiB.

    The slowest published solution (MBPP 123) takes 5 seconds on an idle core.
    """

    seconds: float = 20.0
    memory_mb: int = 1024


@dataclass(frozen=True, slots=True)
class ProgramOutcome:
    """What the judge said: "passed", or an error class with a sentence; and the fences that were up."""

    verdict: str
    detail: str
    fences: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.verdict == "passed"


def run_program(
    program: str,
    tests: str,
    names: Sequence[str],
    solution: str = "",
    limits: ProgramLimits = ProgramLimits(),
) -> ProgramOutcome:
    """Return what the tests say about a program.

    Args:
        program: the Python source to judge.
        tests: Python source that raises if the program is wrong.
        names: functions of the program that the tests call; everything else in the tests runs without it.
        solution: Python source run before the tests for what they need besides (helpers, imports).
        limits: time and memory.

    Raises:
        DatabaseError: no Python process can be started, or the judge itself fails.
    """
    job = {
        "program": program,
        "tests": tests,
        "names": list(names),
        "solution": solution,
        "seconds": limits.seconds,
        "memory_mb": limits.memory_mb,
    }
    with tempfile.TemporaryDirectory(prefix="sqlwright-code-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o777)  # the program's process may have no rights of ours
        started = time.perf_counter()
        process = _ask_judge(json.dumps(job).encode(), scratch, limits.seconds + _START_SECONDS)
        taken = time.perf_counter() - started
    if process is None:
        return ProgramOutcome("time_limit", f"took more than {limits.seconds:g} s", (), taken)
    if process.returncode < 0:  # killed by a limit that holds for the judge, too
        ended = signal.Signals(-process.returncode).name
        return ProgramOutcome("memory_limit", f"the tests' process was ended by {ended}", (), taken)
    if process.returncode:
        said = process.stderr.decode(errors="replace").strip()[-300:]
        raise DatabaseError(f"code sandbox: expected a verdict from {_JUDGE.name}, found an error: {said}")
    found = json.loads(process.stdout)
    return ProgramOutcome(found["verdict"], found["detail"], tuple(found["fences"]), taken)


def _ask_judge(job: bytes, scratch: str, seconds: float) -> subprocess.CompletedProcess[bytes] | None:
    """Return how the judge ended and what it wrote, or None if it was killed for taking too long."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_JUDGE), scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={"LANG": "C.UTF-8", "PATH": "/nowhere", "PYTHONHASHSEED": "0"},
            cwd="/",
        )
    except OSError as error:
        raise DatabaseError(f"code sandbox: can't start {sys.executable}: {error.strerror}.") from None
    try:
        answer, errors = process.communicate(job, timeout=seconds)
        return subprocess.CompletedProcess([], process.returncode, answer, errors)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.communicate()
