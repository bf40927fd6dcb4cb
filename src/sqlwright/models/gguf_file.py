"""Read what a GGUF file says of itself: metadata and where its tensors lie, without loading them.

A header holds the whole vocabulary, some 300,000 strings; this reader takes 0.2 s for it, where the `gguf` package
needs half a minute. It reads little-endian GGUF versions 2 and 3. Not covered here: writing (see `sqlwright.export`)
and turning blocks into numbers (see `sqlwright.models.weights`).
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError
from sqlwright.models.folder import ONLY_TORCH

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
METADATA_START = 24


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor lies: `shape` slowest axis first (as torch has it), GGML type number, byte offset in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata by key and the tensors by name, in file order.

    The metadata's `keys` pairs lie between bytes `METADATA_START` and `metadata_end` of the file.
    """

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorPlace]
    keys: int
    metadata_end: int

    @property
    def architecture(self) -> str:
        """The model's architecture as llama.cpp names it, such as `qwen2`."""
        return str(self.metadata["general.architecture"])

    def setting(self, key: str, default: Any = None) -> Any:
        """Return the metadata value `ARCHITECTURE.key`, or `default`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


def read_header(path: Path) -> GgufHeader:
    """Return the header of the GGUF file; raise `ModelError` where the file is missing or isn't one."""
    if path.is_dir():
        raise ModelError(ONLY_TORCH.format(path=path, what="llama.cpp"))
    try:
        stat = path.stat()
        return _read(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"{path}: expected a GGUF model file, found {error.strerror}.") from None
    except (struct.error, LookupError, ValueError, TypeError, ArithmeticError, RecursionError):
        raise ModelError(f"{path}: expected a GGUF file, found one that is damaged or cut short.") from None


@lru_cache(maxsize=4)
def _read(path: Path, size: int, _mtime: int) -> GgufHeader:
    if size < 24:
        raise ModelError(f"{path}: expected a GGUF model file, found {size} bytes.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise ModelError(f"{path}: expected a GGUF file (first bytes 'GGUF'), found {bytes(data[:4])!r}.")
        version, n_tensors, n_keys = struct.unpack_from("<IQQ", data, 4)
        if version not in (2, 3):
            raise ModelError(f"{path}: expected GGUF version 2 or 3, found {version}.")
        at = METADATA_START
        metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            key, at = _string(data, at)
            kind = struct.unpack_from("<I", data, at)[0]
            metadata[key], at = _value(data, at + 4, kind)
        if not isinstance(metadata.get("general.architecture"), str):
            raise ModelError(f"{path}: expected a GGUF file that names its architecture, found none named.")
        metadata_end = at
        places = []
        for _ in range(n_tensors):
            name, at = _string(data, at)
            dims = struct.unpack_from("<I", data, at)[0]
            *shape, kind, offset = struct.unpack_from(f"<{dims}QIQ", data, at + 4)
            at += 4 + dims * 8 + 12
            places.append((name, tuple(reversed(shape)), kind, offset))
    align = int(metadata.get("general.alignment", 32))
    start = (at + align - 1) // align * align
    tensors = {name: TensorPlace(name, shape, kind, start + offset) for name, shape, kind, offset in places}
    return GgufHeader(path, metadata, tensors, n_keys, metadata_end)


def _string(data: mmap.mmap, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    if end > len(data):
        raise ValueError("string past the end of the file")
    return data[at + 8 : end].decode("utf-8", errors="replace"), end


def _value(data: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    if kind in _SCALARS:
        code = _SCALARS[kind]
        return struct.unpack_from("<" + code, data, at)[0], at + struct.calcsize(code)
    if kind == _STRING:
        return _string(data, at)
    if kind != _ARRAY:
        raise ValueError(f"unknown value type {kind}")
    item, length = struct.unpack_from("<IQ", data, at)
    at += 12
    if item in _SCALARS:
        layout = f"<{length}{_SCALARS[item]}"
        return list(struct.unpack_from(layout, data, at)), at + struct.calcsize(layout)
    values = []
    for _ in range(length):
        value, at = _value(data, at, item)
        values.append(value)
    return values, at
