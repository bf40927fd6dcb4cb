"""Decoding: from prompts to completions. Greedy so far; one file per strategy."""

from __future__ import annotations

from sqlwright.decoding.greedy import Wave, completion, predict, prompt_groups, prompt_waves

__all__ = ["Wave", "completion", "predict", "prompt_groups", "prompt_waves"]
