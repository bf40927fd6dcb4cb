"""Weights in 4 or 8 bits by bitsandbytes, on a GPU or a CPU: how they are loaded, and what they are as numbers.

NF4 with its block scales quantised once more is QLoRA's format (arXiv 2305.14314), rows of int8 LLM.int8's (arXiv
2208.07339). Arithmetic is `training.lora`'s: a layer's weights exist as numbers while it is computed and no longer.

Not covered: LLM.int8's separate columns of outliers, which matter to activations in 8 bits; ours keep their format.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_BLOCK, _SCALES = 64, 256
BYTES = {4: (4 + (8 + 32 / _SCALES) / _BLOCK) / 8, 8: 1.0}
"""Bytes of a weight with its share of the scales."""


def quantisation(bits: int, dtype: torch.dtype) -> Any:
    """Return what transformers' `from_pretrained` takes as `quantization_config` for so many bits.

    Raises `ModuleNotFoundError` where bitsandbytes isn't installed.
    """
    from transformers import BitsAndBytesConfig

    import_module("bitsandbytes")
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def dense_weight(layer: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return the weight [out, in] of a linear layer; one of bitsandbytes' is made anew in `dtype`."""
    weight: torch.Tensor = layer.weight
    if hasattr(weight, "quant_state"):
        from bitsandbytes.functional import dequantize_4bit

        found: torch.Tensor = dequantize_4bit(weight.data, weight.quant_state).to(dtype)
        return found
    # The scales of a layer that has been called once are in its state.
    state = getattr(layer, "state", None)
    scales: torch.Tensor | None = getattr(weight, "SCB", None) if state is None or state.SCB is None else state.SCB
    return weight if scales is None else (weight.float() * (scales[:, None].float() / 127)).to(dtype)
