from __future__ import annotations

import random
from pathlib import Path

import pytest

from sqlwright.datasets.synthesis.choices import any_of, draw, plain, wordings
from sqlwright.datasets.synthesis.words import amount, joined, plural, singular, with_article, words_of

NAMES = [
    line.split("\t") for line in (Path(__file__).parent / "names.tsv").read_text(encoding="utf-8").splitlines()[1:]
]


@pytest.mark.parametrize(("name", "words", "many"), NAMES, ids=[name for name, *_ in NAMES])
def test_names_become_words(name: str, words: str, many: str) -> None:
    assert words_of(name, {"customer"}) == words
    assert plural(words) == many
    assert plural(plural(words)) == many


@pytest.mark.parametrize(
    ("many", "one"), [("movies", "movie"), ("cities", "city"), ("people", "person"), ("buses", "bus")]
)
def test_singular(many: str, one: str) -> None:
    assert singular(many) == one
    assert singular(one) == one


@pytest.mark.parametrize(
    "phrase",
    ["an hour", "a unit price", "an invoice", "a user", "an ID", "a European city", "a milliseconds", "a hire date"],
)
def test_articles(phrase: str) -> None:
    assert with_article(phrase.split(" ", 1)[1]) == phrase


def test_lists_and_amounts() -> None:
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert amount(1, "album", "albums") == "1 album"
    assert amount(3, "album", "albums") == "3 albums"


def test_choices_nest_and_values_cannot_open_one() -> None:
    text = any_of("how many", any_of("count", "number of")) + " x"
    found = set(wordings(text, random.Random(0), 9))
    assert found == {"How many x", "Count x", "Number of x"}
    assert plain("a\ue001b\ue003 \n c|d") == "ab c|d"
    assert draw("what is  this ?", random.Random(0)) == "What is this?"
