"""A real model with fewer blocks: quick where a test needs a file, a tokenizer and real weights, but no sense."""

from __future__ import annotations

import struct
from pathlib import Path

from sqlwright.models.gguf_file import read_header


def first_blocks(source: Path, target: Path, count: int) -> Path:
    """Write the GGUF file `source` with only its first `count` blocks to `target` and return it."""
    header = read_header(source)
    data = source.read_bytes()
    first = next(iter(header.tensors)).encode()
    head = bytearray(data[: data.index(struct.pack("<Q", len(first)) + first)])
    places = sorted(header.tensors.values(), key=lambda place: place.offset)
    ends = [place.offset for place in places[1:]] + [len(data)]
    key = f"{header.architecture}.block_count".encode()
    infos, body, kept = b"", b"", 0
    for place, end in zip(places, ends, strict=True):
        if place.name.startswith("blk.") and int(place.name.split(".")[1]) >= count:
            continue
        name, shape = place.name.encode(), place.shape[::-1]
        infos += struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos += struct.pack("<IQ", place.kind, len(body))
        body += data[place.offset : end]  # with its padding
        kept += 1
    struct.pack_into("<Q", head, 8, kept)
    struct.pack_into("<I", head, head.index(key) + len(key) + 4, count)
    whole = bytes(head) + infos
    target.write_bytes(whole + bytes(-len(whole) % 32) + body)
    return target
