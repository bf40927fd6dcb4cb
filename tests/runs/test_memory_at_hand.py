"""Tokens that the memory at hand decides: once, when training begins; a run that goes on keeps its packs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from needs import needs

pytest.importorskip("torch")
pytest.importorskip("gguf")

from short_model import first_blocks
from small_recipe import write_recipe

from sqlwright import pipeline
from sqlwright.errors import ModelError
from sqlwright.models import device
from sqlwright.recipe_file import read_recipe
from sqlwright.runs.reporter import Silent

needs("peft")


class Interrupting(Silent):
    """Keeps what is said and raises what Ctrl-C does once so many questions are trained."""

    def __init__(self, at: int) -> None:
        self.at, self.said = at, [""]

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, label: str, done: int, total: int, note: str = "", curve: Any = (), unit: str = "") -> None:
        if label == "train" and self.at <= done < total:
            raise KeyboardInterrupt


def test_a_run_that_goes_on_keeps_its_packs(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = first_blocks(tiny_model, tmp_path / "two.gguf", 2)
    recipe = write_recipe(tmp_path, "memory", base, 9, "checkpoint_every = 1")
    chosen = read_recipe(recipe, ["train.tokens_per_batch=0", "train.questions_per_sequence=0"])

    def learn(memory: float, at: int) -> Interrupting:
        reporter = Interrupting(at)
        monkeypatch.setattr(device, "free_memory", lambda _: memory)
        try:
            pipeline.run(chosen, recipe, tmp_path, reporter, only="train")
        except KeyboardInterrupt:
            assert at < 9
        return reporter

    def decided() -> Any:
        manifest = json.loads((tmp_path / "memory" / "manifest.json").read_text(encoding="utf-8"))
        return manifest["stages"]["train"]["decided"]["tokens_per_batch"]

    first = learn(2e9, 4)
    tokens = decided()
    assert 128 < tokens < 50_000
    assert f"{tokens:,} tokens pass at once, by the memory" in "\n".join(first.said)
    assert any("questions share a schema" in text for text in first.said)
    second = learn(9e9, 99)
    assert decided() == tokens
    assert any("Continuing training after step" in text for text in second.said)
    with pytest.raises(ModelError, match=r"GB of memory, found 0\.2 GB free"):
        chosen = read_recipe(recipe, ["train.tokens_per_batch=0", "name=small"])
        learn(2e8, 99)
