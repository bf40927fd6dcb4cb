"""How fast this machine trains just now: a few passes through a model of one and of two layers, timed.

The layers are as wide as those of the model that will be trained, with random weights; what passes is the pass of
median size, and what learns is what the settings say. So everything is in the measure that is in training: products of
matrices at the speed that other work leaves, attention, norms, the kind's own arithmetic, the optimizer.

Not covered: several devices; reading the weights.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from sqlwright.recipe import TrainSettings
from sqlwright.training.kinds import open_learner
from sqlwright.training.lora import trainable
from sqlwright.training.loss import pack_loss
from sqlwright.training.optimizer import move
from sqlwright.training.packing import Pack, deal_passes, group_size, pack

if TYPE_CHECKING:
    from sqlwright.training.trainer import Plan

# One round and these warm up and count; more while there is time, in seconds.
_ROUNDS, _BUDGET = 4, 4.0
# Of the last layer only the rows are computed that are learned from: about half of its work.
_LAST = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds on this machine.

    `layer` is what a token takes in a layer that learns, with its way back, `below` in a layer under all those,
    `target` what a learned token takes in the head, `weight` what a weight takes in a step of the optimizer.
    """

    layer: float
    below: float
    target: float
    weight: float

    def seconds(self, plan: Plan, layers: int, weights: float, settings: TrainSettings) -> float:
        """Return how long the steps of a plan take in a model of so many layers, of which so many weights learn."""
        learning = min(settings.layers or layers, layers)
        per_token = self.layer * (learning - 1 + _LAST) + self.below * (layers - learning)
        targets = sum(question.targets for step in plan.steps for group in step for question in group)
        return per_token * plan.tokens + self.target * targets + self.weight * weights * len(plan.steps)


def rehearse(config: Any, settings: TrainSettings, plan: Plan, device: str, dtype: torch.dtype) -> Pace:
    """Return how fast a model with this configuration of transformers learns from the plan's questions.

    It takes some ten seconds, and memory for two or three heads with a layer or two each.
    """
    passes = [groups for step in plan.steps for groups in deal_passes(step, settings.tokens_per_batch)]
    groups = sorted(passes, key=lambda groups: sum(map(group_size, groups)))[len(passes) // 2]
    batch = pack(groups)
    tokens, targets = batch.input_ids.shape[1], len(batch.labels)
    whole, top = (settings.model_copy(update={"layers": count}) for count in (0, 1))
    shapes = [(1, whole), (2, whole), *([(2, top)] if settings.layers else [])]
    short = [_short(config, layers, own, batch, device, dtype) for layers, own in shapes]
    one, two, *lower = _seconds([model.there_and_back for model in short], device)
    (step,) = _seconds([short[1].step], device)
    layer = max(0.0, two - one) / tokens
    below = max(0.0, lower[0] - one) / tokens if lower else 0.0
    return Pace(layer, below, max(0.0, one - _LAST * layer * tokens) / targets, step / short[1].weights)


class _Short(NamedTuple):
    """A model of few layers: a pass with its way back, a step of the optimizer, and how many weights learn."""

    there_and_back: Callable[[], None]
    step: Callable[[], None]
    weights: int


def _short(config: Any, layers: int, settings: TrainSettings, batch: Pack, device: str, dtype: torch.dtype) -> _Short:
    """Return a model of so many layers with random weights, ready to learn from a pack."""
    from transformers import AutoModelForCausalLM

    few = copy.deepcopy(config)
    few.num_hidden_layers = layers
    if getattr(few, "layer_types", None):
        few.layer_types = few.layer_types[:layers]
    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(few, dtype=dtype).to(device).requires_grad_(False)
        learner = open_learner(model, settings, 0)
    learner.train()
    weights = trainable(learner)
    optimizer = torch.optim.AdamW(list(weights.values()), lr=0.0)
    batch = batch.to(device)

    def there_and_back() -> None:
        pack_loss(learner, batch).backward()  # type: ignore[no-untyped-call]

    def step() -> None:
        for tensor in weights.values():
            tensor.grad = torch.zeros_like(tensor)
        move(optimizer, loss=0.0, rate=0.0, max_norm=1.0, step=1, setting="")

    return _Short(there_and_back, step, sum(map(torch.numel, weights.values())))


def _seconds(works: Sequence[Callable[[], None]], device: str) -> list[float]:
    """Return the seconds that each of some works takes: the median of rounds in turn, so that all meet the same load.

    The first round counts for nothing; the others end after `_BUDGET` seconds, and there are three at least.
    """
    rounds: list[list[float]] = []
    begun = time.perf_counter()
    while len(rounds) < _ROUNDS or time.perf_counter() - begun < _BUDGET:
        taken = []
        for work in works:
            started = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
        rounds.append(taken)
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]
