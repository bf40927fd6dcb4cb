"""Keys and values of the questions that are decoded side by side in torch: every schema's once, every row's its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from sqlwright.models.attention import Group, shared_prefix_attention
from sqlwright.models.scores import Rules

# Room for new tokens is made for this many at once.
_ROOM = 32


class WaveMemory:
    """Keys and values of a wave: of every prefix once, and of every row its own, flush right.

    `_prefixes` has per layer and group keys and values [H_kv, P, D]; `_own` per layer keys and values [H_kv, N, L, D]
    of which the first `_used` columns are filled; row n is empty before column `_starts[n]`.
    """

    def __init__(self) -> None:
        self._prefixes: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._parts: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._own: dict[int, list[torch.Tensor]] = {}
        self._sizes: list[int] = []  # rows per group
        self._used = 0
        self._starts = torch.zeros(0)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        rules: Rules,
        groups: Sequence[Group],
    ) -> torch.Tensor:
        """Return the attention output [1, T, H, D]; `groups` while prompts are read, none for one token per row."""
        if not groups:
            return self._attend_next(layer, query, key, value, rules)
        for group in groups:
            end = group.start + group.prefix
            shared = slice(group.start, end)
            own = self._prefixes.setdefault(layer, [])
            own.append((key[0, :, shared].contiguous(), value[0, :, shared].contiguous()))
            for length in group.branches:
                branch = slice(end, end := end + length)
                self._parts.setdefault(layer, []).append((key[0, :, branch].clone(), value[0, :, branch].clone()))
            if layer == 0:
                self._sizes.append(len(group.branches))
        return shared_prefix_attention(query, key, value, rules, groups)

    def close_reading(self) -> None:
        """Put the rows' own keys and values side by side; all prompts have been read."""
        lengths = [key.shape[1] for key, _ in self._parts[0]]
        self._used = max(lengths)
        for layer, parts in self._parts.items():
            sides = []
            for side in (0, 1):
                heads, _, size = parts[0][side].shape
                padded = parts[0][side].new_zeros(heads, len(parts), self._used, size)
                for row, part in enumerate(parts):
                    padded[:, row, self._used - part[side].shape[1] :] = part[side]
                sides.append(padded)
            self._own[layer] = sides
        self._parts.clear()
        self._starts = torch.tensor([self._used - length for length in lengths], device=self._own[0][0].device)

    def keep(self, rows: torch.Tensor) -> None:
        """Forget all rows but these (ascending; a row that is named several times is copied)."""
        for layer, sides in self._own.items():
            self._own[layer] = [side.index_select(1, rows) for side in sides]
        self._starts = self._starts.index_select(0, rows)
        groups = [group for group, size in enumerate(self._sizes) for _ in range(size)]
        counts = Counter(groups[row] for row in rows.tolist())
        sizes = [counts[group] for group in range(len(self._sizes))]
        for layer, own in self._prefixes.items():
            self._prefixes[layer] = [one for one, size in zip(own, sizes, strict=True) if size]
        self._sizes = [size for size in sizes if size]

    def make_room(self) -> None:
        """Make a column for one more token per row."""
        if self._used == self._own[0][0].shape[2]:
            for layer, sides in self._own.items():
                more = [side.new_zeros(*side.shape[:2], _ROOM, side.shape[3]) for side in sides]
                self._own[layer] = [torch.cat([side, one], dim=2) for side, one in zip(sides, more, strict=True)]
        self._used += 1

    def _attend_next(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rules: Rules
    ) -> torch.Tensor:
        _, heads, count, size = query.shape
        own_k, own_v = self._own[layer]
        own_k[:, :, self._used - 1], own_v[:, :, self._used - 1] = key[0], value[0]
        own_k, own_v = own_k[:, :, : self._used], own_v[:, :, : self._used]
        kv_heads = len(own_k)
        repeat = heads // kv_heads
        queries = query[0].view(kv_heads, repeat, count, size).transpose(1, 2) * (rules.scaling or size**-0.5)
        empty = torch.arange(self._used, device=query.device) < self._starts[:, None]
        scores = (queries @ own_k.transpose(2, 3)).masked_fill_(empty[:, None], float("-inf"))  # [H_kv, N, repeat, L]
        outputs, weights, start = [], [], 0
        for (shared_k, shared_v), rows in zip(self._prefixes[layer], self._sizes, strict=True):
            mine = slice(start, start := start + rows)
            length = shared_k.shape[1]
            flat = queries[:, mine].reshape(kv_heads, rows * repeat, size)
            shared = (flat @ shared_k.transpose(1, 2)).view(kv_heads, rows, repeat, length)
            weight = torch.cat([shared, scores[:, mine]], dim=3)
            if not rules.plain(length + self._used):
                weight = rules.shape(weight, *self._positions(mine, length))
            weight = weight.softmax(-1, dtype=torch.float32).to(query.dtype)
            part = weight[..., :length].reshape(kv_heads, rows * repeat, length) @ shared_v
            outputs.append(part.view(kv_heads, rows, repeat, size))
            weights.append(weight[..., length:])
        output = torch.cat(outputs, dim=1) + torch.cat(weights, dim=1) @ own_v
        return output.transpose(0, 1).reshape(1, count, heads, size)

    def _positions(self, rows: slice, shared: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the positions of the rows' newest tokens [N] and of all they see [N, shared + used]."""
        starts = self._starts[rows, None]
        columns = torch.arange(self._used, device=starts.device)
        before = torch.arange(shared, device=starts.device).expand(len(starts), -1)
        keys = torch.cat([before, shared + columns - starts], dim=1)
        return keys[:, -1], keys
