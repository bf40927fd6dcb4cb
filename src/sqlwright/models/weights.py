"""The weights of a GGUF file as a transformers model, dequantised: adapters learn on what will serve them.

A folder of transformers is read as it is (`models.folder`).

Fast path for the Qwen2 and Llama families (10 s for 0.5B parameters where transformers' own loader takes a minute,
as it parses the vocabulary twice in Python); any other architecture goes through transformers' loader.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlwright.errors import ModelError
from sqlwright.models.blocks import BLOCKS_AT_ONCE, block_bytes, read_pairs, read_values
from sqlwright.models.folder import load_config, load_folder, read_peft_matrices
from sqlwright.models.gguf_file import GgufHeader, TensorPlace, read_header
from sqlwright.models.rope import set_rope_theta

if TYPE_CHECKING:
    import torch

# GGUF tensor name (without `blk.N.`) to the name in a Llama-like transformers model.
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
FAST_ARCHITECTURES = ("qwen2", "llama")
_NEEDED = ("block_count", "embedding_length", "feed_forward_length", "attention.head_count")


def load_model(path: Path, dtype: torch.dtype, device: str = "cpu", rope_theta: float = 0.0, bits: int = 0) -> Any:
    """Return a transformers causal language model with the dequantised weights of the GGUF file, or of the folder.

    Weights are frozen (no gradients), the model is in evaluation mode on `device`; its rotary positions have the base
    period `rope_theta` where one is given, and the layers of a folder `bits` a weight (4 or 8; 0: as they are). Raises
    `ModelError` for files that aren't GGUF, are damaged, or hold an architecture that transformers can't read.
    """
    model = load_folder(path, dtype, device, bits) if path.is_dir() else _load(path, dtype, device)
    if rope_theta:
        set_rope_theta(model, rope_theta)
    return model


def _load(path: Path, dtype: torch.dtype, device: str) -> Any:
    header = read_header(path)
    if header.architecture not in FAST_ARCHITECTURES:
        return _load_with_transformers(path, dtype, device)
    import torch
    from transformers import AutoModelForCausalLM

    config = _config(header)
    # On the meta device nothing is allocated or initialised: the tensors of the file are put in place directly.
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    _check_shapes(model, header)
    state = _state(header, config, dtype)
    model.load_state_dict(state, strict=False, assign=True)
    if config.tie_word_embeddings:
        model.tie_weights()
    # Rotary frequencies are computed, not stored: build them outside the meta device.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    model.requires_grad_(False)
    return model.to(device).eval()


def model_config(path: Path) -> Any:
    """Return the transformers configuration of a GGUF file or a folder.

    None where only all the weights tell it, or where it is an outline that doesn't name its architecture.
    """
    if path.is_dir():
        named = "model_type" in (path / "config.json").read_text(encoding="utf-8")
        return load_config(path) if named else None
    header = read_header(path)
    return _config(header) if header.architecture in FAST_ARCHITECTURES else None


def merge_adapter(model: Any, path: Path) -> None:
    """Add a LoRA adapter (GGUF, or PEFT's safetensors) to the model's weights, in place: `W += B A · alpha / rank`.

    Best done in float32. Raises `ModelError` where the adapter is of another kind or doesn't fit the model.
    """
    import torch

    parameters = dict(model.named_parameters())
    alpha, matrices = read_matrices(model, path)
    with torch.no_grad():
        for name, (a, b) in matrices.items():
            parameters[name] += (b @ a).mul_(alpha / len(a)).to(parameters[name])


def read_matrices(model: Any, path: Path) -> tuple[float, dict[str, tuple[Any, Any]]]:
    """Return alpha of a LoRA adapter for `model`, and A [rank, in] and B [out, rank] by the weight's name.

    Raises `ModelError` where the adapter is of another kind or doesn't fit the model.
    """
    if path.suffix == ".safetensors":
        return read_peft_matrices(model, path)
    import torch

    header, pairs = read_pairs(path)
    parameters = dict(model.named_parameters())
    heads = {"q_proj": model.config.num_attention_heads, "k_proj": model.config.num_key_value_heads}
    matrices = {}
    for name, (a, b) in pairs.items():
        target = model_name(name)
        weight = parameters.get(target)
        if weight is None or weight.shape != (len(b), a.shape[1]):
            raise ModelError(f"{path}: its tensor {name} doesn't fit the model; it was trained on another base.")
        module = target.split(".")[-2]
        if header.architecture == "llama" and module in heads:
            b = unpermute_rotary(b, heads[module])
        matrices[target] = torch.from_numpy(a), torch.from_numpy(b)
    return float(header.metadata["adapter.lora.alpha"]), matrices


def permute_rotary(rows: Any, heads: int) -> Any:
    """Return q or k rows in llama.cpp's order (pairs side by side) from transformers' (halves), per head.

    Llama-family files only; works on numpy arrays and tensors of shape [heads × size, …].
    """
    size = rows.shape[0] // heads
    return rows.reshape(heads, 2, size // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute_rotary(rows: Any, heads: int) -> Any:
    """Return q or k rows in transformers' order from llama.cpp's; the inverse of `permute_rotary`."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, size // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _config(header: GgufHeader) -> Any:
    """Return the transformers configuration for the header's Llama-like settings."""
    from transformers import LlamaConfig, Qwen2Config

    missing = [key for key in _NEEDED if header.setting(key) is None]
    if missing or "token_embd.weight" not in header.tensors:
        lacking = f"`{header.architecture}.{missing[0]}`" if missing else "the tensor token_embd.weight"
        raise ModelError(f"{header.path}: expected a whole {header.architecture} model, found none of {lacking}.")
    kind = {"qwen2": Qwen2Config, "llama": LlamaConfig}[header.architecture]
    heads = header.setting("attention.head_count")
    hidden = header.setting("embedding_length")
    vocabulary = header.tensors["token_embd.weight"].shape[0]
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": header.setting("rope.freq_base", 10000.0)}
    if header.setting("rope.scaling.type") == "linear":
        rope = rope | {"rope_type": "linear", "factor": header.setting("rope.scaling.factor", 1.0)}
    return kind(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=header.setting("feed_forward_length"),
        num_hidden_layers=header.setting("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=header.setting("attention.head_count_kv", heads),
        head_dim=header.setting("attention.key_length", hidden // heads),
        max_position_embeddings=header.setting("context_length", 2048),
        rms_norm_eps=header.setting("attention.layer_norm_rms_epsilon", 1e-6),
        rope_parameters=rope,
        tie_word_embeddings="output.weight" not in header.tensors,
        bos_token_id=header.metadata.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=header.metadata.get("tokenizer.ggml.eos_token_id"),
        use_cache=False,
    )


def _state(header: GgufHeader, config: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    import numpy as np

    data = np.memmap(header.path, mode="r")
    state = {}
    for place in header.tensors.values():
        name = model_name(place.name)
        if not name:
            continue
        tensor = dequantize(data, place).to(dtype)
        if header.architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            tensor = unpermute_rotary(tensor, heads).contiguous()
        state[name] = tensor
    return state


def in_file_order(weight: torch.Tensor, name: str, header: GgufHeader) -> torch.Tensor:
    """Return a transformers weight with its rows in the order in which a GGUF file like the header's has them."""
    if header.architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        key = "attention.head_count" if "q_proj" in name else "attention.head_count_kv"
        rows: torch.Tensor = permute_rotary(weight, int(header.setting(key)))
        return rows
    return weight


def model_name(gguf_name: str) -> str:
    """Return the transformers name of a GGUF tensor, such as `model.layers.0.mlp.up_proj.weight`; empty if unknown."""
    stem, _, kind = gguf_name.rpartition(".")
    if stem.startswith("blk."):
        _, layer, part = stem.split(".", 2)
        return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}" if part in LAYER_NAMES else ""
    return f"{TOP_NAMES[stem]}.{kind}" if stem in TOP_NAMES else ""


def dequantize(data: Any, place: TensorPlace) -> torch.Tensor:
    """Return the tensor at `place` of the memory-mapped file as float32."""
    import gguf
    import torch

    if place.kind == gguf.GGMLQuantizationType.Q5_0:
        return _five_bits(torch.from_numpy(block_bytes(data, place).copy())).view(place.shape)
    return torch.from_numpy(read_values(data, place))


def _five_bits(blocks: torch.Tensor) -> torch.Tensor:
    """Return the values [N, 32] of Q5_0 blocks [N, 22]: a float16 scale, 32 fifth bits, 32 times four bits.

    Most of a Q4_K_M file of Qwen2.5's 0.5B model is in this format; on all threads it is read five times as fast as
    with the gguf package, bit for bit the same.
    """
    import torch

    values = torch.empty(len(blocks), 32)
    bits = torch.arange(8, dtype=torch.uint8)
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        part = blocks[start : start + BLOCKS_AT_ONCE]
        low = torch.cat([part[:, 6:] & 15, part[:, 6:] >> 4], dim=1)
        fifth = ((part[:, 2:6, None] >> bits) & 1).view(-1, 32) << 4
        scale = part[:, :2].contiguous().view(torch.float16).float()
        torch.mul((low | fifth).view(torch.int8) - 16, scale, out=values[start : start + BLOCKS_AT_ONCE])
    return values


def _check_shapes(model: Any, header: GgufHeader) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    if model.config.tie_word_embeddings:
        expected.pop("lm_head.weight", None)
    found = {model_name(place.name): place.shape for place in header.tensors.values()}
    missing = sorted(set(expected) - set(found))
    wrong = [name for name in expected if name in found and found[name] != expected[name]]
    if missing or wrong:
        raise ModelError(
            f"{header.path}: expected the tensors of a {model.config.model_type} model, found "
            + (f"none for {missing[0]}" if missing else f"{wrong[0]} of shape {found[wrong[0]]}")
            + ". The file is damaged, or made for another architecture than it names."
        )


def _load_with_transformers(path: Path, dtype: torch.dtype, device: str) -> Any:
    from transformers import AutoModelForCausalLM, GgufConfig

    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(path.parent),
            gguf_file=path.name,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"{path}: transformers can't read this architecture from GGUF: {error}.") from None
    model.requires_grad_(False)
    return model.to(device).eval()
