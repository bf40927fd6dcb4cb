"""Where models lie on this machine, and whether their bytes are right.

Beside `NAME.gguf` lies `NAME.json` with the hash, the length and the file's modification time, so that a
model once checked needs only a look at its size and time before it is loaded, not a hash of half a gigabyte.

Not covered: a file changed on purpose with its size and time put back. `verify` always hashes all bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlwright.datasets.locate import cache_folder
from sqlwright.errors import ModelError
from sqlwright.models.catalogue import CATALOGUE, ModelEntry, find_entry
from sqlwright.models.folder import is_model_folder, model_files
from sqlwright.models.snapshot import find_snapshot, is_hub_name

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Verification:
    """What hashing a model file showed: `correct` is None where no expected hash is known."""

    path: Path
    bytes: int
    sha256: str
    expected: str | None

    @property
    def correct(self) -> bool | None:
        """Whether the file is the one expected."""
        return None if self.expected is None else self.sha256 == self.expected


def models_folder() -> Path:
    """Return the folder of models: `$SQLWRIGHT_MODELS`, else `sqlwright/models` in the cache folder."""
    chosen = os.environ.get("SQLWRIGHT_MODELS")
    return Path(chosen).expanduser() if chosen else cache_folder() / "models"


def local_path(name: str, folder: Path | None = None) -> Path | None:
    """Return the file of a catalogued model, None if it isn't on this machine.

    A file without a record of its hash (put there by hand) is hashed once.

    Raises:
        ModelError: the name is unknown, or the file is not the model.
    """
    entry = find_entry(name)
    path = (folder or models_folder()) / entry.file
    if not path.is_file():
        return None
    if _recorded_hash(path) == entry.sha256:
        return path
    stat = path.stat()
    if stat.st_size == entry.bytes and hash_file(path) == entry.sha256:
        write_record(path, entry.sha256, "found here")
        return path
    raise ModelError(
        f"{path}: expected {entry.name} with {entry.bytes:,} bytes and SHA-256 {entry.sha256[:12]}…, "
        f"found {stat.st_size:,} bytes that differ. Replace it with: sqlwright models pull {entry.name}"
    )


def find_model(name_or_path: str) -> Path:
    """Return the model meant by a catalogue name, by a path (GGUF file, folder of transformers), or a name on the hub.

    Raises:
        ModelError: it isn't on this machine; the message says how to get it.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file() or is_model_folder(path):
        return path
    if is_hub_name(name_or_path):
        fetched = find_snapshot(name_or_path)
        if fetched is None:
            raise ModelError(
                f"expected a model at {path} or {name_or_path} in the model hub's cache, found neither. "
                f"Run: sqlwright models pull {name_or_path}"
            )
        return fetched
    if path.suffix == ".gguf" or path.parent != Path():
        there = "a folder without config.json and *.safetensors" if path.is_dir() else "nothing"
        raise ModelError(f"expected a GGUF file or a model's folder at {path}, found {there}.")
    found = local_path(name_or_path)
    if found is None:
        entry = find_entry(name_or_path)
        raise ModelError(
            f"{entry.name} is not on this machine (looked in {models_folder()}). "
            f"Run: sqlwright models pull {entry.name}   ({entry.bytes / 1e6:,.0f} MB)"
        )
    return found


def verify(
    name_or_path: str | Path, folder: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Return what hashing all bytes of a model shows, and bring its record up to date.

    Args:
        name_or_path: a catalogue name, or a file; a file is compared with the catalogue by its name, or else
            with its record.
        folder: the folder of models, `models_folder()` when None.
        progress: called with (bytes hashed, all bytes).

    Raises:
        ModelError: the model isn't there.
    """
    path = Path(name_or_path)
    if not path.is_file():
        entry = find_entry(str(name_or_path))
        path = (folder or models_folder()) / entry.file
    if not path.is_file():
        raise ModelError(f"expected a model at {path}, found nothing. Run: sqlwright models pull {name_or_path}")
    expected = next((e.sha256 for e in CATALOGUE.values() if e.file == path.name), None) or _record(path)[0]
    found = hash_file(path, progress)
    if found == expected:
        write_record(path, found, _record(path)[1] or "found here")
    else:
        record_path(path).unlink(missing_ok=True)
    return Verification(path, path.stat().st_size, found, expected)


def hash_file(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    total, done = path.stat().st_size, 0
    with path.open("rb") as data:
        while block := data.read(CHUNK):
            digest.update(block)
            done += len(block)
            if progress:
                progress(done, total)
    return digest.hexdigest()


def record_path(path: Path) -> Path:
    """Return where the record of a model file lies: beside it, but not in the hub's cache."""
    if path.parent.name == "snapshots":
        return models_folder() / f"{path.parent.parent.name}-{path.name}.json"
    return path.with_name(f"{path.name}.json") if path.is_dir() else path.with_suffix(".json")


def write_record(path: Path, sha256: str, source: str) -> None:
    """Note that the file has this hash now; written aside and renamed, so that it is whole or absent."""
    size, mtime = _state(path)
    values = {"sha256": sha256, "bytes": size, "mtime_ns": mtime, "source": source}
    aside = record_path(path).with_name(f"{record_path(path).name}.{os.getpid()}")
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(values) + "\n", encoding="utf-8")
        aside.replace(record_path(path))
    except OSError:  # a shared, read-only model folder: the file is hashed again next time
        aside.unlink(missing_ok=True)


def check_entry(entry: ModelEntry, path: Path, progress: Callable[[int, int], None] | None = None) -> bool:
    """Return whether the file holds exactly the entry's bytes."""
    return path.stat().st_size == entry.bytes and hash_file(path, progress) == entry.sha256


def model_hash(path: Path) -> str:
    """Return the SHA-256 of a model file: the recorded one, or computed (half a second per 500 MB) and recorded.

    A folder's is the hash of the names and hashes of its files; its record lies beside it.
    """
    known = _recorded_hash(path)
    if known:
        return known
    digest = _hash_folder(path) if path.is_dir() else hash_file(path)
    # A file of that name that isn't our record belongs to the user: it stays, and the hash is computed each time.
    if not record_path(path).exists() or _record(path)[0]:
        write_record(path, digest, "local file")
    return digest


def _hash_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in model_files(folder):
        digest.update(f"{path.name} {hash_file(path)}\n".encode())
    return digest.hexdigest()


def _state(path: Path) -> tuple[int, int]:
    """Return bytes and modification time (ns) of a file, or of all files of a model's folder."""
    stats = [file.stat() for file in ([path, *model_files(path)] if path.is_dir() else [path])]
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


def _recorded_hash(path: Path) -> str | None:
    """Return the recorded hash if the file hasn't been touched since, else None."""
    sha256, _, size, mtime = _read_record(path)
    return sha256 if (size, mtime) == _state(path) else None


def _record(path: Path) -> tuple[str | None, str | None]:
    return _read_record(path)[:2]


def _read_record(path: Path) -> tuple[str | None, str | None, int | None, int | None]:
    """Return (sha256, source, bytes, mtime_ns) of the record, all None if there is none or it is damaged."""
    try:
        values = json.loads(record_path(path).read_text(encoding="utf-8"))
        return values["sha256"], values.get("source"), values["bytes"], values["mtime_ns"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None, None, None
