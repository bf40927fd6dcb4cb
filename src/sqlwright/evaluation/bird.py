"""BIRD's metrics as its evaluator computes them: EX, Soft-F1 and R-VES, by difficulty.

EX: the sets of rows are the same; duplicates, row order and float noise as Python has them, columns in
order. Soft-F1: rows without duplicates are paired by place, so their order matters; cells are looked up in
the other row. A prediction of nothing but spaces counts as an empty result, as it does there. R-VES: the
reward of the mean ratio of the gold's time to the prediction's; a question's score is 100 · sqrt(reward).
The original takes 100 repetitions in 16 processes at once and its authors report the best of five such
runs. Here the repetitions run one after the other, the spread of the ratio is reported for each question,
and `r_ves_low` and `r_ves_high` say what the score would be with every ratio at its lower or upper
quartile. A query's time includes opening the database.

Where the original truncates, hangs or crashes, the question gets a reason: too few predictions give a partial
score, a query past the time limit is killed, a failing gold is listed. Writing statements are refused by the
executor, where the original runs them.

Source: Li et al. 2023, "Can LLM Already Serve as a Database Interface?"; the evaluator of BIRD mini-dev.

Not covered: the Postgres and MySQL golds of mini-dev (they need their servers).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlwright.databases import Executor, Limits, Outcome
from sqlwright.datasets.locate import find_database
from sqlwright.errors import DataError
from sqlwright.evaluation.benchmark_score import BenchmarkScore, Item, Measures, collect, means_by_group
from sqlwright.evaluation.input_files import read_completions, read_json, read_json_lines, read_lines, text_of
from sqlwright.evaluation.robust import Progress, run_once
from sqlwright.records import Verdict

SECONDS = 30.0
"""Time that prediction and gold share, as in the original."""

REPETITIONS = 10
"""Timings for R-VES by default: a tenth of the original's, enough to see the spread."""

TIMING_SECONDS = 10.0
"""Time after which a question isn't timed again."""

SEPARATOR = "\t----- bird -----\t"

# What the original starts from: any number of rows. These caps bound the memory, and cutting is said.
_LIMITS = Limits(seconds=SECONDS, rows=1_000_000, cells=5_000_000)

Row = tuple[Any, ...]


