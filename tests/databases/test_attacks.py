"""Every input of the attack catalogue has the outcome it must have, and leaves no trace."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from catalogue import attacks, problems, text_of

FILES = sorted((Path(__file__).parent / "attacks").glob("*.jsonl"))
NEXT = "SELECT name FROM singer ORDER BY id LIMIT 1"


def trace(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_catalogue_is_large_and_has_no_twins() -> None:
    everything = [attack for file in FILES for attack in attacks(file)]
    assert len(everything) >= 300
    assert len({attack["name"] for attack in everything}) == len(everything)
    assert len({text_of(attack, Path()) for attack in everything}) == len(everything)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_attacks(file: Path, database: Path) -> None:
    folder = database.parent
    before = trace(folder)
    wrong = problems(file, database, folder, NEXT)
    assert not wrong, "\n" + "\n".join(wrong)
    assert trace(folder) == before
