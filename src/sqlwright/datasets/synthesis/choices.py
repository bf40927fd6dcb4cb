"""Texts with alternatives: one text stands for all wordings of a question, and a draw picks one of them.

Marks are private-use characters, so that braces, bars and brackets in a database's values stay what they are.
Not covered: weights; each alternative of a choice is as likely as the others.
"""

from __future__ import annotations

import random
import re

_OPEN, _BAR, _CLOSE = "\ue001", "\ue002", "\ue003"
_MARKS = re.compile("[\ue001\ue002\ue003]")
_INNERMOST = re.compile("\ue001([^\ue001\ue003]*)\ue003")
_TRIES = 12


def any_of(*alternatives: str) -> str:
    """Return a text that is one of the alternatives, each of which may hold choices itself."""
    return _OPEN + _BAR.join(alternatives) + _CLOSE


def plain(value: object) -> str:
    """Return a value as text without the marks of choices, on one line."""
    return " ".join(_MARKS.sub("", str(value)).split())


def draw(text: str, rng: random.Random) -> str:
    """Return the text with every choice made by `rng`, spaces tidied and the first letter in upper case."""
    while _OPEN in text:
        text = _INNERMOST.sub(lambda found: rng.choice(found[1].split(_BAR)), text)
    text = re.sub(r"\s+([?.,])", r"\1", " ".join(text.split()))
    return text[:1].upper() + text[1:]


def wordings(text: str, rng: random.Random, count: int) -> tuple[str, ...]:
    """Return up to `count` different wordings of a text with choices, in the order they were drawn."""
    found: dict[str, None] = {}
    for _ in range(_TRIES * count):
        found[draw(text, rng)] = None
        if len(found) == count:
            break
    return tuple(found)
