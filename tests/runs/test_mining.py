"""Mining without a model: what is judged is kept line by line, and a killed call goes on with whole waves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from toy import PAIRS, write_toy

from sqlwright.databases import Executor
from sqlwright.decoding import Wave, prompt_waves
from sqlwright.decoding.confidence import SIGNALS
from sqlwright.models.gguf import Answer
from sqlwright.records import Prompt, Question
from sqlwright.runs.mining import Mined, Miner, different, likeliest_wrong, more_targets, right_and_wrong

QUESTIONS = [Question(f"q{n}", "zoo", text, (gold,)) for n, (text, gold) in enumerate(PAIRS)]
WAVES = prompt_waves([Prompt(one.id, "zoo", "schema", one.text) for one in QUESTIONS], 2)
WRONG = "SELECT legs FROM animal"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_toy(tmp_path, tmp_path / "none.gguf", 1)
    return tmp_path


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(1) as opened:
        yield opened


def miner(place: Path, executor: Executor) -> Miner:
    return Miner(QUESTIONS, {"zoo": place / "database" / "zoo.sqlite"}, executor, place / "mined.jsonl", 2)


def answers(wave: Wave) -> list[list[list[Answer]]]:
    """Return two answers to each prompt: the gold, and a wrong one that the model finds less likely."""
    golds = {question.id: question.golds[0] for question in QUESTIONS}
    return [
        [
            [Answer(text, (1, 2), (-log, -0.5), True, 0.1) for text, log in ((golds[one.id], 0.25), (WRONG, 2.0))]
            for one in group
        ]
        for group in wave
    ]


def test_answers_are_judged_and_kept(place: Path, executor: Executor) -> None:
    first = miner(place, executor)
    (wave, *_) = first.keep(WAVES)
    first.add(wave, answers(wave))
    right, wrong = first.found[0, "q0"]
    assert (right.correct, right.reward, right.reason, right.log_probability) == (True, 1.0, "", -0.75)
    assert (wrong.correct, wrong.reason) == (False, "wrong_rows") and 0 < wrong.reward < 1
    assert len(right.signals) == len(SIGNALS) and right.signals[0] == -0.375
    assert miner(place, executor).all == first.all


def test_waves_that_are_not_whole_are_done_again(place: Path, executor: Executor) -> None:
    path = place / "mined.jsonl"
    first = miner(place, executor)
    assert first.keep(WAVES) == WAVES
    for wave in WAVES:
        first.add(wave, answers(wave))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 2 * len(PAIRS)
    for kept, waiting in ((12, 0), (11, 1), (8, 1), (7, 2), (1, 3), (0, 3)):
        for torn in (b"", b'{"id": "q'):
            path.write_bytes(b"".join(lines[:kept]) + torn)
            again = miner(place, executor)
            assert again.torn == bool(torn)
            found = again.keep(WAVES)
            assert found == WAVES[len(WAVES) - waiting :]
            assert path.read_bytes() == b"".join(lines[: 4 * (3 - waiting)])
            for wave in found:
                again.add(wave, answers(wave))
            assert path.read_bytes() == whole


def test_rounds_are_apart_and_later_ones_are_forgotten(place: Path, executor: Executor) -> None:
    first = miner(place, executor)
    for number in (0, 1):
        for wave in first.keep(WAVES[number:], number):
            first.add(wave, answers(wave), number)
    again = miner(place, executor)
    assert again.keep(WAVES[1:], 1) == []
    assert again.keep(WAVES, 0) == []
    assert {one.round for one in again.all} == {0}
    assert again.keep(WAVES[1:], 1) == WAVES[1:]


def mined(sql: str, log: float, correct: bool, reason: str = "") -> Mined:
    return Mined(sql, "q", "zoo", 0, 0, sql, (1,), log, correct, reason or ("" if correct else "wrong_rows"), 1.0, ())


def test_the_same_query_counts_once_the_likeliest_first() -> None:
    found = different([mined("SELECT 1", -3, True), mined("select  1", -1, True), mined("SELECT 2", -2, True)])
    assert [one.sql for one in found] == ["select  1", "SELECT 2"]
    longer = replace(mined("SELECT 3", -4, True), tokens=(1,) * 8)
    assert different([mined("SELECT 1", -3, True), longer])[0] == longer, "by token, not in all"


def test_right_answers_that_are_written_otherwise_than_the_gold() -> None:
    answers = [mined("select count( * ) FROM animal", -1, True), mined("SELECT count(name) FROM animal", -3, True)]
    answers += [mined("SELECT count(legs) FROM animal", -2, True), mined("SELECT 6", -1, False)]
    found = more_targets(QUESTIONS[0], answers, 2)
    assert [one.golds for one in found] == [("SELECT count(legs) FROM animal",), ("SELECT count(name) FROM animal",)]
    assert {one.text for one in found} == {QUESTIONS[0].text}
    assert len(more_targets(QUESTIONS[0], answers, 1)) == 1


def test_pairs_of_right_and_wrong_answers() -> None:
    right = [mined("SELECT 1", -1, True), mined("SELECT 1.0", -2, True)]
    wrong = [mined(f"SELECT {n}", -n, False) for n in (2, 3, 4)]
    pairs = right_and_wrong([*wrong, *right], 4)
    assert [(one.sql, other.sql) for one, other in pairs] == [
        ("SELECT 1", "SELECT 2"),
        ("SELECT 1.0", "SELECT 3"),
        ("SELECT 1", "SELECT 4"),
    ]
    assert len(right_and_wrong([*wrong, *right], 2)) == 2
    assert right_and_wrong(right, 4) == right_and_wrong(wrong, 4) == []
    assert right_and_wrong([*right, mined("SELECT 9", -1, False, "truncated")], 4) == []
    assert likeliest_wrong(wrong) == pairs[0][1]
    assert likeliest_wrong([*right, *wrong]) is likeliest_wrong(right) is likeliest_wrong([]) is None
    assert likeliest_wrong([mined("SELECT 9", -1, False, "truncated")]) is None
