"""The program of a worker process: read a query, run it, write the outcome, until the parent is gone.

It is started by path with `python -I -S` and imports the standard library and SQLite's engine only, so that it starts
in some 40 milliseconds and stays small; other engines come when they are first needed. A frame, in
both directions, is a length of 4 bytes, most significant first, and so many bytes. A request is a JSON object
(database, sql, limits; other engines: engine and packages, the folders to import from); an answer is lines of JSON:
an object, then arrays of rows. Nothing in an answer can make the parent run code.

Not covered here: the wall clock. The parent kills a worker that overruns; the alarm below is the second line,
for the case that the parent itself is stopped.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

try:
    import resource
except ImportError:  # not a Unix: the engine's own limits remain
    resource = None  # type: ignore[assignment]

# Seconds that the parent has for killing a worker that overruns, before the worker's own alarm does.
ALARM_AFTER = 1.0
# A worker that holds so much more memory than at its start is replaced: the next query gets its full share.
RETIRE_ABOVE = 48 * 1024 * 1024
NO_MEMORY = (
    b'{"status":"memory_limit","columns":[],"truncated":false,"error_class":"memory_limit","retire":true,'
    b'"message":"the query needs more memory than its limit."}\n'
)


def main() -> None:
    """Serve requests from stdin on stdout until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside SQLite's code
    engines = {"": _load("sqlite", [])}
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    _give_up_rights()
    base = _address_space()
    _write([b"ready"])
    while True:
        request = json.loads(_read(int.from_bytes(_read(4), "big")))
        limits = request["limits"]
        signal.setitimer(signal.ITIMER_REAL, limits["seconds"] + ALARM_AFTER)
        name = request.get("engine", "")
        if name not in engines:
            engines[name] = _load(name, request["packages"])
            base = _address_space()
        _allow(base, limits["memory_mb"] * 1024 * 1024 * getattr(engines[name], "SPARE", 1))
        answer = _answer(engines[name], request, base)
        _allow(base, None)
        _write(answer)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(engine: Any, request: dict[str, Any], base: int) -> list[bytes]:
    try:
        head, pieces = engine.run(request["database"], request["sql"], request["limits"])
        head["retire"] = base > 0 and _address_space() - base > RETIRE_ABOVE
        return [json.dumps(head).encode("ascii") + b"\n", *pieces]
    except MemoryError:
        return [NO_MEMORY]


def _load(name: str, folders: list[str]) -> ModuleType:
    """Load the engine `name`, which may import packages from `folders` and its neighbours in this folder.

    Those are imported as parts of the package, whose own `__init__` isn't run: it would import the whole room.
    """
    sys.path += [folder for folder in folders if folder not in sys.path]
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - Path is not imported in workers
    for package, folder in (("sqlwright", os.path.dirname(here)), ("sqlwright.databases", here)):  # noqa: PTH120
        sys.modules.setdefault(package, ModuleType(package)).__path__ = [folder]
    return import_module(f"sqlwright.databases.{name}")


def _leave_with_parent(parent: int) -> None:
    """End the process when the parent closes the pipe or dies, also in the middle of a query."""
    pipe = select.poll()
    pipe.register(0, 0)
    while not pipe.poll(2000) and os.getppid() == parent:
        pass
    os._exit(0)


def _give_up_rights() -> None:
    """Forbid what no query needs: growing a file, dumping memory, opening many files."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def _address_space() -> int:
    """Return the process's address space in bytes; 0 where the system doesn't tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0


def _allow(base: int, extra: int | None) -> None:
    if resource is None or not base:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard if extra is None else base + extra
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _read(size: int) -> bytes:
    chunks = []
    while size:
        chunk = os.read(0, min(size, 1 << 20))
        if not chunk:
            os._exit(0)
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _write(pieces: list[bytes]) -> None:
    size = sum(map(len, pieces))
    for piece in (size.to_bytes(4, "big"), *pieces):
        view = memoryview(piece)
        while view:
            view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
