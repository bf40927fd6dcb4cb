"""WikiSQL's query form as SQL: `{"sel": 5, "agg": 0, "conds": [[3, 0, "SOUTH AUSTRALIA"]]}`.

`sel` is the column's number, `agg` one of six functions, `conds` are (column, operator, value), all of which hold.
Values on a numeric column become numbers as the official scorer reads them: with commas for thousands, or the first
number in the text.

Not covered: operator 3, which the corpus defines and never uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlwright.databases import quoted_name
from sqlwright.datasets.dataset import BadQuestion, kind_of
from sqlwright.datasets.made import Cell

FUNCTIONS = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<")
_NUMBER = re.compile(r"[-+]?\d*\.\d+|\d+")


def make_sql(
    form: object, table: str, columns: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[Cell]]
) -> str:
    """Return the query that the form stands for; raise `BadQuestion` where it is none on this table."""
    if not isinstance(form, dict):
        raise BadQuestion(f"bad query: expected an object with sel, agg and conds, found {kind_of(form)}")
    conditions = form.get("conds")
    if not isinstance(conditions, list) or not all(isinstance(one, list) and len(one) == 3 for one in conditions):
        raise BadQuestion("bad query: expected a list of [column, operator, value] in 'conds'")
    column = columns[_index(form.get("sel"), len(columns), "sel")]
    function = FUNCTIONS[_index(form.get("agg"), len(FUNCTIONS), "agg")]
    selected = f"{function}({quoted_name(column)})" if function else quoted_name(column)
    wheres = []
    for place, operator, value in conditions:
        number = _index(place, len(columns), "conds")
        sign = OPERATORS[_index(operator, len(OPERATORS), "conds")]
        own = [row[number] for row in rows] if sign == "=" else []
        wheres.append(f"{quoted_name(columns[number])} {sign} {_literal(value, numeric[number], own)}")
    return f"SELECT {selected} FROM {table}" + (f" WHERE {' AND '.join(wheres)}" if wheres else "")


def _index(value: Any, length: int, key: str) -> int:
    """Return a number that counts from 0 below `length`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < length:
        raise BadQuestion(f"bad query: expected a number from 0 to {length - 1} in {key!r}, found {value!r:.40}")
    return value


def _literal(value: object, number: bool, cells: Sequence[Cell]) -> str:
    """Return a value as SQL; text is spelt as the first of `cells` that is the same but for case."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadQuestion(f"bad query: expected text or a number to compare with, found {kind_of(value)}")
    if number:
        return repr(_as_number(value) if isinstance(value, str) else value)
    text = str(value)
    if text not in cells:
        text = next((cell for cell in cells if isinstance(cell, str) and cell.lower() == text.lower()), text)
    return "'" + text.replace("'", "''") + "'"


def _as_number(text: str) -> int | float:
    """Return the number that a text is, or the first one in it."""
    plain = text.replace(",", "").strip()
    try:
        found = float(plain)
    except ValueError:
        first = _NUMBER.search(text)
        if not first:
            raise BadQuestion(
                f"bad query: expected a number to compare a numeric column with, found {text!r:.40}"
            ) from None
        found = float(first[0])
    if found != found or found in (float("inf"), float("-inf")):
        raise BadQuestion(f"bad query: expected a finite number, found {text!r:.40}")
    return int(found) if found.is_integer() else found
