"""The kinds of fine-tuning behind one switch: what learns, where it starts from, and what it comes to.

Kinds that learn low-rank updates which llama.cpp can add to the base (`lora`, `rslora`, `qlora`) come to an adapter;
the others (`dora`, `freeze`, `full`) come to weights, and are served as a model of their own.

`qlora` is LoRA on quantised weights. Those of a folder of transformers are bitsandbytes' (`models.quantised`), as
QLoRA's (arXiv 2305.14314), and dequantised for every use. Those of a GGUF base are read from blocks of 8 bits or fewer
and dequantised once: its adapter is trained on the very weights that it is served with, at four times the memory.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from sqlwright.models.architectures import recompute_layers, use_shared_prefix_attention
from sqlwright.models.device import keep_freed_memory
from sqlwright.models.weights import merge_adapter, read_matrices
from sqlwright.recipe import TrainSettings
from sqlwright.training.lora import add_lora, start_from
from sqlwright.training.shards import whole

WHOLE = ("dora", "freeze", "full")
"""Kinds whose result is weights, not an adapter."""
PLAIN = ("freeze", "full")
"""Kinds that train the model's own weights, without PEFT; they are float32."""


def open_learner(model: Any, settings: TrainSettings, seed: int, start: Path | None = None) -> Any:
    """Return `model` ready to learn from packs: see `make_trainable`, which says what is raised as well."""
    keep_freed_memory(settings.activation_checkpointing)
    use_shared_prefix_attention(model)
    learner = make_trainable(model, settings, seed, start)
    if settings.activation_checkpointing:
        recompute_layers(learner)
    return learner


def make_trainable(model: Any, settings: TrainSettings, seed: int, start: Path | None = None) -> Any:
    """Return `model`, wrapped by PEFT where the kind has matrices of its own, with gradients where it learns.

    `start` is a GGUF adapter that training goes on from: its matrices are the first ones of the same kind of LoRA,
    else they are added to the weights. Weights that learn are float32.

    Raises:
        RecipeError: `start` has matrices that the settings leave no room for: other weights, more rank.
        ModelError: `start` doesn't fit the model.
    """
    if start and settings.kind in WHOLE:
        merge_adapter(model, start)
    if settings.kind in PLAIN:
        _release(model, settings)
        return model
    found = read_matrices(model, start) if start and settings.kind not in WHOLE else None
    wrapped = add_lora(
        model, settings.rank, settings.alpha, settings.targets, seed, settings.layers, kind=settings.kind
    )
    if found:
        start_from(wrapped, *found)
    return wrapped


def result_weights(model: Any, kind: str) -> dict[str, torch.Tensor]:
    """Return the weights that differ from the base's by their names in the base, for a kind in `WHOLE`.

    Where they are shared out, all ranks have to ask at once.
    """
    if kind in PLAIN:
        return {name: whole(weight) for name, weight in model.named_parameters() if weight.requires_grad}
    from peft.tuners.lora import Linear

    prefix = "base_model.model."
    learned = {name.removeprefix(prefix) for name, module in model.named_modules() if isinstance(module, Linear)}
    merged = dict(copy.deepcopy(model).merge_and_unload().named_parameters())
    return {f"{name}.weight": merged[f"{name}.weight"].detach() for name in sorted(learned)}


def _release(model: Any, settings: TrainSettings) -> None:
    """Let all weights learn, or those of the last layers."""
    layers = model.base_model.layers
    parts = [model] if settings.kind == "full" else list(layers[-settings.layers :] if settings.layers else layers)
    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
