from __future__ import annotations

import random

import pytest

from sqlwright.datasets import schema_overlap, split_by_database
from sqlwright.errors import DataError
from sqlwright.records import Question

QUESTIONS = [Question(id=f"{n}", database=f"db{n % 7}", text="?") for n in range(70)]


def test_whole_databases_are_held_out_whatever_the_order() -> None:
    train, validation = split_by_database(QUESTIONS, 2, seed=3)
    assert len(train) + len(validation) == 70
    assert {q.database for q in train}.isdisjoint({q.database for q in validation})
    assert len({q.database for q in validation}) == 2
    shuffled = random.Random(0).sample(QUESTIONS, 70)
    assert {q.id for q in split_by_database(shuffled, 2, seed=3)[1]} == {q.id for q in validation}
    draws = {frozenset(q.database for q in split_by_database(QUESTIONS, 2, seed=s)[1]) for s in range(20)}
    assert len(draws) > 1


def test_nothing_held_out() -> None:
    assert split_by_database(QUESTIONS, 0, seed=0) == (tuple(QUESTIONS), ())
    assert split_by_database([], 0, seed=0) == ((), ())


@pytest.mark.parametrize("held_out", [-1, 7, 8])
def test_something_must_be_left_to_train_on(held_out: int) -> None:
    with pytest.raises(DataError, match="between 0 and 6 of 7"):
        split_by_database(QUESTIONS, held_out, seed=0)


def test_schema_overlap() -> None:
    assert schema_overlap(["A", "b", "c"], ["a", "B"]) == 1.0
    assert schema_overlap(["a", "b"], ["b", "c", "d"]) == 0.5
    assert schema_overlap([], ["a"]) == 0.0
