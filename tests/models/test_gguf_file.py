"""The header reader: what it reads of a real file, and that no damaged file gets past it as anything but ModelError."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlwright.errors import ModelError
from sqlwright.models.gguf_file import read_header


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def small_file(version: int = 3) -> bytes:
    """Return a whole GGUF file with every kind of value and two tensors."""
    pairs = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("llama.block_count") + struct.pack("<II", 4, 2),
        string("llama.rate") + struct.pack("<If", 6, 0.5),
        string("flag") + struct.pack("<I?", 7, True),
        string("large") + struct.pack("<IQ", 10, 2**40),
        string("tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("größe"),
        string("scores") + struct.pack("<IIQ2f", 9, 6, 2, 1.0, 2.0),
        string("nested") + struct.pack("<IIQIQ2BIQB", 9, 9, 2, 0, 2, 1, 2, 0, 1, 3),
    ]
    tensors = [
        string("token_embd.weight") + struct.pack("<I2QIQ", 2, 4, 3, 0, 0),
        string("output_norm.weight") + struct.pack("<IQIQ", 1, 4, 0, 64),
    ]
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs + tensors)
    return head.ljust(-(-len(head) // 32) * 32, b"\0") + bytes(96)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "file.gguf"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_every_kind_of_value(tmp_path: Path, version: int) -> None:
    data = small_file(version)
    header = read_header(write(tmp_path, data))
    assert header.architecture == "llama"
    assert header.setting("block_count") == 2
    assert header.setting("absent", 7) == 7
    assert header.metadata["flag"] is True
    assert header.metadata["large"] == 2**40
    assert header.metadata["tokens"] == ["a", "größe"]
    assert header.metadata["scores"] == [1.0, 2.0]
    assert header.metadata["nested"] == [[1, 2], [3]]
    embedding, norm = header.tensors.values()
    assert (embedding.name, embedding.shape, embedding.kind) == ("token_embd.weight", (3, 4), 0)
    assert embedding.offset == len(data) - 96
    assert norm.offset == embedding.offset + 64


def test_every_truncation_of_the_header_is_a_model_error(tmp_path: Path) -> None:
    data = small_file()
    end = data.rindex(b"output_norm.weight") + len(b"output_norm.weight") + 4 + 8 + 12
    path = tmp_path / "file.gguf"
    for length in range(end):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"file\.gguf"):
            read_header(path)


@given(st.data())
@settings(max_examples=300)
def test_no_damage_is_anything_but_a_model_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(small_file())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 97))] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        read_header(path)
    except ModelError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 bytes"),
        (b"GGUF", "4 bytes"),
        (b"PK\x03\x04" + bytes(100), "PK"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(50), "found 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(50), "version 2 or 3"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60) + bytes(50), "damaged|cut short"),
    ],
    ids=["empty", "short", "zip", "version 1", "big-endian", "absurd counts"],
)
def test_files_that_are_no_gguf(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(ModelError, match=found):
        read_header(write(tmp_path, content))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_header(tmp_path / "absent.gguf")
    with pytest.raises(ModelError):
        read_header(tmp_path)


def test_a_header_without_an_architecture(tmp_path: Path) -> None:
    data = small_file().replace(b"general.architecture", b"general.architexture")
    with pytest.raises(ModelError, match="architecture"):
        read_header(write(tmp_path, data))


@pytest.mark.parametrize(
    "pair",
    [
        string("general.alignment") + struct.pack("<II", 4, 0),
        string("general.alignment") + struct.pack("<I", 8) + string("wide"),
        string("deep") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000,
    ],
    ids=["no alignment", "alignment in words", "arrays in arrays"],
)
def test_metadata_that_makes_no_sense(tmp_path: Path, pair: bytes) -> None:
    architecture = string("general.architecture") + struct.pack("<I", 8) + string("llama")
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + architecture + pair
    with pytest.raises(ModelError, match="damaged"):
        read_header(write(tmp_path, head + bytes(64)))


def test_the_tiny_model_as_the_gguf_package_reads_it(tiny_model: Path) -> None:
    gguf = pytest.importorskip("gguf")
    header = read_header(tiny_model)
    reader = gguf.GGUFReader(str(tiny_model))
    assert header.architecture == "llama"
    assert {tensor.name: (int(tensor.data_offset), int(tensor.tensor_type)) for tensor in reader.tensors} == {
        place.name: (place.offset, place.kind) for place in header.tensors.values()
    }
    for tensor in reader.tensors:
        assert header.tensors[tensor.name].shape == tuple(int(size) for size in reversed(tensor.shape))
    assert header.metadata["tokenizer.chat_template"] == reader.fields["tokenizer.chat_template"].contents()


def test_truncations_of_the_tiny_model(tiny_model: Path, tmp_path: Path) -> None:
    with tiny_model.open("rb") as file:
        head = file.read(3_000_000)
    draw = random.Random(0)
    for length in [*(draw.randrange(len(head) // 3) for _ in range(8)), 24, 25]:
        with pytest.raises(ModelError):
            read_header(write(tmp_path, head[:length]))
