"""HumanEval, MBPP and infilling: whole programs come out of text and gold, blanks and all."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.datasets import READERS
from sqlwright.datasets.infilling import GAPS, MARK, PIECE, split_in_three
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


def test_a_document_is_cut_at_characters(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    text = "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(200))
    file.write_text(text)
    dataset = READERS["infilling"]([file])
    assert dataset.questions == READERS["infilling"]([file]).questions, "the text alone decides"
    assert len(dataset.questions) == GAPS * -(-len(text) // PIECE)
    whole = set()
    for question in dataset.questions:
        before, mark, behind = question.text.partition(MARK)
        assert mark
        whole.add(before + question.golds[0] + behind)
    assert "".join(sorted(whole, key=text.index)) == text


def test_gaps_are_uniform_over_characters() -> None:
    draw = random.Random(0)
    cuts = [split_in_three("x" * 100, draw) for _ in range(4000)]
    starts, lengths = [len(before) for before, _, _ in cuts], [len(middle) for _, middle, _ in cuts]
    # Two uniform places: the smaller is a third of the way on average, and so is the distance between them.
    assert sum(starts) / len(starts) == pytest.approx(33.3, abs=1.5)
    assert sum(lengths) / len(lengths) == pytest.approx(33.3, abs=1.5)


def test_documents_that_cannot_be_cut(tmp_path: Path) -> None:
    for name, data in (("mark.py", f"a = '{MARK}'\n".encode()), ("latin.py", b"# caf\xe9\n"), ("blank.py", b" \n")):
        (tmp_path / name).write_bytes(data)
    dataset = READERS["infilling"](sorted(tmp_path.iterdir()))
    assert dataset.questions == ()
    assert {one.reason.split(":")[0] for one in dataset.dropped} == {f"the document holds {MARK} itself", "not UTF-8"}
