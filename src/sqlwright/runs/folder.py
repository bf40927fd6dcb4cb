"""The run folder: files anyone can read, a manifest that says what they came from, and a lock.

`manifest.json` records for every stage the inputs it was started with (`inputs`, by name) and, once it is done, the
hashes of its `outputs`. A stage is up to date if its inputs are the same and its outputs are still there, unchanged.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError, RunLockedError
from sqlwright.records import Record

VERSION = 1


class RunFolder:
    """A run on disk. Paths are attributes; `manifest` holds the stages by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.toml"
        self.questions = path / "questions.jsonl"
        self.adapter = path / "adapter"
        self.preferred = path / "preferred"
        self.completions = path / "completions.jsonl"
        self.baseline = path / "completions.base.jsonl"
        self.retried = path / "completions.retried.jsonl"
        self.best = path / "completions.best.jsonl"
        self.phases = path / "phases"
        self.verdicts = path / "verdicts.jsonl"
        self.report = path / "report.json"
        self.page = path / "report.html"
        self.manifest: dict[str, Any] = self._read_manifest()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; raise `RunLockedError` where another one has it.

        The lock goes with the process, however it ends: a killed one leaves nothing to clean up.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise RunLockedError(
                    f"{self.path}: another process (number {holder}) works on this run. Wait for it, or stop it."
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self.manifest = self._read_manifest()
            yield

    def changed(self, stage: str, inputs: Mapping[str, str]) -> list[str]:
        """Return why the stage has to run, one short text per reason; empty where it is up to date."""
        record = self.manifest["stages"].get(stage)
        if record is None:
            return ["it has not run yet"]
        reasons = [
            f"{name} changed" + (f" ({before} → {value})" if max(len(before), len(value)) < 40 else "")
            for name, value in inputs.items()
            if (before := record["inputs"].get(name, "")) != value
        ]
        reasons += [f"{name} is gone" for name in record["inputs"] if name not in inputs]
        if reasons:
            return reasons
        if record["status"] != "done":
            return ["it was interrupted"]
        for name, digest in record["outputs"].items():
            if not (self.path / name).exists():
                reasons.append(f"{name} is missing")
            elif hash_path(self.path / name) != digest:
                reasons.append(f"{name} was edited")
        return reasons

    def begin(self, stage: str, inputs: Mapping[str, str]) -> bool:
        """Record that the stage begins; return whether it goes on with work begun under the same inputs."""
        record = self.manifest["stages"].get(stage)
        going_on = record is not None and record["inputs"] == dict(inputs) and record["status"] == "begun"
        if not going_on:
            self.manifest["stages"][stage] = {"status": "begun", "inputs": dict(inputs), "outputs": {}}
            self.write_manifest()
        return going_on

    def done(self, stage: str, outputs: Sequence[Path], facts: Mapping[str, Any]) -> None:
        """Record that the stage is done, with the hashes of its outputs and `facts` for the reader."""
        record = self.manifest["stages"][stage]
        record["status"] = "done"
        record["outputs"] = {str(path.relative_to(self.path)): hash_path(path) for path in outputs}
        record["facts"] = dict(facts)
        self.write_manifest()

    def keep(self, stage: str, name: str, decide: Callable[[], Any]) -> Any:
        """Return what a stage in hand decided under `name`: now, unless it did so when its work was begun."""
        kept = self.manifest["stages"][stage].setdefault("decided", {})
        if name not in kept:
            kept[name] = decide()
            self.write_manifest()
        return kept[name]

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what the stage recorded about itself, empty if it isn't done."""
        found: dict[str, Any] = self.manifest["stages"].get(stage, {}).get("facts", {})
        return found

    def write_manifest(self) -> None:
        """Write `manifest.json`, whole."""
        write_text(self.path / "manifest.json", json.dumps(self.manifest, indent=1, ensure_ascii=False) + "\n")

    def _read_manifest(self) -> dict[str, Any]:
        path = self.path / "manifest.json"
        if not path.is_file():
            return {"version": VERSION, "stages": {}}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found["stages"], dict) or found["version"] > VERSION:
                raise ValueError(f"version {found['version']}")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: expected the manifest of a run, found something else ({error}). "
                "Give the run another name, or move the folder away."
            ) from None
        return dict(found)


def append_records(path: Path, records: Sequence[Record]) -> None:
    """Append records as lines and sync: they survive a kill from here on."""
    append_lines(path, [record.to_json() for record in records])


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines and sync: they survive a kill from here on."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def read_appended(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """Return the whole lines of an appended file as values, and whether a torn last line was dropped."""
    if not path.is_file():
        return [], False
    values = []
    for line in path.read_bytes().split(b"\n"):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except ValueError:
            return values, True
    return values, False


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all (aside, synced, renamed)."""
    aside = path.with_name(path.name + ".partial")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def hash_path(path: Path) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a file, or of all files of a folder by name."""
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(str(file.relative_to(path)).encode())
        with file.open("rb") as data:
            while block := data.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def hash_values(*values: Any) -> str:
    """Return 16 hexadecimal digits that depend on the JSON of the values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
