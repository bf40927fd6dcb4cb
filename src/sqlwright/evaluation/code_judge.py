"""The sandbox's outer process: fences off a program written by a model, runs the tests against it, and reports.

It is started by `code_sandbox`, by path with `python -I -S`, in a process group of its own. It reads one job from
stdin (program, solution, tests, the names the tests call) and writes one JSON line: `{"verdict", "detail",
"fences"}`. The verdict is "passed" only if the tests ran to their end here, in this process; the program lives in
another one (`code_candidate`), and the functions under test are stand-ins that ask it for plain values.

Fences, each set up if the system permits and named in "fences":

* limits on address space, processor time, file size, processes and open files;
* `user`: as root, the rights of the user nobody (if that user can read Python's library);
* `namespaces`: no network, no other processes in sight, one end for all processes of the program, and a
  read-only view of every file but the scratch folder, which is a small file system in memory;
* `seccomp` (x86-64 and 64-bit ARM): no new processes, sockets, tracing or mounts.

Not covered: systems other than Linux have the limits and the audit hook only.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_READ_ONLY, _RECURSIVE, _PRIVATE_ALL = 1, 0x8000, 0x4000 | (1 << 18)
_MOUNT_SETATTR = 442
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVILEGES = 1, 4, 22, 38
_NOBODY = 65534
_CANDIDATE = str(Path(__file__).with_name("code_candidate.py").resolve())

# Per machine: the audit number, the number of clone, and what is denied: socket, socketpair, fork, vfork, kill,
# ptrace, mount, umount2, keyctl, unshare, setns, process_vm_readv, process_vm_writev, bpf, io_uring_setup, and
# mount_setattr with the newer mount calls.
_NEWER = (425, 428, 429, 430, 442)
_SYSTEM_CALLS = {
    "x86_64": (0xC000003E, 56, (41, 53, 57, 58, 62, 101, 165, 166, 250, 272, 308, 310, 311, 321, *_NEWER)),
    "aarch64": (0xC00000B7, 220, (198, 199, 129, 117, 40, 39, 219, 97, 268, 270, 271, 280, *_NEWER)),
}
_CLONE3, _CLONE_THREAD = 435, 0x00010000


class CandidateGone(Exception):
    """The program's process ended, or sent what no value is, while it was asked for one."""


class _Candidate:
    """The other end of the program's process."""

    def __init__(self, codec: ModuleType, source: int, out: int) -> None:
        self.codec, self.source, self.out = codec, source, out
        self.gone = ""

    def ask(self, message: Any) -> list[Any]:
        """Return the answer to a message; raise `CandidateGone` if there is none, now and ever after."""
        if not self.gone:
            try:
                self.codec.send(self.out, message)
                answer = self.codec.receive(self.source)
                if isinstance(answer, list) and len(answer) == 3 and answer[0] in ("ok", "error"):
                    return answer
                self.gone = "the program's process sent no proper answer"
            except (EOFError, OSError):
                self.gone = "the program ended its process before the tests were through"
            except (ValueError, RecursionError, MemoryError) as error:
                self.gone = f"the program's process sent no proper answer: {error}"
        raise CandidateGone(self.gone)

    def function(self, name: str) -> Callable[..., Any]:
        """Return a stand-in for the program's function `name`."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            packed = [self.codec.pack(value) for value in arguments]
            status, result, changed = self.ask([name, packed, {k: self.codec.pack(v) for k, v in keywords.items()}])
            if status == "error":
                raise _error(result, changed)
            try:
                value = self.codec.unpack(result)
                for argument, after in zip(arguments, changed, strict=True):
                    _change(argument, after and self.codec.unpack(after))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                self.gone = f"the program's process sent no proper value: {error}"
                raise CandidateGone(self.gone) from None
            return value

        return call


def _error(name: object, message: object) -> Exception:
    """Return the exception that the program raised if it is a usual one, else one that says what it was."""
    kind = getattr(builtins, str(name), None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, AssertionError | UnicodeError):
        return kind(str(message))
    return RuntimeError(f"{name}: {message}")


def _change(argument: Any, after: Any) -> None:
    """Give an argument the content that the program's function left in it."""
    if isinstance(argument, list) and isinstance(after, list):
        argument[:] = after
    elif isinstance(argument, dict | set) and type(after) is type(argument):
        argument.clear()
        argument.update(after)


def judge(candidate: _Candidate, job: dict[str, Any]) -> tuple[str, str]:
    """Return the verdict on a program and what there is to say about it."""
    try:
        status, name, message = candidate.ask(job["program"])
        if status == "error":
            return _class_of(str(name)), f"{name} while the program was read: {message}"
        namespace: dict[str, Any] = {"__name__": "__tests__"}
        exec(compile(job["solution"], "<solution>", "exec", dont_inherit=True), namespace)
        # the benchmark's own code may use stand-ins only for what is under test
        namespace.update({name: candidate.function(name) for name in job["names"]})
        exec(compile(job["tests"], "<tests>", "exec", dont_inherit=True), namespace)
    except CandidateGone as error:
        return "ended_early", str(error)
    except AssertionError as error:
        return "wrong_answer", _failing_line(error, job["tests"])
    except BaseException as error:
        return _class_of(type(error).__name__), f"{type(error).__name__}: {error}"[:500]
    if candidate.gone:  # a test that catches every exception hid it
        return "ended_early", candidate.gone
    return "passed", ""


