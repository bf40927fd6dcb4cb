"""FROM before SELECT and back: `SELECT name FROM singer` is `FROM singer SELECT name`, as DuckDB reads it too.

A small model that writes columns before their tables often picks tables that don't have them. Learning targets in
this order makes it commit to tables first; `select_first` puts an answer back in order. Both work on the text of
every query, nested ones and the parts of UNION, INTERSECT and EXCEPT alike; only the two clauses change places.

Not covered: text that isn't SQL comes back in some order of its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlwright.sql.lexer import Piece, lex

_SET = frozenset({"UNION", "INTERSECT", "EXCEPT"})
# What ends a FROM clause, or a select list that stands behind one.
_REST = frozenset({"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "WINDOW"})


def from_first(sql: str) -> str:
    """Return `sql` with the FROM clause of every query before its SELECT."""
    return _reordered(lex(sql), ("SELECT", "FROM"))


def select_first(text: str) -> str:
    """Return `text` with the SELECT of every query before its FROM clause; the inverse of `from_first`."""
    return _reordered(lex(text), ("FROM", "SELECT"))


def _reordered(pieces: list[Piece], order: tuple[str, str]) -> str:
    """Return the text with two clauses of each query, which stand in `order`, exchanged."""
    parts = _parts(_without_nesting(pieces, order))
    return " ".join(filter(None, (_exchanged(part, order) for part in parts)))


def _without_nesting(pieces: list[Piece], order: tuple[str, str]) -> Iterator[Piece]:
    """Yield the pieces, each stretch in brackets as one piece that is in order already."""
    depth = start = 0
    for place, piece in enumerate(pieces):
        if piece.text == "(":
            depth += 1
            start = place if depth == 1 else start
        if depth == 0:
            yield piece
        if piece.text == ")" and depth:
            depth -= 1
            if depth == 0:
                yield Piece("nested", f"({_reordered(pieces[start + 1 : place], order)})")
    if depth:  # never closed: an answer that was cut off
        yield Piece("nested", "".join(text for _, text in pieces[start:]))


def _parts(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield the queries of a compound, and the set operators between them with their ALL."""
    part: list[Piece] = []
    for piece in pieces:
        if _word(piece) in _SET:
            yield part
            yield [piece]
            part = []
        else:
            part.append(piece)
    yield part


def _exchanged(part: list[Piece], order: tuple[str, str]) -> str:
    words = [_word(piece) for piece in part]
    try:
        first = words.index(order[0])
        second = words.index(order[1], first)
    except ValueError:
        return _text(part)
    rest = next((place for place in range(second, len(words)) if words[place] in _REST), len(words))
    clauses = (part[:first], part[second:rest], part[first:second], part[rest:])
    return " ".join(filter(None, map(_text, clauses)))


def _word(piece: Piece) -> str:
    return piece.text.upper() if piece.kind == "word" else ""


def _text(pieces: Iterable[Piece]) -> str:
    return "".join(text for _, text in pieces).strip()