class BirdGold(NamedTuple):
    """A gold: its id, database, SQL, difficulty ("" if unknown) and where it was read."""

    id: str
    database: str
    sql: str
    difficulty: str
    source: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Repeated timings: the mean ratio gold/prediction, its quartiles and its standard deviation."""

    repetitions: int

    ratio: float
    low: float
    high: float
    spread: float


def score_bird(
    gold: Path,
    predictions: Path,
    databases: Path,
    *,
    repetitions: int = REPETITIONS,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> BenchmarkScore:
    """Return EX, Soft-F1 and R-VES of a prediction file.

    Args:
        gold: mini-dev's JSON (or JSON lines) with `SQL`, `db_id`, `difficulty`, or lines `SQL<tab>db_id`.
        predictions: JSON as the original takes it: `{"0": "SQL<tab>----- bird -----<tab>db_id", ...}`, text
            (`.sql`, `.txt`) with one query per line, or a run's `completions.jsonl`.
        databases: folder with `<db_id>/<db_id>.sqlite`.
        repetitions: how often each right prediction and its gold are timed for R-VES, at most; a question
            ends early once it took `TIMING_SECONDS`. The original takes 100; 0 leaves R-VES out.
        executor: runs the queries; by default two workers with the original's 30 seconds.
        progress: called after each question.

    Raises:
        DataError: a file is malformed or a database is missing.
    """
    golds = read_bird_golds(gold)
    predicted = read_bird_predictions(predictions, len(golds))
    paths = {name: find_database(databases, name) for name in {g.database for g in golds}}
    notes = ["BIRD's EX ignores duplicates and the order of rows; empty equals empty"]
    if len(predicted) < len(golds):
        notes.append(f"{len(golds) - len(predicted)} golds have no prediction and are left out, as in the original")
    owned = Executor(workers=2, limits=_LIMITS) if executor is None else nullcontext(executor)
    with owned as running:
        pairs = list(zip(golds, predicted, strict=False))
        jobs = [(paths[g.database], sql) for g, p in pairs for sql in (g.sql, p) if sql.strip()]
        outcome = run_once(running, jobs)
        rows: list[tuple[Item, Verdict]] = []
        for index, (one, sql) in enumerate(pairs):
            path = paths[one.database]
            found = [outcome(path, text) if text.strip() else Outcome("ok") for text in (one.sql, sql)]
            rows.append(_score_one(index, one, found[0], found[1]))
            if progress:
                progress(index + 1, len(pairs))
        if repetitions:
            _add_timings(rows, pairs, paths, running, repetitions)
    items, verdicts = [item for item, _ in rows], [verdict for _, verdict in rows]
    return collect("bird", items, verdicts, ["ex"], expected=len(golds), measures=_measures(items), notes=notes)


def read_bird_golds(path: Path) -> list[BirdGold]:
    """Return the golds of a JSON, JSON-lines or `SQL<tab>db_id` file, in order."""
    if path.suffix == ".sql":
        golds = []
        for number, line in enumerate(read_lines(path), 1):
            parts = line.strip().split("\t")
            if len(parts) != 2:
                raise DataError(f"{path}:{number}: expected `SQL<tab>db_id`, found {len(parts) - 1} tabs.")
            golds.append(BirdGold(str(number - 1), parts[1], parts[0], "", f"{path}:{number}"))
        return golds
    if path.suffix == ".jsonl":
        entries = [(f"{path}:{number}", entry) for number, entry in read_json_lines(path)]
    else:
        found = read_json(path)
        if not isinstance(found, list):
            raise DataError(f"{path}:1: expected a JSON list of questions, found {type(found).__name__}.")
        entries = [(f"{path}, question {number}", entry) for number, entry in enumerate(found, 1)]
    return [_gold(entry, where, place) for place, (where, entry) in enumerate(entries)]


def read_bird_predictions(path: Path, expected: int) -> list[str]:
    """Return the predicted SQL in the order of the file, as the original reads it.

    The database after the separator isn't used (the gold's is), and an entry that is no text is a prediction
    of nothing. Raises `DataError` if there are more predictions than golds, or if the keys are numbers out of
    order: the original would score them against the wrong golds.
    """
    if path.suffix in (".sql", ".txt"):
        lines = [line.split("\t")[0] for line in read_lines(path)]
        found: Any = {str(place): line for place, line in enumerate(lines)}
    elif path.suffix == ".jsonl":
        found = {str(place): sql for place, sql in enumerate(read_completions(path))}
    else:
        found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f'{path}:1: expected a JSON object {{"0": "SQL", ...}}, found {type(found).__name__}.')
    if len(found) > expected:
        raise DataError(f"{path}: expected at most {expected} predictions, found {len(found)}.")
    numbers = [int(key) for key in found if key.isdecimal()]
    if numbers != sorted(numbers):
        raise DataError(f"{path}: expected keys in ascending order, found them out of order. Sort them.")
    sql = []
    for entry in found.values():
        parts = entry.split(SEPARATOR) if isinstance(entry, str) else [" "]
        sql.append(parts[0] if len(parts) == 2 else str(entry).strip() if isinstance(entry, str) else " ")
    return sql


def execution_match(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    """Return BIRD's EX: whether the sets of rows are equal."""
    return set(gold) == set(predicted)


def soft_f1(gold: Sequence[Row], predicted: Sequence[Row]) -> float:
    """Return BIRD's Soft-F1 of two results, 0..1; two empty results give 1."""
    if not gold and not predicted:
        return 1.0
    wanted, found = list(dict.fromkeys(gold)), list(dict.fromkeys(predicted))
    both = extra = missing = 0.0
    for gold_row, row in zip(wanted, found, strict=False):
        inside = sum(value in gold_row for value in row)
        both += inside / len(gold_row)
        extra += (len(row) - inside) / len(gold_row)
        missing += sum(value not in row for value in gold_row) / len(gold_row)
    missing += max(0, len(wanted) - len(found))
    extra += max(0, len(found) - len(wanted))
    if not both:
        return 0.0
    precision, recall = both / (both + extra), both / (both + missing)
    return 2 * precision * recall / (precision + recall)


def reward(ratio: float) -> float:
    """Return R-VES's reward of a time ratio gold/prediction; 0 stands for a wrong answer."""
    if ratio == 0:
        return 0.0
    for least, value in ((2, 1.25), (1, 1.0), (0.5, 0.75), (0.25, 0.5)):
        if ratio >= least:
            return value
    return 0.25


def mean_ratio(ratios: Sequence[float]) -> float:
    """Return the mean without the ratios three standard deviations away or further.

    Equal ratios are all that far from their mean; the original divides by zero there and scores 0. Here their
    mean is returned.
    """
    centre, spread = statistics.fmean(ratios), statistics.pstdev(ratios)
    kept = [ratio for ratio in ratios if abs(ratio - centre) < 3 * spread]
    return statistics.fmean(kept or ratios)


