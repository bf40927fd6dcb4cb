"""Weights of a GGUF file: bit for bit those of transformers' own loader; damaged files are said so."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")

from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.models.weights import _five_bits, load_model, model_name, permute_rotary, unpermute_rotary  # noqa: E402


def test_weights_and_answers_are_those_of_transformers_loader(short_model: Path) -> None:
    from transformers import AutoModelForCausalLM, GgufConfig

    ours = load_model(short_model, torch.float32)
    theirs: Any = AutoModelForCausalLM.from_pretrained(
        str(short_model.parent),
        gguf_file=short_model.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    ).eval()
    expected = theirs.state_dict()
    found = ours.state_dict()
    assert found.keys() == expected.keys()
    different = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert different == []
    for key in (
        "rms_norm_eps",
        "num_key_value_heads",
        "tie_word_embeddings",
        "eos_token_id",
        "max_position_embeddings",
    ):
        assert getattr(ours.config, key) == getattr(theirs.config, key), key
    ids = torch.randint(100, 40_000, (1, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)
    assert not any(weight.requires_grad for weight in ours.parameters())
    assert not ours.training


@pytest.mark.parametrize("heads", [1, 3, 4])
def test_permuting_rotary_rows_is_llama_cpps_and_reversible(heads: int) -> None:
    rows = torch.arange(heads * 8 * 5).reshape(heads * 8, 5)
    there = permute_rotary(rows, heads)
    assert torch.equal(unpermute_rotary(there, heads), rows)
    # llama.cpp rotates neighbours (0, 1), (2, 3) …; transformers rotates halves (0, 4), (1, 5) ….
    assert [int(row[0]) // 5 for row in there[:8]] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert (permute_rotary(rows.numpy(), heads) == there.numpy()).all()


def test_names() -> None:
    assert model_name("blk.11.ffn_down.weight") == "model.layers.11.mlp.down_proj.weight"
    assert model_name("blk.0.attn_k.bias") == "model.layers.0.self_attn.k_proj.bias"
    assert model_name("token_embd.weight") == "model.embed_tokens.weight"
    assert model_name("rope_freqs.weight") == ""
    assert model_name("blk.0.strange.weight") == ""


def write_model(path: Path, drop: str = "", wrong: str = "") -> Path:
    """Write a GGUF Llama of one layer with random weights; without the tensor `drop`, or `wrong` with a lost row."""
    import numpy as np

    hidden, inner, vocabulary, heads = 16, 24, 30, 2
    shapes = {
        "token_embd.weight": (vocabulary, hidden),
        "output_norm.weight": (hidden,),
        "blk.0.attn_norm.weight": (hidden,),
        "blk.0.ffn_norm.weight": (hidden,),
        **{f"blk.0.attn_{part}.weight": (hidden, hidden) for part in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (inner, hidden),
        "blk.0.ffn_up.weight": (inner, hidden),
        "blk.0.ffn_down.weight": (hidden, inner),
    }
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_context_length(64)
    draw = np.random.default_rng(0)
    for name, shape in shapes.items():
        if name == wrong:
            shape = (shape[0] - 2, *shape[1:])
        if name != drop:
            writer.add_tensor(name, draw.standard_normal(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_small_model_in_both_formats(tmp_path: Path) -> None:
    path = write_model(tmp_path / "small.gguf")
    model = load_model(path, torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model(torch.arange(9)[None]).logits.shape == (1, 9, 30)
    exact = load_model(path, torch.float32)
    for one, other in zip(model.parameters(), exact.parameters(), strict=True):
        assert torch.equal(one, other.bfloat16())


@pytest.mark.parametrize(
    "damage", [{"drop": "blk.0.ffn_up.weight"}, {"wrong": "blk.0.ffn_down.weight"}, {"wrong": "blk.0.attn_q.weight"}]
)
def test_missing_and_misshapen_tensors(tmp_path: Path, damage: dict[str, str]) -> None:
    path = write_model(tmp_path / "damaged.gguf", **damage)
    with pytest.raises(ModelError, match=r"expected the tensors of a llama model.*damaged"):
        load_model(path, torch.float32)


@pytest.mark.parametrize("lost", [1, 100, 2000])
def test_a_file_cut_short(tmp_path: Path, lost: int) -> None:
    path = write_model(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ModelError, match="cut short"):
        load_model(path, torch.float32)


def test_an_architecture_that_nobody_knows(tmp_path: Path) -> None:
    path = write_model(tmp_path / "other.gguf")
    path.write_bytes(re.sub(rb"llama", b"lamma", path.read_bytes()))
    with pytest.raises(ModelError, match="transformers can't read this architecture"):
        load_model(path, torch.float32)


def test_a_setting_that_is_missing(tmp_path: Path) -> None:
    path = write_model(tmp_path / "bare.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama.block_count", b"llama.block_kount"))
    with pytest.raises(ModelError, match="block_count"):
        load_model(path, torch.float32)
    with pytest.raises(ModelError, match="token_embd"):
        load_model(write_model(tmp_path / "none.gguf", drop="token_embd.weight"), torch.float32)


def test_no_gguf_at_all(tmp_path: Path) -> None:
    path = tmp_path / "not.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", 3))
    with pytest.raises(ModelError):
        load_model(path, torch.float32)


def test_five_bit_blocks_are_those_of_the_gguf_package() -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    blocks = draw.integers(0, 256, (40_000, 22), dtype=np.uint8)  # more than are read at once
    blocks[:, :2] = draw.normal(0, 0.01, 40_000).astype(np.float16).view(np.uint8).reshape(-1, 2)
    expected = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q5_0)
    assert np.array_equal(_five_bits(torch.from_numpy(blocks)).numpy(), expected)
