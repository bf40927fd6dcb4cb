"""The engines behind one protocol, and which of them answers whole question files on this machine."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sqlwright.errors import ModelError
from sqlwright.models.folder import ONLY_TORCH
from sqlwright.models.gguf import STOP, Answer, GgufEngine
from sqlwright.models.gguf_file import read_header

PARALLEL = {"torch": 96, "gguf": 8}
"""Prompts that are decoded side by side, by engine, where nothing else is asked for."""


class Engine(Protocol):
    """What answers prompts: `GgufEngine` or `TorchEngine`."""

    parallel: int

    def __enter__(self) -> Self:
        """Return the engine."""
        ...

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Free the model."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`."""
        ...

    def answer(self, prefix: str, suffixes: Sequence[str], max_tokens: int) -> list[Answer]:
        """Return the greedy answers to `prefix` + suffix, in order; at most `parallel` suffixes."""
        ...

    def answer_wave(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        *,
        stop: Sequence[str] = STOP,
        grammars: Sequence[str] = (),
        progress: Callable[[int], None],
    ) -> list[list[Answer]]:
        """Return the greedy answers to each prefix with each of its suffixes, in order.

        An answer ends before a text of `stop`. `grammars` has one for the answers to each prefix (see `sql.grammar`),
        an empty text for none. `progress` gets the number of answers that are whole, as they come.
        """
        ...

    def sample_wave(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        samples: int,
        temperature: float,
        seed: int,
        *,
        grammars: Sequence[str] = (),
    ) -> list[list[list[Answer]]]:
        """Return `samples` answers to each suffix of each prefix, the greedy one first; `parallel` in all at most."""
        ...


def choose_engine(wanted: str, model: Path, models: int = 1) -> str:
    """Return `torch` or `gguf`: what is wanted, or for `auto` torch where its weights fit into half of the memory.

    `models` is how many of them are loaded at once. A folder of transformers is read by torch alone.
    """
    if model.is_dir():
        if wanted == "gguf":
            raise ModelError(ONLY_TORCH.format(path=model, what='predict.engine = "gguf"'))
        return "torch"
    if wanted != "auto":
        return wanted
    weights = 4 * models * sum(math.prod(place.shape) for place in read_header(model).tensors.values())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    installed = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "peft"))
    return "torch" if installed and weights <= memory / 2 else "gguf"


def open_engine(
    kind: str,
    model: Path,
    adapter: Path | None = None,
    *,
    context: int,
    parallel: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    threads: int = 0,
) -> Engine:
    """Return the engine `torch` or `gguf` with the model, and with the adapter (its file), if one is given.

    `context` (tokens of prompt and answer) matters to `gguf`, `device` and `dtype` to `torch`; `parallel` 0 takes what
    suits the engine.
    """
    parallel = parallel or PARALLEL[kind]
    if kind == "torch":
        from sqlwright.models.torch_engine import TorchEngine

        return TorchEngine(model, adapter, parallel=parallel, device=device, dtype=dtype, threads=threads)
    return GgufEngine(model, adapter, context=context, parallel=parallel, threads=threads)
