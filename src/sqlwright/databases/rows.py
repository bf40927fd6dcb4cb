"""What the engines share: how a query's end is told, and its rows as lines of JSON, cut at the limits.

Runs inside worker processes, which see this file without the rest of the package: the standard library only.
"""

from __future__ import annotations

import binascii
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

MOST_ROWS = 1024
"""Rows asked for at once, at most."""
BATCH_BYTES = 1_000_000
"""Encoded bytes that one batch aims at."""
_LONGEST_NUMBER = 300


def answered(query: Callable[[], tuple[list[str], list[bytes], bool]]) -> tuple[dict[str, Any], list[bytes]]:
    """Return how one query ended, and its rows as lines of JSON.

    The first item has the fields of `Outcome` except `rows`. Each line is an array of some rows and ends in a line
    feed; bytes are written as `{"b": base64}`. `query` returns the columns, the lines and whether rows were left out.
    """
    start = time.perf_counter()
    try:
        columns, pieces, truncated = query()
        head: dict[str, Any] = {"status": "ok", "columns": columns, "truncated": truncated}
    except FailedError as error:
        head, pieces = error.head, []
    head["seconds"] = time.perf_counter() - start
    return head, pieces


def refuse_words(refused: re.Pattern[str], sql: str) -> None:
    """Raise `FailedError` where the text has what no reading query needs."""
    found = refused.search(sql)
    if found is not None:
        raise FailedError("refused", "refused", f"expected a query that only reads, found {found[0]}.")


def read(
    fetch: Callable[[int], Sequence[Sequence[Any]]], width: int, limits: dict[str, Any]
) -> tuple[list[bytes], bool]:
    """Return the rows that `fetch(count)` gives, as lines of JSON, and whether a limit left some out.

    Few rows are asked for while rows are wide, so that a batch of huge values stays within the memory.
    """
    left, room = min(limits["rows"], max(1, limits["cells"] // max(1, width))), limits["bytes"]
    pieces: list[bytes] = []
    count = 1
    while rows := fetch(min(count, left + 1)):
        line = encode(rows)
        if len(rows) > left or len(line) > room:  # the limit lies within this batch
            for row in rows[:left]:
                line = encode([row])
                room -= len(line)
                if room < 0:
                    break
                pieces.append(line)
            return pieces, True
        pieces.append(line)
        left, room = left - len(rows), room - len(line)
        count = max(1, min(MOST_ROWS, 16 * count, BATCH_BYTES // (len(line) // len(rows) + 1)))
    return pieces, False


def encode(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return rows as a line of JSON; bytes are written as `{"b": base64}`."""
    return json.dumps(rows, separators=(",", ":"), default=_blob).encode("ascii") + b"\n"


def number(text: str) -> int | float | str:
    """Return an exact decimal as an int or a float, whichever it is.

    What no number of Python's equals itself (NaN), or can't be sent (thousands of digits), stays text.
    """
    if len(text) > _LONGEST_NUMBER:
        return text
    if text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    return text if math.isnan(value) else value


class FailedError(Exception):
    """The query failed; `head` has the fields of its `Outcome`, without rows."""

    def __init__(self, status: str, error_class: str, message: str) -> None:
        super().__init__(message)
        self.head: dict[str, Any] = {
            "status": status,
            "columns": [],
            "truncated": False,
            "error_class": error_class,
            "message": message,
        }


def _blob(value: Any) -> dict[str, str]:
    return {"b": binascii.b2a_base64(value, newline=False).decode("ascii")}
