"""Models with random weights, small enough to train in milliseconds, and questions for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from random_models import VOCABULARY, random_model

from sqlwright.training.packing import Encoded


def random_questions(
    shape: Sequence[tuple[int, Sequence[tuple[int, int]]]], seed: int = 0, vocabulary: int = VOCABULARY
) -> list[list[Encoded]]:
    """Return a group per (length of the prefix, [(length of the suffix, length of the target)]) with random tokens."""
    draw = random.Random(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, vocabulary) for _ in range(count))

    groups = []
    for number, (prefix_length, branches) in enumerate(shape):
        prefix = tokens(prefix_length)
        groups.append(
            [
                Encoded(f"{number}-{i}", f"db{number}", prefix, tokens(suffix + target), suffix)
                for i, (suffix, target) in enumerate(branches)
            ]
        )
    return groups


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """Return `random_model`."""
    return random_model


@pytest.fixture
def make_questions() -> Callable[..., list[list[Encoded]]]:
    """Return `random_questions`."""
    return random_questions
