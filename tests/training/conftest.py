"""Models of both architectures with random weights, small enough to train in milliseconds, and questions for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sqlwright.training.packing import Encoded

VOCABULARY = 120


def random_model(kind: str, dtype: str = "float32", seed: int = 0) -> Any:
    """Return a causal model with grouped-query attention: `llama`, or `qwen2` with biases and a tied head."""
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    torch.manual_seed(seed)
    if kind == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=False))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**sizes, tie_word_embeddings=True))
    with torch.no_grad():  # weights as large as in a trained model, and biases that are not zero
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.normal_(0, 0.2)
    return model.to(getattr(torch, dtype)).eval()


def random_questions(
    shape: Sequence[tuple[int, Sequence[tuple[int, int]]]], seed: int = 0, vocabulary: int = VOCABULARY
) -> list[list[Encoded]]:
    """Return a group per (length of the prefix, [(length of the suffix, length of the target)]) with random tokens."""
    draw = random.Random(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, vocabulary) for _ in range(count))

    groups = []
    for number, (prefix_length, branches) in enumerate(shape):
        prefix = tokens(prefix_length)
        groups.append(
            [
                Encoded(f"{number}-{i}", f"db{number}", prefix, tokens(suffix + target), suffix)
                for i, (suffix, target) in enumerate(branches)
            ]
        )
    return groups


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """Return `random_model`."""
    return random_model


@pytest.fixture
def make_questions() -> Callable[..., list[list[Encoded]]]:
    """Return `random_questions`."""
    return random_questions