def _failing_line(error: AssertionError, tests: str) -> str:
    """Return the line of the tests that fails."""
    place, number = error.__traceback__, 0
    while place:
        if place.tb_frame.f_code.co_filename == "<tests>":
            number = place.tb_lineno
        place = place.tb_next
    return f"fails: {tests.splitlines()[number - 1].strip()}"[:500] if number else "a test fails"


def _class_of(name: str) -> str:
    if name in ("SyntaxError", "IndentationError", "TabError"):
        return "unparsable"
    if name in ("SystemExit", "KeyboardInterrupt"):
        return "ended_early"
    return "memory_limit" if name == "MemoryError" else "runtime_error"


def limit(seconds: float, memory_mb: int) -> None:
    """Limit this process and all it starts."""
    used = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = memory_mb * 1024 * 1024
    memory = memory if used == resource.RLIM_INFINITY else min(memory, used)
    whole = int(seconds) + 2
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, whole),
        (resource.RLIMIT_FSIZE, 16 * 1024 * 1024),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (value, value))


def fence(libc: Any, scratch: str) -> list[str]:
    """Put up the fences that the system permits and return their names."""
    names = ["limits"]
    if os.geteuid() == 0 and _nobody_can_read(os.__file__):
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
        names.append("user")
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NAMESPACES) == 0:
        # root is called nobody in there, so that executing the program's process drops every capability
        maps = (f"{user or _NOBODY} {user} 1", f"{group or _NOBODY} {group} 1")
        for name, text in (("setgroups", "deny"), ("uid_map", maps[0]), ("gid_map", maps[1])):
            with contextlib.suppress(OSError):  # without a map, the process has no name, and no rights either
                Path("/proc/self", name).write_text(text)
        names.append("namespaces")
        libc.mount(None, b"/", None, _PRIVATE_ALL, None)
        attributes = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
        read_only = libc.syscall(_MOUNT_SETATTR, -1, b"/", _RECURSIVE, attributes, len(attributes)) == 0
        in_memory = libc.mount(b"tmpfs", scratch.encode(), b"tmpfs", 0, b"size=16m,mode=0777") == 0
        if read_only and in_memory:
            names.append("read-only")
    return names


def _nobody_can_read(path: str) -> bool:
    """Return whether a user without any rights of its own reaches a file."""
    place = Path(path).resolve()
    return bool(place.stat().st_mode & 0o004) and all(folder.stat().st_mode & 0o001 for folder in place.parents)


def _filter(libc: Any) -> bool:
    """Deny system calls that no test needs, for this process and what it executes; return whether it worked."""
    known = _SYSTEM_CALLS.get(platform.machine())
    if not known:
        return False
    machine, clone, denied = known
    allow, refuse, absent = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
    # (code, true, false, value): load a word, compare, return; 0x20 ld, 0x15 ==, 0x35 >=, 0x45 bit set, 0x06 ret
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, machine), (0x06, 0, 0, refuse), (0x20, 0, 0, 0)]
    program += [(0x35, 0, 1, 0x40000000), (0x06, 0, 0, refuse)]
    program += [(0x15, 0, 1, _CLONE3), (0x06, 0, 0, absent)]
    for number in denied:
        program += [(0x15, 0, 1, number), (0x06, 0, 0, refuse)]
    program += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 1, 0, _CLONE_THREAD), (0x06, 0, 0, refuse)]
    program += [(0x06, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    return bool(libc.prctl(_SET_SECCOMP, 2, header, 0, 0) == 0)


def start(libc: Any, scratch: str, processes: bool) -> tuple[int, int, bool]:
    """Start the program's process; return the pipes from and to it and whether system calls are filtered."""
    requests, answers, ready = os.pipe(), os.pipe(), os.pipe()
    linux = sys.platform == "linux"
    if os.fork() == 0:
        if linux:
            libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        os.dup2(requests[0], 0)
        os.dup2(answers[1], 1)
        if processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (16, 16))
        if linux:
            libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        os.write(ready[1], b"1" if linux and _filter(libc) else b"0")
        os.execve(sys.executable, [sys.executable, "-I", "-S", _CANDIDATE, scratch], {"PATH": "/nowhere"})
    os.close(requests[0])
    os.close(answers[1])
    return answers[0], requests[1], os.read(ready[0], 1) == b"1"


def main(scratch: str) -> None:
    """Read a job from stdin, judge it, write the verdict to stdout."""
    libc = ctypes.CDLL(None, use_errno=True)
    codec = ModuleType("code_candidate")
    SourceFileLoader("code_candidate", _CANDIDATE).exec_module(codec)
    job = json.load(sys.stdin)
    limit(job["seconds"], job["memory_mb"])
    fences = fence(libc, scratch) if sys.platform == "linux" else ["limits"]
    if sys.platform == "linux":
        libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    source, out, filtered = start(libc, scratch, "user" in fences or os.geteuid() != 0)
    verdict, detail = judge(_Candidate(codec, source, out), job)
    fences += ["seccomp"] if filtered else []
    os.write(1, json.dumps({"verdict": verdict, "detail": detail, "fences": fences}).encode() + b"\n")
    os._exit(0)  # the program's process, if it still runs, ends with this one


if __name__ == "__main__":
    main(sys.argv[1])
