"""The lexer loses nothing; DISTINCT and later statements go exactly where the official scorer drops them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.sql.lexer import lex, without_distinct

SQL_LIKE = st.text(alphabet=st.sampled_from("SELECT distinct'\"`[];--/*#()=<>!.,0123456789e \n\r\t_$?%é"))


@given(SQL_LIKE | st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(piece.text for piece in lex(text)) == text


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("'it''s' \"a b\" `c d` [e f]", ["string", "quoted", "name", "name"]),
        ("1 -2 3.5 .5 1e5 a1 $1 ?", ["number"] * 5 + ["word", "parameter", "parameter"]),
        ("-- one\n/* two */", ["comment", "comment"]),
        (">= <> !=", ["operator"] * 3),
    ],
)
def test_kinds(sql: str, kinds: list[str]) -> None:
    assert [piece.kind for piece in lex(sql) if piece.kind != "space"] == kinds


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT DISTINCT a FROM t", "SELECT  a FROM t"),
        ("SELECT count(distinct a) FROM t", "SELECT count( a) FROM t"),
        ("SELECT count(DISTINCT(a)) FROM t", "SELECT count((a)) FROM t"),
        ("SELECT 'distinct' , \"distinct\" FROM t", "SELECT 'distinct' , \"distinct\" FROM t"),
        ("SELECT distinct_id FROM t", "SELECT distinct_id FROM t"),
        ("SELECT 1; DROP TABLE t", "SELECT 1;"),
        ("SELECT ';' ; SELECT 2", "SELECT ';' ;"),
        ("SELECT (1 ; SELECT 2", "SELECT (1 ; SELECT 2"),
        ("SELECT CASE WHEN 1 THEN 2 END; SELECT 2", "SELECT CASE WHEN 1 THEN 2 END;"),
        ("", ""),
    ],
)
def test_without_distinct(sql: str, expected: str) -> None:
    assert without_distinct(sql) == expected