def time_pair(seconds: Callable[[str], float | None], gold: str, predicted: str, repetitions: int) -> Timing | None:
    """Return the timing of a right prediction, or None if a repetition fails; `seconds` runs a query."""
    ratios: list[float] = []
    spent = 0.0
    while len(ratios) < repetitions and spent < TIMING_SECONDS:
        fast, slow = seconds(predicted), seconds(gold)
        if fast is None or slow is None:
            return None
        spent += fast + slow
        ratios.append(max(slow, 1e-9) / max(fast, 1e-9))
    # quartiles need two values; a single repetition is its own
    low, _, high = statistics.quantiles(ratios * 2 if len(ratios) == 1 else ratios, method="inclusive")
    return Timing(len(ratios), mean_ratio(ratios), low, high, statistics.pstdev(ratios))


def _gold(entry: object, where: str, place: int) -> BirdGold:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(entry).__name__}.")
    difficulty = entry.get("difficulty")
    return BirdGold(
        id=str(place),
        database=text_of(entry, "db_id", where),
        sql=text_of(entry, "SQL", where),
        difficulty=difficulty if isinstance(difficulty, str) else "",
        source=where,
    )


def _score_one(index: int, gold: BirdGold, wanted: Outcome, found: Outcome) -> tuple[Item, Verdict]:
    reason, detail = _reason(wanted, found)
    correct = not reason and execution_match(wanted.rows, found.rows)
    if not reason and not correct:
        reason, detail = _difference(wanted, found)
    verdict = Verdict(
        id=gold.id,
        metric="ex",
        correct=correct,
        reason=reason,
        detail=detail,
        database=gold.database,
        category=gold.difficulty or None,
    )
    usable = wanted.ok and found.ok and not wanted.truncated and not found.truncated and reason != "time_limit"
    item: Item = {
        "index": index,
        "db_id": gold.database,
        "hardness": gold.difficulty,
        "ex": correct,
        "soft_f1": soft_f1(wanted.rows, found.rows) if usable else 0.0,
        "reason": reason,
        "detail": detail,
    }
    return item, verdict


def _reason(wanted: Outcome, found: Outcome) -> tuple[str, str]:
    """Return why two outcomes can't be compared, or empty texts."""
    if not wanted.ok:
        return "gold_failed", wanted.message
    if not found.ok:
        return found.error_class, found.message
    if wanted.seconds + found.seconds > SECONDS:
        return "time_limit", f"prediction and gold took more than {SECONDS:g} s together"
    if wanted.truncated or found.truncated:
        return "truncated", "a result was cut at the executor's limits: raise them"
    return "", ""


def _difference(wanted: Outcome, found: Outcome) -> tuple[str, str]:
    if not found.rows:
        return "empty", f"expected {len(set(wanted.rows))} rows, found none"
    if len(wanted.columns) != len(found.columns):
        return "wrong_columns", f"expected {len(wanted.columns)} columns, found {len(found.columns)}"
    missing, extra = set(wanted.rows) - set(found.rows), set(found.rows) - set(wanted.rows)
    return "wrong_rows", f"{len(missing)} rows of the gold are missing, {len(extra)} are not its own"


def _add_timings(
    rows: list[tuple[Item, Verdict]],
    pairs: Sequence[tuple[BirdGold, str]],
    paths: dict[str, Path],
    executor: Executor,
    repetitions: int,
) -> None:
    """Add `r_ves`, its quartile bounds and what they come from to every question's row."""
    for (item, verdict), (gold, sql) in zip(rows, pairs, strict=True):
        timing = None
        if verdict.correct and sql.strip():
            path = paths[gold.database]

            def seconds(text: str, path: Path = path) -> float | None:
                outcome = executor.run(path, text)
                return outcome.seconds if outcome.ok else None

            timing = time_pair(seconds, gold.sql, sql, repetitions)
        values = (timing.ratio, timing.low, timing.high) if timing else (0.0, 0.0, 0.0)
        for name, ratio in zip(("r_ves", "r_ves_low", "r_ves_high"), values, strict=True):
            item[name] = 100 * math.sqrt(reward(ratio))
        item["time_ratio"], item["time_spread"] = values[0], timing.spread if timing else 0.0
        item["timings"] = timing.repetitions if timing else 0


def _measures(items: Sequence[Item]) -> Measures:
    """Return the means of the measures that the questions have, over all and by difficulty."""
    names = ("soft_f1", "r_ves", "r_ves_low", "r_ves_high", "time_spread")
    return {
        name: means_by_group([(str(item["hardness"]), float(str(item[name]))) for item in items])
        for name in names
        if items and name in items[0]
    }
