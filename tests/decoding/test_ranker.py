"""The ranker: fitted on judged answers, read back from beside an adapter, and worth a vote more where it is sure."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("numpy")

from sqlwright.databases import Executor
from sqlwright.decoding import vote
from sqlwright.decoding.confidence import SIGNALS, Weights
from sqlwright.decoding.ranker import FEWEST, Ranker, fit, read_ranker, write_ranker
from sqlwright.errors import ModelError
from sqlwright.models.gguf import Answer
from sqlwright.records import Prompt


def judged(count: int) -> tuple[list[tuple[float, ...]], list[bool]]:
    """Return signals and verdicts: likely answers are right more often, what fails is always wrong."""
    draw = random.Random(0)
    found, right = [], []
    for _ in range(count):
        mean, failed = -2 * draw.random(), draw.random() < 0.2
        found.append((mean, 2 * mean, float(failed), 0.0, 0.0, 1.0, 0.25))
        right.append(not failed and draw.random() < 1 + mean / 2)
    return found, right


def test_likely_answers_that_run_are_ranked_higher() -> None:
    weights = fit(*judged(400))
    sure, unsure, fails = (
        weights.of((mean, 2 * mean, failed, 0.0, 0.0, 1.0, 0.25)) for mean, failed in ((-0.1, 0), (-1.8, 0), (-0.1, 1))
    )
    assert sure > 0.75 > 0.35 > unsure
    assert fails < 0.25


def test_a_ranker_is_read_as_it_was_written(tmp_path: Path) -> None:
    found, right = judged(400)
    assert read_ranker(tmp_path) is None
    assert write_ranker(tmp_path, found, right)
    assert read_ranker(tmp_path) == fit(found, right)
    (tmp_path / "ranker.json").write_text('{"bias": 1, "weights": {"charm": 2}}', encoding="utf-8")
    with pytest.raises(ModelError, match="charm"):
        read_ranker(tmp_path)


def test_too_few_answers_make_no_ranker(tmp_path: Path) -> None:
    found, right = judged(400)
    few = [(one, good) for one, good in zip(found, right, strict=True) if not good]
    few += [(one, good) for one, good in zip(found, right, strict=True) if good][: FEWEST - 1]
    assert not write_ranker(tmp_path, *([list(side) for side in zip(*few, strict=True)]))  # type: ignore[arg-type]
    assert not (tmp_path / "ranker.json").exists()


def test_an_answer_counts_as_much_as_it_is_likely_to_be_right(tmp_path: Path) -> None:
    path = tmp_path / "singers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE singer (name TEXT); INSERT INTO singer VALUES ('Ann'), ('Bob');")
    few, many = "SELECT count(*) FROM singer", "SELECT name FROM singer"
    written = [(many, -2.0), (many, -2.1), (few, -0.1)]
    answers = [Answer(sql, (1,), (log,), True, 0.1) for sql, log in written]
    # An answer's weight is about exp(mean log-probability × 3): one sure answer outweighs two unsure ones.
    weights = Weights(0.0, (3.0, *[0.0] * (len(SIGNALS) - 1)))
    with Executor(1) as executor:
        ranker = Ranker(weights, {"singers": path}, executor)
        prompt = Prompt("7", "singers", "p", "s")
        plain = vote(prompt, answers, path, executor, question="How many singers?")
        ranked = vote(prompt, answers, path, executor, question="How many singers?", ranker=ranker)
    assert (plain.winner.sql, ranked.winner.sql) == (many, few)
    assert list(ranked.winner.candidates) == [few, many]
    assert ranked.share == pytest.approx(1 / 3), "of the answers, as without a ranker"
