"""Dates that stand for a whole year or month: `day = '1997-01-01'` where the question says "in 1997".

Not covered: ranges, dates in other forms than SQLite's.
"""

from __future__ import annotations

import itertools
import re

from sqlwright.sql.lexer import lex

_FIRST_DAY = re.compile(r"'(\d{4})(?:-(\d{2})-01(?: 00:00:00)?)?'")


def whole_periods(sql: str, question: str) -> str:
    """Return `sql` with equality to a first day as a match of its year or month; `sql` itself where there is none.

    A year stands for its first day where the question names it and not that day, a month likewise.
    """
    pieces = lex(sql)
    solid = [number for number, piece in enumerate(pieces) if piece.kind not in ("space", "newline", "comment")]
    texts = [piece.text for piece in pieces]
    for sign, value in itertools.pairwise(solid):
        found = _FIRST_DAY.fullmatch(texts[value])
        if texts[sign] != "=" or not found or found[1] not in question:
            continue
        year, month = found.groups()
        if month is None or not re.search(rf"{year}-{month}-01|\b0?1(?:st)?\b", question):
            whole = month in (None, "01") and not re.search(rf"{year}-01|\bjan", question, re.IGNORECASE)
            spaces = ("" if value > sign + 1 else " ", "" if texts[sign - 1].isspace() else " ")
            texts[sign], texts[value] = f"{spaces[1]}LIKE{spaces[0]}", f"'{year}%'" if whole else f"'{year}-{month}%'"
    return "".join(texts)
