"""Repeats and similar questions: what counts as one, and that the quick search finds what comparing all pairs finds."""

from __future__ import annotations

import itertools
import random

from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.duplicates import SIMILAR, drop_repeats, normal_text, similar_questions
from sqlwright.records import Question


def question(number: int, text: str, gold: str = "SELECT 1", database: str = "shops", **fields: object) -> Question:
    values = {"id": str(number), "database": database, "text": text, "golds": (gold,), "source": f"q.jsonl:{number}"}
    return Question(**{**values, **fields})  # type: ignore[arg-type]


def test_normal_text() -> None:
    assert (
        normal_text("  How many “Shops” are\tthere?")
        == normal_text("how many shops ARE there")
        == "how many shops are there"
    )
    assert normal_text("有多少家商店？") == normal_text("有多少家商店")
    assert normal_text("Ｈｏｗ ｍａｎｙ") == "how many"
    assert normal_text("?") != normal_text("!")


def test_repeats_are_left_out_and_named() -> None:
    questions = (
        question(1, "How many shops are there?", "SELECT count(*) FROM shop"),
        question(2, "how many shops are there", "select COUNT( * ) from shop;"),
        question(3, "How many shops are there?", "SELECT count(name) FROM shop"),
        question(4, "How many shops are there?", "SELECT count(*) FROM shop", database="markets"),
        question(5, "How many shops are there?", "SELECT count(*) FROM shop", evidence="Markets are shops."),
        question(6, "How many shops are there?", "SELECT count(*) FROM shop", history=(("In Bern?", "SELECT 2"),)),
        question(7, "How many shops are there?", "SELECT count(name)  FROM shop"),
    )
    cleaned = drop_repeats(Dataset(questions, {}))
    assert [q.id for q in cleaned.questions] == ["1", "3", "4", "5", "6"]
    assert [(d.where, d.kind) for d in cleaned.dropped] == [
        ("q.jsonl:2", "repeated question"),
        ("q.jsonl:7", "repeated question"),
    ]
    assert "q.jsonl:1" in cleaned.dropped[0].reason and "q.jsonl:3" in cleaned.dropped[1].reason


def test_similar_questions_of_one_database() -> None:
    questions = [
        question(0, "What is the name and capacity of the stadium with highest average attendance?"),
        question(1, "What is the name and capacity of the stadium with the highest average attendance?"),
        question(2, "What is the name and capacity of the stadium with the highest average attendance?", database="x"),
        question(3, "Which stadium is the largest?"),
    ]
    (pair,) = similar_questions(questions)
    assert (pair.first, pair.second) == (0, 1)
    assert 0.9 < pair.likeness < 1
    assert similar_questions(questions, least=1.0) == []
    assert similar_questions([questions[1], questions[1]], least=1.0)[0].likeness == 1.0
    assert similar_questions([]) == []


def test_the_search_finds_what_comparing_all_pairs_finds() -> None:
    chance = random.Random(5)
    words = ["shop", "shops", "price", "prices", "town", "the", "highest", "lowest", "of", "in", "each", "name"]
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 7))) for _ in range(300)]
    questions = [question(number, text) for number, text in enumerate(texts)]
    for least in (0.5, 0.7, SIMILAR, 1.0):
        found = {(pair.first, pair.second): pair.likeness for pair in similar_questions(questions, least)}
        expected = {}
        for a, b in itertools.combinations(range(len(texts)), 2):
            first, second = letters(texts[a]), letters(texts[b])
            likeness = len(first & second) / len(first | second)
            if likeness >= least:
                expected[a, b] = likeness
        assert found == expected, least
        assert expected


def letters(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}
