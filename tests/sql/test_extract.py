"""SQL out of model answers: the cases of fixtures/extract.txt, and properties."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.sql.extract import extract_sql

CASES = [
    (title, answer, sql)
    for case in re.split(r"^=+\n", (Path(__file__).parent / "fixtures/extract.txt").read_text(), flags=re.M)[1:]
    for title, rest in [case.split("\n", 1)]
    for answer, sql in [re.split(r"\n----\n", rest)]
]


@pytest.mark.parametrize(("answer", "sql"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_finds_the_statement(answer: str, sql: str) -> None:
    assert extract_sql(answer) == sql.strip("\n")


@pytest.mark.parametrize("sql", [case[2].strip("\n") for case in CASES], ids=[case[0] for case in CASES])
def test_what_was_extracted_stays_as_it_is(sql: str) -> None:
    assert extract_sql(sql) == sql


def test_windows_line_ends() -> None:
    assert extract_sql("```sql\r\nSELECT a\r\nFROM t\r\n```\r\n") == "SELECT a FROM t"


def test_golds_pass_unchanged(spider_root: Path) -> None:
    for name in ("dev_gold.sql", "train_gold.sql"):
        for line in (spider_root / name).read_text().splitlines():
            sql = line.split("\t")[0].strip()
            if sql:
                assert extract_sql(sql) == sql.rstrip("; ")


@given(st.text(alphabet=st.sampled_from("SELECT select from`\n\"'();:-#/* abc.")))
def test_never_fails(text: str) -> None:
    extract_sql(text)


@pytest.mark.parametrize(
    "text",
    ["'" * 50_000, "SELECT " * 20_000, "\n" * 100_000, "WITH a AS (" * 10_000, "(" * 50_000, "a\n\n" * 30_000],
    ids=["quotes", "keywords", "lines", "clauses", "brackets", "paragraphs"],
)
def test_long_answers_take_little_time(text: str) -> None:
    start = time.perf_counter()
    extract_sql(text)
    assert time.perf_counter() - start < 3
