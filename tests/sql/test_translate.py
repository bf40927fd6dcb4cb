"""SQL in the words of other engines, text by text; whether it means the same is tested on real engines."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from sqlwright.errors import DataError
from sqlwright.sql.translate import Dialect, Kinds, translate

KINDS: Kinds = {
    "singer": {
        "id": "integer",
        "name": "text",
        "country": "text",
        "age": "integer",
        "pay": "real",
        "year": "text",
        "born": "date",
    },
    "concert": {"id": "integer", "singer": "integer", "price": "real"},
}
LINES = (Path(__file__).parent / "fixtures" / "translate.tsv").read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.rpartition("\t")[0].replace("\t", " "))
def test_translations(line: str) -> None:
    source, target, sql, translated = line.split("\t")
    assert translate(sql, cast(Dialect, source), cast(Dialect, target), KINDS) == translated


@pytest.mark.parametrize("sql", ["SELECT (", "", "SELECT 'a", "SELECT name FROM"])
def test_what_cannot_be_parsed_is_an_error(sql: str) -> None:
    with pytest.raises(DataError, match="expected a query that can be translated"):
        translate(sql, "sqlite", "postgres", KINDS)
