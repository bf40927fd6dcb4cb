"""Blended adapters: what they add to the base is the weighted sum, the best that the room allows."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

from sqlwright.cli.app import run
from sqlwright.errors import ModelError
from sqlwright.models.adapter import Adapter, read_adapter, write_prompt_settings
from sqlwright.models.blend import blend

PROMPT = {"style": "compact", "sample_values": 2, "max_schema_tokens": 4096, "few_shot": 0, "matched_values": 4}
SHAPES = {"blk.0.attn_q.weight": (20, 12), "blk.1.ffn_up.weight": (30, 12), "blk.1.ffn_down.weight": (12, 30)}


def adapter(
    folder: Path,
    seed: int,
    rank: int = 3,
    alpha: float = 6.0,
    names: tuple[str, ...] = (),
    shapes: dict[str, tuple[int, int]] = SHAPES,
) -> Adapter:
    rng = np.random.default_rng(seed)
    folder.mkdir()
    writer = gguf.GGUFWriter(str(folder / "adapter.gguf"), "qwen2")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name in names or shapes:
        rows, columns = shapes[name]
        writer.add_tensor(f"{name}.lora_a", rng.normal(size=(rank, columns)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", rng.normal(size=(rows, rank)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_prompt_settings(folder, PROMPT, "base", "0" * 64)
    return read_adapter(folder)


def updates(folder: Path) -> dict[str, np.ndarray]:
    """What the adapter adds to each weight, by llama.cpp's rule: alpha / rank * B A."""
    reader = gguf.GGUFReader(str(folder / "adapter.gguf"))
    alpha = reader.fields["adapter.lora.alpha"].parts[-1][0]
    data = {one.name: gguf.quants.dequantize(one.data, one.tensor_type).astype(np.float64) for one in reader.tensors}
    names = {name.rpartition(".")[0] for name in data}
    return {
        name: alpha / len(data[f"{name}.lora_a"]) * data[f"{name}.lora_b"] @ data[f"{name}.lora_a"] for name in names
    }


def test_a_blend_adds_the_weighted_sum(tmp_path: Path) -> None:
    one = adapter(tmp_path / "one", 1)
    other = adapter(tmp_path / "other", 2, rank=2, alpha=1.0, names=("blk.1.ffn_up.weight", "blk.1.ffn_down.weight"))
    found = blend([(one, 0.7), (other, 0.5)], tmp_path / "both")
    first, second, both = (updates(tmp_path / name) for name in ("one", "other", "both"))
    assert both.keys() == SHAPES.keys()
    for name, update in both.items():
        expected = 0.7 * first[name] + 0.5 * second.get(name, np.zeros(SHAPES[name]))
        np.testing.assert_allclose(update, expected, atol=1e-5)
    assert (found.smallest_rank, found.largest_rank) == (3, 5)
    assert found.kept == pytest.approx(1)
    assert read_adapter(tmp_path / "both").differences(PROMPT) == []


def test_what_stays_is_the_best_of_its_size(tmp_path: Path) -> None:
    one = adapter(tmp_path / "one", 1, rank=8)
    blend([(one, 1)], tmp_path / "cut", megabytes=0.0015)
    whole, cut = updates(tmp_path / "one"), updates(tmp_path / "cut")
    tensors = gguf.GGUFReader(str(tmp_path / "cut" / "adapter.gguf")).tensors
    assert sum(tensor.n_bytes for tensor in tensors) <= 1500
    for name, update in cut.items():
        rank = np.linalg.matrix_rank(update, tol=1e-3)
        u, values, v = np.linalg.svd(whole[name])
        np.testing.assert_allclose(update, (u[:, :rank] * values[:rank]) @ v[:rank], atol=1e-4)
    assert len(cut) >= 2


