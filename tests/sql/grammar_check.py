"""What a grammar accepts, byte by byte, by llguidance; skips the module that imports it where that is absent."""

from __future__ import annotations

from typing import Any

import pytest

llguidance = pytest.importorskip("llguidance")

BYTES = llguidance.LLTokenizer("byte")


def matcher(grammar: str) -> Any:
    found = llguidance.LLMatcher(BYTES, grammar, log_level=0)
    assert not found.is_error(), found.get_error()
    return found


def refused(found: Any, sql: str) -> str:
    """Return an empty text if the grammar accepts `sql`, or else the rest that it refuses, `$` at the end of `sql`."""
    data = sql.encode()
    found.reset()
    length = found.try_consume_tokens(list(data))
    assert not found.is_error(), found.get_error()
    if length == len(data):
        return "" if found.is_accepting() else "$"
    return data[length:].decode(errors="replace")
