"""An adapter's folder: what belongs in it, how it is found, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sqlwright.errors import ModelError
from sqlwright.models.adapter import newest_adapter, read_adapter, write_prompt_settings, write_shots
from sqlwright.prompts import Shot

SETTINGS = {"style": "compact", "sample_values": 2, "max_schema_tokens": 1024}
WRONG = {**SETTINGS, "style": "odd", "base": "b", "base_sha256": "c"}


def make(folder: Path, base_hash: str = "abc", time: int | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter.gguf").write_bytes(b"GGUF")
    if time is not None:
        os.utime(folder / "adapter.gguf", (time, time))
    write_prompt_settings(folder, SETTINGS, "tiny", base_hash)
    return folder


def test_settings_come_back(tmp_path: Path, tiny_model: Path) -> None:
    folder = make(tmp_path / "run" / "adapter")
    adapter = read_adapter(folder)
    assert (adapter.base, adapter.base_hash, adapter.weights) == ("tiny", "abc", folder / "adapter.gguf")
    assert read_adapter(tmp_path / "run") == adapter, "a run's folder stands for its adapter"
    fmt = adapter.prompt_format(tiny_model)
    assert (fmt.style.name, fmt.sample_values, fmt.max_schema_tokens) == ("compact", 2, 1024)
    assert fmt.chat.eos == "<|im_end|>"
    assert (fmt.few_shot, fmt.matched_values, adapter.shots()) == (0, 0, []), "as before there were such settings"


def test_solved_questions_go_along(tmp_path: Path, tiny_model: Path) -> None:
    folder = make(tmp_path / "adapter")
    write_prompt_settings(folder, {**SETTINGS, "few_shot": 3, "matched_values": 2}, "tiny", "abc")
    fmt = read_adapter(folder).prompt_format(tiny_model)
    assert (fmt.few_shot, fmt.matched_values) == (3, 2)
    with pytest.raises(ModelError, match=r"shots\.jsonl: expected the solved questions"):
        read_adapter(folder).shots()
    shots = [Shot("1", "farm", "How many?", "SELECT 1", "how many")]
    write_shots(folder, shots)
    assert read_adapter(folder).shots() == shots


@pytest.mark.parametrize("missing", ["adapter.gguf", "prompt.json"])
def test_a_folder_that_is_no_adapter(tmp_path: Path, missing: str) -> None:
    folder = make(tmp_path / "adapter")
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=r"expected an adapter .* found neither"):
        read_adapter(folder)
    with pytest.raises(ModelError, match="expected an adapter"):
        read_adapter(tmp_path / "absent")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"{}", b"\xff", b'{"style": "compact", "base": "b"}', json.dumps(WRONG).encode()],
    ids=["empty", "torn", "list", "number", "nothing", "binary", "keys missing", "unknown style"],
)
def test_prompt_settings_that_are_damaged(tmp_path: Path, content: bytes) -> None:
    folder = make(tmp_path / "adapter")
    (folder / "prompt.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"prompt\.json"):
        read_adapter(folder)


def test_the_newest_adapter_of_the_base(tmp_path: Path) -> None:
    make(tmp_path / "old" / "adapter", time=1000)
    new = make(tmp_path / "new" / "adapter", time=2000)
    make(tmp_path / "other" / "adapter", base_hash="xyz", time=3000)
    damaged = make(tmp_path / "damaged" / "adapter", time=4000)
    (damaged / "prompt.json").write_text("{", encoding="utf-8")
    half = make(tmp_path / "half" / "adapter", time=5000)
    (half / "adapter.gguf").unlink()
    found = newest_adapter(tmp_path, "abc")
    assert found is not None
    assert found.folder == new
    assert newest_adapter(tmp_path, "nobody") is None
    assert newest_adapter(tmp_path / "absent", "abc") is None


def test_the_shipped_adapter_belongs_to_the_default_model() -> None:
    from sqlwright.models.adapter import shipped_adapter
    from sqlwright.models.catalogue import CATALOGUE
    from sqlwright.models.choose import DEFAULT_MODEL

    found = shipped_adapter(CATALOGUE[DEFAULT_MODEL].sha256)
    assert found is not None and found.base == DEFAULT_MODEL
    assert found.weights.stat().st_size < 20_000_000
    assert "cc-by-sa-4.0" in (found.folder / "README.md").read_text(encoding="utf-8")
    assert shipped_adapter("0" * 64) is None
