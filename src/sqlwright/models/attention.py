"""Attention for shared-schema packs; `models.architectures` puts it into transformers' models.

Queries of a prefix attend causally to the prefix; queries of a branch to the whole prefix and causally to their own
branch. Branches of a group are computed side by side as padded batches of neighbours (`deal_groups` sorts them by
length), so no T × T mask is ever built: work and memory grow with k·L·(P + L), not with (P + k·L)². Padding exists
inside this function only.

The same on every device: torch's fused attention takes causal prefixes without a mask, and branches with one of
L × (P + L) that all of them share. Where an architecture bends or shifts scores, or sees a window of a longer prefix,
the prefix is weighed in blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from sqlwright.models.scores import Rules

# Where a prefix needs scores or a mask (see `Rules.plain`), they exist for so many pairs of positions at once.
_SCORES_AT_ONCE, _LEAST_ROWS = 1 << 22, 16

HELD = "sqlwright_pack_in_hand"
"""Where a model's body keeps the `InHand` of attention layers that transformers tells nothing."""


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group lies in a pack: `start` of the prefix, its length, and the lengths of the branches behind it."""

    start: int
    prefix: int
    branches: tuple[int, ...]


class Memory(Protocol):
    """Keys and values that outlive one pass through the model; see `models.memory`."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        rules: Rules,
        groups: Sequence[Group],
    ) -> torch.Tensor:
        """Return the attention output [1, T, H, D] of a layer."""
        ...


@dataclass(slots=True)
class InHand:
    """The pack that passes through a model, for attention layers that are given hidden states only."""

    groups: Sequence[Group] = ()
    memory: Memory | None = None
    positions: int = 0


def hidden_states(
    body: Any,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    rows: torch.Tensor,
    groups: Sequence[Group],
    memory: Memory | None = None,
) -> torch.Tensor:
    """Return the last hidden states [N, D] at the positions `rows` [N] of a packed sequence [1, T].

    `body` is the transformers model without its head; `groups` says how the T positions are divided. Behind the
    attention of the last layer only these rows are computed, where the layer is built as Llama's.
    """
    held = getattr(body, HELD, None)
    if held is not None:
        held.groups, held.memory, held.positions = groups, memory, int(position_ids.max()) + 1
    states: torch.Tensor = body(
        input_ids=input_ids, position_ids=position_ids, groups=groups, memory=memory, rows=rows, use_cache=False
    ).last_hidden_state[0]
    return states if len(states) == len(rows) else states.index_select(0, rows)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rules: Rules,
    groups: Sequence[Group],
    memory: Memory | None,
) -> torch.Tensor:
    """Return the attention output [1, T, H, D] of a layer, whose keys and values go to `memory` where there is one."""
    if memory is not None:
        return memory.attend(module.layer_idx, query, key, value, rules, groups)
    return shared_prefix_attention(query, key, value, rules, groups)


def shared_prefix_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rules: Rules, groups: Sequence[Group]
) -> torch.Tensor:
    """Return the attention output [1, T, H, D] for queries [1, H, T, D], keys and values [1, H_kv, T, D].

    `groups` says how the T positions are divided; they must cover all of them in order.
    """
    outputs = []
    for group in groups:
        end = group.start + group.prefix
        prefix = slice(group.start, end)
        # The head dimension of keys is folded into the query length: no copies of keys for grouped queries.
        outputs.append(_prefix_part(query[:, :, prefix], key[:, :, prefix], value[:, :, prefix], rules))
        for branches in _alike(group.branches):
            whole = slice(end, end := end + sum(branches))
            own = (query[0, :, whole], key[0, :, whole], value[0, :, whole])
            outputs.append(_branch_part(*own, key[0, :, prefix], value[0, :, prefix], branches, rules))
    return torch.cat(outputs, dim=1)


