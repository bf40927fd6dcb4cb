"""ViGGO: sentences about no database, their meanings as golds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.databases import Executor
from sqlwright.datasets import READERS, check_golds, split_by_database, with_hardness
from sqlwright.datasets.viggo import TASK
from sqlwright.evaluation.viggo import parse_meaning


def test_published_columns_arrive() -> None:
    file = PUBLISHED / "viggo.csv"
    dataset = READERS["viggo"]([file])
    portal, boring = dataset.questions
    assert (portal.text, portal.database, portal.category) == ("Portal 2 is a puzzle shooter.", "", "inform")
    assert portal.golds == ("inform(name[Portal 2], genres[puzzle, shooter])",)
    assert boring.text == 'What\'s a boring game, "really" boring?'
    assert portal.evidence == boring.evidence == TASK
    assert dropped(dataset, file) == [(":4", "bad gold"), (":5", "empty value")]
    assert dataset.summary() == "2 questions, 2 left out (bad gold 1, empty value 1)"


def test_golds_that_are_no_sql_are_left_alone() -> None:
    dataset = with_hardness(READERS["viggo"]([PUBLISHED / "viggo.csv"]))
    with Executor(workers=1) as executor:
        assert check_golds(dataset, executor) == dataset
    assert split_by_database(dataset.questions, 1, 0) == (dataset.questions, ())


@pytest.mark.parametrize(("part", "count"), [("train", 5103), ("valid", 714), ("test", 1083)])
def test_the_corpus(part: str, count: int, archive: Callable[[str], Path]) -> None:
    dataset = READERS["viggo"]([archive("viggo") / "viggo" / f"{part}.csv"])
    assert (len(dataset.questions), dataset.dropped) == (count, ())
    for question in dataset.questions:
        meaning = parse_meaning(question.golds[0])
        assert meaning is not None
        assert meaning.function == question.category
        assert f"{meaning.function}" in TASK
        assert all(slot in TASK for slot, _ in meaning.slots), "the task names every slot"
