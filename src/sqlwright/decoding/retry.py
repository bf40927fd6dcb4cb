"""Asking once more: the model is shown its SQL and the database's complaint, and writes another query.

Not covered: queries that run and are wrong; a second retry, which brings a model of this size nothing.
"""

from __future__ import annotations

from dataclasses import replace

from sqlwright.databases import Outcome
from sqlwright.records import Question

AGAIN = " again"
"""What the id of a question that is asked once more ends with."""


def asked_again(question: Question, sql: str, outcome: Outcome) -> Question:
    """Return the question with the SQL that failed as its last turn, and what the database said of it.

    It has the same prefix as the question: what was read of the schema serves again.
    """
    complaint = " ".join(outcome.message.split())
    return replace(
        question,
        id=question.id + AGAIN,
        history=(*question.history, (question.text, sql)),
        evidence=" ".join(filter(None, [question.evidence, f"The query above fails: {complaint}."])),
    )
