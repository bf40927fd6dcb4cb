"""The shapes of published models, so that `--plan` knows what they take without their weights and without a network.

Each entry has what the model's `config.json` on the Hugging Face hub says of its sizes; the parameters that they come
to are held against the published number by a test. Models whose own code transformers doesn't have are entered as the
architecture of the same shapes: Qwen's first generation is `qwen2` with as many key heads as heads, Baichuan 2 is
`llama` with the query, key and value matrices in one. They can be planned, not trained: `instead` names one that can.
Not covered: any other model; `--plan` fetches the configuration and the tokenizer of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Published:
    """A model's shapes: `config` as transformers takes it, with `model_type`; all its `parameters`."""

    config: Mapping[str, str | int | bool]
    parameters: int
    instead: str = ""
    """A model of its family to train, where its own is code that SQLWright doesn't run; else empty."""


def _llama(
    layers: int, hidden: int, inner: int, vocabulary: int, context: int, kind: str = "llama"
) -> Mapping[str, str | int | bool]:
    """Return the configuration of a model shaped as Llama: heads of 128, each with keys of its own."""
    return MappingProxyType(
        {
            "model_type": kind,
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "intermediate_size": inner,
            "num_attention_heads": hidden // 128,
            "num_key_value_heads": hidden // 128,
            "vocab_size": vocabulary,
            "max_position_embeddings": context,
            "tie_word_embeddings": False,
        }
    )


_STARCODER: Mapping[str, str | int | bool] = MappingProxyType(
    {
        "model_type": "gpt_bigcode",
        "n_layer": 40,
        "n_embd": 6144,
        "n_inner": 24576,
        "n_head": 48,
        "multi_query": True,
        "vocab_size": 49152,
        "n_positions": 8192,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
)
_TRAINABLE = "Qwen/Qwen2.5-7B-Instruct"

PUBLISHED: dict[str, Published] = {
    "bigcode/starcoder": Published(_STARCODER, 15_517_456_384),
    "codellama/CodeLlama-7b-Instruct-hf": Published(_llama(32, 4096, 11008, 32016, 16384), 6_738_546_688),
    "codellama/CodeLlama-13b-Instruct-hf": Published(_llama(40, 5120, 13824, 32016, 16384), 13_016_028_160),
    "meta-llama/Llama-2-7b-chat-hf": Published(_llama(32, 4096, 11008, 32000, 4096), 6_738_415_616),
    "meta-llama/Llama-2-13b-chat-hf": Published(_llama(40, 5120, 13824, 32000, 4096), 13_015_864_320),
    # `intermediate_size` is 22016 and 27392 there: the gate and the matrix beside it together.
    "Qwen/Qwen-7B-Chat": Published(_llama(32, 4096, 11008, 151936, 8192, "qwen2"), 7_721_324_544, _TRAINABLE),
    "Qwen/Qwen-14B-Chat": Published(_llama(40, 5120, 13696, 152064, 8192, "qwen2"), 14_167_290_880, _TRAINABLE),
    "baichuan-inc/Baichuan2-7B-Chat": Published(_llama(32, 4096, 11008, 125696, 4096), 7_505_973_248, _TRAINABLE),
    "baichuan-inc/Baichuan2-13B-Chat": Published(_llama(40, 5120, 13696, 125696, 4096), 13_896_668_160, _TRAINABLE),
}
