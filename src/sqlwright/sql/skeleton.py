"""What is left of a query when what varies is masked: its template without values, its skeleton without names too.

Two queries with one template on one database ask the same for other values: `SELECT name FROM singer WHERE age > ?`.
Two queries with one skeleton are built alike, on whatever database: `SELECT _ FROM _ WHERE _ > ?`. Sources: templates
are those of the query split of Finegan-Dollak et al. 2018, skeletons those that DAIL-SQL (Gao et al. 2023) compares.

Not covered: queries that mean the same and are written differently (conditions in another order, a join for a
sub-query); text that doesn't look like SQL comes back masked as far as it can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlwright.sql.lexer import Piece, lex
from sqlwright.sql.normalise import KEYWORDS, normalise
from sqlwright.sql.qualify import qualify_columns

VALUE, NAME = "?", "_"
_VALUES = ("string", "number", "parameter")
_NAMES = ("word", "name", "quoted")


def template(sql: str, tables: Mapping[str, Sequence[str]]) -> str:
    """Return `sql` in lower case with `?` for every value, aliases of tables resolved and columns qualified.

    `tables` maps each table of the database to its columns. A list of values counts as one value.
    """
    names = [*tables, *(column for columns in tables.values() for column in columns)]
    pieces = lex(qualify_columns(normalise(sql, names), tables))
    return " ".join(_shortened(_without_value(piece) for piece in pieces if not piece.text.isspace()))


def skeleton(sql: str, names: Iterable[str] = ()) -> str:
    """Return the keywords, functions and operators of `sql` in capitals, `_` for every name and `?` for every value.

    A text in double quotes is a value unless it is one of the database's `names`. Aliases leave no trace.
    """
    pieces = [piece for piece in lex(normalise(sql, names)) if not piece.text.isspace()]
    masked: list[str] = []
    for index, piece in enumerate(pieces):
        after = pieces[index + 1].text if index + 1 < len(pieces) else ""
        word = _masked(piece, after)
        if word == NAME and masked[-1:] == ["."]:
            masked.pop()  # the prefix is masked already
        elif word == NAME and masked[-1:] == ["AS"]:
            masked.pop()
        elif word == "*" and masked[-2:] == [NAME, "."]:
            masked[-2:] = ["*"]
        elif word != NAME or masked[-1:] != [NAME]:  # a name behind a name is an alias without AS
            masked.append(word)
    return " ".join(_shortened(masked))


def _without_value(piece: Piece) -> str:
    """Return what stands for a piece in a template: names lose their case and quotes."""
    if piece.kind in _VALUES:
        return VALUE
    return piece.text.strip('"`[]').lower() if piece.kind in _NAMES else piece.text


def _masked(piece: Piece, after: str) -> str:
    """Return what stands for a piece in a skeleton, given the text behind it."""
    kind, text = piece
    if kind == "word" and (text.upper() in KEYWORDS or after == "("):
        return text.upper()
    return NAME if kind in _NAMES else VALUE if kind in _VALUES else text


def _shortened(texts: Iterable[str]) -> list[str]:
    """Return the texts with one `?` for a list of values."""
    kept: list[str] = []
    for text in texts:
        if text == VALUE and kept[-2:] == [VALUE, ","]:
            kept.pop()
        else:
            kept.append(text)
    return kept
