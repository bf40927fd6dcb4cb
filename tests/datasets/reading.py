"""Helpers for tests of readers: the files in published formats, and what a dataset left out."""

from __future__ import annotations

from pathlib import Path

from sqlwright.datasets import Dataset

FILES = Path(__file__).parent / "files"
PUBLISHED = FILES / "published"


def dropped(dataset: Dataset, file: Path) -> list[tuple[str, str]]:
    """Return (place, kind of reason) of what was left out of `file`; places elsewhere stay whole."""
    return [(one.where.removeprefix(str(file)), one.kind) for one in dataset.dropped]
