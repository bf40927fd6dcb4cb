"""Which linear layers LoRA goes to, by name, in whatever way an architecture calls them."""

from __future__ import annotations

import re
from typing import Any

import torch

from sqlwright.errors import RecipeError

# What a layer's parts are called: Llama's self_attn, BLOOM's and Falcon's self_attention, StarCoder's attn.
_PARTS = {"attention": ("self_attn", "self_attention", "attn", "attention"), "mlp": ("mlp", "feed_forward")}
# A linear layer inside layer N: `model.layers.3.self_attn.q_proj`, `transformer.h.3.attn.c_attn`.
_INSIDE = re.compile(r".*?\.\d+\.(.+)")


def target_modules(model: Any, targets: str) -> list[str]:
    """Return the names, as PEFT matches them, of the linear layers that `train.targets` means.

    `all-linear` are all in the model's layers (never the head), `attention` and `mlp` those in that part of a layer,
    anything else those whose names end so, divided by commas. A name is as short as tells these from all others
    (`q_proj`; `attn.c_proj` where the MLP has a `c_proj` too).
    Raises `RecipeError` where there are none.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    inside = {name: match[1] for name in linear if (match := _INSIDE.fullmatch(name))}
    chosen = {name: own for name, own in inside.items() if _is_meant(own, targets)}
    if not all(any(_is_meant(own, one) for own in chosen.values()) for one in targets.split(",")):
        known = ", ".join(sorted(set(inside.values()))) or "no linear layers"
        raise RecipeError(
            f"train.targets: expected linear layers that belong to {targets!r} in a {model.config.model_type} model, "
            f"found {known}." + (' Set train.targets = "all-linear".' if inside else "")
        )
    others = [name for name in linear if name not in chosen]
    return sorted({_shortest(own, others) for own in chosen.values()})


def _is_meant(own: str, targets: str) -> bool:
    """Return whether the linear layer `own`, by its name inside a layer, is one of the targets."""
    if targets in _PARTS:
        return own.split(".")[0] in _PARTS[targets]
    return targets == "all-linear" or any(f".{own}".endswith(f".{name}") for name in targets.split(","))


def _shortest(own: str, others: list[str]) -> str:
    """Return the shortest end of the dotted name `own` that none of the `others` has."""
    words = own.split(".")
    ends = [".".join(words[start:]) for start in reversed(range(len(words)))]
    return next((end for end in ends if not any(f".{name}".endswith(f".{end}") for name in others)), own)
