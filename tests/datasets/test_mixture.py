"""Files of several formats as one dataset, and how often their questions come."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.datasets import READERS, package_path
from sqlwright.datasets.mixture import question_files, read_mixture, weigh
from sqlwright.records import Question

FILES = Path(__file__).resolve().parent / "files" / "published"
QUICKSTART = package_path("quickstart/train.json")


def test_a_format_in_front_of_a_path_is_that_files_own() -> None:
    names = ("train.json", "mbpp:programs.jsonl", "package:quickstart/train.json", "nonsense:x.json", "mbpp:")
    found = question_files(names, "spider", list(READERS), Path, ())
    assert [(str(file.path), file.format) for file in found] == [
        ("train.json", "spider"),
        ("programs.jsonl", "mbpp"),
        ("package:quickstart/train.json", "spider"),
        ("nonsense:x.json", "spider"),
        ("mbpp:", "spider"),
    ]
    assert [file.weight for file in question_files(names[:2], "spider", list(READERS), Path, (1, 0.5))] == [1, 0.5]


def test_questions_of_all_files_come_together_with_their_weights() -> None:
    names = (str(QUICKSTART), f"mbpp:{FILES / 'mbpp.jsonl'}")
    files = question_files(names, "spider", list(READERS), Path, (1, 3))
    dataset, weights = read_mixture(files, READERS, package_path("quickstart/database"))
    programs = [question for question in dataset.questions if not question.database]
    assert len(programs) == 1 and weights == {programs[0].id: 3}
    assert len(dataset.questions) == 1 + len(READERS["spider"]([QUICKSTART], None, True).questions)
    assert len(dataset.dropped) == 2
    counts = Counter(question.id for question in weigh(dataset.questions, weights, 0))
    assert counts[programs[0].id] == 3 and set(counts.values()) == {1, 3}


@given(st.floats(0, 3), st.integers(0, 5))
def test_weights_hold_on_average_and_whole_ones_exactly(weight: float, seed: int) -> None:
    questions = [Question(str(number), "db", "?") for number in range(400)]
    found = Counter(question.id for question in weigh(questions, dict.fromkeys(map(str, range(400)), weight), seed))
    assert set(found.values()) <= {int(weight), int(weight) + 1}
    assert sum(found.values()) == pytest.approx(400 * weight, abs=60)
    if weight == int(weight):
        assert sum(found.values()) == 400 * weight
    # A question's draw doesn't depend on the others.
    alone = weigh(questions[7:8], {"7": weight}, seed)
    assert len(alone) == found["7"]
