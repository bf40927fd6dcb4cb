"""Models with random weights of every architecture that is said to run packs, small enough to train in milliseconds."""

from __future__ import annotations

from typing import Any

import pytest

VOCABULARY = 120
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LLAMA = {"intermediate_size": 48, "num_key_value_heads": 2}
_GEMMA = {**_LLAMA, "head_dim": 8}
_WINDOWS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 16}

# By name: the model type, and what its configuration says beside the sizes.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {**_LLAMA, "tie_word_embeddings": False}),
    "internlm as llama": ("llama", {**_LLAMA, "attention_bias": True, "tie_word_embeddings": False}),
    "codellama": ("llama", {**_LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "linear rope": ("llama", {**_LLAMA, "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}),
    "qwen2": ("qwen2", {**_LLAMA, "tie_word_embeddings": True}),
    "qwen2 with windows": ("qwen2", {**_LLAMA, "use_sliding_window": True, **_WINDOWS}),
    "qwen3": ("qwen3", {**_LLAMA, "head_dim": 8}),
    "mistral": ("mistral", {**_LLAMA, "sliding_window": None}),
    "mistral with a window": ("mistral", {**_LLAMA, "sliding_window": 16}),
    "starcoder": ("gpt_bigcode", {"multi_query": True, "n_inner": 48}),
    "starcoder, many key heads": ("gpt_bigcode", {"multi_query": False, "n_inner": 48}),
    "starcoder2": ("starcoder2", {**_LLAMA, "sliding_window": 20, "use_bias": True}),
    "phi": ("phi", {**_LLAMA, "partial_rotary_factor": 0.5}),
    "phi3": ("phi3", {**_LLAMA, "sliding_window": None}),
    "gemma": ("gemma", _GEMMA),
    "gemma2": ("gemma2", {**_GEMMA, **_WINDOWS, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0}),
    "gemma3": ("gemma3_text", {**_GEMMA, **_WINDOWS}),
    "falcon": ("falcon", {"multi_query": True, "alibi": False}),
    "falcon 40b": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2, "alibi": False}),
    "falcon with alibi": ("falcon", {"multi_query": False, "parallel_attn": False, "alibi": True, "bias": True}),
    "bloom": ("bloom", {}),
    "glm": ("glm", {**_LLAMA, "head_dim": 8, "attention_bias": True}),
    "glm4": ("glm4", {**_LLAMA, "head_dim": 8}),
}


def random_model(kind: str, dtype: str = "float32", seed: int = 0, vocabulary: int = VOCABULARY) -> Any:
    """Return a causal model of one of `KINDS`; weights are as large as in a trained model, biases aren't zero."""
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig, AutoModelForCausalLM

    name, settings = KINDS[kind]
    config = AutoConfig.for_model(name, **{**_SIZES, **settings, "vocab_size": vocabulary})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for place, weight in model.named_parameters():
            if "norm" not in place and "ln_" not in place:
                weight.normal_(0, 0.2)
    return model.to(getattr(torch, dtype)).eval()
