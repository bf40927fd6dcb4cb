"""Which transformers models run shared-schema packs, and how each is made to.

Most dispatch their attention through transformers' interface, where a function of ours stands by name. BLOOM and Falcon
don't: their attention layers get a forward pass of ours. The models in `EXACT` are tested to give the loss and the
gradients of separate sequences. Any other is tried on a small pack before it is used, and refused if it differs.

Not covered: models whose code isn't in transformers (InternLM2's own layout; its Llama layout is `llama`), encoders and
decoders with state (Mamba), rotary embeddings that depend on the longest sequence at hand (longrope, dynamic NTK) where
a pack's groups lie on both sides of their limit.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from sqlwright.errors import ModelError
from sqlwright.models.attention import HELD, Group, InHand, Memory, attend, hidden_states
from sqlwright.models.head import Head
from sqlwright.models.scores import Rules

EXACT = (
    "llama",  # Code Llama, SQLCoder-7B-2, SmolLM2, InternLM in Llama's layout
    "mistral",
    "qwen2",
    "qwen3",
    "gpt_bigcode",  # StarCoder, SQLCoder-15B
    "starcoder2",
    "phi",
    "phi3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "falcon",
    "bloom",
    "glm",
    "glm4",
)
# Layers that add attention and MLP to their input one after the other, as Llama's do.
_LIKE_LLAMA = ("llama", "mistral", "qwen2", "qwen3", "starcoder2", "gemma", "glm")
_NAME = "sqlwright_shared_prefix"
_DROPOUTS = ("hidden_dropout", "attention_dropout", "attn_dropout")
# What a model may differ by that wasn't tested, as a share of the size of its logits.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}


def use_shared_prefix_attention(model: Any) -> None:
    """Make the transformers `model` (or the one inside PEFT's) run packs: call its body through `hidden_states` then.

    Dropout of its own is switched off: adapters are trained on the model as it answers. Raises `ModelError` for a
    model that can't run packs.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    kind = model.config.model_type
    tried = kind in EXACT or model.config._attn_implementation == _NAME
    expected = None if tried else _plain_logits(model)
    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, lambda *_args, **_kwargs: None)
    if kind in _OWN:
        _hold(model, _OWN[kind])
    else:
        model.set_attn_implementation(_NAME)
    _switch_off_dropout(model)
    if kind in _LIKE_LLAMA:
        layer = model.base_model.layers[-1]
        layer.forward = types.MethodType(_last_layer, layer)
    if expected is not None:
        _require_same(model, expected)


def recompute_layers(model: Any) -> None:
    """Make the layers of `model` keep their inputs alone and compute what gradients need again (Chen et al. 2016).

    Values and gradients stay as they are. Of a model whose attention layers are told of a pack (`InHand`), gradients
    must be computed before another pack passes. Called behind `use_shared_prefix_attention`, on the same model.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    body = model.base_model
    for layer in body.layers if hasattr(body, "layers") else body.h:
        # Nothing is drawn in a pass (dropout is off), so there is no random state to keep.
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    groups: Sequence[Group] = (),
    memory: Memory | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    return attend(module, query, key, value, Rules(scaling, sliding_window, softcap), groups, memory), None


def _last_layer(self: Any, hidden: torch.Tensor, *, rows: torch.Tensor | None = None, **rest: Any) -> torch.Tensor:
    """The forward pass of a Llama-like layer whose output is read at `rows` alone; its MLP is most of its work."""
    attended, _ = self.self_attn(hidden_states=self.input_layernorm(hidden), **rest)
    if rows is not None and len(rows) < hidden.shape[1]:
        hidden, attended = hidden.index_select(1, rows), attended.index_select(1, rows)
    hidden = hidden + attended
    whole: torch.Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
    return whole


def _hold(model: Any, forward: Any) -> None:
    """Give the attention layers of a model that doesn't dispatch the pass `forward`, and what it has to know."""
    held = InHand()
    setattr(model.base_model, HELD, held)
    model.config._attn_implementation = _NAME  # the body builds no mask then
    for layer in model.base_model.h:
        layer.self_attention.forward = types.MethodType(forward, layer.self_attention)
        setattr(layer.self_attention, HELD, held)
        if forward is _falcon:
            # Falcon adds to its MLP's output in place, which the output of a custom gradient doesn't allow.
            layer.mlp.register_forward_hook(lambda _module, _given, output: output.clone())


