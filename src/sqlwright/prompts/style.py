"""What a prompt style is: how tables and questions become text, in pieces that can be counted and cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlwright.databases import Schema, Table


@dataclass(frozen=True, slots=True)
class Style:
    """A way to write a database and a question.

    `instruction` becomes the system message. `table` writes one table; `relations` writes what stands after all
    tables (foreign keys, where a table's own text doesn't hold them) or an empty text. `ask` writes the question
    and its evidence. `joint` stands between tables.
    """

    name: str
    instruction: str
    table: Callable[[Table, Schema], str]
    relations: Callable[[Schema], str]
    ask: Callable[[str, str], str]
    joint: str = "\n"


def no_relations(_schema: Schema) -> str:
    """Return an empty text: the tables say it all."""
    return ""


def plain_question(text: str, evidence: str) -> str:
    """Return the question on one line, after its evidence if there is any."""
    hint = f"Hint: {' '.join(evidence.split())}\n" if evidence.strip() else ""
    return f"{hint}Question: {' '.join(text.split())}"
