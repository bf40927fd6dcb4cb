"""Splitting questions into training and validation; telling when two databases are one under two names.

Not covered: balancing the parts by hardness; a split by database decides more than that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from sqlwright.errors import DataError
from sqlwright.records import Question


def split_by_database(
    questions: Sequence[Question], held_out: int, seed: int
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Return (training, validation): validation is all questions about `held_out` databases drawn by `seed`.

    Whole databases are held out because a model that has seen a schema in training knows its names by heart:
    a split by question would measure memory. The draw depends on the set of databases, not on their order.
    Questions about no database are all for training.

    Raises:
        DataError: nothing would be left to train on.
    """
    names = sorted({question.database for question in questions} - {""})
    if not names:
        return tuple(questions), ()
    if held_out < 0 or (held_out and held_out >= len(names)):
        raise DataError(
            f"expected to hold out between 0 and {max(len(names) - 1, 0)} of {len(names)} databases, "
            f"found {held_out}; lower the number or add questions about other databases."
        )
    validation = set(random.Random(seed).sample(names, held_out))
    return (
        tuple(q for q in questions if q.database not in validation),
        tuple(q for q in questions if q.database in validation),
    )


def schema_overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the share (0..1) of the smaller schema's table names that the other has too, case aside."""
    a, b = ({name.lower() for name in names} for names in (first, second))
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0
