"""`sqlwright translate`: golds in the words of other engines, kept where the results are the same there."""

from __future__ import annotations

import dataclasses
import tempfile
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sqlwright.cli.options import Json
from sqlwright.cli.tables import aligned, print_json
from sqlwright.cli.terminal import TerminalReporter

if TYPE_CHECKING:
    from sqlwright.evaluation.dialects import Translation

SHOWN = 5


def translate(
    *,
    gold: Annotated[Path, Parameter(metavar="FILE")],
    databases: Annotated[str, Parameter(metavar="DIR_OR_URL")],
    to: Annotated[list[str], Parameter(metavar="ENGINE_OR_URL")],
    out: Annotated[Path | None, Parameter(metavar="OUT.jsonl")] = None,
    json: Json = False,
) -> int:
    """Translate golds to other engines, and keep those whose results are the same there.

    Args:
        gold: Lines `SQL<TAB>database`, as Spider's gold files have them.
        databases: Folder with `NAME/NAME.sqlite` or `NAME/NAME.duckdb`, or the URL of a server with databases of
            these names. The golds are in the dialect of their database.
        to: `sqlite`, `duckdb`, or a server's URL whose role may make databases, such as
            postgresql://maker@localhost; may be given several times.
        out: Write the golds that were kept to this file: JSON lines with database, sql, engine and gold.
    """
    from sqlwright.databases import Executor
    from sqlwright.evaluation.dialects import Gold, share_table, source_of, target_of, translate_golds
    from sqlwright.evaluation.spider_files import read_gold_file

    for place in to:
        target_of(place)
    golds = [
        Gold(index, one.database, source_of(databases, one.database), one.gold)
        for index, one in enumerate(read_gold_file(gold))
    ]
    reporter = TerminalReporter()
    found: list[Translation] = []
    try:
        with Executor(workers=1) as executor, tempfile.TemporaryDirectory(prefix="sqlwright-") as scratch:
            for place in to:

                def progress(done: int, total: int, label: str = f"translate to {target_of(place)}") -> None:
                    reporter.progress(label, done, total)

                found += translate_golds(golds, place, Path(scratch), executor, progress)
    finally:
        reporter.finish()
    if out is not None:
        rows = (
            {"database": one.database, "sql": one.sql, "engine": one.engine, "gold": one.gold}
            for one in found
            if one.kept
        )
        out.write_text("".join(dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    shares = share_table(found)
    if json:
        print_json({"engines": shares, "failed": [dataclasses.asdict(one) for one in found if not one.kept]})
    else:
        print(_text(shares, found))
    return 0


def _text(shares: dict[str, dict[str, Any]], found: list[Translation]) -> str:
    lines: list[tuple[str, ...]] = [("engine", "golds", "kept", "share", "95 % interval")]
    for engine, one in shares.items():
        interval = f"{one['low']:.4f} to {one['high']:.4f}"
        lines.append((engine, f"{one['golds']:,}", f"{one['kept']:,}", f"{one['share']:.4f}", interval))
    text = aligned(lines, (False, True, True, True, False))
    for engine, one in shares.items():
        for reason, count in one["reasons"].items():
            text += ["", f"{engine}: {count:,} {reason.replace('_', ' ')}"]
            those = [each for each in found if each.engine == engine and each.reason == reason]
            for each in those[:SHOWN]:
                text += [f"  {each.index} {each.database}: {' '.join(each.detail.split())[:160]}", f"    {each.gold}"]
    return "\n".join(text)
