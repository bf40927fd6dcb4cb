"""sql-eval's official comparison of two results, faults included, without pandas.

The original compares pandas frames. What of pandas decides its verdicts is rebuilt here and was checked
against pandas 2.2 on recorded results: a column of integers with NULL becomes floats with NaN (unequal to
itself), text and mixed columns keep NULL (equal to itself); comparing raw values broadcasts like numpy (one
row against none is "equal"); mixed text and numbers can't be sorted, which aborts the question.

`exact_match` and `subset_match` raise `FrameError` where the original raises; it then scores the question
wrong.

Not covered: types that SQLite doesn't have (dates, decimals, Booleans), integers beyond 64 bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

_ASKS_FOR_ORDER = re.compile(r"\b(order|sort|arrange)\b")
_ORDER_BY = re.compile(r"ORDER BY[\s\S]*", re.IGNORECASE)
_ORDER_COLUMNS = re.compile(r"(?<=ORDER BY)(.*?)(?=;|,|\)|$)", re.IGNORECASE)
_NO_COLUMNS = {"desc", "asc", "nulls", "last", "first", "limit"}

# Filled in for NULL before the last comparison: a real -99999 equals NULL.
_FILL = -99999

_RELATIVE, _ABSOLUTE = 1e-5, 1e-8

Value = Any


class FrameError(Exception):
    """pandas would have raised; the message says about what."""


class Column(NamedTuple):
    """A named column; `kind` is "int", "float" or "object" as pandas would infer it."""

    name: str
    values: list[Value]
    kind: str


Frame = list[Column]


def make_frame(names: Sequence[str], rows: Sequence[Sequence[Value]]) -> Frame:
    """Return the columns of a result as pandas would hold them."""
    frame = []
    for place, name in enumerate(names):
        values = [row[place] for row in rows]
        kinds = {type(value) for value in values}
        numbers = kinds - {type(None)}
        if kinds == {int}:
            kind = "int"
        elif numbers and numbers <= {int, float}:
            kind = "float"
            values = [math.nan if value is None else float(value) for value in values]
        else:
            kind = "object"
        frame.append(Column(name, values, kind))
    return frame


def exact_match(gold: Frame, predicted: Frame, category: str, question: str, gold_sql: str, sql: str) -> bool:
    """Return the original's "exact match" of two frames; raise `FrameError` where it raises."""
    if _broadcast_equal(gold, predicted):
        return True
    a = _normalised(gold, category, question, gold_sql)
    b = _normalised(predicted, category, question, sql)
    if len(a) != len(b) or _height(a) != _height(b):
        return False
    return all(
        _filled(x) == _filled(y)
        for one, other in zip(a, b, strict=True)
        for x, y in zip(one.values, other.values, strict=True)
    )


def subset_match(gold: Frame, predicted: Frame, category: str, question: str) -> bool:
    """Return whether the gold's columns are among the predicted ones, as the original sees it.

    Each gold column takes the first unused predicted column with the same sorted values; then the rows of the
    columns taken are compared with the gold's. Raises `FrameError` where the original raises.
    """
    if not gold or not _height(gold):
        return False
    unused, taken = list(predicted), []
    for column in gold:
        _check_unique(gold, column.name)
        for other in unused:
            _check_unique(unused, other.name)
            if _close(_sorted_column(column), _sorted_column(other)):
                taken.append(Column(column.name, other.values, other.kind))
                unused = [rest for rest in unused if rest is not other]
                break
        else:
            return False
    a = _normalised(gold, category, question, None)
    b = _normalised(taken, category, question, None)
    return _height(a) == _height(b) and all(map(_close, a, b))


def _height(frame: Frame) -> int:
    return len(frame[0].values) if frame else 0


def _is_null(value: Value) -> bool:
    return value is None or value != value


def _filled(value: Value) -> Value:
    return _FILL if _is_null(value) else value


def _broadcast_equal(gold: Frame, predicted: Frame) -> bool:
    """Return whether numpy's `==` on the raw values is true everywhere, or has nothing to look at."""
    shapes = [(_height(frame), len(frame)) for frame in (gold, predicted)]
    if any(a != b and 1 not in (a, b) for a, b in zip(*shapes, strict=True)):
        return False
    height, width = (b if a == 1 else a for a, b in zip(*shapes, strict=True))

    def cell(frame: Frame, row: int, column: int) -> Value:
        values = frame[column if len(frame) > 1 else 0].values
        return values[row if len(values) > 1 else 0]

    places = ((row, column) for row in range(height) for column in range(width))
    return all(cell(gold, *place) == cell(predicted, *place) for place in places)


