"""Numbers from the blocks of a GGUF file, with numpy alone: merging and blending need no torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError
from sqlwright.models.gguf_file import GgufHeader, TensorPlace, read_header

BLOCKS_AT_ONCE = 1 << 15


def tensor_bytes(shape: tuple[int, ...], kind: int) -> int:
    """Return the bytes that a tensor of this shape takes in the GGML format `kind`."""
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
    return math.prod(shape) // int(block) * int(size)


def block_bytes(data: Any, place: TensorPlace) -> Any:
    """Return the blocks of the tensor at `place` of the memory-mapped file, [blocks, bytes of a block].

    Raises `ModelError` where the file ends before the tensor does.
    """
    import gguf
    import numpy as np

    raw = np.asarray(data[place.offset : place.offset + tensor_bytes(place.shape, place.kind)])
    if len(raw) < tensor_bytes(place.shape, place.kind):
        raise ModelError(f"The tensor {place.name} lies past the end of the file: the GGUF file is cut short.")
    return raw.reshape(-1, int(gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(place.kind)][1]))


def read_values(data: Any, place: TensorPlace) -> Any:
    """Return the tensor at `place` of the memory-mapped file, float32 of its shape."""
    import gguf
    import numpy as np
    from gguf import quants

    kind = gguf.GGMLQuantizationType(place.kind)
    block = int(gguf.GGML_QUANT_SIZES[kind][0])
    blocks = block_bytes(data, place)
    values = np.empty(math.prod(place.shape), dtype=np.float32)
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        # One row of many blocks: the package works in groups of 16 rows, and few long rows are three times faster.
        part = np.ascontiguousarray(blocks[start : start + BLOCKS_AT_ONCE]).reshape(1, -1)
        values[start * block : (start + BLOCKS_AT_ONCE) * block] = quants.dequantize(part, kind).reshape(-1)
    return values.reshape(place.shape)


def read_pairs(path: Path) -> tuple[GgufHeader, dict[str, tuple[Any, Any]]]:
    """Return the header of a GGUF LoRA adapter, and A [rank, in] and B [out, rank] by the GGUF name of the weight.

    Rows are in llama.cpp's order, values float32. Raises `ModelError` where the adapter is of another kind.
    """
    import numpy as np

    header = read_header(path)
    kind = header.metadata.get("general.type", "model")
    if kind != "adapter" or header.metadata.get("adapter.type") != "lora":
        raise ModelError(f"{path}: expected a LoRA adapter, found a {header.architecture} {kind}.")
    data = np.memmap(path, mode="r")
    names = [name.removesuffix(".lora_a") for name in header.tensors if name.endswith(".lora_a")]
    a, b = ([read_values(data, header.tensors[f"{name}.{side}"]) for name in names] for side in ("lora_a", "lora_b"))
    return header, dict(zip(names, zip(a, b, strict=True), strict=True))