def _alike(lengths: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the lengths in runs of neighbours; more than half as long again as a run's first begins another."""
    start = 0
    for place in range(1, len(lengths) + 1):
        if place == len(lengths) or not lengths[start] / 1.5 <= lengths[place] <= lengths[start] * 1.5:
            yield lengths[start:place]
            start = place


def _prefix_part(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rules: Rules) -> torch.Tensor:
    repeat = q.shape[1] // k.shape[1]
    if rules.plain(q.shape[2]):
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
        return scaled_dot_product_attention(q, k, v, is_causal=True, scale=rules.scaling).transpose(1, 2)
    length = q.shape[2]
    size = max(_LEAST_ROWS, _SCORES_AT_ONCE // (q.shape[1] * length))
    outputs = []
    for start in range(0, length, size):
        end = min(length, start + size)
        first = rules.first_seen(start)
        rows = q[:, :, start:end]
        given = rows.reshape(1, k.shape[1], repeat * (end - start), -1), k[:, :, first:end], v[:, :, first:end]
        if size < length:  # each block's scores are computed again on the way back, else all would be kept
            weighed = checkpoint(rules.weigh, *given, start - first, use_reentrant=False, preserve_rng_state=False)
        else:
            weighed = rules.weigh(*given, start - first)
        outputs.append(weighed.reshape(rows.shape))
    return torch.cat(outputs, dim=2).transpose(1, 2)


def _branch_part(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    prefix_k: torch.Tensor,
    prefix_v: torch.Tensor,
    lengths: tuple[int, ...],
    rules: Rules,
) -> torch.Tensor:
    """Return [1, N, H, D] for queries [H, N, D] of all branches, N = sum of lengths; prefix keys are [H_kv, P, D]."""
    heads, kv_heads, size = q.shape[0], k.shape[0], q.shape[2]
    count, longest, shared = len(lengths), max(lengths), prefix_k.shape[1]
    index = _padding_index(lengths, longest).to(q.device)
    q_padded = _spread(q.transpose(0, 1), index, count * longest)
    k_padded = _spread(k.transpose(0, 1), index, count * longest)
    v_padded = _spread(v.transpose(0, 1), index, count * longest)
    repeat = heads // kv_heads
    # [k·L, H, D] → [k, H_kv, repeat·L, D]
    queries = q_padded.view(count, longest, kv_heads, repeat, size).permute(0, 2, 3, 1, 4)
    queries = queries.reshape(count, kv_heads, repeat * longest, size)
    own_k = k_padded.view(count, longest, kv_heads, size).transpose(1, 2)
    own_v = v_padded.view(count, longest, kv_heads, size).transpose(1, 2)
    keys = torch.cat([prefix_k.expand(count, -1, -1, -1), own_k], dim=2)
    values = torch.cat([prefix_v.expand(count, -1, -1, -1), own_v], dim=2)
    if rules.plain(shared + longest):
        causal = torch.ones(longest, longest, dtype=torch.bool, device=q.device).tril()
        mask = torch.cat([causal.new_ones(longest, shared), causal], dim=1).repeat(repeat, 1)
        out = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=rules.scaling)
    else:
        out = rules.weigh(queries, keys, values, shared)
    out = out.view(count, kv_heads, repeat, longest, size).permute(0, 3, 1, 2, 4)
    return _collect(out.reshape(count * longest, heads, size), index)[None]


def _padding_index(lengths: tuple[int, ...], longest: int) -> torch.Tensor:
    """Return [N]: the row in the padded batch [k·L] of each of the N tokens."""
    return torch.cat([torch.arange(length) + number * longest for number, length in enumerate(lengths)])


def _spread(rows: torch.Tensor, index: torch.Tensor, size: int) -> torch.Tensor:
    spread: torch.Tensor = _Spread.apply(rows, index, size)  # type: ignore[no-untyped-call]
    return spread


def _collect(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    collected: torch.Tensor = _Collect.apply(rows, index)  # type: ignore[no-untyped-call]
    return collected


class _Spread(torch.autograd.Function):
    """Rows to their places in a larger zero tensor. Places are distinct, so the gradient is a plain gather."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, index: torch.Tensor, size: int) -> torch.Tensor:
        ctx.save_for_backward(index)
        return rows.new_zeros(size, *rows.shape[1:]).index_copy_(0, index, rows)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return grads[0].index_select(0, index), None, None


class _Collect(torch.autograd.Function):
    """The inverse of `_Spread`: rows back from their places; the padding gets a zero gradient."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(index)
        ctx.size = rows.shape[0]
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (index,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.size, *grad.shape[1:]).index_copy_(0, index, grad), None
