"""The five nouns that travel through SQLWright: question, prompt, completion, verdict, report.

All are frozen and go to disk as JSON lines with a stable `id` and a format `version`. Reading drops unknown
keys, so that a newer file still opens; a missing key takes its default, or is a clear `DataError`.

Not covered here: how the files are written safely and continued (see `sqlwright.runs`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from sqlwright.errors import DataError

Hardness = Literal["easy", "medium", "hard", "extra"]
HARDNESS: tuple[Hardness, ...] = ("easy", "medium", "hard", "extra")

R = TypeVar("R", bound="Record")


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a JSON-lines file; subclasses add the fields."""

    VERSION: ClassVar[int] = 1

    id: str

    def to_json(self) -> str:
        """Return the record as one line of JSON, keys in field order, `version` last."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json.dumps(values | {"version": self.VERSION}, ensure_ascii=False, default=_plain)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str = "") -> Self:
        """Return the record held in `values`; `where` names the place in errors (`file:line`)."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        kept: dict[str, Any] = {}
        for name, value in values.items():
            if name in known:
                kept[name] = tuple(value) if isinstance(value, list) else value
        missing = [
            name
            for name, f in known.items()
            if name not in kept and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise DataError(
                f"{where or cls.__name__}: expected a {cls.__name__} with the keys {', '.join(known)}, "
                f"found none named {', '.join(missing)}."
            )
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class Question(Record):
    """A question about one database, with the SQL that answers it.

    `database` is empty for a task about none (a sentence to parse, a program to complete): `evidence` then describes
    the task, `golds` are its results, and texts keep the blanks around them.
    `golds` are alternatives: any of them is right. `history` holds earlier turns as (text, sql) pairs.
    `hardness` and `category` are None where they can't be told. `source` says where it was read (`file:line`).
    """

    database: str
    text: str
    golds: tuple[str, ...] = ()
    evidence: str = ""
    history: tuple[tuple[str, str], ...] = ()
    hardness: Hardness | None = None
    category: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Prompt(Record):
    """A question as text for the model: `prefix` is shared by all questions of the database, `suffix` is its own.

    `target` is the text to learn (empty at prediction), `style` the name of the prompt style,
    `omitted` names the tables or columns that did not fit the budget.
    """

    database: str
    prefix: str
    suffix: str
    target: str = ""
    style: str = ""
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion(Record):
    """What the model wrote for a question: raw `text`, extracted `sql`, and what it cost.

    `candidates` holds all SQL candidates when several were decoded, best first. `log_probability` is the mean
    per token of `text` (natural log); `tokens` counts decoded tokens, `seconds` is wall time for this question.
    """

    database: str
    text: str
    sql: str
    candidates: tuple[str, ...] = ()
    log_probability: float | None = None
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """What one metric says about one prediction. `reason` is an error class, empty when it is right.

    `detail` is free text for a reader (the database's message, the first differing row).
    """

    metric: str
    correct: bool
    reason: str = ""
    detail: str = ""
    database: str = ""
    hardness: Hardness | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A share of right answers with its 95 % interval, all within 0..1.

    The interval is the bootstrap over questions; Wilson's where all answers agree, since the
    bootstrap would have no width there (see `evaluation.statistics`).
    """

    correct: int
    total: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report(Record):
    """Scores of one set of predictions: per metric overall, by hardness, by category, by database.

    `by` maps a breakdown ("hardness", "category", "database") to its groups and their scores;
    `reasons` counts the error classes of the wrong answers; `expected` is how many questions there were, so that
    a partial score can always say "scored 812 of 1,034".
    """

    metric: str
    overall: Score
    expected: int
    by: dict[str, dict[str, Score]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether fewer questions were scored than there are."""
        return self.overall.total < self.expected


def read_records(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a JSON-lines file in order; raise `DataError` with file and line on a bad one."""
    with path.open(encoding="utf-8-sig", errors="strict") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                values = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where}: expected one JSON object per line, found {error}.") from None
            if not isinstance(values, dict):
                raise DataError(f"{where}: expected a JSON object, found {type(values).__name__}.")
            yield kind.from_dict(values, where)


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write records to `path`, whole or not at all (written aside, synced, renamed); return how many."""
    aside = path.with_name(path.name + ".partial")
    count = 0
    with aside.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(record.to_json() + "\n")
            count += 1
        out.flush()
        os.fsync(out.fileno())
    aside.replace(path)
    return count


def stable_id(*parts: str) -> str:
    """Return 16 hexadecimal digits that depend on the parts only: the same question keeps its id for ever."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
