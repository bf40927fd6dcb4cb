"""What `sqlwright score` does per benchmark: finds the files, calls the scorer, and shapes what is printed.

Spider is scored database by database, so that Ctrl-C and an unreadable database leave an honest partial score.
The other scorers give all or nothing.

Not covered: the metrics themselves (see `sqlwright.evaluation`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlwright.cli.tables import aligned, plain
from sqlwright.errors import DataError, RecipeError
from sqlwright.evaluation.benchmark_score import BenchmarkScore
from sqlwright.records import HARDNESS, Score

if TYPE_CHECKING:
    from sqlwright.evaluation.comparison import RunComparison
    from sqlwright.runs.reporter import Reporter

_FOLDERS = ("database", "databases", "dev_databases")
"""Where the databases lie beside a gold file, in the order looked for."""

_TITLES = {"ex": "EX", "ex_keep_distinct": "EX, DISTINCT kept", "em": "EM"}
_FIRST_COLUMNS = ("index", "db_id", "hardness")


class Files(NamedTuple):
    """What is scored against what, as given on the command line."""

    benchmark: str
    gold: Path
    predictions: Path
    databases: Path | str | None = None
    tables: Path | None = None
    keep_distinct: bool = False
    plug_value: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """A benchmark's score with what the command line needs to print it; `official` is the official table.

    `texts` has (question, gold) and `predictions` the SQL by question id,
    `files` the databases by name, where the benchmark has them.
    """

    score: BenchmarkScore
    expected: int
    official: str = ""
    interrupted: bool = False
    missing: tuple[str, ...] = ()
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether something is left out that was asked for."""
        return self.interrupted or bool(self.missing) or len(self.score.items) < self.expected

    def text(self) -> str:
        """Return the scores for a reader."""
        body = _by_level(self.score) if self.official else self.score.table()
        count = f"scored {len(self.score.items):,} of {self.expected:,}"
        state = f"PARTIAL: {count} questions" if self.partial else f"{count} questions"
        return "\n".join([f"{self.score.benchmark}: {state}", *(f"left out: {one}" for one in self.missing), "", body])

    def document(self) -> dict[str, Any]:
        """Return the same for a program, with every question's row."""
        found: dict[str, Any] = json.loads(json.dumps(plain(json.loads(self.score.to_json()))))
        found |= {"scored": len(self.score.items), "expected": self.expected, "partial": self.partial}
        found["left_out"] = list(self.missing)
        return found | ({"official_table": self.official} if self.official else {})

    def write_verdicts(self, path: Path) -> None:
        """Write a row per question as TSV: index, db_id, hardness, the metrics, then what explains them."""
        metrics = [name for name in self.score.reports if name != "ex_keep_distinct"]
        keys = list(self.score.items[0]) if self.score.items else [*_FIRST_COLUMNS, *metrics]
        first = [*_FIRST_COLUMNS, *metrics]
        header = [*first, *(key for key in keys if key not in first)]
        lines = ["\t".join(header)]
        lines += ["\t".join(_cell(item.get(key)) for key in header) for item in self.score.items]
        text = "\n".join(lines) + "\n"
        try:
            if path.exists() and not path.is_file():  # a pipe or /dev/null: nothing there to keep whole
                path.write_text(text, encoding="utf-8", errors="replace")
                return
            aside = path.with_name(path.name + ".partial")
            aside.write_text(text, encoding="utf-8", errors="replace")
            aside.replace(path)
        except OSError as error:
            raise DataError(f"{path}: the verdicts can't be written ({error.strerror}).") from None


def score_benchmark(files: Files, reporter: Reporter) -> Scored:
    """Return the scores of one prediction file.

    Raises:
        RecipeError: an option is missing or doesn't belong to the benchmark.
        DataError: a file is missing or malformed.
    """
    _refuse_foreign_options(files)
    for path in (files.gold, files.predictions):
        if path.is_dir() or not path.exists():  # a pipe is as good as a file
            raise DataError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing there'}.")
    if files.benchmark == "spider":
        return _spider(files, reporter)
    reached = [0, 0]

    def progress(done: int, total: int) -> None:
        reached[:] = done, total
        reporter.progress("score", done, total)

    try:
        found = _whole(files, progress)
    except KeyboardInterrupt:
        if reached[1]:
            reporter.say(f"stopped at {reached[0]:,} of {reached[1]:,}: {files.benchmark} has no partial score.")
        raise
    return Scored(found, max(one.expected for one in found.reports.values()))


def _whole(files: Files, progress: Callable[[int, int], None]) -> BenchmarkScore:
    """Return the score of a benchmark whose scorer gives all or nothing."""
    if files.benchmark == "bird":
        from sqlwright.evaluation.bird import score_bird

        return score_bird(files.gold, files.predictions, _databases(files), progress=progress)
    if files.benchmark == "sql-eval":
        from sqlwright.evaluation.sql_eval import score_sql_eval

        places = files.databases if isinstance(files.databases, str) else _databases(files)
        return score_sql_eval(files.gold, files.predictions, places, progress=progress)
    if files.benchmark == "code":
        from sqlwright.evaluation.code import score_code

        return score_code(files.gold, files.predictions, progress=progress)
    from sqlwright.evaluation.viggo import score_viggo

    return score_viggo(files.gold, files.predictions)


