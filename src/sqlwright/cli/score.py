"""`sqlwright score`: the scores of a prediction file, whichever system wrote it.

Needs the core install alone: no model, no torch. Scoring works in processes that can only read.

Not covered: predicting (`sqlwright run`), and what the metrics mean (see `sqlwright.evaluation` and docs/score.md).
"""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from sqlwright.cli.options import Json
from sqlwright.cli.tables import print_json, safe, write_page
from sqlwright.cli.terminal import TerminalReporter
from sqlwright.errors import RecipeError

if TYPE_CHECKING:
    from sqlwright.cli.score_benchmarks import Scored
    from sqlwright.evaluation.comparison import RunComparison

Benchmark = Annotated[Literal["spider", "bird", "sql-eval", "viggo", "code"], Parameter(metavar="NAME")]
File = Annotated[Path, Parameter(metavar="FILE")]

PARTIAL, INTERRUPTED = 6, 130


def score(
    *,
    benchmark: Benchmark,
    gold: File,
    predictions: File,
    databases: Annotated[str | None, Parameter(metavar="DIR")] = None,
    tables: File | None = None,
    keep_distinct: bool = False,
    plug_value: bool = False,
    verdicts: Annotated[Path | None, Parameter(metavar="OUT.tsv")] = None,
    compare: File | None = None,
    html: File | None = None,
    json: Json = False,
) -> int:
    """Score a file of predictions, one per gold in the same order.

    Args:
        benchmark: Whose metrics and file formats.
        gold: The gold file. Spider: lines `SQL<TAB>database`.
        predictions: The prediction file. Spider: one SQL per line; an empty line is an empty prediction.
        databases: Folder with `NAME/NAME.sqlite`; the folder `database` beside the gold file if left out. sql-eval:
            also the URL of a server, such as postgresql://reader@localhost.
        tables: Spider's tables.json, which exact match needs; looked for beside the databases and the gold file.
        keep_distinct: Keep DISTINCT in Spider's table and error classes; both scores are always reported.
        plug_value: Put the gold's values into the predictions first (Spider, for systems without values).
        verdicts: Write a row per question to this file: TSV with a header.
        compare: Another prediction file for the same golds; says whether it is better, and on which questions.
        html: Write a page with every question to this file, beside the other predictions if there are any.
    """
    from sqlwright.cli.score_benchmarks import Files, score_benchmark
    from sqlwright.databases import is_url

    _refuse_unwritable(verdicts)
    places = Path(databases) if databases is not None and not is_url(databases) else databases
    files = Files(benchmark, gold, predictions, places, tables, keep_distinct, plug_value)
    reporter = TerminalReporter()
    other = None
    try:
        scored = score_benchmark(files, reporter)
        if compare is not None and not scored.interrupted:
            other = score_benchmark(files._replace(predictions=compare), reporter)
    finally:
        reporter.finish()
    if verdicts is not None:
        scored.write_verdicts(verdicts)
    if html is not None:
        _write_page(html, scored, other, (predictions, compare))
    found = [] if other is None else _comparisons(scored, other, (predictions, compare or predictions))
    if json:
        compared = {} if other is None else {"comparison": [loads(one.to_json()) for one in found]}
        print_json(scored.document() | compared)
    else:
        parts = [scored.text(), *(one.table() for one in found)]
        if scored.official:
            parts.append(f"The official scorer's table:\n{scored.official}")
        print(safe("\n\n".join(parts), keep_lines=True))
    both = [scored] if other is None else [scored, other]
    if any(one.interrupted for one in both):
        return INTERRUPTED
    return PARTIAL if any(one.partial for one in both) else 0


def _write_page(html: Path, scored: Scored, other: Scored | None, paths: tuple[Path, Path | None]) -> None:
    from sqlwright.runs.compare_page import Side, scored_page

    first, second = paths
    sides = [Side(first.name, scored.score.verdicts, scored.predictions)]
    if other is not None and second is not None:
        label = second.name if second.name != first.name else str(second)
        sides.insert(0, Side(label, other.score.verdicts, other.predictions))
    title = f"{scored.score.benchmark}: " + " and ".join(side.label for side in sides)
    write_page(html, scored_page(title, sides, scored.texts, scored.score.notes, scored.files))


def _comparisons(scored: Scored, other: Scored, paths: tuple[Path, Path]) -> list[RunComparison]:
    """Return what the predictions gain over the other file, per metric."""
    from sqlwright.cli.score_benchmarks import comparisons

    first, second = paths
    short = first.name != second.name
    return comparisons(other, scored, (second.name, first.name) if short else (str(second), str(first)))


def _refuse_unwritable(verdicts: Path | None) -> None:
    """Raise `RecipeError` before the work rather than after it."""
    if verdicts is not None and (verdicts.is_dir() or not verdicts.absolute().parent.is_dir()):
        raise RecipeError(f"--verdicts {verdicts}: expected a file in a folder that exists, found none there.")
