"""The head of a language model as arithmetic: from last hidden states to logits, where they are made in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch.nn.functional import linear


@dataclass(frozen=True, slots=True)
class Head:
    """Weight [V, D], bias [V] (Phi), and the soft cap of the logits (Gemma 2)."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    softcap: float | None = None

    @classmethod
    def of(cls, model: Any) -> Self:
        """Return the head of a transformers causal language model."""
        layer = model.get_output_embeddings()
        return cls(layer.weight, layer.bias, getattr(model.config, "final_logit_softcapping", None))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits [N, V] of hidden states [N, D]."""
        logits = linear(hidden, self.weight, self.bias)
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def before_cap(self, logits: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the head's linear layer from that of its logits."""
        return grad if self.softcap is None else grad * (1 - (logits / self.softcap) ** 2)
