"""Adapters blended into one, and cut to a size: the weighted sum of what they add to the base.

Going part of the way from one adapter to another keeps much of what both know (WiSE-FT, model soups). The sum of two
low-rank updates is a low-rank update; its singular values say what is worth its bytes.

Not covered: adapters of different bases or prompt settings, whole models, PEFT folders without a GGUF file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError
from sqlwright.models.adapter import LORA, Adapter, write_prompt_settings
from sqlwright.models.blocks import read_pairs
from sqlwright.models.rope import KEY, rope_theta_of

KINDS = {"f32": (1, 4), "q8_0": (32, 34)}
"""A block by format: so many values in so many bytes."""
_SMALLEST = 1e-6
"""Singular values below this share of a matrix's largest are rounding errors."""


@dataclass(frozen=True, slots=True)
class Blend:
    """A blended adapter: its file's size in bytes, the ranks of its matrices, the share of the sum that was kept.

    `kept` is the squared norm kept, divided by the whole sum's: 1.0 where nothing was cut.
    """

    bytes: int
    smallest_rank: int
    largest_rank: int
    kept: float


def blend(
    adapters: Sequence[tuple[Adapter, float]], folder: Path, megabytes: float = 0, kind: str = "f32", rank: int = 0
) -> Blend:
    """Write the weighted sum of the adapters' updates as an adapter into `folder`; return what became of it.

    A weight of .5 each is half-way; the base itself is an update of nothing, so one adapter with a weight of .5 is
    half-way to the base. `megabytes` (of a million bytes) bounds the matrices: the singular values that are largest for
    their bytes stay, and a matrix of which none stays is left out. `kind` is a value's format: `f32`, or `q8_0`, whose
    blocks of 32 values take 34 bytes: singular values stay by 32, and ranks are filled up with zeros to whole blocks.
    `rank` bounds the ranks: the largest singular values of each matrix stay.

    Raises:
        ModelError: an adapter that isn't LoRA in a GGUF file, adapters of several bases or prompt settings, a folder
            that holds something, another format, or a size in which nothing has room.
    """
    if kind not in KINDS:
        raise ModelError(f"Blending adapters: expected one of {', '.join(KINDS)} as the format, found {kind}.")
    first = adapters[0][0]
    for adapter, _ in adapters:
        if adapter.weights.name != LORA:
            raise ModelError(f"{adapter.weights}: expected a LoRA adapter in a GGUF file ({LORA}).")
        if _settings(adapter) != _settings(first):
            raise ModelError(
                f"{adapter.folder}: expected the base and the prompt settings of {first.folder}, "
                f"{json.dumps(_settings(first))}, found {json.dumps(_settings(adapter))}."
            )
    if first.few_shot:
        raise ModelError(f"{first.folder}: its prompts show solved questions, which can't be blended.")
    if folder.exists() and any(folder.iterdir()):
        raise ModelError(f"{folder}: expected a new or an empty folder, found files in it.")
    read = [(*_read(adapter.weights), weight) for adapter, weight in adapters]
    architecture = read[0][0]
    parts = {}
    for name in sorted({name for _, matrices, _ in read for name in matrices}):
        parts[name] = _decomposed([(*own[name], weight) for _, own, weight in read if name in own])
    ranks, kept = _ranks(parts, int(megabytes * 1e6), kind, rank)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / LORA, architecture, parts, ranks, kind)
    write_prompt_settings(folder, _settings(first)["prompt"], first.base, first.base_hash)
    used = [rank for rank in ranks.values() if rank]
    return Blend((folder / LORA).stat().st_size, min(used), max(used), kept)


def _settings(adapter: Adapter) -> dict[str, Any]:
    """Return what blended adapters must have in common."""
    return {"base_sha256": adapter.base_hash, "prompt": adapter.prompt_settings}


def _read(path: Path) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """Return the architecture, and (A, B) by tensor name, B times the adapter's own scale: what it adds is B A."""
    import numpy as np

    header, pairs = read_pairs(path)
    if rope_theta_of(path):
        raise ModelError(f"{path}: was trained with rotary positions of its own ({KEY}), which can't be blended.")
    alpha = float(header.metadata["adapter.lora.alpha"])
    return header.architecture, {
        name: (a.astype(np.float64), b.astype(np.float64) * (alpha / len(a))) for name, (a, b) in pairs.items()
    }


def _decomposed(terms: Sequence[tuple[Any, Any, float]]) -> tuple[Any, Any, Any]:
    """Return (U, singular values, V) of the sum of weight * B A, without the zeros at the end."""
    import numpy as np

    a = np.concatenate([a for a, _, _ in terms])
    b = np.concatenate([weight * b for _, b, weight in terms], axis=1)
    left, left_rest = np.linalg.qr(b)
    right, right_rest = np.linalg.qr(a.T)
    u, values, v = np.linalg.svd(left_rest @ right_rest.T)
    rank = int((values > _SMALLEST * values[0]).sum())
    return (left @ u)[:, :rank], values[:rank], (v @ right.T)[:rank]


def _ranks(parts: dict[str, tuple[Any, Any, Any]], most: int, kind: str, rank: int) -> tuple[dict[str, int], float]:
    """Return how many singular values of each matrix stay, whole blocks of the largest for their bytes.

    And which share of the whole sum's squared norm that keeps.
    """
    block, size = KINDS[kind]
    every, total = [], 0.0
    for name, (u, values, v) in parts.items():
        cost = (u.shape[0] + v.shape[1]) * size
        squares = [float(value) ** 2 for value in values]
        total += sum(squares)
        squares = squares[: rank or None]
        every += [
            (sum(squares[start : start + block]), cost, name, len(squares[start : start + block]))
            for start in range(0, len(squares), block)
        ]
    ranks, used, kept = dict.fromkeys(parts, 0), 0, 0.0
    for square, cost, name, count in sorted(every, key=lambda one: -one[0] / one[1]):
        if most and used + cost > most:
            break
        ranks[name] += count
        used += cost
        kept += square
    if not used:
        raise ModelError(
            f"Blending adapters: expected room for more than {most:,} bytes; the smallest piece takes more."
        )
    return ranks, kept / total if total else 1.0


def _write(
    path: Path, architecture: str, parts: dict[str, tuple[Any, Any, Any]], ranks: dict[str, int], kind: str
) -> None:
    """Write a GGUF LoRA; llama.cpp scales a matrix by alpha / its own rank, which is taken out of it beforehand."""
    import gguf
    import numpy as np

    block, _ = KINDS[kind]
    made = gguf.GGMLQuantizationType.Q8_0 if kind == "q8_0" else gguf.GGMLQuantizationType.F32
    aside = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(str(aside), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    alpha = float(max(ranks.values()))
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, (u, values, v) in parts.items():
        rank = ranks[name]
        if rank:
            more = -rank % block
            root = np.sqrt(values[:rank] * (rank + more) / alpha)
            a = np.pad(v[:rank] * root[:, None], ((0, more), (0, 0)))
            b = np.pad(u[:, :rank] * root, ((0, 0), (0, more)))
            for side, matrix in (("lora_a", a), ("lora_b", b)):
                written = gguf.quants.quantize(np.ascontiguousarray(matrix, dtype=np.float32), made)
                writer.add_tensor(f"{name}.{side}", written, raw_dtype=made)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    aside.replace(path)
