"""GGUF files with weights of our own, for whatever runs GGUF files: llama.cpp, Ollama, LM Studio.

`write_merged`: a base model and its adapters as one file. The base's weights are dequantised, `B A · alpha / rank` of
each adapter is added in order, and matrices are written as F16, Q8_0 or Q4_0, with numpy and one tensor at a time.
`write_trained`: a base with some of its weights trained, these in F16. Everything else of the file, tokenizer and chat
template included, is copied byte for byte.

Not covered: K-quants (`llama-quantize` makes them of an F16 file); adapters of other kinds than LoRA.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sqlwright.errors import ModelError
from sqlwright.models.blocks import block_bytes, read_pairs, read_values, tensor_bytes
from sqlwright.models.gguf_file import METADATA_START, GgufHeader, TensorPlace, read_header
from sqlwright.models.rope import rope_theta_of
from sqlwright.models.weights import in_file_order, model_name

KINDS = {"f16": 1, "q8_0": 7, "q4_0": 2}
"""Formats of matrices, and the number by which a file says which one it mostly has."""
_FILE_TYPE = b"general.file_type"
_UINT32, _FLOAT32 = 4, 6
_FINE = ("token_embd.weight", "output.weight")
"""Matrices that a 4-bit file keeps in 8 bits: what they hold is read once a token and matters most."""


def write_merged(
    base: Path,
    adapters: Sequence[Path],
    target: Path,
    kind: str = "q8_0",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> int:
    """Write `base` with the GGUF LoRA `adapters` merged into it; return the file's size in bytes.

    The file appears whole or not at all. `progress` gets the tensors written so far, and all.

    Raises:
        ModelError: a file is missing or damaged, an adapter doesn't fit, or the target can't be written.
    """
    import numpy as np

    if kind not in KINDS:
        raise ModelError(f"expected one of {', '.join(KINDS)} as the format of a merged model, found {kind!r}.")
    header = read_header(base)
    updates = [_updates(header, path) for path in adapters]
    data = np.memmap(base, mode="r")
    changed = {name for update in updates for name in update}
    formats = {name: _format(place, kind, name in changed) for name, place in header.tensors.items()}

    def merged(place: TensorPlace) -> bytes:
        if formats[place.name] == place.kind and place.name not in changed:
            return bytes(block_bytes(data, place))
        values = read_values(data, place)
        for update in updates:
            if place.name in update:
                a, b, scale = update[place.name]
                values += (b @ a) * scale
        return _encoded(values, formats[place.name])

    theta = max((rope_theta_of(path) for path in adapters), default=0.0)
    return _write(header, target, formats, merged, KINDS[kind], progress, theta)


def write_trained(
    base: Path,
    weights: Mapping[str, Any],
    target: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
    rope_theta: float = 0.0,
) -> int:
    """Write `base` with `weights` (tensors by their names in a transformers model) in place of its own; return bytes.

    Matrices among them are written as F16, vectors as F32; all others stay as they are in the base.

    Raises:
        ModelError: a weight doesn't fit the base, or the target can't be written.
    """
    import numpy as np

    header = read_header(base)
    data = np.memmap(base, mode="r")
    names = {model_name(name): name for name in header.tensors}
    for name, weight in weights.items():
        if name not in names or tuple(weight.shape) != header.tensors[names[name]].shape:
            raise ModelError(f"{base}: expected a model with the weight {name} {list(weight.shape)}, found none.")
    new = {names[name]: in_file_order(weight.float(), name, header) for name, weight in weights.items()}
    formats = {n: _format(place, "f16") if n in new else place.kind for n, place in header.tensors.items()}

    def trained(place: TensorPlace) -> bytes:
        if place.name in new:
            return _encoded(new[place.name].cpu().contiguous().numpy(), formats[place.name])
        return bytes(block_bytes(data, place))

    return _write(header, target, formats, trained, KINDS["f16"], progress, rope_theta)


def _write(
    header: GgufHeader,
    target: Path,
    formats: Mapping[str, int],
    content: Callable[[TensorPlace], bytes],
    file_type: int,
    progress: Callable[[int, int], None],
    rope_theta: float,
) -> int:
    """Write a file like the header's with `content` for each tensor, in the given formats; return its size in bytes."""
    aside = target.with_name(target.name + ".partial")
    try:
        with aside.open("wb") as out:
            _write_head(out, header, formats, file_type, rope_theta)
            for done, place in enumerate(header.tensors.values(), 1):
                raw = content(place)
                out.write(raw)
                out.write(bytes(_padding(len(raw), _alignment(header))))
                progress(done, len(header.tensors))
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ModelError(f"{target}: expected a place for the model, found {error.strerror}.") from None
    return target.stat().st_size


