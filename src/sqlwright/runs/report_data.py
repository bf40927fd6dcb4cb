"""What the report shows, as records, and the part of it that its script reads, as JSON.

Everything that comes from a model or a database is text to this module. The JSON travels inside a script
element of type `application/json`, so `<`, `>`, `&` and the characters that end a line of script are escaped.

Not covered: HTML (`report_page`) and charts (`report_charts`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlwright.records import Report
from sqlwright.runs.report_charts import LossPoint

MAX_TEXT = 20_000
"""Longest text on the page, in characters: a model that repeats itself must not fill it."""
MAX_CELL = 300
MAX_COLUMNS = 30
MAX_ROWS = 10

_UNSAFE_IN_SCRIPT = re.compile("[<>&\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ResultPreview:
    """The first rows of a result; `total` counts all (None: not known), `truncated`: cut off."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ScoredQuestion:
    """A question with its gold, its prediction and the verdict of the page's first metric.

    `correct_before` and `prediction_before` are None where the prediction is compared with nothing.
    `features` names what the gold's SQL uses ("join", "group by", "nested"). The results are None where they
    are not known.
    """

    id: str
    database: str
    hardness: str | None
    category: str | None
    question: str
    gold: str
    prediction: str
    correct: bool
    reason: str = ""
    detail: str = ""
    correct_before: bool | None = None
    prediction_before: str | None = None
    features: tuple[str, ...] = ()
    gold_result: ResultPreview | None = None
    predicted_result: ResultPreview | None = None


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """The report of one metric for one set of predictions, such as "before fine-tuning"."""

    label: str
    report: Report


@dataclass(frozen=True, slots=True)
class ReportPage:
    """All that the page shows.

    `metric_titles` maps a metric to its title in the order of display; the verdicts of `questions` are those
    of the first. `score_sets` holds one report per label and metric, the earliest predictions first: the last
    label is the one that the page is about. `generated` is an ISO time; `facts` are (group, name, value).
    """

    title: str
    generated: str = ""
    metric_titles: Mapping[str, str] = field(default_factory=dict)
    score_sets: tuple[ScoreSet, ...] = ()
    questions: tuple[ScoredQuestion, ...] = ()
    losses: tuple[LossPoint, ...] = ()
    facts: tuple[tuple[str, str, object], ...] = ()
    notes: tuple[str, ...] = ()


def payload(page: ReportPage, hover: list[dict[str, Any]]) -> str:
    """Return the page's data as JSON that is safe inside a script element."""
    data = {"questions": [_question(q) for q in page.questions], "losses": hover}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE_IN_SCRIPT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _question(question: ScoredQuestion) -> dict[str, Any]:
    """Return a question as the script reads it; keys whose value is empty are left out."""
    compared = question.correct_before is not None
    values = {
        "id": _clip(question.id),
        "database": _clip(question.database),
        "hardness": _clip(question.hardness),
        "category": _clip(question.category),
        "question": _clip(question.question),
        "gold": _clip(question.gold),
        "prediction": _clip(question.prediction),
        "correct": int(bool(question.correct)),
        "reason": "" if question.correct else _clip(question.reason) or "wrong",
        "detail": _clip(question.detail),
        "before": int(bool(question.correct_before)) if compared else None,
        "predictionBefore": _clip(question.prediction_before),
        "features": [_clip(name) for name in question.features],
        "goldResult": _preview(question.gold_result),
        "predictedResult": _preview(question.predicted_result),
    }
    return {key: value for key, value in values.items() if value not in (None, "", [])}


def _preview(result: ResultPreview | None) -> dict[str, Any] | None:
    """Return a result as the script reads it: text is a string, NULL null, numbers and bytes are marked."""
    if result is None:
        return None
    width = max([len(result.columns), *(len(row) for row in result.rows[:MAX_ROWS])])
    return {
        "columns": [_clip(name, MAX_CELL) for name in result.columns[:MAX_COLUMNS]],
        "rows": [[_cell(value) for value in row[:MAX_COLUMNS]] for row in result.rows[:MAX_ROWS]],
        "total": result.total if isinstance(result.total, int) else None,
        "truncated": bool(result.truncated),
        "hidden": max(0, width - MAX_COLUMNS),
    }


def _cell(value: object) -> str | list[str] | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        return ["number", _clip(shown(value), MAX_CELL)]
    if isinstance(value, bytes | bytearray | memoryview):
        held = bytes(value)
        dots = "…" if len(held) > 32 else ""
        return ["bytes", f"x'{held[:32].hex()}{dots}' ({len(held):,} bytes)"]
    return _clip(shown(value), MAX_CELL)


def _clip(value: object, most: int = MAX_TEXT) -> str:
    text = shown(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def shown(value: object) -> str:
    """Return any value as text; None as nothing, and what can't be printed as the name of its type."""
    try:
        return "" if value is None else str(value)
    except Exception:  # a foreign __str__ may raise anything, and the report must still open
        return f"<{type(value).__name__}>"
