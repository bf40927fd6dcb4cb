"""How a layer weighs what a token may see, where architectures differ: windows, soft caps, and ALiBi.

Not covered: attention sinks, and scores that depend on anything but positions; `models.architectures` refuses such
models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True, slots=True)
class Rules:
    """What a layer does with its scores beside the softmax.

    `scaling` multiplies them (None: by the root of the head's size), `window` is how many positions a token sees, its
    own included (Mistral), `softcap` bends scores to stay below it (Gemma 2), `bias` [H, positions] is added by the
    position of the key (ALiBi: as softmax sees differences only, the distance to the query comes to the same).
    """

    scaling: float | None = None
    window: int | None = None
    softcap: float | None = None
    bias: torch.Tensor | None = None

    def plain(self, positions: int) -> bool:
        """Return whether sequences of so many positions have nothing but causal attention."""
        return self.softcap is None and self.bias is None and (self.window is None or positions <= self.window)

    def first_seen(self, position: int) -> int:
        """Return the first position that a token at `position` and those behind it need keys of.

        A bias goes by the key's own position, so all keys stay where there is one.
        """
        return 0 if self.window is None or self.bias is not None else max(0, position - self.window + 1)

    def weigh(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, first: int) -> torch.Tensor:
        """Return the attention output [B, H_kv, R·Q, D] for queries [B, H_kv, R·Q, D] at positions from `first` on.

        Keys and values [B, H_kv, K, D] stand at positions 0 to K - 1, and K = `first` + Q. The R query heads that share
        a key head lie behind each other; head h is number h % R of key head h // R.
        """
        keys = torch.arange(key.shape[2], device=key.device)
        queries = keys[first:]
        repeat = query.shape[2] // len(queries)
        hidden = (keys > queries[:, None]) | self._behind(queries[:, None], keys)
        hidden = hidden.repeat(repeat, 1)
        bias = None
        if self.bias is not None:
            own = self.bias[:, : len(keys)].to(query).view(-1, repeat, 1, len(keys))
            bias = own.expand(-1, -1, len(queries), -1).reshape(len(own), repeat * len(queries), len(keys))
        if self.softcap is None:
            mask = ~hidden if bias is None else bias.masked_fill(hidden, float("-inf"))
            return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scaling)
        scores = self._bent(query @ key.transpose(2, 3) * (self.scaling or query.shape[-1] ** -0.5))
        scores = (scores if bias is None else scores + bias).masked_fill(hidden, float("-inf"))
        return scores.softmax(-1, dtype=torch.float32).to(query.dtype) @ value

    def shape(self, scores: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return scores [H_kv, N, R, K] of one query per row by these rules; what is at -inf stays there.

        `queries` [N] and `keys` [N, K] are positions.
        """
        empty = scores == float("-inf")
        scores = self._bent(scores)
        if self.bias is not None:
            kv_heads, rows, repeat, count = scores.shape
            own = self.bias[:, keys.clamp(min=0)].to(scores)  # [H, N, K]
            scores = scores + own.view(kv_heads, repeat, rows, count).transpose(1, 2)
        return scores.masked_fill(empty | self._behind(queries[:, None], keys)[:, None], float("-inf"))

    def _bent(self, scores: torch.Tensor) -> torch.Tensor:
        return scores if self.softcap is None else torch.tanh(scores / self.softcap) * self.softcap

    def _behind(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return where a key lies further back than the window reaches."""
        return queries - keys >= (self.window if self.window is not None else 1 << 40)
