"""How much faster two results are compared by signature and search than by trying every order of columns.

The tables have few different values and differ in one place, the worst case for both: every order must be ruled
out. Trying all orders is what a comparison without signatures does; Spider's official scorer tries up to n^n.

    python bench/result_comparison.py
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable

from sqlwright.evaluation.robust import Rows, results_equal

ROWS, COLUMNS = 200, 7

Table = list[tuple[int, ...]]


def every_order(gold: Table, predicted: Table) -> bool:
    """Return whether any order of columns makes the rows equal as multisets."""
    wanted = Counter(gold)
    orders = itertools.permutations(range(COLUMNS))
    return any(Counter(tuple(row[c] for c in order) for row in predicted) == wanted for order in orders)


def by_search(gold: Table, predicted: Table) -> bool:
    return results_equal(Rows(COLUMNS, gold), Rows(COLUMNS, predicted), ordered=False).equal


def seconds(compare: Callable[[Table, Table], bool], gold: Table, predicted: Table) -> float:
    start = time.perf_counter()
    assert not compare(gold, predicted)
    return time.perf_counter() - start


def main() -> None:
    rng = random.Random(0)
    gold = [tuple(rng.choices([0, 1], k=COLUMNS)) for _ in range(ROWS)]
    # two cells of a column swapped: all columns keep their signatures, the rows don't
    predicted = [list(row) for row in gold]
    first = next(i for i, row in enumerate(predicted) if row[0] == 0)
    other = next(i for i, row in enumerate(predicted) if row[0] == 1 and row[1:] != predicted[first][1:])
    predicted[first][0], predicted[other][0] = 1, 0
    moved = [tuple(row) for row in rng.sample(predicted, ROWS)]
    slow = seconds(every_order, gold, moved)
    fast = min(seconds(by_search, gold, moved) for _ in range(5))
    print(f"{ROWS} rows of {COLUMNS} columns: every order {slow:.3f} s, search {fast:.5f} s, {slow / fast:.0f}x")


if __name__ == "__main__":
    main()
