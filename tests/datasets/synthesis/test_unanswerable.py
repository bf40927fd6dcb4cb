"""Questions that a database can't answer: what they ask for isn't in the schema, and they can be trained on."""

from __future__ import annotations

import random

from sqlwright.databases import Executor
from sqlwright.datasets import package_path
from sqlwright.datasets.synthesis.profile import read_profile
from sqlwright.datasets.synthesis.unanswerable import (
    ABSTENTION,
    CATEGORY,
    _NearMisses,
    unanswerable_questions,
)

CHINOOK = package_path("chinook/chinook.sqlite")


def test_as_many_as_wanted_all_different_and_the_same_every_time() -> None:
    found = unanswerable_questions(CHINOOK, 40, seed=2)
    assert len({question.text for question in found}) == len({question.id for question in found}) == 40
    assert found == unanswerable_questions(CHINOOK, 40, seed=2)
    assert found != unanswerable_questions(CHINOOK, 40, seed=3)
    kinds = [question.source for question in found]
    assert kinds.count("synthesis:off-topic") == 10
    assert kinds.count("synthesis:near-miss") == 30


def test_the_gold_runs_and_says_nothing() -> None:
    with Executor(workers=1) as executor:
        assert executor.run(CHINOOK, ABSTENTION).require().rows == [(None,)]
    for question in unanswerable_questions(CHINOOK, 8):
        assert question.golds == (ABSTENTION,)
        assert question.category == CATEGORY


def test_nothing_is_asked_for_that_the_schema_has() -> None:
    with Executor(workers=1) as executor:
        maker = _NearMisses(read_profile(CHINOOK, executor), random.Random(0))
    assert {"artist", "name", "price", "email"} <= maker.known
    for words in (*maker.attributes, *maker.measures, *maker.things):
        assert not set(words.split()) & maker.known, words
    # Chinook has addresses, so a web address would be half there.
    assert "web address" not in maker.attributes
    assert "shoe size" in maker.measures
