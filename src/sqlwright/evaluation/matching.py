"""Whether two tables of values are the same but for the order of columns and, if it doesn't matter, of rows.

Two tables are equal if there is a one-to-one map of columns and a one-to-one map of rows (the identity where
order matters) that puts equal values on each other. Values are equal if

* both are NULL, or both NaN;
* both are numbers (Boolean, integer, float, decimal; a Boolean is 0 or 1) and agree within `RELATIVE`, or are
  both integers and the same: an integer is exact, so the ids 10000001 and 10000002 stay apart;
* both have the same type (text, blob, date …) and are the same: the text '1' isn't the number 1.

Nearness isn't transitive: 1, 1 + 0.9e-6 and 1 + 1.8e-6 are near in pairs of neighbours only. So equality is
not decided by rounding to a grid, where neighbours fall apart at its lines. All numbers of both tables are
sorted and cut where neighbours aren't near. Numbers of different pieces are never equal; in nearly every
piece all numbers are equal to each other, and it acts as one value. Pieces that are longer than the
tolerance are "loose": what they leave open is settled by a bipartite matching of rows.

Columns are matched by signature (how often each piece occurs), then by depth-first search that keeps a
choice only if the rows of the columns chosen so far agree as multisets, and tries identical columns once.
The work is limited to `STEPS`, since a prediction's result is hostile input; past it `GaveUpError` is raised.

Not covered: ties. Where order matters, rows that the ORDER BY leaves in any order must stand in the gold's
order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

RELATIVE = 1e-6
"""Numbers are equal within this share of the larger one."""

ABSOLUTE = 1e-12
"""Numbers this close are equal whatever their size: 0.1 + 0.2 - 0.3 is 0."""

STEPS = 20_000_000
"""Rows or pairs of rows visited before a comparison is given up: some seconds."""

# Steps that the comparison of two rows costs, number by number.
_PAIR = 10

Row = Sequence[object]
Number = int | float

_USUAL = frozenset({int, float, str, type(None)})


class GaveUpError(Exception):
    """The comparison needs more than `STEPS` steps."""


def near(x: Number, y: Number) -> bool:
    """Return whether two numbers count as equal."""
    if type(x) is int and type(y) is int:
        return x == y
    return _close(x, y)


def find_columns(gold: Sequence[Row], predicted: Sequence[Row], width: int, ordered: bool) -> list[int] | None:
    """Return for each gold column the predicted column that equals it, or None if the tables differ.

    Args:
        gold: rows of `width` values.
        predicted: as many rows, each of at least `width` values; columns left over are ignored.
        width: number of gold columns.
        ordered: whether the rows must stand in the same order.

    Raises:
        GaveUpError: the search is longer than `STEPS`.
    """
    if not gold or not width:
        return list(range(width))
    pair = _Pair(gold, predicted, width)
    return pair.match_ordered() if ordered else pair.match_unordered()


class _Pair:
    """Two tables with as many rows, column by column, as codes (one per value) and as plain numbers."""

    def __init__(self, gold: Sequence[Row], predicted: Sequence[Row], width: int) -> None:
        self.rows = len(gold)
        self.raw_gold = [_plain_column(column) for column in zip(*gold, strict=True)]
        self.raw_predicted = [_plain_column(column) for column in zip(*predicted, strict=True)]
        codes, self.loose = _codes(self.raw_gold + self.raw_predicted)
        # NaN isn't equal to itself and so in no dictionary: it gets the code 1
        self.gold = [[codes.get(value, 1) for value in column] for column in self.raw_gold]
        self.predicted = [[codes.get(value, 1) for value in column] for column in self.raw_predicted]
        self.left = STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise GaveUpError

    def match_ordered(self) -> list[int] | None:
        """Return a map of columns that agree row by row: each pair on its own, so a matching decides."""

        def agree(g: int, p: int) -> bool:
            if self.gold[g] != self.predicted[p]:
                return False
            self.spend(self.rows)
            return not self.loose or all(map(_equal, self.raw_gold[g], self.raw_predicted[p]))

        choices = [[p for p in range(len(self.predicted)) if agree(g, p)] for g in range(len(self.gold))]
        return _perfect_matching(choices)

    def match_unordered(self) -> list[int] | None:
        """Return a map of columns under which the rows agree as multisets."""
        choices = self._choices()
        if not all(choices) or _perfect_matching(choices) is None:
            return None
        order = sorted(range(len(choices)), key=lambda g: len(choices[g]))
        twins = self._twins()
        chosen: list[int] = []
        tried: list[set[int]] = [set()]
        groups = [([0] * self.rows, [0] * self.rows)]
        while tried:
            if len(chosen) == len(order):
                mapping = [p for _, p in sorted(zip(order, chosen, strict=True))]
                if self._rows_agree(mapping, *groups[-1]):
                    return mapping
            elif self._descend(order[len(chosen)], choices, twins, chosen, tried, groups):
                continue
            tried.pop()
            groups.pop()
            if chosen:
                chosen.pop()
        return None

    def _descend(
        self,
        g: int,
        choices: list[list[int]],
        twins: list[int],
        chosen: list[int],
        tried: list[set[int]],
        groups: list[tuple[list[int], list[int]]],
    ) -> bool:
        """Choose the next untried predicted column for gold column `g`; return False if none is left."""
        for p in choices[g]:
            if twins[p] in tried[-1] or p in chosen:
                continue
            tried[-1].add(twins[p])
            self.spend(2 * self.rows)
            finer: dict[tuple[int, int], int] = {}
            of_gold = [finer.setdefault(key, len(finer)) for key in zip(groups[-1][0], self.gold[g], strict=True)]
            new = len(finer)
            of_predicted = [
                finer.setdefault(key, len(finer)) for key in zip(groups[-1][1], self.predicted[p], strict=True)
            ]
            if len(finer) == new and Counter(of_gold) == Counter(of_predicted):
                chosen.append(p)
                tried.append(set())
                groups.append((of_gold, of_predicted))
                return True
        return False

    def _choices(self) -> list[list[int]]:
        """Return for each gold column the predicted columns with the same values, counted."""
        self.spend(self.rows * (len(self.gold) + len(self.predicted)))
        signatures = [Counter(column) for column in self.predicted]
        choices = []
        for column, raw in zip(self.gold, self.raw_gold, strict=True):
            signature = Counter(column)
            alike = [p for p, other in enumerate(signatures) if other == signature]
            if not self.loose.isdisjoint(signature):
                alike = [p for p in alike if self._near_when_sorted(raw, self.raw_predicted[p])]
            choices.append(alike)
        return choices

    def _near_when_sorted(self, a: list[object], b: list[object]) -> bool:
        """Return whether the numbers of two columns can be paired at all, integers taken as inexact.

        The numbers near x form an interval whose ends rise with x, so if any pairing works, the sorted one
        does.
        """
        self.spend(self.rows)
        x = sorted(value for value in a if isinstance(value, int | float) and value == value)
        y = sorted(value for value in b if isinstance(value, int | float) and value == value)
        return len(x) == len(y) and all(map(_close, x, y))

    def _twins(self) -> list[int]:
        """Return for each predicted column the first one that holds the same values in the same rows."""
        first: dict[tuple[object, ...], int] = {}
        if self.loose:  # columns of equal codes may hold different numbers; types keep 1 and 1.0 apart
            keys = [
                tuple((type(v), v) if isinstance(v, int | float) else c for v, c in zip(*columns, strict=True))
                for columns in zip(self.raw_predicted, self.predicted, strict=True)
            ]
            return [first.setdefault(key, p) for p, key in enumerate(keys)]
        return [first.setdefault(tuple(column), p) for p, column in enumerate(self.predicted)]

    def _rows_agree(self, mapping: list[int], of_gold: list[int], of_predicted: list[int]) -> bool:
        """Return whether rows of the same group can be paired so that all loose numbers are near."""
        if not self.loose:
            return True
        pairs = [
            (self.raw_gold[g], self.raw_predicted[p])
            for g, p in enumerate(mapping)
            if not self.loose.isdisjoint(self.gold[g])
        ]
        members: dict[int, tuple[list[int], list[int]]] = {}
        for side, groups in enumerate((of_gold, of_predicted)):
            for row, group in enumerate(groups):
                members.setdefault(group, ([], []))[side].append(row)
        return all(self._group_agrees(pairs, *rows) for rows in members.values())

    def _group_agrees(
        self, pairs: list[tuple[list[object], list[object]]], gold: list[int], predicted: list[int]
    ) -> bool:
        """Return whether the gold and predicted rows of one group can be paired."""
        a = [tuple(column[row] for column, _ in pairs) for row in gold]
        b = [tuple(column[row] for _, column in pairs) for row in predicted]
        self.spend(len(a))
        # codes agree inside a group, so a place holds numbers in all rows or in none: sorting can't fail on
        # types
        numeric = [i for i, value in enumerate(a[0]) if isinstance(value, int | float) and value == value]
        x = sorted(tuple(row[i] for i in numeric) for row in a)
        y = sorted(tuple(row[i] for i in numeric) for row in b)
        if all(_all_equal(r, s) for r, s in zip(x, y, strict=True)):
            return True
        choices = []
        for r in x:
            self.spend(_PAIR * len(y))
            choices.append([j for j, s in enumerate(y) if _all_equal(r, s)])
            if not choices[-1]:
                return False
        return _perfect_matching(choices, self.spend) is not None


def _plain_column(column: Sequence[object]) -> list[object]:
    """Return Booleans as integers, decimals as floats, unusual values as (type, text), others as they are."""
    return list(column) if _USUAL.issuperset(map(type, column)) else [_plain(value) for value in column]


def _plain(value: object) -> object:
    if type(value) in _USUAL:
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return float(value) if not value.is_snan() else math.nan
    return type(value).__name__, repr(value)


def _codes(columns: list[list[object]]) -> tuple[dict[object, int], set[int]]:
    """Return the code of each value that occurs, and the codes of loose pieces (see the module's text).

    NULL has the code 0, numbers codes above 1, anything else codes below 0.
    """
    integers: set[int] = set()
    floats: set[float] = set()
    codes: dict[object, int] = {None: 0}
    for column in columns:
        for value in column:
            if type(value) is int:
                integers.add(value)
            elif type(value) is float:
                floats.add(value)
            elif value not in codes:
                codes[value] = -len(codes)
    floats = {value for value in floats if value == value}
    loose: set[int] = set()
    after = 2
    for piece in _pieces(sorted(integers | floats)):
        if len(piece) == 1 or floats.isdisjoint(piece):
            codes.update(zip(piece, range(after, after + len(piece)), strict=True))
        else:
            codes.update(dict.fromkeys(piece, after))
            if not _close(piece[0], piece[-1]) or len(integers.intersection(piece)) > 1:
                loose.add(after)
        after += len(piece)
    return codes, loose


def _pieces(ordered: list[Number]) -> Iterator[list[Number]]:
    """Yield ascending numbers in pieces, cut where neighbours aren't near."""
    piece: list[Number] = []
    for value in ordered:
        if piece and not _close(piece[-1], value):
            yield piece
            piece = []
        piece.append(value)
    if piece:
        yield piece


def _close(x: Number, y: Number) -> bool:
    try:
        return math.isclose(x, y, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    except OverflowError:  # an integer beyond the range of floats
        return x == y


def _equal(a: object, b: object) -> bool:
    """Return whether two values of the same code are equal."""
    return not isinstance(a, int | float) or not isinstance(b, int | float) or a != a or near(a, b)


def _all_equal(a: Sequence[object], b: Sequence[object]) -> bool:
    return all(map(_equal, a, b))


def _perfect_matching(choices: list[list[int]], spend: Callable[[int], None] | None = None) -> list[int] | None:
    """Return for each left node a right node of its own from its choices, or None (augmenting paths)."""
    owner: dict[int, int] = {}
    holds: dict[int, int] = {}
    for start in range(len(choices)):
        reached: dict[int, int] = {}
        queue, free = [start], None
        for left in queue:
            if spend:
                spend(len(choices[left]))
            free = next((right for right in choices[left] if right not in owner), None)
            if free is not None:
                reached[free] = left
                break
            for right in choices[left]:
                if right not in reached:
                    reached[right] = left
                    queue.append(owner[right])
        if free is None:
            return None
        while True:  # every left node on the path takes the right node that led on from it
            left = reached[free]
            given_up = holds.get(left, -1)
            owner[free], holds[left] = left, free
            if left == start:
                break
            free = given_up
    return [holds[left] for left in range(len(choices))]
