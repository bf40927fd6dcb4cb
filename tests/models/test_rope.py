"""A larger base period of the rotary positions: set everywhere, remembered by adapters, and by both engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_folders import make_folder
from needs import needs
from random_models import random_model

torch = pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.export.check import compare_engines, compare_merged  # noqa: E402
from sqlwright.export.gguf_adapter import write_gguf_adapter  # noqa: E402
from sqlwright.export.merged import write_merged  # noqa: E402
from sqlwright.models.gguf_file import read_header  # noqa: E402
from sqlwright.models.rope import rope_theta_of, set_rope_theta  # noqa: E402
from sqlwright.models.torch_engine import TorchEngine  # noqa: E402
from sqlwright.models.weights import load_model  # noqa: E402
from sqlwright.records import Prompt  # noqa: E402
from sqlwright.training.lora import add_lora, trainable  # noqa: E402

needs("peft")

THETA = 2_000_000.0


@pytest.mark.parametrize("kind", ["starcoder", "bloom", "gemma3", "linear rope"])
def test_models_without_one_plain_rotary_embedding_are_refused(kind: str) -> None:
    with pytest.raises(ModelError, match="expected a model with one rotary embedding of the default type"):
        set_rope_theta(random_model(kind), THETA)


@pytest.fixture(scope="module")
def adapter(short_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an adapter that was trained with another period, by its word."""
    folder = tmp_path_factory.mktemp("long")
    model = add_lora(load_model(short_model, torch.float32, rope_theta=THETA), 4, 8.0, "attention", seed=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_(0, 0.03)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    write_gguf_adapter(folder, short_model, folder / "adapter.gguf", THETA)
    return folder


def prompts() -> list[Prompt]:
    schema = "CREATE TABLE singer (id INTEGER, name TEXT, age INTEGER);\n" * 12
    texts = ("How many singers are there?", "The oldest one:", "SELECT name", "Ages of all")
    return [Prompt(str(place), "music", schema, text) for place, text in enumerate(texts)]


def test_both_engines_and_the_merged_file_take_it_from_the_adapter(
    adapter: Path, short_model: Path, tmp_path: Path
) -> None:
    gguf = adapter / "adapter.gguf"
    assert rope_theta_of(gguf) == THETA
    how: dict[str, Any] = {"max_tokens": 8, "context": 512}
    compare_engines(prompts(), base=short_model, adapter=adapter, gguf_adapter=gguf, **how).require()
    merged = tmp_path / "merged.gguf"
    write_merged(short_model, [gguf], merged, "f16")
    assert read_header(merged).setting("rope.freq_base") == THETA
    compare_merged(prompts(), base=short_model, adapter=gguf, merged=merged, **how).require()
    # Without the period the same matrices are another model.
    write_gguf_adapter(adapter, short_model, tmp_path / "plain.gguf")
    asked = (prompts()[0].prefix, [prompt.suffix for prompt in prompts()], 8)
    answers = []
    for file in (gguf, tmp_path / "plain.gguf"):
        with TorchEngine(short_model, file, device="cpu", dtype="float32") as engine:
            answers.append([answer.log_probabilities for answer in engine.answer(*asked)])
    assert answers[0] != answers[1]


def test_peft_files_have_it_beside_them(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "llama")
    weights = tmp_path / "adapter_model.safetensors"
    assert rope_theta_of(weights) == 0.0
    (tmp_path / "prompt.json").write_text(json.dumps({"rope_theta": 1e6}))
    assert rope_theta_of(weights) == 1e6
    model = load_model(folder, torch.float32, rope_theta=1e6)
    assert model.config.rope_parameters["rope_theta"] == 1e6
