"""An optimizer step with what every loop needs of it: clipped gradients, a finite loss, the rate of the step."""

from __future__ import annotations

import math

import torch

from sqlwright.errors import RecipeError
from sqlwright.training.shards import gradient_norm, is_share


def move(
    optimizer: torch.optim.Optimizer, *, loss: float, rate: float, max_norm: float, step: int, setting: str
) -> float:
    """Move the weights along their gradients, forget these, and return the norm that they had.

    Raises `RecipeError`, before any weight is changed, where the loss or the norm is no longer finite; `setting` is
    the learning rate that it says to lower, `step` the number of the step.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    found = gradient_norm(weights)
    norm = float(found)
    for shared in (False, True):
        own = [weight for weight in weights if is_share(weight) == shared]
        torch.nn.utils.clip_grads_with_norm_(own, max_norm, found)
    if not math.isfinite(loss) or not math.isfinite(norm):
        optimizer.zero_grad()
        raise RecipeError(f"Step {step}: expected a finite loss, found {loss}. Lower {setting}.")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return norm