def _falcon(
    self: Any,
    hidden: torch.Tensor,
    alibi: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    position_embeddings: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The forward pass of Falcon's attention: rotary positions, or ALiBi in bfloat16 as it was trained."""
    from transformers.models.falcon.modeling_falcon import apply_rotary_pos_emb, build_alibi_tensor

    held: InHand = getattr(self, HELD)
    query, key, value = (part.transpose(1, 2) for part in self._split_heads(self.query_key_value(hidden)))
    bias = None
    if alibi is None:
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
    else:
        places = torch.ones(1, held.positions, dtype=torch.long, device=hidden.device)
        bias = build_alibi_tensor(places, self.num_heads, hidden.dtype)[:, 0] * self.inv_norm_factor
    out = attend(self, query, key, value, Rules(bias=bias), held.groups, held.memory)
    return self.dense(out.flatten(2)), None


def _bloom(
    self: Any,
    hidden: torch.Tensor,
    residual: torch.Tensor,
    alibi: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The forward pass of BLOOM's attention, with the residual that it adds itself."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    held: InHand = getattr(self, HELD)
    query, key, value = self._reshape(self.query_key_value(hidden))
    places = torch.ones(1, held.positions, dtype=torch.long, device=hidden.device)
    bias = build_alibi_tensor(places, self.num_heads, hidden.dtype)[:, 0]
    out = attend(self, query, key, value, Rules(self.inv_norm_factor, bias=bias), held.groups, held.memory)
    return residual + self.dense(out.flatten(2)), None


_OWN = {"falcon": _falcon, "bloom": _bloom}


def _switch_off_dropout(model: Any) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in _DROPOUTS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    for name in _DROPOUTS:
        if hasattr(model.config, name):
            setattr(model.config, name, 0.0)


# Two branches of three tokens behind a prefix of five: some of the first tokens of every vocabulary.
_PREFIX, _BRANCHES = [5, 9, 7, 3, 8], [[4, 6, 9], [8, 3, 7]]


@torch.no_grad()
def _plain_logits(model: Any) -> torch.Tensor:
    """Return the logits [6, V] of the branches' tokens, each branch in a plain sequence of its own."""
    ids = torch.tensor([_PREFIX + branch for branch in _BRANCHES], device=model.device)
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[:, len(_PREFIX) :]
    return logits.flatten(0, 1).float()


@torch.no_grad()
def _require_same(model: Any, expected: torch.Tensor) -> None:
    """Raise `ModelError` unless a pack of the branches has the logits that they have in sequences of their own."""
    length, branches = len(_PREFIX), [len(branch) for branch in _BRANCHES]
    ids = _PREFIX + [token for branch in _BRANCHES for token in branch]
    places = [*range(length), *(length + i for size in branches for i in range(size))]
    tokens, positions = (torch.tensor([values], device=model.device) for values in (ids, places))
    rows = torch.arange(length, len(ids), device=model.device)
    kind = model.config.model_type
    try:
        groups = (Group(0, length, tuple(branches)),)
        found = Head.of(model).logits(hidden_states(model.base_model, tokens, positions, rows, groups)).float()
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(_REFUSED.format(kind=kind, found=error, known=", ".join(EXACT))) from None
    difference = float((found - expected).norm() / expected.norm())
    if not difference < _TOLERANCE.get(model.dtype, 5e-2):
        found_text = f"answers that differ by {difference:.1%}"
        raise ModelError(_REFUSED.format(kind=kind, found=found_text, known=", ".join(EXACT)))


_REFUSED = (
    "model.base: expected an architecture that answers questions packed behind one schema as it answers each alone; "
    "`{kind}` was tried, found {found}. These do: {known}."
)