def _updates(header: GgufHeader, path: Path) -> dict[str, tuple[Any, Any, float]]:
    """Return A [rank, in], B [out, rank] and the scale by the name of the weight that an adapter updates."""
    adapter, pairs = read_pairs(path)
    alpha = float(adapter.metadata["adapter.lora.alpha"])
    for name, (a, b) in pairs.items():
        place = header.tensors.get(name)
        if adapter.architecture != header.architecture or place is None or place.shape != (len(b), a.shape[1]):
            raise ModelError(f"{path}: its tensor {name} doesn't fit {header.path.name}; it was made for another base.")
    return {name: (a, b, alpha / len(a)) for name, (a, b) in pairs.items()}


def _write_head(
    out: BinaryIO, header: GgufHeader, formats: Mapping[str, int], file_type: int, rope_theta: float
) -> None:
    """Write everything before the tensors: the base's metadata, and where each tensor will lie."""
    with header.path.open("rb") as file:
        file.seek(METADATA_START)
        metadata = bytearray(file.read(header.metadata_end - METADATA_START))
    keys = header.keys
    _set(metadata, _FILE_TYPE, _UINT32, struct.pack("<I", file_type))
    if rope_theta:
        name = f"{header.architecture}.rope.freq_base".encode()
        value = struct.pack("<f", rope_theta)
        if not _set(metadata, name, _FLOAT32, value):
            metadata += struct.pack("<Q", len(name)) + name + struct.pack("<I", _FLOAT32) + value
            keys += 1
    out.write(b"GGUF" + struct.pack("<IQQ", 3, len(header.tensors), keys))
    out.write(metadata)
    offset = 0
    for place in header.tensors.values():
        name, made = place.name.encode(), formats[place.name]
        shape = tuple(reversed(place.shape))
        out.write(struct.pack("<Q", len(name)) + name)
        out.write(struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, made, offset))
        size = tensor_bytes(place.shape, made)
        offset += size + _padding(size, _alignment(header))
    out.write(bytes(_padding(out.tell(), _alignment(header))))


def _set(metadata: bytearray, name: bytes, kind: int, value: bytes) -> bool:
    """Give a key of the metadata another value of the same kind in place; return whether there is such a key."""
    mark = struct.pack("<Q", len(name)) + name + struct.pack("<I", kind)
    at = metadata.find(mark)
    if at >= 0:
        metadata[at + len(mark) : at + len(mark) + len(value)] = value
    return at >= 0


def _format(place: TensorPlace, kind: str, changed: bool = True) -> int:
    """Return the number of the format in which a tensor is written.

    Vectors stay exact, and so do matrices of a quantised model that no adapter changes and that take no more room.
    """
    import gguf

    types = gguf.GGMLQuantizationType
    if len(place.shape) < 2:
        return int(types.F32)
    if kind == "f16" or place.shape[-1] % 32:
        return int(types.F16)
    made = int(types.Q8_0 if kind == "q8_0" or place.name in _FINE else types.Q4_0)
    smaller = tensor_bytes(place.shape, place.kind) <= tensor_bytes(place.shape, made)
    return place.kind if smaller and not changed else made


def _encoded(values: Any, made: int) -> bytes:
    import gguf

    encoded: bytes = gguf.quants.quantize(values, gguf.GGMLQuantizationType(made)).tobytes()
    return encoded


def _alignment(header: GgufHeader) -> int:
    return int(header.metadata.get("general.alignment", 32))


def _padding(length: int, alignment: int) -> int:
    return -length % alignment