def _normalised(frame: Frame, category: str, question: str, sql: str | None) -> Frame:
    """Return the frame without duplicate rows, columns by name, rows sorted unless an order is asked for."""
    kept: dict[tuple[Value, ...], tuple[Value, ...]] = {}
    for row in zip(*(column.values for column in frame), strict=True):
        kept.setdefault(tuple(None if _is_null(value) else value for value in row), row)
    rows = list(kept.values())
    names = [column.name for column in frame]
    order = sorted(range(len(frame)), key=lambda place: names[place])
    if order != list(range(len(frame))) and len(set(names)) < len(names):
        raise FrameError("two columns have the same name")
    kinds = [frame[place].kind for place in order]
    names = [names[place] for place in order]
    rows = [tuple(row[place] for place in order) for row in rows]
    if category == "order_by" or _ASKS_FOR_ORDER.search(question.lower()):
        clause = _ORDER_BY.search(sql) if sql else None
        if clause:
            return _sorted_by_clause(names, kinds, rows, clause.group(0))
    else:
        rows = _sorted_rows(names, rows, list(range(len(names))), descending=False)
    return _columns(names, kinds, rows)


def _sorted_by_clause(names: list[str], kinds: list[str], rows: list[tuple[Value, ...]], clause: str) -> Frame:
    """Return the frame sorted by the first column of the ORDER BY clause, which also moves to the end."""
    found = _ORDER_COLUMNS.findall(clause)
    words = [word.rsplit(".", 1)[-1] for word in (found[0].split() if found else [])]
    upper = [word.upper() for word in words]
    descending = "DESC" in upper or "ASC" not in upper
    cleaned = [word.replace(",", "").replace("(", "") for word in words]
    wanted = [word for word in cleaned if word.lower() not in _NO_COLUMNS]
    others = [place for place, name in enumerate(names) if name not in wanted]
    first = [names.index(word) for word in wanted if word in names]
    rows = _sorted_rows(names, rows, first + others, descending)
    places = others + first
    return _columns(
        [names[p] for p in places],
        [kinds[p] for p in places],
        [tuple(row[p] for p in places) for row in rows],
    )


def _columns(names: list[str], kinds: list[str], rows: list[tuple[Value, ...]]) -> Frame:
    """Return rows as a frame; columns of the same name get their place appended, as in the original."""
    unique = [f"{name}_{place}" if names.count(name) > 1 else name for place, name in enumerate(names)]
    return [Column(name, [row[place] for row in rows], kinds[place]) for place, name in enumerate(unique)]


def _sorted_rows(
    names: list[str], rows: list[tuple[Value, ...]], places: list[int], descending: bool
) -> list[tuple[Value, ...]]:
    """Return the rows sorted by the columns at `places`, NULL last either way.

    By several columns, numbers come before text; a single column that mixes them can't be sorted.
    """
    if any(names.count(names[place]) > 1 for place in places):
        raise FrameError("two columns have the same name")
    for place in reversed(places):
        present = [row for row in rows if not _is_null(row[place])]
        if len(places) == 1:
            _check_sortable([row[place] for row in present])
        present.sort(key=lambda row: (_kind(row[place]), row[place]), reverse=descending)
        rows = present + [row for row in rows if _is_null(row[place])]
    return rows


def _check_unique(frame: Frame, name: str) -> None:
    if sum(column.name == name for column in frame) > 1:
        raise FrameError("two columns have the same name")


def _check_sortable(values: list[Value]) -> None:
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1:
        raise FrameError(f"a column mixes {' and '.join(sorted(kinds))}")


def _kind(value: Value) -> str:
    return "number" if isinstance(value, int | float) else type(value).__name__


def _sorted_column(column: Column) -> Column:
    present = [value for value in column.values if not _is_null(value)]
    _check_sortable(present)
    return Column(column.name, sorted(present) + [v for v in column.values if _is_null(v)], column.kind)


def _close(a: Column, b: Column) -> bool:
    """Return whether two columns agree place by place; only floats and objects have a tolerance."""
    if len(a.values) != len(b.values):
        return False
    exact = "int" in (a.kind, b.kind)
    return all(_close_values(x, y, exact) for x, y in zip(a.values, b.values, strict=True))


def _close_values(x: Value, y: Value, exact: bool) -> bool:
    if _is_null(x) or _is_null(y):
        return _is_null(x) and _is_null(y)
    if x == y:
        return True
    if exact or not isinstance(x, int | float) or not isinstance(y, int | float):
        return False
    return math.isclose(x, y, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
