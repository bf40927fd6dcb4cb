"""HumanEval, MBPP and infilling: whole programs come out of text and gold, blanks and all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.datasets import READERS
from sqlwright.datasets.infilling import MARK
from sqlwright.evaluation.code import read_tasks


def test_humaneval_keeps_blanks() -> None:
    file = PUBLISHED / "humaneval.jsonl"
    dataset = READERS["humaneval"]([file])
    (question,) = dataset.questions
    assert (question.id, question.database, question.category) == ("HumanEval/0", "", "humaneval")
    assert question.text.startswith("\ndef twice")
    assert question.golds == ("    return 2 * x\n",)
    assert dropped(dataset, file) == [(":2", "missing key"), (":3", "repeated id"), (":4", "wrong type")]


def test_infilling_marks_the_gap() -> None:
    file = PUBLISHED / "infilling.jsonl"
    dataset = READERS["infilling"]([file])
    (question,) = dataset.questions
    assert question.text == f"def f(x):\n{MARK}    return y\n"
    assert (question.golds, question.category) == (("    y = x\n",), "SingleLineInfilling")
    assert dropped(dataset, file) == [(":2", "missing key")]


def test_mbpp_shows_its_tests() -> None:
    file = PUBLISHED / "mbpp.jsonl"
    dataset = READERS["mbpp"]([file])
    (question,) = dataset.questions
    assert question.id == "11"
    assert question.text.endswith('It must pass these tests:\nassert remove_Occ("hello","l") == "heo"')
    assert dropped(dataset, file) == [(":2", "missing key"), (":3", "wrong type")]


@pytest.mark.parametrize(
    ("reader", "name", "count"),
    [
        ("humaneval", "HumanEval.jsonl.gz", 164),
        ("mbpp", "sanitized-mbpp.json", 427),
        ("infilling", "HumanEval-SingleLineInfilling.jsonl.gz", 1033),
        ("infilling", "HumanEval-RandomSpanInfillingLight.jsonl.gz", 164),
    ],
)
def test_the_published_files(reader: str, name: str, count: int, archive: Callable[[str], Path]) -> None:
    file = archive("code") / "code" / name
    dataset = READERS[reader]([file])
    assert (len(dataset.questions), dataset.dropped) == (count, ())
    for question, task in zip(dataset.questions, read_tasks(file), strict=True):
        gold = question.golds[0]
        assert question.id == task.id
        if reader == "infilling":
            assert question.text.replace(MARK, gold) == task.solution
        else:
            assert (gold if reader == "mbpp" else question.text + gold) == task.solution
