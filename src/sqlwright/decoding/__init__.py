"""Decoding: from prompts to completions. Greedy so far; one file per strategy."""

from __future__ import annotations

from sqlwright.decoding.greedy import completion, predict, prompt_groups

__all__ = ["completion", "predict", "prompt_groups"]
