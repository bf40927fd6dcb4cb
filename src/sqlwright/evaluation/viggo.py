"""ViGGO as structured prediction: from a sentence to its meaning representation, as in the LoRA comparisons.

A meaning representation is a function with slots: `inform(name[Portal 2], genres[puzzle, shooter])`. Scored
are exact match, the function, and slots (precision, recall and F1 over all pairs of slot and value, pooled
over the questions). Order never counts: neither that of slots nor that of values in `genres`, `platforms`
and `player_perspective`. Upper and lower case do; spaces count as one.

Source: Juraska et al. 2019, "ViGGO: A Video Game Corpus for Data-To-Text Generation in Open-Domain
Conversation".

Not covered: the way back, from a meaning representation to a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.errors import DataError
from sqlwright.evaluation.benchmark_score import BenchmarkScore, Item, Measures, collect
from sqlwright.evaluation.input_files import (
    check_count,
    read_json,
    read_json_lines,
    read_lines,
    read_table,
    text_of,
)
from sqlwright.records import Verdict

LISTS = frozenset({"genres", "platforms", "player_perspective"})
"""Slots whose value is a set: the order of its parts is free."""

METRICS = ("exact", "function")

# The last is what a run's completions.jsonl calls it.
_COLUMNS = ("prediction", "mr", "text")
_OUTER = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)
_SLOT = re.compile(r"\s*(\w+)\s*(?:\[([^\[\]]*)\])?\s*(,|\Z)")

Slot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A meaning representation in canonical form: sorted slots, sorted values of lists, single spaces."""

    function: str
    slots: tuple[Slot, ...]

    def __str__(self) -> str:
        """Return the canonical text."""
        return f"{self.function}({', '.join(f'{name}[{value}]' for name, value in self.slots)})"


def parse_meaning(text: str) -> Meaning | None:
    """Return the canonical meaning of a text, or None if it isn't just one function with slots."""
    outer = _OUTER.fullmatch(text)
    if not outer:
        return None
    slots: list[Slot] = []
    inner, at = outer[2].strip(), 0
    while at < len(inner):
        match = _SLOT.match(inner, at)
        if not match or (match[3] and match.end() == len(inner)):
            return None
        slots.append((match[1], _canonical(match[1], match[2] or "")))
        at = match.end()
    return Meaning(outer[1], tuple(sorted(slots)))


def score_viggo(gold: Path, predictions: Path) -> BenchmarkScore:
    """Return exact match and function accuracy by the gold's function, and slot precision, recall and F1.

    Args:
        gold: CSV with `mr` (and `ref`, unused), or JSON lines with `mr`.
        predictions: one per gold in order: CSV with `prediction` (or `mr`), JSON lines with the same or a run's
            `completions.jsonl`, a JSON list of texts, or text with one meaning per line.

    Raises:
        DataError: a file is malformed, a gold can't be parsed, or the counts differ.
    """
    golds = [_parsed(where, text) for where, text in _read(gold, ("mr",))]
    predicted = [text for _, text in _read(predictions, _COLUMNS)]
    check_count(predictions, len(predicted), len(golds), "the golds")
    items: list[Item] = []
    verdicts: list[Verdict] = []
    for index, (wanted, text) in enumerate(zip(golds, predicted, strict=True)):
        found = parse_meaning(text)
        reason, detail = _reason(wanted, found, text)
        function = found is not None and found.function == wanted.function
        shared, in_found, in_wanted = _slot_counts(wanted, found)
        items.append(
            {
                "index": index,
                "db_id": "",
                "hardness": wanted.function,
                "exact": not reason,
                "function": function,
                "slots_right": shared,
                "slots_predicted": in_found,
                "slots_gold": in_wanted,
                "reason": reason,
                "detail": detail,
            }
        )
        verdicts.append(_verdict(index, wanted, "exact", not reason, reason, detail))
        wrong_function = "" if function else "unparsable" if found is None else "wrong_function"
        verdicts.append(_verdict(index, wanted, "function", function, wrong_function, "" if function else detail))
    return collect("viggo", items, verdicts, METRICS, measures=_measures(items))


def _canonical(name: str, value: str) -> str:
    """Return the value with single spaces, its parts sorted if the slot is a list."""
    plain = " ".join(value.split())
    if name not in LISTS:
        return plain
    return ", ".join(sorted(part.strip() for part in plain.split(",")))


def _read(path: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (place, text) of each entry of a CSV, JSON, JSON-lines or text file."""
    if path.suffix == ".csv":
        rows = read_table(path, names if len(names) == 1 else ())
        name = next((name for name in names if rows and name in rows[0][1]), names[0])
        return [(f"{path}:{line}", text_of(dict(row), name, f"{path}:1")) for line, row in rows]
    if path.suffix == ".jsonl":
        entries = []
        for line, entry in read_json_lines(path):
            name = next((name for name in names if name in entry), names[0])
            entries.append((f"{path}:{line}", text_of(entry, name, f"{path}:{line}")))
        return entries
    if path.suffix == ".json":
        found = read_json(path)
        if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
            raise DataError(f"{path}:1: expected a JSON list of texts, found something else.")
        return [(f"{path}, entry {place}", entry) for place, entry in enumerate(found, 1)]
    return [(f"{path}:{line}", text) for line, text in enumerate(read_lines(path), 1)]


def _parsed(where: str, text: str) -> Meaning:
    meaning = parse_meaning(text)
    if meaning is None:
        raise DataError(f"{where}: expected a meaning such as inform(name[Portal]), found {text!r:.80}.")
    return meaning


def _reason(wanted: Meaning, found: Meaning | None, text: str) -> tuple[str, str]:
    """Return the error class of a prediction and a sentence, or empty texts if it is right."""
    if found is None:
        return "unparsable", f"expected a function with slots, found {text!r:.80}"
    if found.function != wanted.function:
        return "wrong_function", f"expected {wanted.function}, found {found.function}"
    missing, extra = (
        Counter(wanted.slots) - Counter(found.slots),
        Counter(found.slots) - Counter(wanted.slots),
    )
    if not missing and not extra:
        return "", ""
    detail = f"missing: {_shown(missing)}; not in the gold: {_shown(extra)}"
    if Counter(name for name, _ in missing.elements()) == Counter(name for name, _ in extra.elements()):
        return "wrong_values", detail
    return "wrong_slots", detail


def _shown(slots: Counter[Slot]) -> str:
    return ", ".join(f"{name}[{value}]" for name, value in slots.elements()) or "none"


def _slot_counts(wanted: Meaning, found: Meaning | None) -> tuple[int, int, int]:
    """Return how many slots are shared, predicted and in the gold."""
    predicted = found.slots if found else ()
    shared = Counter(wanted.slots) & Counter(predicted)
    return shared.total(), len(predicted), len(wanted.slots)


def _verdict(index: int, gold: Meaning, metric: str, correct: bool, reason: str, detail: str) -> Verdict:
    return Verdict(id=str(index), metric=metric, correct=correct, reason=reason, detail=detail, category=gold.function)


def _measures(items: Sequence[Item]) -> Measures:
    """Return pooled slot precision, recall and F1; each is 1 where nothing was predicted or wanted."""
    right, predicted, wanted = (
        sum(int(str(item[name])) for item in items) for name in ("slots_right", "slots_predicted", "slots_gold")
    )
    precision = right / predicted if predicted else float(not wanted)
    recall = right / wanted if wanted else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "slot_precision": {"all": precision},
        "slot_recall": {"all": recall},
        "slot_f1": {"all": f1},
    }
