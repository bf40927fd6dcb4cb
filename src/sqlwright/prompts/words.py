"""Words of questions, names and values, cut and shortened alike, so that they can be held against each other.

English endings only, and few: a light stemmer that makes `cities` and `city` one word and leaves the rest. Not
covered: synonyms, other languages' endings. Signs of Chinese, Japanese and Korean are words of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)")

STOP = frozenset(
    WORD.findall(
        "a about all also am an and any are as at be been between both but by can did do does each either "
        "every find for from get give had has have he her him his how i if in into is it its list many me "
        "more most much my no nor not of on one or order other our out over per please return show she so "
        "some such tell than that the their them then there these they this those to too under up us was we "
        "were what when where which who whom whose why will with would you your"
    )
)
"""Words of questions that say nothing about the data."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return WORD.findall(text.casefold())


def name_words(name: str) -> list[str]:
    """Return the words of a table's or column's name: `customerId` and `customer_id` alike."""
    return words(_HUMPS.sub(" ", name))


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the word without its plural ending."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def stems(found: Iterable[str]) -> list[str]:
    """Return the stems of the words, without those that say nothing."""
    return [stem(word) for word in found if word not in STOP]
