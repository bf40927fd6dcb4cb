"""Losses on answers that were judged, on packs: the right and the wrong answers to a question stand behind one schema.

* `dpo_loss`: Direct Preference Optimization (Rafailov et al. 2023) on pairs of a right and a wrong answer.
* `grpo_loss`: Group Relative Policy Optimization (Shao et al. 2024, DeepSeekMath) on groups of drawn answers, summed
  over tokens so that long and short answers weigh by their length (Yu et al. 2025, DAPO).

Both need log-probabilities only, which `loss.token_logs` gives for a whole pack. Not covered: the loops (see
`preference_loop`), and where answers and rewards come from.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch.nn.functional import logsigmoid

from sqlwright.training.packing import Encoded, Pack, deal_groups, deal_steps

CLIP = 0.2
"""A token's probability counts as changed by no more than this share in one round."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question, with their prompt: one that is right and one that is wrong."""

    right: Encoded
    wrong: Encoded


def answered(question: Encoded, tokens: Sequence[int], name: str) -> Encoded:
    """Return a question with the tokens of an answer in the place of its target, under the id `name`."""
    return replace(question, id=name, branch=(*question.branch[: question.loss_start], *tokens))


def branch_of_rows(batch: Pack) -> torch.Tensor:
    """Return for each target token [N] of a pack the number of its branch, counted over the whole pack."""
    starts = []
    for group in batch.groups:
        first = group.start + group.prefix
        starts += [first + before for before in accumulate((0, *group.branches[:-1]))]
    places = torch.tensor(starts, device=batch.rows.device)
    return torch.searchsorted(places, batch.rows, right=True) - 1


def branch_sums(logs: torch.Tensor, batch: Pack) -> torch.Tensor:
    """Return the log-probability of each answer [branches] of a pack from those of its tokens [N]."""
    return logs.new_zeros(batch.questions).index_add(0, branch_of_rows(batch), logs)


def dpo_loss(
    right: torch.Tensor, wrong: torch.Tensor, right_before: torch.Tensor, wrong_before: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loss and margin of each pair [n] from the log-probabilities of its answers, now and in the reference."""
    margin = beta * ((right - right_before) - (wrong - wrong_before))
    return -logsigmoid(margin), margin


def advantages(rewards: Sequence[float]) -> list[float] | None:
    """Return how much better than its group each answer is, in standard deviations; None where all are alike."""
    spread = statistics.pstdev(rewards)
    if spread < 1e-6:
        return None
    mean = statistics.fmean(rewards)
    return [(reward - mean) / spread for reward in rewards]


def grpo_loss(
    now: torch.Tensor, drawn: torch.Tensor, before: torch.Tensor | None, advantage: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loss and divergence of each token [N].

    `now`, `drawn` and `before` are its log-probabilities under the model, as it was when the answer was drawn, and in
    the reference (None without `beta`); `advantage` is its answer's. The divergence is the estimate of
    KL(model ‖ reference) that is never negative: `exp(d) - d - 1` for the difference `d` of reference and model.
    """
    ratio = (now - drawn).exp()
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
    if before is None:
        return -gain, torch.zeros_like(now)
    apart = before - now
    divergence = apart.exp() - apart - 1
    return beta * divergence - gain, divergence


def deal_pairs(pairs: Sequence[Pair], size: int, per_step: int, tokens: int, seed: int) -> list[list[list[Encoded]]]:
    """Return the pairs dealt to optimizer steps of `per_step` pairs, each a list of groups that share a schema.

    A group has at most `size` pairs, right and wrong answers by turns, so that a pair is never torn apart.
    """
    whole = [
        replace(pair.right, id=str(n), branch=pair.right.branch + pair.wrong.branch) for n, pair in enumerate(pairs)
    ]
    steps = deal_steps(deal_groups(whole, size, tokens, seed), per_step)

    def both(group: Sequence[Encoded]) -> list[Encoded]:
        return [answer for one in group for answer in (pairs[int(one.id)].right, pairs[int(one.id)].wrong)]

    return [[both(group) for group in step] for step in steps]
