"""How fast this machine trains just now: a few passes through a model of one and of two layers, timed.

The layers are as wide as those of the model that will be trained, with random weights; what passes is a group of its
questions, and what learns is what the settings say. So everything is in the measure that is in training: products of
matrices at the speed that other work leaves, attention, norms, the kind's own arithmetic, the optimizer.

Not covered: several devices; reading the weights.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sqlwright.recipe import TrainSettings
from sqlwright.training.kinds import open_learner
from sqlwright.training.lora import trainable
from sqlwright.training.loss import pack_loss
from sqlwright.training.optimizer import move
from sqlwright.training.packing import Encoded, pack

if TYPE_CHECKING:
    from sqlwright.training.trainer import Plan

# The more questions, the longer the head takes; the layers' speed is the same.
_QUESTIONS = 3
_TIMES = 2
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

    It takes some seconds, and memory for two layers and the head.
    """
    groups = sorted((group for step in plan.steps for group in step), key=lambda group: len(group[0].prefix))
    group = groups[len(groups) // 2][:_QUESTIONS]
    batch = pack([group])
    tokens, targets = batch.input_ids.shape[1], len(batch.labels)
    whole = settings.model_copy(update={"layers": 0})
    one, _ = _timed(config, 1, whole, group, device, dtype)
    two, weight = _timed(config, 2, whole, group, device, dtype)
    layer = max(0.0, two - one) / tokens
    below = 0.0
    if settings.layers:
        lower, _ = _timed(config, 2, settings.model_copy(update={"layers": 1}), group, device, dtype)
        below = max(0.0, lower - one) / tokens
    return Pace(layer, below, max(0.0, one - _LAST * layer * tokens) / targets, weight)


def _timed(
    config: Any, layers: int, settings: TrainSettings, group: Sequence[Encoded], device: str, dtype: torch.dtype
) -> tuple[float, float]:
    """Return the seconds of a pass with its way back, and of an optimizer's step per weight."""
    from transformers import AutoModelForCausalLM

    short = copy.deepcopy(config)
    short.num_hidden_layers = layers
    if getattr(short, "layer_types", None):
        short.layer_types = short.layer_types[:layers]
    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(short, dtype=dtype).to(device).requires_grad_(False)
        learner = open_learner(model, settings, 0)
    learner.train()
    weights = trainable(learner)
    optimizer = torch.optim.AdamW(list(weights.values()), lr=0.0)
    batch = pack([list(group)]).to(device)

    def there_and_back() -> None:
        pack_loss(learner, batch).backward()  # type: ignore[no-untyped-call]

    def step() -> None:
        for tensor in weights.values():
            tensor.grad = torch.zeros_like(tensor)
        move(optimizer, loss=0.0, rate=0.0, max_norm=1.0, step=1, setting="")

    return _seconds(there_and_back, device), _seconds(step, device) / sum(map(torch.numel, weights.values()))


def _seconds(work: Callable[[], None], device: str) -> float:
    """Return the seconds that some work takes: the mean of a few times, after a first that counts for nothing."""
    found = []
    for _ in range(1 + _TIMES):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return statistics.fmean(found[1:])
