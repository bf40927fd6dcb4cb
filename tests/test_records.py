"""The five nouns go to disk as lines of JSON and come back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.errors import DataError
from sqlwright.records import Completion, Question, Report, Score, read_records, stable_id, write_records

# JSON has no lone surrogates.
texts = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.builds(Question, id=texts, database=texts, text=texts, golds=st.tuples(texts), evidence=texts))
def test_a_question_survives_its_line(question: Question) -> None:
    import json

    line = question.to_json()
    assert "\n" not in line
    assert Question.from_dict(json.loads(line)) == question


def test_records_are_written_and_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    records = [Completion(str(i), "db", "SELECT 1", "SELECT 1", ("a", "b"), -0.5, i, 0.1) for i in range(3)]
    assert write_records(path, records) == 3
    assert list(read_records(path, Completion)) == records
    assert [file.name for file in tmp_path.iterdir()] == ["c.jsonl"], "nothing is left aside"


def test_unknown_keys_are_dropped_and_missing_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "1", "database": "d", "text": "t", "later": 1}\n\n{"id": "2", "text": "t"}\n')
    lines = read_records(path, Question)
    assert next(lines) == Question("1", "d", "t")
    with pytest.raises(DataError, match=r"q\.jsonl:3: .*none named database"):
        next(lines)


@pytest.mark.parametrize(("line", "found"), [("{", "one JSON object per line"), ("[1]", "found list"), ("7", "int")])
def test_a_bad_line_is_named(tmp_path: Path, line: str, found: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=rf"q\.jsonl:1: .*{found}"):
        list(read_records(path, Question))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_records(path, [Question("1", "d", "t")])

    def broken() -> object:
        yield Question("2", "d", "t")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_records(path, broken())  # type: ignore[arg-type]
    assert [one.id for one in read_records(path, Question)] == ["1"]


def test_a_report_knows_that_it_is_partial() -> None:
    assert Report("r", "ex", Score(1, 2, 0.5, 0.1, 0.9), 3).partial
    assert not Report("r", "ex", Score(1, 3, 0.3, 0.1, 0.9), 3).partial


def test_ids_depend_on_every_part_and_its_border() -> None:
    assert stable_id("a", "bc") == stable_id("a", "bc")
    assert len({stable_id("a", "bc"), stable_id("ab", "c"), stable_id("abc"), stable_id("bc", "a")}) == 4
