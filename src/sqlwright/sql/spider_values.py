"""Predictions with the gold's literals in place of their own: Spider's scoring without value prediction.

`--plug-value` of the official scorer finds the literals of the gold and of the prediction by the look of
their words, and tries every assignment of the gold's literals to the prediction's slots. The finding is kept
as it is: a number counts only where spaces set it apart, and a number found anywhere counts everywhere.

Not covered: which literal belongs to which column; every assignment is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from sqlwright.sql.lexer import first_statement, lex

_SLOT = "VALUERARE"
_DECIMAL = re.compile(r"[-+]?\d*\.\d+")
_WHOLE = re.compile(r"[^tT]\d+")
_ALIAS_STOP = re.compile(r"(T\d+\.)\s")
_PREFIXED = re.compile(r"[Tt]\d+\.")
_PREFIXED_STARS = re.compile(r"[tT][123]\.\*")


def plugged(gold: str, prediction: str) -> Iterator[str]:
    """Yield the prediction with each assignment of the gold's literals to its slots, each text once.

    A prediction without literals comes once, in lower case; nothing comes if it has some and the gold has
    none.
    """
    values = sorted(set(_words_and_values(gold)[1]))
    words, _ = _words_and_values(prediction)
    slots = [place for place, word in enumerate(words) if word == _SLOT.lower()]
    for chosen in product(values, repeat=len(slots)):
        filled = list(words)
        for place, value in zip(slots, chosen, strict=True):
            filled[place] = value
        yield " ".join(filled)


def _words_and_values(sql: str) -> tuple[list[str], list[str]]:
    """Return the words of a query in lower case, with slots for literals, and the literals as written."""
    text = sql.strip().replace(";", "").replace("\t", "")
    text = " ".join(piece.text for piece in first_statement(lex(text)) if piece.kind != "space")
    text = _ALIAS_STOP.sub(r"\1", _PREFIXED_STARS.sub("*", text)).rstrip()
    values = [piece.text for piece in first_statement(lex(text)) if piece.kind in ("string", "quoted")]
    for value in values:
        text = text.replace(value, _SLOT)
    words = text.split()
    words, found = _with_slots(words, set(_DECIMAL.findall(text)))
    values += found
    words, found = _with_slots(words, {number.strip() for number in _WHOLE.findall(" ".join(words))})
    values += found
    split: list[str] = []
    for word in words:
        split += word.lower().replace(".", " . ").split() if _PREFIXED.search(word) else [word.lower()]
    return split, values


def _with_slots(words: list[str], numbers: set[str]) -> tuple[list[str], list[str]]:
    """Return `words` with those in `numbers` replaced by slots, and the words replaced."""
    return [_SLOT if word in numbers else word for word in words], [word for word in words if word in numbers]
