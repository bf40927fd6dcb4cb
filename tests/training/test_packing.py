"""Packing: what is learned is the target and nothing else; every question is dealt exactly once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.errors import DataError
from sqlwright.records import Prompt
from sqlwright.runs.plan import CLOSE, OPEN, marked
from sqlwright.training.packing import Encoded, deal_groups, deal_packs, deal_steps, encode, pack


@st.composite
def encoded(draw: Any) -> list[Encoded]:
    """Questions of a few databases, shuffled; each is recognisable by its id."""
    found = []
    for database in range(draw(st.integers(1, 6))):
        prefix = (database,) * draw(st.integers(1, 12))
        for number in range(draw(st.integers(1, 9))):
            found.append(Encoded(f"{database}-{number}", f"db{database}", prefix, (7,) * draw(st.integers(2, 9)), 1))
    random.Random(draw(st.integers(0, 99))).shuffle(found)
    return found


def size(group: list[Encoded]) -> int:
    return len(group[0].prefix) + sum(len(question.branch) for question in group)


@given(encoded(), st.integers(1, 6), st.integers(8, 40), st.integers(0, 10**6))
def test_groups_hold_every_question_once_and_keep_their_sizes(
    questions: list[Encoded], most: int, tokens: int, seed: int
) -> None:
    groups = deal_groups(questions, most, tokens, seed)
    assert Counter(q.id for group in groups for q in group) == Counter(q.id for q in questions)
    for group in groups:
        assert len({question.prefix for question in group}) == 1
        assert len(group) <= most
        assert len(group) == 1 or size(group) <= tokens
    assert deal_groups(questions, most, tokens, seed) == groups


@given(encoded(), st.integers(1, 6), st.integers(0, 99), st.integers(1, 12))
def test_steps_hold_every_group_once_and_mix_databases(
    questions: list[Encoded], most: int, seed: int, per_step: int
) -> None:
    groups = deal_groups(questions, most, 10**6, seed)
    steps = deal_steps(groups, per_step)
    assert sorted(id(group) for step in steps for group in step) == sorted(map(id, groups))
    for number, step in enumerate(steps):
        count = sum(map(len, step))
        assert len(step) == 1 or count <= 1.25 * per_step
        if number < len(steps) - 1:
            following = steps[number + 1][0]
            assert count >= per_step or count + len(following) > per_step, "no step is smaller than it must be"
        seen: set[str] = set()
        for place, group in enumerate(step):
            if group[0].database in seen:  # a second group of a database: only where no other database was left
                later = [*step[place:], *(other for rest in steps[number + 1 :] for other in rest)]
                assert {other[0].database for other in later} <= seen
                break
            seen.add(group[0].database)


@given(encoded(), st.integers(1, 4), st.integers(8, 60))
def test_packs_hold_the_step_in_order_within_the_limit(questions: list[Encoded], most: int, tokens: int) -> None:
    pytest.importorskip("torch")
    groups = deal_groups(questions, most, tokens, 0)
    packs = deal_packs(groups, tokens)
    assert [place.branches for one in packs for place in one.groups] == [
        tuple(len(question.branch) for question in group) for group in groups
    ]
    sizes = [one.input_ids.shape[1] for one in packs]
    assert all(length <= tokens or len(one.groups) == 1 for length, one in zip(sizes, packs, strict=True))
    firsts = [one.groups[0] for one in packs[1:]]
    assert all(
        length + first.prefix + sum(first.branches) > tokens for length, first in zip(sizes[:-1], firsts, strict=True)
    ), "no pack ends before it must"
    assert sum(one.questions for one in packs) == len(questions)


def test_every_seed_draws_another_order() -> None:
    questions = [Encoded(f"{d}-{i}", f"db{d}", (d,), (1, 2), 1) for d in range(4) for i in range(12)]
    orders = [[[q.id for q in group] for group in deal_groups(questions, 4, 999, seed)] for seed in range(5)]
    assert all(one != other for one, other in pairwise(orders))


def test_groups_are_even() -> None:
    questions = [Encoded(str(i), "db", (1,), (1, 2), 1) for i in range(25)]
    assert sorted(len(group) for group in deal_groups(questions, 12, 999, 0)) == [8, 8, 9]


def test_only_targets_are_learned(make_questions: Callable[..., list[list[Encoded]]]) -> None:
    groups = make_questions([(9, [(4, 3), (2, 5)]), (5, [(1, 1)])])
    batch = pack(groups)
    ids = batch.input_ids[0].tolist()
    questions = [question for group in groups for question in group]
    wanted = [token for question in questions for token in question.branch[question.loss_start :]]
    assert batch.labels.tolist() == wanted
    assert [ids[row + 1] for row in batch.rows.tolist()] == wanted, "each row predicts the token behind it"
    assert batch.position_ids[0].tolist() == [*range(9), *range(9, 16), *range(9, 16), *range(5), *range(5, 7)]
    assert batch.questions == 3


def test_a_group_of_two_schemas_is_refused(make_questions: Callable[..., list[list[Encoded]]]) -> None:
    (one,), (two,) = make_questions([(3, [(2, 2)]), (3, [(2, 2)])])
    with pytest.raises(ValueError, match="share their prefix"):
        pack([[one, two]])


PROMPT = Prompt(
    "1", "db", "CREATE TABLE t (größe REAL);\n\n", "Question: wie groß?\nSQL:", "SELECT größe FROM t", "ddl"
)


def test_the_preview_marks_exactly_what_is_learned(tiny_model: Path) -> None:
    pytest.importorskip("transformers")
    from sqlwright.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tiny_model)
    batch = pack([encode([PROMPT], tokenizer, tokenizer.eos_token_id)])
    shown = marked(PROMPT)
    assert shown.replace(OPEN, "").replace(CLOSE, "") == PROMPT.prefix + PROMPT.suffix + PROMPT.target
    between = shown.partition(OPEN)[2].partition(CLOSE)[0]
    labels = batch.labels.tolist()
    assert tokenizer.decode(labels[:-1]) == between == PROMPT.target
    assert labels[-1] == tokenizer.eos_token_id
    rest = batch.input_ids[0].tolist()[: -len(labels)]
    assert tokenizer.decode(rest) == PROMPT.prefix + PROMPT.suffix


def test_a_prompt_to_predict_has_no_target_and_an_empty_suffix_is_an_error(tiny_model: Path) -> None:
    pytest.importorskip("transformers")
    from sqlwright.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tiny_model)
    (asked,) = encode([Prompt("1", "db", "p", "s")], tokenizer, 2)
    assert asked.targets == 0
    one, two = encode([Prompt("1", "db", "p", "s"), Prompt("2", "db", "p", "t")], tokenizer, 2)
    assert one.prefix is two.prefix
    with pytest.raises(DataError, match="Prompt 9 has an empty suffix"):
        encode([Prompt("9", "db", "p", "")], tokenizer, 2)
