"""Rows and JSON on stdout: everything visible, nothing that acts on the terminal, always valid JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.cli.tables import plain, print_rows, safe, shown, width_of

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=40),
    st.text(),
    st.characters(categories=["Cs"]),
)


@given(st.lists(VALUES))
def test_any_rows_are_valid_json(values: list[object]) -> None:
    text = json.dumps(plain(values), ensure_ascii=False, allow_nan=False)
    assert len(json.loads(text.encode("utf-8"))) == len(values)


def test_what_json_lacks() -> None:
    assert plain([b"\x00\xff", math.nan, math.inf, (1, None)]) == ["00ff", "nan", "inf", [1, None]]


@given(st.text())
def test_no_text_acts_on_the_terminal(text: str) -> None:
    found = safe(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in found)
    assert not set(found) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2028\u2029")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        ("NULL", "'NULL'"),
        ("", ""),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\x1b[31m", "\\u{1b}[31m"),
        ("\u202egnp", "\\u{202e}gnp"),
        ("日本", "日本"),
        (1.5, "1.5"),
        (b"\x01\x02", "x'0102'"),
        (bytes(40), f"x'{'00' * 32}…' (40 bytes)"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert shown(value) == text


def test_columns_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["name", "price"], [("日本", 1.5), (None, 22), ("e\u0301", None)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name  price", "----  -----", "日本    1.5", "NULL     22", "e\u0301      NULL"]
    assert len({width_of(line) for line in lines}) == 1


def test_no_rows_still_show_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["a", "b"], [])
    assert capsys.readouterr().out == "a  b\n-  -\n"


def test_a_wide_table_in_a_pipe_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([f"column_{number}" for number in range(60)], [tuple("x" * 50 for _ in range(60))])
    header, _, row = capsys.readouterr().out.splitlines()
    assert "column_59" in header
    assert row.count("x") == 3000
