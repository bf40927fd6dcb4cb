"""Decoding: from prompts to completions, one file per strategy."""

from __future__ import annotations

from sqlwright.decoding.greedy import Wave, completion, predict, prompt_groups, prompt_waves
from sqlwright.decoding.repair import Repairer
from sqlwright.decoding.vote import Voted, predict_voted, vote

__all__ = [
    "Repairer",
    "Voted",
    "Wave",
    "completion",
    "predict",
    "predict_voted",
    "prompt_groups",
    "prompt_waves",
    "vote",
]
