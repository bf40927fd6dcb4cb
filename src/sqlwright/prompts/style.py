"""What a prompt style is: how tables and questions become text, in pieces that can be counted and cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlwright.databases import Schema, Table


class Ask(Protocol):
    """Writes a question: its text, its evidence, and the values of the data that it names (`table.column = 'x'`)."""

    def __call__(self, text: str, evidence: str, values: Sequence[str] = (), /) -> str:
        """Return the question as text."""
        ...


def no_relations(_schema: Schema) -> str:
    """Return an empty text: the tables say it all."""
    return ""


def plain_question(text: str, evidence: str, values: Sequence[str] = (), /) -> str:
    """Return the question on one line, after its evidence and before the values it names, if there are any."""
    hint = f"Hint: {one_line(evidence)}\n" if evidence.strip() else ""
    found = f"\nValues in the data: {'; '.join(values)}" if values else ""
    return f"{hint}Question: {one_line(text)}{found}"


def with_comments(tables: str, schema: Schema) -> str:
    """Return the tables with the glossary and the instructions behind them, as comments of SQL."""
    return "\n".join(filter(None, [tables, *(f"-- {line}" for line in facts(schema))]))


def facts(schema: Schema) -> list[str]:
    """Return the terms and the instructions of the database's notes, a line each."""
    return [f"{one_line(term)}: {one_line(meaning)}" for term, meaning in schema.glossary] + list(schema.instructions)


@dataclass(frozen=True, slots=True)
class Style:
    """A way to write a database and a question.

    `instruction` becomes the system message. `table` writes one table; `relations` writes what stands after all
    tables (foreign keys, where a table's own text doesn't hold them) or an empty text. `joint` stands between tables.
    `frame` puts all that into its place and adds glossary and instructions. `ask` writes the question; `answer`
    stands between it and its SQL where a solved question is shown.
    """

    name: str
    instruction: str
    table: Callable[[Table, Schema], str]
    relations: Callable[[Schema], str] = no_relations
    ask: Ask = plain_question
    joint: str = "\n"
    frame: Callable[[str, Schema], str] = with_comments
    answer: str = "\nSQL: "


def one_line(text: str) -> str:
    """Return the text with every run of spaces and line breaks as one space."""
    return " ".join(text.split())