def test_in_8_bits_the_sum_is_the_same_but_for_rounding(tmp_path: Path) -> None:
    names = {"blk.0.attn_q.weight": (64, 96), "blk.1.ffn_up.weight": (160, 64)}
    one, other = (adapter(tmp_path / str(rank), rank, rank=rank, shapes=names) for rank in (20, 40))
    blend([(one, 0.5), (other, 0.5)], tmp_path / "exact")
    blend([(one, 0.5), (other, 0.5)], tmp_path / "small", kind="q8_0")
    exact, small = updates(tmp_path / "exact"), updates(tmp_path / "small")
    for name in names:
        assert np.abs(exact[name] - small[name]).max() < 0.02 * np.abs(exact[name]).max()
    tensors = gguf.GGUFReader(str(tmp_path / "small" / "adapter.gguf")).tensors
    assert {tensor.tensor_type.name for tensor in tensors} == {"Q8_0"}
    # Ranks of 60 are filled up to 64, in blocks of 34 bytes for 32 values.
    assert sum(tensor.n_bytes for tensor in tensors) == 64 * (64 + 96 + 160 + 64) * 34 // 32


def test_ranks_are_bound(tmp_path: Path) -> None:
    one, other = adapter(tmp_path / "one", 1, rank=4), adapter(tmp_path / "other", 2, rank=4)
    found = blend([(one, 1), (other, 1)], tmp_path / "cut", rank=5)
    assert (found.smallest_rank, found.largest_rank) == (5, 5)
    assert 0.5 < found.kept < 0.999
    first, second, cut = (updates(tmp_path / name) for name in ("one", "other", "cut"))
    for name, update in cut.items():
        u, values, v = np.linalg.svd(first[name] + second[name])
        np.testing.assert_allclose(update, (u[:, :5] * values[:5]) @ v[:5], atol=1e-4)


def test_in_8_bits_blocks_of_32_stay_or_go(tmp_path: Path) -> None:
    names = {"blk.0.attn_q.weight": (64, 96), "blk.1.ffn_up.weight": (160, 64)}
    one, other = (adapter(tmp_path / str(seed), seed, rank=32, shapes=names) for seed in (1, 2))
    blend([(one, 1), (other, 0.5)], tmp_path / "whole", kind="q8_0")
    found = blend([(one, 1), (other, 0.5)], tmp_path / "cut", megabytes=0.014, kind="q8_0")
    assert (found.smallest_rank, found.largest_rank) == (32, 32)
    whole, cut = updates(tmp_path / "whole"), updates(tmp_path / "cut")
    total = sum((whole[name] ** 2).sum() for name in names)
    lost = sum(((whole[name] - cut[name]) ** 2).sum() for name in names)
    assert found.kept == pytest.approx(1 - lost / total, abs=1e-3)
    assert 0.5 < found.kept < 0.999
    tensors = gguf.GGUFReader(str(tmp_path / "cut" / "adapter.gguf")).tensors
    assert sum(tensor.n_bytes for tensor in tensors) == 32 * (64 + 96 + 160 + 64) * 34 // 32 <= 14000


def test_others_than_such_adapters_are_refused(tmp_path: Path) -> None:
    one, other = adapter(tmp_path / "one", 1), adapter(tmp_path / "other", 2)
    settings = json.loads((tmp_path / "other" / "prompt.json").read_text())
    (tmp_path / "other" / "prompt.json").write_text(json.dumps(settings | {"sample_values": 0}))
    with pytest.raises(ModelError, match="prompt settings"):
        blend([(one, 1), (read_adapter(tmp_path / "other"), 1)], tmp_path / "both")
    with pytest.raises(ModelError, match="empty folder"):
        blend([(one, 1)], tmp_path / "other")
    with pytest.raises(ModelError, match="the smallest piece takes more"):
        blend([(one, 1)], tmp_path / "both", megabytes=0.0001)
    with pytest.raises(ModelError, match="expected one of f32, q8_0 as the format"):
        blend([(one, 1)], tmp_path / "both", kind="q4_0")
    assert not (tmp_path / "both").exists()
    assert other.folder.is_dir()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter(tmp_path / "one", 1)
    adapter(tmp_path / "other", 2)
    words = ["models", "blend", str(tmp_path / "one"), str(tmp_path / "other"), "--to", str(tmp_path / "both")]
    assert run([*words, "--weights", "0.25", "0.75", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["largest_rank"] == 6
    one, other, both = (updates(tmp_path / name) for name in ("one", "other", "both"))
    for name in SHAPES:
        np.testing.assert_allclose(both[name], 0.25 * one[name] + 0.75 * other[name], atol=1e-5)
    assert run([*words, "--weights", "1"]) == 2
    assert "a weight for each" in capsys.readouterr().err