def comparisons(base: Scored, scored: Scored, names: tuple[str, str]) -> list[RunComparison]:
    """Return what `scored` gains over `base`, for every metric that both have."""
    from sqlwright.evaluation.comparison import compare

    both = [name for name in scored.score.reports if name in base.score.reports and name != "ex_keep_distinct"]
    return [compare(base.score.verdicts, scored.score.verdicts, metric, names) for metric in both]


def _spider(files: Files, reporter: Reporter) -> Scored:
    from sqlwright.databases import Executor
    from sqlwright.evaluation.spider import Metric, SpiderItem, SpiderResult, read_pairs, score_spider

    databases = _databases(files)
    pairs = read_pairs(files.gold, files.predictions)
    by_database: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        by_database.setdefault(pair.database, []).append(place)
    _require_databases(files.gold, databases, by_database)
    tables, missing = _tables(files, databases)
    metrics: tuple[Metric, ...] = ("ex", "em") if tables else ("ex",)
    items: dict[int, SpiderItem] = {}
    failures: list[DataError] = []
    interrupted = False
    with Executor() as executor, tempfile.TemporaryDirectory(prefix="sqlwright-") as scratch:
        tables = tables and _shortened(tables, by_database, Path(scratch))
        notes = _stand_in_notes(executor, databases, by_database)
        try:
            for name, places in by_database.items():
                done = len(items)
                reporter.progress("score", done, len(pairs), name)
                try:
                    result = score_spider(
                        [pairs[place] for place in places],
                        databases=databases,
                        tables=tables,
                        executor=executor,
                        keep_distinct=files.keep_distinct,
                        plug_value=files.plug_value,
                        metrics=metrics,
                    )
                except DataError as error:
                    failures.append(error)
                    continue
                items |= {place: replace(item, index=place) for place, item in zip(places, result.items, strict=True)}
            reporter.progress("score", len(items), len(pairs))
        except KeyboardInterrupt:
            interrupted = True
    if failures and not items:
        raise failures[0]
    whole = SpiderResult(tuple(items[place] for place in sorted(items)), metrics, files.keep_distinct)
    return Scored(
        _spider_score(whole, len(pairs), notes),
        len(pairs),
        whole.table(),
        interrupted,
        (*missing, *(str(error) for error in failures)),
        {str(item.index): ("", item.gold) for item in whole.items},
        {str(item.index): pairs[item.index].prediction for item in whole.items},
        {name: databases / name / f"{name}.sqlite" for name in by_database},
    )


def _spider_score(result: Any, expected: int, notes: Sequence[str]) -> BenchmarkScore:
    """Return Spider's verdicts in the form that all benchmarks share."""
    from sqlwright.evaluation.benchmark_score import Item, collect
    from sqlwright.records import Verdict

    told = "ex_keep_distinct" if result.keep_distinct else "ex"
    metrics = ["ex", "ex_keep_distinct", *(["em"] if "em" in result.metrics else [])]
    rows: list[Item] = []
    verdicts: list[Verdict] = []
    for item in result.items:
        why = {told: (item.reason, item.detail), "em": (item.em_reason, item.em_detail)}
        rows.append(
            {"index": item.index, "db_id": item.database, "hardness": item.hardness}
            | {"ex": item.ex, "em": item.em, "ex_keep_distinct": item.ex_keep_distinct}
            | {"reason": item.reason, "em_reason": item.em_reason, "detail": item.detail, "em_detail": item.em_detail}
        )
        verdicts += [
            Verdict(
                id=str(item.index),
                metric=metric,
                correct=bool(getattr(item, metric)),
                reason=why.get(metric, ("", ""))[0],
                detail=why.get(metric, ("", ""))[1],
                database=item.database,
                hardness=None if item.hardness == "unknown" else item.hardness,
                category="unknown hardness" if item.hardness == "unknown" else None,
            )
            for metric in metrics
            if getattr(item, metric) is not None
        ]
    return collect("spider", rows, verdicts, metrics, expected=expected, notes=notes)


