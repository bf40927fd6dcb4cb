"""A lossless lexer: SQL text cut into pieces whose texts, joined, give the input back.

It serves text work that must be right about strings and comments: dropping DISTINCT, cutting the first
statement out of several, finding literals, pulling SQL out of a model's answer. Where it splits words and
numbers follows sqlparse, because Spider's official scorer is built on it.

Not covered: dialects, validity, structure. Unclosed quotes become single characters; an unclosed block
comment runs to the end, as in SQLite.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PIECE = re.compile(
    r"""
      (?P<comment>   (?:--|\#[ ])[^\r\n]*(?:\r\n|\r|\n|\Z) | /\*.*?(?:\*/|\Z) )
    | (?P<newline>   \r\n | \r | \n )
    | (?P<space>     \s )
    | (?P<name>      `(?:``|[^`])*` | (?<![\w\])])\[[^\]\[]+\] )
    | (?P<parameter> \? | %(?:\(\w+\))?s | (?<!\w)[$:?]\w+ )
    | (?P<number>    -?0x[\da-f]+ | -?\d+(?:\.\d+)?e-?\d+
                   | -?(?:\d+\.\d*|\.\d+)(?![_a-z]) | -?\d+(?![_a-z]) )
    | (?P<string>    '(?:''|\\'|[^'])*' )
    | (?P<quoted>    "(?:""|\\"|[^"])*" )
    | (?P<word>      \w[$\#\w]* )
    | (?P<operator>  ::|:=|->>?|[<>=~!]+|[+/@%^&|-]+ )
    | (?P<other>     . )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# What a text must hold for `without_distinct` to change it.
_MAY_CHANGE = re.compile(r";|distinct|go", re.IGNORECASE)


class Piece(NamedTuple):
    """A stretch of SQL text and its kind: one of the group names of the lexer's pattern.

    `string` is in single quotes, `quoted` in double quotes, `name` in back-ticks or brackets.
    """

    kind: str
    text: str


def lex(sql: str) -> list[Piece]:
    """Return the pieces of `sql` in order; joining their texts gives `sql` back."""
    return [Piece(match.lastgroup or "other", match.group()) for match in _PIECE.finditer(sql)]


def first_statement(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces up to and including the first semicolon that ends a statement.

    A semicolon inside parentheses or a BEGIN block doesn't; the word GO does (all as in sqlparse, and END
    lowers the level even without a BEGIN).
    """
    level = 0
    in_block = False
    for number, (kind, text) in enumerate(pieces):
        if kind == "word":
            word = text.upper()
            if word == "END":
                level -= 1
                in_block = False
            elif word == "BEGIN":
                level += 1
                in_block = True
            elif word == "GO" and not _is_qualified(pieces, number):
                return pieces[: number + 1]
        elif text == "(":
            level += 1
        elif text == ")":
            level -= 1
        elif text == ";" and level <= 0 and not in_block:
            return pieces[: number + 1]
    return pieces


def without_distinct(sql: str) -> str:
    """Return the first statement of `sql` with every DISTINCT keyword dropped, spaces kept.

    This is what Spider's scorer does to both sides unless told to keep DISTINCT: inside COUNT too, and for a
    column of that name too.
    """
    if not _MAY_CHANGE.search(sql):
        return sql
    return "".join(text for _, text in first_statement(lex(sql)) if text.lower() != "distinct")


def _is_qualified(pieces: list[Piece], number: int) -> bool:
    before = pieces[number - 1].text if number else ""
    after = pieces[number + 1].text if number + 1 < len(pieces) else ""
    return before == "." or after in (".", "(")
