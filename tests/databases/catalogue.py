"""The attack catalogues: how they are written down, and what is wrong with the outcomes of one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits

# Bombs are small enough to go off within this memory, and too large to end within this time.
BOMB = Limits(seconds=0.4, memory_mb=96)
PATIENT = Limits(seconds=20, memory_mb=96)


def attacks(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def text_of(attack: dict[str, Any], folder: Path) -> str:
    if "sql" in attack:
        return str(attack["sql"]).replace("{folder}", str(folder))
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in attack["parts"])


def expected_rows(attack: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        tuple(bytes.fromhex(cell["hex"]) if isinstance(cell, dict) else cell for cell in row) for row in attack["rows"]
    ]


def problems(file: Path, database: Path | str, folder: Path, after: str) -> list[str]:
    """Return what is wrong with the outcomes of a catalogue; `after` is a query for Joe Sharp that must still work."""
    wrong = []
    with Executor(workers=1) as executor:
        for attack in attacks(file):
            wanted = attack["expect"] if isinstance(attack["expect"], list) else [attack["expect"]]
            limits = BOMB if "time_limit" in wanted else PATIENT
            start = time.monotonic()
            outcome = executor.run(database, text_of(attack, folder), limits=limits)
            took = time.monotonic() - start
            said = f"{attack['name']}: {outcome.status} {outcome.error_class!r} {outcome.message[:120]}"
            if outcome.status not in wanted:
                wrong.append(f"{said}: expected {wanted}")
            if outcome.error_class != attack.get("error_class", outcome.error_class):
                wrong.append(f"{said}: expected {attack['error_class']}")
            if outcome.ok and "rows" in attack and outcome.rows != expected_rows(attack):
                wrong.append(f"{said}: {str(outcome.rows)[:200]}, expected {attack['rows']}")
            if outcome.ok and list(outcome.columns) != attack.get("columns", list(outcome.columns)):
                wrong.append(f"{said}: columns {outcome.columns}")
            if outcome.truncated != attack.get("truncated", outcome.truncated):
                wrong.append(f"{said}: truncated {outcome.truncated}")
            if not outcome.ok and not (outcome.message and outcome.error_class and outcome.rows == []):
                wrong.append(f"{said}: a failure has a message, an error class and no rows")
            if limits is BOMB and took > limits.seconds + 1:
                wrong.append(f"{said}: took {took:.1f} s")
            if executor.run(database, after, limits=PATIENT).rows != [("Joe Sharp",)]:
                wrong.append(f"{said}: the next query fails")
    return wrong
