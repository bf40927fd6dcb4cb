"""Shared-schema packing: one schema and many questions in one sequence, `P B1 B2 … Bk`.

A token of branch `Bi` attends to the prefix `P` and to earlier tokens of `Bi`; positions in every branch go on from
`|P|`; only target tokens are predicted. Loss and gradients equal those of k separate sequences `P B1`, …, `P Bk`,
while `P` passes through the model once. A pack may hold several such groups; they don't see each other.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlwright.errors import DataError
from sqlwright.models.attention import Group
from sqlwright.models.tokenizer import token_ids
from sqlwright.records import Prompt

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as token ids: the prefix, and the branch (suffix, target, end token), predicted from `loss_start` on."""

    id: str
    database: str
    prefix: tuple[int, ...]
    branch: tuple[int, ...]
    loss_start: int

    @property
    def targets(self) -> int:
        """Number of tokens that are learned."""
        return len(self.branch) - self.loss_start


@dataclass(frozen=True, slots=True)
class Pack:
    """A packed sequence, ready for the model.

    `input_ids` and `position_ids` have shape [1, T]; `rows` [N] are the positions whose next token is learned and
    `labels` [N] those tokens; `questions` counts the branches.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    rows: torch.Tensor
    labels: torch.Tensor
    groups: tuple[Group, ...]
    questions: int

    def to(self, device: Any) -> Pack:
        """Return the pack with its tensors on `device`."""
        ids, positions = self.input_ids.to(device), self.position_ids.to(device)
        return Pack(ids, positions, self.rows.to(device), self.labels.to(device), self.groups, self.questions)


@dataclass(frozen=True, slots=True)
class Load:
    """What passes through a model at once: tokens, and the keys that branches see, each the whole prefix's again."""

    tokens: int
    keys: int

    @classmethod
    def of(cls, groups: Sequence[Sequence[Encoded]]) -> Load:
        """Return the load of a pass with these groups."""
        keys = sum(len(question.prefix) + len(question.branch) for group in groups for question in group)
        return cls(sum(map(group_size, groups)), keys)


def encode(prompts: Sequence[Prompt], tokenizer: Any, end_id: int) -> list[Encoded]:
    """Return the prompts as token ids; prefix, suffix and target are tokenised apart, so that prefixes are shared."""
    prefixes: dict[str, tuple[int, ...]] = {}
    encoded = []
    for prompt in prompts:
        if prompt.prefix not in prefixes:
            prefixes[prompt.prefix] = tuple(token_ids(tokenizer, prompt.prefix))
        suffix = token_ids(tokenizer, prompt.suffix)
        target = token_ids(tokenizer, prompt.target)
        ending = [end_id] if prompt.target else []
        if not suffix:
            raise DataError(f"Prompt {prompt.id} has an empty suffix: there is nothing to answer.")
        encoded.append(
            Encoded(prompt.id, prompt.database, prefixes[prompt.prefix], (*suffix, *target, *ending), len(suffix))
        )
    return encoded


def pack(groups: Sequence[Sequence[Encoded]]) -> Pack:
    """Return one packed sequence of the groups; the questions of a group must share their prefix."""
    import torch

    ids: list[int] = []
    positions: list[int] = []
    rows: list[int] = []
    labels: list[int] = []
    places = []
    for group in groups:
        prefix = group[0].prefix
        if any(question.prefix != prefix for question in group):
            raise ValueError("the questions of a group must share their prefix")
        places.append(Group(len(ids), len(prefix), tuple(len(question.branch) for question in group)))
        ids += prefix
        positions += range(len(prefix))
        for question in group:
            start = len(ids)
            ids += question.branch
            positions += range(len(prefix), len(prefix) + len(question.branch))
            rows += range(start + question.loss_start - 1, start + len(question.branch) - 1)
            labels += question.branch[question.loss_start :]
    return Pack(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        rows=torch.tensor(rows, dtype=torch.long),
        labels=torch.tensor(labels, dtype=torch.long),
        groups=tuple(places),
        questions=sum(len(group) for group in groups),
    )


def deal_groups(questions: Sequence[Encoded], size: int, tokens: int, seed: int) -> list[list[Encoded]]:
    """Return the questions in groups of one database, in an order drawn by `seed`.

    A group has at most `size` questions and, if it has more than one, at most `tokens` tokens in all. In a group
    questions stand from short to long: attention pads neighbours to the same length.
    """
    draw = random.Random(seed)
    by_prefix: dict[tuple[int, ...], list[Encoded]] = defaultdict(list)
    for question in questions:
        by_prefix[question.prefix].append(question)
    groups = []
    for prefix, members in by_prefix.items():
        draw.shuffle(members)
        parts = -(-len(members) // size)
        for part in range(parts):  # even parts: 25 questions in groups of 12 make 9, 8, 8 rather than 12, 12, 1
            share = members[part * len(members) // parts : (part + 1) * len(members) // parts]
            groups += [sorted(run, key=_length) for run in _within(share, tokens - len(prefix))]
    draw.shuffle(groups)
    return groups


def deal_steps(groups: Sequence[list[Encoded]], questions_per_step: int) -> list[list[list[Encoded]]]:
    """Return the groups dealt to optimizer steps, each with groups of different databases as far as there are any.

    A step ends once it has `questions_per_step` questions. Every group is used exactly once, in order.
    """
    waiting = list(groups)
    steps = []
    while waiting:
        step: list[list[Encoded]] = []
        seen: set[str] = set()
        later: list[list[Encoded]] = []
        count = 0
        while waiting and count < questions_per_step:
            fresh = next((i for i, group in enumerate(waiting) if group[0].database not in seen), 0)
            group = waiting.pop(fresh)
            if step and count + len(group) > questions_per_step * 1.25:
                later.append(group)
                break
            step.append(group)
            seen.add(group[0].database)
            count += len(group)
        steps.append(step)
        waiting = later + waiting
    return steps


def deal_packs(step: Sequence[list[Encoded]], tokens: int) -> list[Pack]:
    """Return the groups of one optimizer step in as few packs of at most `tokens` tokens as their order allows."""
    return [pack(groups) for groups in deal_passes(step, tokens)]


def deal_passes(step: Sequence[list[Encoded]], tokens: int) -> list[list[list[Encoded]]]:
    """Return which groups of a step pass through the model together, as `deal_packs` packs them."""
    passes: list[list[list[Encoded]]] = []
    used = 0
    for group in step:
        size = group_size(group)
        if not passes or used + size > tokens:
            passes.append([])
            used = 0
        passes[-1].append(group)
        used += size
    return passes


def group_size(group: Sequence[Encoded]) -> int:
    """Return the tokens of a group: its prefix once, and all branches."""
    return len(group[0].prefix) + sum(len(question.branch) for question in group)


def _length(question: Encoded) -> int:
    return len(question.branch)


def _within(members: Sequence[Encoded], tokens: int) -> list[list[Encoded]]:
    """Return the members in runs whose branches have at most `tokens` tokens (a longer branch stands alone)."""
    runs: list[list[Encoded]] = []
    used = 0
    for question in members:
        if not runs or used + len(question.branch) > tokens:
            runs.append([])
            used = 0
        runs[-1].append(question)
        used += len(question.branch)
    return runs
