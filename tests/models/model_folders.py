"""Folders of transformers with random weights and a tokenizer of bytes, small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from random_models import random_model

CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_folder(path: Path, kind: str, special: tuple[str, ...] = ()) -> Path:
    """Write a random model of one of `KINDS` with a tokenizer to `path` and return it."""
    special = ("<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", *special)
    tokenizer = byte_tokenizer(special)
    random_model(kind, vocabulary=len(tokenizer)).save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))
    return path


def byte_tokenizer(special: tuple[str, ...]) -> Any:
    """Return a fast tokenizer whose tokens are the special ones and the 256 bytes; the third ends an answer."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*special, *letters])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=special[0], bos_token=special[1], eos_token=special[2]
    )
    tokenizer.chat_template = CHAT
    return tokenizer
