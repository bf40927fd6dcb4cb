"""Texts and what is short for them: `USA` and `United States`, `F` and `Female`, `Jan` and `January`.

Not covered: short forms that have to be known, such as `CA` for California.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_LINKING = frozenset({"and", "of", "the"})
_LONGEST = 5
"""Letters of a short form, at most."""
_CODES = 12
"""A column with more values than this has names rather than codes: `A` doesn't stand for Alice."""


def by_initials(text: str, known: Iterable[str]) -> str | None:
    """Return the only one of the `known` values that the text is the initials of, or the other way; else None.

    A letter more counts where there are no such initials: `USA` for United States.
    """
    values = set(known)
    return _only(_initials, text, values) if _fit(_initials, text, values) else _only(_nearly, text, values)


def by_beginning(text: str, known: Iterable[str]) -> str | None:
    """Return the only one of a few `known` values that begins with the text or that it begins with; None otherwise."""
    values = set(known)
    return _only(_beginning, text, values) if len(values) <= _CODES else None


def _fit(rule: Callable[[str, str], bool], text: str, values: set[str]) -> list[str]:
    return [value for value in values if rule(value, text) or rule(text, value)]


def _only(rule: Callable[[str, str], bool], text: str, values: set[str]) -> str | None:
    found = _fit(rule, text, values)
    return found[0] if len(found) == 1 else None


def _initials(short: str, long: str) -> bool:
    letters = _letters(short)
    return len(letters) > 1 and letters == _first_letters(long)


def _nearly(short: str, long: str) -> bool:
    initials, letters = _first_letters(long), _letters(short)
    return len(initials) > 1 and len(letters) == len(initials) + 1 and letters.startswith(initials)


def _beginning(short: str, long: str) -> bool:
    letters = _letters(short)
    return 0 < len(letters) <= 3 < len(long) and " " not in long.strip() and long.lower().startswith(letters)


def _letters(text: str) -> str:
    """Return a short form's letters in lower case; none where the text is too long for one or has anything else."""
    bare = text.strip().replace(".", "")
    return bare.lower() if bare.isalpha() and len(bare) <= _LONGEST else ""


def _first_letters(text: str) -> str:
    """Return the first letters of a text's words but linking ones; none where there is one word only."""
    words = [word for word in re.findall(r"[^\W\d_]+", text.lower()) if word not in _LINKING]
    return "".join(word[0] for word in words) if len(words) > 1 and "." not in text else ""
