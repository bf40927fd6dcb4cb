"""The process of a program written by a model: runs it, then calls its functions for the judge.

It is started by the judge (`code_judge`) inside the sandbox, by path with `python -I -S`. It knows the program
only, neither the tests nor the solution, and only plain data leaves it: what the judge compares are values that
the judge has made itself, so that no trick with `__eq__`, builtins or exit codes can pass a test.

A frame, in both directions, is a length of 4 bytes and JSON. Requests: the program's text, then calls
`[name, arguments, keywords]`. Answers: `["ok", value, arguments]` or `["error", class, message]`.

The audit hook is the outer fence, with clear messages; the kernel's fences are set up by the judge.

Not covered: values other than numbers, text, bytes, lists, tuples, sets, dictionaries and iterators over them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
MOST_ELEMENTS = 1_000_000
_MOST_DEPTH = 500

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORBIDDEN = (
    "socket.", "subprocess.", "ctypes.", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
    "os.kill", "os.killpg", "os.startfile", "pty.", "signal.pthread_kill", "syslog.", "os.putenv", "os.unsetenv",
)  # fmt: skip
_CHANGING = (
    "os.remove", "os.rmdir", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.chflags", "os.utime", "os.setxattr", "os.removexattr", "shutil.",
)  # fmt: skip
_MODULES = frozenset({"_posixsubprocess", "_ctypes", "ctypes", "_testcapi", "_xxsubinterpreters"})


def pack(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON: `[kind, content]`; subclasses become the plain type they derive from."""
    if depth > _MOST_DEPTH:
        raise ValueError("the value is nested too deeply")
    if value is None or value is True or value is False:
        return ["v", value]
    if isinstance(value, int):
        return ["i", f"{int(value):x}"]
    if isinstance(value, float):
        return ["f", float(value).hex()]
    if isinstance(value, complex):
        return ["c", [value.real.hex(), value.imag.hex()]]
    if isinstance(value, str):
        return ["s", str.__str__(value)]
    if isinstance(value, bytes | bytearray):
        return ["b" if isinstance(value, bytes) else "y", bytes(value).hex()]
    if isinstance(value, dict):
        pairs = [[pack(k, depth + 1), pack(v, depth + 1)] for k, v in dict.items(value)]
        return ["d", pairs]
    bases: tuple[tuple[str, Any], ...] = (("l", list), ("t", tuple), ("e", set), ("z", frozenset))
    for kind, base in bases:
        if isinstance(value, base):
            return [kind, [pack(v, depth + 1) for v in base.__iter__(value)]]
    if isinstance(value, range):
        return ["r", [value.start, value.stop, value.step]]
    if isinstance(value, Iterator):
        return ["n", [pack(v, depth + 1) for v in islice(value, MOST_ELEMENTS)]]
    if type(value).__name__ in ("dict_keys", "dict_values", "dict_items", "deque"):
        return ["l", [pack(v, depth + 1) for v in value]]
    return ["o", type(value).__name__]


def unpack(packed: Any) -> Any:
    """Return the value that `pack` described; an object of another kind becomes a fresh `object()`."""
    kind, content = packed
    plain: dict[str, Callable[[Any], Any]] = {
        "v": lambda c: c,
        "i": lambda c: int(c, 16),
        "f": float.fromhex,
        "c": lambda c: complex(float.fromhex(c[0]), float.fromhex(c[1])),
        "s": str,
        "b": bytes.fromhex,
        "y": bytearray.fromhex,
        "d": lambda c: {unpack(k): unpack(v) for k, v in c},
        "l": lambda c: [unpack(v) for v in c],
        "t": lambda c: tuple(unpack(v) for v in c),
        "e": lambda c: {unpack(v) for v in c},
        "z": lambda c: frozenset(unpack(v) for v in c),
        "r": lambda c: range(*c),
        "n": lambda c: iter([unpack(v) for v in c]),
        "o": lambda c: object(),
    }
    return plain[kind](content)


def send(out: int, message: Any) -> None:
    """Write one frame to the file descriptor `out`."""
    data = json.dumps(message).encode()
    if len(data) > MOST_BYTES:
        raise ValueError("the value is too large")
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(out, data) :]


def receive(source: int) -> Any:
    """Return the next frame from the file descriptor `source`; raise `EOFError` when there is none."""

    def exactly(count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = os.read(source, min(1 << 20, count - len(parts)))
            if not part:
                raise EOFError
            parts += part
        return parts

    size = int.from_bytes(exactly(4), "big")
    if size > MOST_BYTES:
        raise ValueError("the value is too large")
    return json.loads(exactly(size))


def _forbid(scratch: str) -> None:
    """Deny processes, sockets, foreign code and changes outside of `scratch` for the rest of the process."""
    inside, root, modules = scratch + os.sep, scratch, _MODULES
    resolve, decode = os.path.realpath, os.fsdecode

    def is_inside(path: Any) -> bool:
        if isinstance(path, int):
            return True  # a file descriptor: opened before, or under this rule
        found = resolve(decode(path))
        return found == root or found.startswith(inside) or found == os.devnull

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writing = (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & _WRITING
            if writing and not is_inside(path):
                raise PermissionError(f"the sandbox forbids writing to {path!r}")
        elif event == "import":
            if arguments[0] in modules:
                raise ImportError(f"the sandbox forbids importing {arguments[0]}")
        elif event.startswith(_FORBIDDEN):
            raise PermissionError(f"the sandbox forbids {event}")
        elif event.startswith(_CHANGING) and not all(
            is_inside(a) for a in arguments[:2] if isinstance(a, str | bytes | os.PathLike)
        ):
            raise PermissionError(f"the sandbox forbids {event} on {arguments[0]!r}")

    sys.addaudithook(hook)


def _failure(error: BaseException) -> list[str]:
    """Return an error as an answer; the message may come from hostile code, so asking for it may fail, too."""
    message = ""
    with contextlib.suppress(BaseException):
        message = str(error)[:500]
    return ["error", type(error).__name__, message]


def main(scratch: str) -> None:
    """Run the program from the first frame, then answer calls until the judge closes the pipe."""
    source, out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir(scratch)
    program = receive(source)
    _forbid(scratch)
    namespace: dict[str, Any] = {"__name__": "__candidate__"}
    try:
        exec(compile(program, "<program>", "exec", dont_inherit=True), namespace)
    except BaseException as error:
        send(out, _failure(error))
        return
    send(out, ["ok", ["v", None], []])
    while True:
        try:
            name, arguments, keywords = receive(source)
        except EOFError:
            return
        try:
            values = [unpack(argument) for argument in arguments]
            result = pack(namespace[name](*values, **{k: unpack(v) for k, v in keywords.items()}))
            answer = ["ok", result, [pack(v) if isinstance(v, list | dict | set) else None for v in values]]
            send(out, answer)
        except BaseException as error:
            send(out, _failure(error))


if __name__ == "__main__":
    main(sys.argv[1])
