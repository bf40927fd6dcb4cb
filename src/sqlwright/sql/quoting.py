"""Names that need quotes or dots and stand without them: `FROM Order Details` means `FROM "Order Details"`.

Not covered: quotes of dialects other than SQLite's; columns named like a keyword, where no table's alias stands before.
"""

from __future__ import annotations

import re

from sqlwright.databases import Schema
from sqlwright.sql.lexer import Piece, lex
from sqlwright.sql.names import quoted

_BEFORE_TABLE = frozenset({"FROM", "JOIN"})
_SPACES = ("space", "newline", "comment")


def with_quotes(sql: str, schema: Schema) -> str:
    """Return `sql` with the schema's names in quotes where they need them; `sql` itself where none lacks them."""
    tables = [table.name for table in schema.tables]
    columns = [column.name for table in schema.tables for column in table.columns]
    wanted = {_words(lex(name)): name for name in (*columns, *tables) if quoted(name) != name and _is_plain(name)}
    if not wanted:
        return sql
    longest = max(map(len, wanted))
    pieces = lex(sql)
    solid = [number for number, piece in enumerate(pieces) if piece.kind not in _SPACES]
    texts = [piece.text for piece in pieces]
    place = 0
    while place < len(solid):
        taken = 1
        for length in range(min(longest, len(solid) - place), 0, -1):
            numbers = solid[place : place + length]
            name = wanted.get(_words([pieces[number] for number in numbers]))
            before = pieces[solid[place - 1]].text.upper() if place else ""
            if name is None or (length == 1 and before != "." and before not in _BEFORE_TABLE):
                continue
            texts[numbers[0] : numbers[-1] + 1] = [quoted(name), *[""] * (numbers[-1] - numbers[0])]
            taken = length
            break
        place += taken
    return "".join(texts)


def _words(pieces: list[Piece]) -> tuple[str, ...]:
    return tuple(piece.text.lower() for piece in pieces if piece.kind not in _SPACES)


def _is_plain(name: str) -> bool:
    """Return whether a name is of words and signs, as it would be written without quotes."""
    return all(piece.kind in {"word", "number", "operator", *_SPACES} for piece in lex(name))


def with_dots(sql: str, schema: Schema) -> str:
    """Return `sql` with the dots that it lacks between tables' short names and columns: `T2 price` is `T2.price`."""
    columns = {column.name.lower() for table in schema.tables for column in table.columns}

    def dotted(match: re.Match[str]) -> str:
        return f"{match[1]}.{match[2]}" if match[2].lower() in columns else match[0]

    return re.sub(r"\b(T\d+) (\w+)", dotted, sql, flags=re.IGNORECASE)
