"""Question files of several formats as one dataset, and how often the questions of each come in training.

Not covered: weights that change while training goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.datasets.dataset import Dataset, Reader
from sqlwright.records import Question


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A question file, the format it is in, and how often its questions come in a pass."""

    path: Path
    format: str
    weight: float = 1.0


def question_files(
    names: Sequence[str], default: str, formats: Sequence[str], resolve: Callable[[str], Path], weights: Sequence[float]
) -> list[QuestionFile]:
    """Return the files that a recipe names, `FORMAT:PATH` or a path in the `default` format.

    `resolve` turns a path's text into the path; without weights each file has 1.
    """
    found = []
    for number, name in enumerate(names):
        prefix, _, rest = name.partition(":")
        own = prefix in formats and bool(rest)
        path = resolve(rest if own else name)
        found.append(QuestionFile(path, prefix if own else default, weights[number] if weights else 1.0))
    return found


def read_mixture(
    files: Sequence[QuestionFile], readers: dict[str, Reader], root: Path
) -> tuple[Dataset, dict[str, float]]:
    """Return the questions of all files, and the weights of those that don't come once, by their ids."""
    if len({file.format for file in files}) == 1 and all(file.weight == 1 for file in files):
        return readers[files[0].format]([file.path for file in files], root), {}
    parts = [readers[file.format]([file.path], root) for file in files]
    whole = Dataset(
        tuple(question for part in parts for question in part.questions),
        {name: path for part in parts for name, path in part.databases.items()},
        tuple(one for part in parts for one in part.dropped),
        next((part.tables for part in parts if part.tables), None),
    )
    weights = {
        question.id: file.weight
        for file, part in zip(files, parts, strict=True)
        for question in part.questions
        if file.weight != 1
    }
    return whole, weights


def weigh(questions: Sequence[Question], weights: dict[str, float], seed: int) -> Sequence[Question]:
    """Return the questions as often as their weights say; the part behind the point is the chance of one more."""
    if not weights:
        return questions
    weighed = []
    for question in questions:
        whole, chance = divmod(weights.get(question.id, 1.0), 1)
        # Drawn by the question, not in a row: what else is in the files doesn't change whether it is taken.
        more = random.Random(f"{seed} {question.id}").random() < chance
        weighed += [question] * (int(whole) + more)
    return weighed
