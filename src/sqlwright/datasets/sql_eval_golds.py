"""sql-eval's golds: alternatives split by semicolons, `{a, b}` for any choice of columns, `GROUP BY {}`.

`official_golds` does what the original does: it splits at every semicolon, and expands only the first
braces of an alternative, so that a second pair is left in the SQL and the query fails. `fixed_golds` minds
strings, quoted names and comments, expands every group of braces, and lets `{}` repeat the choice of the
group before it.

Not covered: braces that are part of the SQL outside of strings (a dialect's own syntax).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

from sqlwright.errors import DataError

MOST = 4096
"""Queries one gold may stand for; more is taken for a mistake in the file."""

_OPAQUE = r"""'(?:''|[^'])*'|"(?:""|[^"])*"|`[^`]*`|--[^\n]*|/\*.*?(?:\*/|\Z)"""
_ALTERNATIVES = re.compile(rf"(?:{_OPAQUE}|[^;])+", re.DOTALL)
_GROUPS = re.compile(rf"(?P<opaque>{_OPAQUE})|\{{(?P<columns>[^{{}}]*)\}}", re.DOTALL)
_COLUMNS = re.compile(r"""(?:'(?:''|[^'])*'|"(?:""|[^"])*"|\((?:[^()]|\([^()]*\))*\)|[^,])+""")


def official_golds(query: str) -> list[str]:
    """Return the queries the original expands a gold to."""
    golds = []
    for part in query.split(";"):
        text = part.strip()
        start = text.find("{")
        end = text.find("}", start + 1)
        if start == -1 or end == -1:
            golds += [text] if text else []
            continue
        for chosen in _choices(text[start + 1 : end].split(",")):
            columns = ", ".join(chosen)
            golds.append(text[:start] + columns + text[end + 1 :].replace("GROUP BY {}", f"GROUP BY {columns}"))
    return golds


def fixed_golds(query: str) -> list[str]:
    """Return every query a gold stands for, without repetitions.

    Raises:
        DataError: it stands for more than `MOST`, or `{}` comes before any group.
    """
    golds: dict[str, None] = {}
    for part in _ALTERNATIVES.findall(query):
        if part.strip():
            golds.update(dict.fromkeys(_expand(part.strip())))
    return list(golds)


def _expand(text: str) -> Iterator[str]:
    """Yield the text with every combination of choices for its groups."""
    pieces: list[str] = []
    groups: list[list[str]] = []
    at = 0
    for match in _GROUPS.finditer(text):
        columns = match["columns"]
        if columns is None:
            continue
        pieces.append(text[at : match.start()])
        at = match.end()
        names = [name.strip() for name in _COLUMNS.findall(columns) if name.strip()]
        if not names and not groups:
            raise DataError(f"expected a group such as {{a, b}} before {{}}, found none in: {text:.80}")
        groups.append(names)
    count = math.prod(2 ** len(names) - 1 for names in groups if names)
    if count > MOST:
        raise DataError(f"expected a gold for at most {MOST} queries, found {count}: {text:.80}")
    options = ([", ".join(chosen) for chosen in _choices(names)] or [""] for names in groups)
    for chosen in itertools.product(*options):
        filled, last = "", ""
        for piece, columns in zip(pieces, chosen, strict=True):
            last = columns or last
            filled += piece + last
        yield filled + text[at:]


def _choices(columns: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield all non-empty choices, small ones first."""
    for size in range(1, len(columns) + 1):
        yield from itertools.combinations(columns, size)
