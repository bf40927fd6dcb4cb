"""Holds what the torch engine writes to a grammar, through `llguidance`.

The likeliest token is asked for first, and only where the grammar forbids it are the others masked: a model that writes
SQL rarely needs that, and asking costs microseconds. llama.cpp does the same inside (see `models.gguf`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from sqlwright.errors import ModelError


class Grammars:
    """Grammars as a tokenizer's tokens see them; each text is read once."""

    def __init__(self, tokenizer: Any, ends: Iterable[int]) -> None:
        """Make them for a transformers tokenizer; `ends` are the tokens that end an answer. Takes half a second."""
        try:
            import llguidance.hf
        except ImportError:
            raise ModelError(
                "Expected llguidance, which holds answers to a grammar, found none. In SQLWright's checkout: "
                "`pip install '.[grammar]'`."
            ) from None
        self._tokens = llguidance.hf.from_tokenizer(tokenizer, eos_token=sorted(ends))
        self._read: dict[str, Any] = {}

    def start(self, text: str) -> Constraint:
        """Return what holds one answer to the grammar `text`; raise `ModelError` if that is none."""
        import llguidance

        if text not in self._read:
            matcher = llguidance.LLMatcher(self._tokens, text, log_level=0)
            if matcher.is_error():
                raise ModelError(f"Expected a grammar for llguidance, found: {matcher.get_error()}")
            self._read[text] = matcher
        return Constraint(self._read[text].deep_copy())


class Constraint:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allows(self, token: int) -> bool:
        """Return whether the token may come next."""
        return bool(self._matcher.validate_tokens([token]) == 1)

    def masked(self, logs: torch.Tensor) -> torch.Tensor:
        """Return the log-probabilities [V] with those of forbidden tokens at minus infinity.

        Raises `ModelError` where the grammar has become too ambiguous to go on.
        """
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        if self._matcher.is_error():
            raise ModelError(f"llguidance gave up: {self._matcher.get_error()}")
        allowed = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)).bitwise_and(1).flatten()[: len(logs)].bool()
        # The model may have more rows than its tokenizer has tokens.
        allowed = torch.nn.functional.pad(allowed, (0, len(logs) - len(allowed)))
        return logs.masked_fill(~allowed.to(logs.device), float("-inf"))

    def take(self, token: int) -> None:
        """Go on behind the token, which is allowed."""
        self._matcher.consume_token(token)
