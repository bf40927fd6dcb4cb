"""Golds translated to other engines, kept where both engines give the same result on the same rows.

The tables of a database are copied into a database of the other engine (`evaluation.copies`); the gold runs here, its
translation there, and the robust comparison decides. What is kept is right on these rows at least; what isn't has a
reason:

* `untranslatable`: the SQL can't be parsed or put into the other dialect;
* `gold_failed`: the gold itself can't be run;
* the executor's error classes, for translations that the other engine refuses;
* the reasons of the robust metric, for other results.

Not covered: results that agree on these rows only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlwright.databases import Executor, at_server, engine_of, is_url, shown
from sqlwright.datasets.locate import find_database
from sqlwright.errors import DataError
from sqlwright.evaluation.copies import copied, read_tables
from sqlwright.evaluation.robust import Progress, Rows, has_top_level_order, results_equal
from sqlwright.evaluation.statistics import score
from sqlwright.sql.translate import Dialect, Kinds, translate

_FILES: tuple[Dialect, ...] = ("sqlite", "duckdb")
_SCHEMES: dict[str, Dialect] = {
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold to translate: its place in the file, its database's name and address, and the SQL."""

    index: int
    database: str
    address: Path | str
    sql: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A gold in another engine's words; `reason` and `detail` say why it isn't kept, and are empty if it is."""

    index: int
    database: str
    engine: Dialect
    gold: str
    sql: str
    reason: str = ""
    detail: str = ""

    @property
    def kept(self) -> bool:
        """Whether both engines give the same result."""
        return not self.reason


def target_of(place: str) -> Dialect:
    """Return the dialect of a place for copies: the word `sqlite` or `duckdb`, or a server's URL.

    Raises:
        DataError: it is neither.
    """
    scheme = place.partition("://")[0].lower()
    if place not in _FILES and (scheme in _FILES or scheme not in _SCHEMES or not is_url(place)):
        raise DataError(
            f"{shown(place)}: expected sqlite, duckdb, or a URL such as postgresql://maker@localhost or mysql://…"
        )
    return _SCHEMES[scheme]


def source_of(databases: Path | str, name: str) -> Path | str:
    """Return the address of the database `name`: at a server, or a DuckDB or SQLite file in a folder.

    Raises:
        DataError: there is no such file.
    """
    if is_url(databases):
        return at_server(str(databases), name)
    folder = Path(databases)
    files = (folder / name / f"{name}.duckdb", folder / f"{name}.duckdb")
    return next((path for path in files if path.is_file()), None) or find_database(folder, name)


def translate_golds(
    golds: Sequence[Gold], place: str, scratch: Path, executor: Executor, progress: Progress | None = None
) -> Iterator[Translation]:
    """Yield the translation of every gold, database by database.

    Args:
        golds: what to translate, from the dialects of their databases.
        place: `sqlite` or `duckdb`, whose files are made in `scratch`, or the URL of a server whose role may make and
            drop databases; each copy is called `sqlwright_NAME` and dropped afterwards.
        scratch: a folder for files.
        executor: runs the queries.
        progress: called after each gold.

    Raises:
        DataError: the place is none.
        DatabaseError: a database can't be read or copied.
    """
    target = target_of(place)
    done = 0
    for address in dict.fromkeys(gold.address for gold in golds):
        own = [gold for gold in golds if gold.address == address]
        tables = list(read_tables(address, executor))
        kinds = {table.name: dict(zip(table.columns, table.kinds, strict=True)) for table in tables}
        with copied(tables, target, place, own[0].database, scratch) as copy:
            for gold in own:
                yield _judged(gold, target, copy, kinds, executor)
                done += 1
                if progress:
                    progress(done, len(golds))


def share_table(found: Iterable[Translation]) -> dict[str, dict[str, Any]]:
    """Return by engine: how many golds there are and are kept, the reasons of the others, and the share kept.

    The share, with its 95 % interval, is of the golds that run on their own database.
    """
    by_engine: dict[str, list[Translation]] = {}
    for one in found:
        by_engine.setdefault(one.engine, []).append(one)
    shares: dict[str, dict[str, Any]] = {}
    for engine, every in by_engine.items():
        runnable = [one for one in every if one.reason != "gold_failed"]
        reasons = Counter(one.reason for one in every if one.reason)
        share = score([one.kept for one in runnable])
        shares[engine] = {"golds": len(every), "kept": share.correct, "share": share.value}
        shares[engine] |= {"low": share.low, "high": share.high, "reasons": dict(reasons.most_common())}
    return shares


def _judged(gold: Gold, target: Dialect, copy: Path | str, kinds: Kinds, executor: Executor) -> Translation:
    def said(sql: str, reason: str = "", detail: str = "") -> Translation:
        return Translation(gold.index, gold.database, target, gold.sql, sql, reason, detail)

    wanted = executor.run(gold.address, gold.sql)
    if not wanted.ok:
        return said("", "gold_failed", wanted.message)
    try:
        source = cast(Dialect, engine_of(gold.address).name)
        sql = translate(gold.sql, source, target, kinds)
    except DataError as error:
        return said("", "untranslatable", str(error))
    found = executor.run(copy, sql)
    if not found.ok:
        return said(sql, found.error_class, found.message)
    if wanted.truncated or found.truncated:
        return said(sql, "truncated", "a result was cut at the executor's limits")
    result = results_equal(Rows.of(wanted), Rows.of(found), ordered=has_top_level_order(gold.sql))
    return said(sql, result.reason, result.detail)
