"""Whether two query results are equal in the eyes of Spider's official scorer.

Equal means: the same bag of rows (or the same list, where order matters) after some re-ordering of the
columns. Values compare as in Python: 1 equals 1.0, '1' doesn't equal 1, NULL equals NULL, there is no
tolerance. Two empty results are equal whatever their columns. The scorer first compares the rows with their
values sorted by their *text*, so that a whole number and its float may sort apart and be told unequal; that
is kept.

The scorer tries up to n^n column orders. Here columns may only stand for columns with the same bag of values,
columns that can be swapped are tried once, and a choice is dropped as soon as the columns chosen so far
disagree: the same verdict in milliseconds.

Not covered: a lenient comparison (tolerance, extra columns); see the metric that SQLWright reports by
default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

Row = tuple[Hashable, ...]
# Rows looked at before the search gives up (about half a second), on top of fifty looks at the whole table.
# Real results need a few looks; only tables built to be hard need more.
MOST_ROWS = 2_000_000


def equal_results(gold: Sequence[Row], predicted: Sequence[Row], ordered: bool) -> bool:
    """Return the official verdict on two results; `ordered` says whether the order of rows matters."""
    if gold is predicted or (not gold and not predicted):
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    if _identical(gold, predicted):
        return True
    gold_sorted, predicted_sorted = _with_sorted_values(gold), _with_sorted_values(predicted)
    if ordered:
        if gold_sorted != predicted_sorted:
            return False
        # Lists of rows are equal under some column order exactly if the columns are equal as bags of lists.
        return Counter(zip(*gold, strict=True)) == Counter(zip(*predicted, strict=True))
    if set(gold_sorted) != set(predicted_sorted):
        return False
    return equal_bags(gold, predicted)


def equal_bags(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    """Return whether some column order of `predicted` makes it the same bag of rows as `gold`.

    Both have at least one row, and as many rows and columns as the other.
    """
    if Counter(gold) == Counter(predicted):
        return True
    if len(gold[0]) == 1:
        return False
    return _Matching(gold, predicted).found()


def _identical(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    """Return whether rows are equal in order, values and types, so that no sorting can tell them apart."""
    return list(gold) == list(predicted) and all(
        type(one) is type(other)
        for row, other_row in zip(gold, predicted, strict=True)
        for one, other in zip(row, other_row, strict=True)
    )


def _with_sorted_values(rows: Sequence[Row]) -> list[Row]:
    return [tuple(sorted(row, key=_sort_text)) for row in rows]


def _sort_text(value: Hashable) -> str:
    return f"{value}{type(value)}"


class _Matching:
    """The search for an order of the predicted columns; columns are tuples of values, top to bottom."""

    def __init__(self, gold: Sequence[Row], predicted: Sequence[Row]) -> None:
        self.gold = list(zip(*gold, strict=True))
        self.predicted = list(zip(*predicted, strict=True))
        self.predicted_rows = Counter(predicted)
        self.rows_left = MOST_ROWS + 50 * len(gold) * len(self.gold)
        self.tries = 0
        self._swaps: dict[tuple[int, int], bool] = {}

    def found(self) -> bool:
        """Return whether an order was found within the limit of `MOST_ROWS`."""
        gold_bags = [frozenset(Counter(column).items()) for column in self.gold]
        predicted_bags = [frozenset(Counter(column).items()) for column in self.predicted]
        if Counter(gold_bags) != Counter(predicted_bags):
            return False
        self.candidates = [[place for place, other in enumerate(predicted_bags) if other == bag] for bag in gold_bags]
        # Columns with few candidates and many different values settle most about the rest.
        self.order = sorted(
            range(len(self.gold)), key=lambda place: (len(self.candidates[place]), -len(gold_bags[place]))
        )
        start = [0] * len(self.gold[0])
        return self._extend(0, frozenset(), start, start)

    def _extend(self, depth: int, used: frozenset[int], gold: list[int], predicted: list[int]) -> bool:
        """Return whether the choices so far can be completed.

        `gold` and `predicted` number, for each row, the values of the columns chosen so far: equal numbers
        mean equal values in all of them.
        """
        if depth == len(self.order):
            return True
        column = self.order[depth]
        numbers: dict[tuple[int, Hashable], int] = {}
        next_gold = [numbers.setdefault(key, len(numbers)) for key in zip(gold, self.gold[column], strict=True)]
        wanted = Counter(next_gold)
        tried: list[int] = []
        for place in self.candidates[column]:
            if place in used or any(self._interchangeable(place, other) for other in tried):
                continue
            if self.rows_left <= 0:
                return False
            self.rows_left -= len(gold)
            self.tries += 1
            tried.append(place)
            next_predicted = [numbers.get(key, -1) for key in zip(predicted, self.predicted[place], strict=True)]
            if Counter(next_predicted) == wanted and self._extend(depth + 1, used | {place}, next_gold, next_predicted):
                return True
        return False

    def _interchangeable(self, one: int, other: int) -> bool:
        """Return whether swapping two predicted columns gives the same bag of rows: one try does for both."""
        if self.predicted[one] == self.predicted[other]:
            return True
        if self.tries < 4 * len(self.order):  # most searches end before this pays
            return False
        key = (min(one, other), max(one, other))
        if key not in self._swaps:
            self.rows_left -= len(self.gold[0])
            columns = list(self.predicted)
            columns[one], columns[other] = columns[other], columns[one]
            self._swaps[key] = Counter(zip(*columns, strict=True)) == self.predicted_rows
        return self._swaps[key]