def _by_level(score: BenchmarkScore) -> str:
    """Return Spider's scores as a line per hardness with 95 % intervals, then the error classes and the notes."""
    reports = score.reports
    first = next(iter(reports.values()))
    levels = [name for name in HARDNESS if any(name in one.by.get("hardness", {}) for one in reports.values())]
    lines: list[tuple[str, ...]] = [("", "questions", *(_TITLES[name] for name in reports))]
    lines.append(("all", f"{first.overall.total:,}", *(_interval(one.overall) for one in reports.values())))
    for name, kind in [*((level, "hardness") for level in levels), ("unknown hardness", "category")]:
        parts = [one.by.get(kind, {}).get(name) for one in reports.values()]
        if any(parts):
            count = next(part.total for part in parts if part)
            lines.append((name, f"{count:,}", *(_interval(part) if part else "" for part in parts)))
    text = aligned(lines, (False, True, *(False for _ in reports)))
    text.append("in brackets: 95 % interval")
    for metric, found in reports.items():
        named: Mapping[str, int] = {name: count for name, count in found.reasons.items() if name != "wrong"}
        if named:
            classes = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in named.items())
            text.append(f"{_TITLES[metric]}, {sum(named.values()):,} wrong: {classes}")
        if metric == "em" and found.overall.total < len(score.items):
            text.append(f"EM: {len(score.items) - found.overall.total:,} golds are outside Spider's grammar")
    return "\n".join([*text, *(f"note: {note}" for note in score.notes)])


def _interval(score: Score) -> str:
    return f"{score.value:.4f} ({score.low:.3f}–{score.high:.3f})"


def _databases(files: Files) -> Path:
    """Return the folder of databases, given or found beside the gold file."""
    if isinstance(files.databases, Path):
        if not files.databases.is_dir():
            raise DataError(f"{files.databases}: expected the folder of databases, found no folder. Check --databases.")
        return files.databases
    beside = [files.gold.parent / name for name in _FOLDERS]
    found = next((folder for folder in beside if folder.is_dir()), None)
    if found is None:
        raise RecipeError(
            f"expected --databases DIR, found neither that nor a folder {', '.join(_FOLDERS)} beside {files.gold}."
        )
    return found


def _tables(files: Files, databases: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Return Spider's tables.json, and what is left out where there is none."""
    if files.tables is not None:
        return files.tables, ()
    beside = [databases.parent / "tables.json", files.gold.parent / "tables.json"]
    found = next((path for path in beside if path.is_file()), None)
    if found is None:
        return None, ("exact match (EM): it needs Spider's tables.json; give it with --tables",)
    return found, ()


def _shortened(tables: Path, names: Mapping[str, Any], scratch: Path) -> Path:
    """Return a copy of tables.json with these databases alone: it is read once per database, and may hold hundreds.

    A file that lacks one of them, or isn't right, is returned itself: the scorer says what is wrong with it.
    """
    try:
        entries = [entry for entry in json.loads(tables.read_text(encoding="utf-8")) if entry["db_id"] in names]
    except (OSError, ValueError, TypeError, KeyError):
        return tables
    if {entry["db_id"] for entry in entries} != set(names):
        return tables
    copy = scratch / "tables.json"
    copy.write_text(json.dumps(entries), encoding="utf-8")
    return copy


def _require_databases(gold: Path, databases: Path, names: Mapping[str, Sequence[int]]) -> None:
    """Raise `DataError` with the line of the first gold whose database isn't there at all."""
    for name, places in names.items():
        if not (databases / name / f"{name}.sqlite").is_file():
            from sqlwright.evaluation.spider import read_gold_file
            from sqlwright.recipe_file import nearest

            line = f":{read_gold_file(gold)[places[0]].line}" if gold.is_file() else ""
            known = sorted(folder.name for folder in databases.iterdir() if folder.is_dir())
            raise DataError(
                f"{gold}{line}: expected a database of {databases}, found {name!r}, which has no file "
                f"{name}/{name}.sqlite there.{nearest(name, known)}"
            )


def _stand_in_notes(executor: Any, databases: Path, names: Mapping[str, Any]) -> list[str]:
    """Return the note that belongs beside a Spider score made with a stand-in for its one large table."""
    if "wta_1" not in names:
        return []
    outcome = executor.run(databases / "wta_1" / "wta_1.sqlite", "SELECT count(*) FROM rankings")
    if not outcome.ok or outcome.rows[0][0] != 352:
        return []
    return ["database wta_1: its table rankings is a stand-in of 352 rows, so scores on it can differ from others'"]


def _refuse_foreign_options(files: Files) -> None:
    """Raise `RecipeError` for an option that the benchmark would silently ignore."""
    wrong = [
        option
        for option, given in (
            ("--tables", files.tables is not None),
            ("--keep-distinct", files.keep_distinct),
            ("--plug-value", files.plug_value),
        )
        if given and files.benchmark != "spider"
    ]
    if files.databases is not None and files.benchmark in ("viggo", "code"):
        wrong.append("--databases")
    elif isinstance(files.databases, str) and files.benchmark != "sql-eval":
        wrong.append("--databases with a URL")
    if wrong:
        raise RecipeError(f"{', '.join(wrong)}: not for the benchmark {files.benchmark}. Leave it out.")


def _cell(value: object) -> str:
    """Return a value as one TSV cell: 1, 0 or nothing for verdicts."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return " ".join(str(value).split())
