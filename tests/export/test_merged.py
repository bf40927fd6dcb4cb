"""Base and adapter in one GGUF file: its weights are their sum, llama.cpp reads it and answers as with the adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import needs

torch = pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from sqlwright.datasets import package_path  # noqa: E402
from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.export.check import compare_merged  # noqa: E402
from sqlwright.export.gguf_adapter import write_gguf_adapter  # noqa: E402
from sqlwright.export.merged import KINDS, write_merged  # noqa: E402
from sqlwright.models.gguf_file import read_header  # noqa: E402
from sqlwright.models.tokenizer import load_tokenizer  # noqa: E402
from sqlwright.models.weights import load_model, merge_adapter  # noqa: E402
from sqlwright.records import Prompt  # noqa: E402

needs("peft")

PREFIX = "<|im_start|>user\nCREATE TABLE singer (id INTEGER, name TEXT, age INTEGER);\n\n"
PROMPTS = [
    Prompt(str(i), "concerts", PREFIX, f"Question: {text}<|im_end|>\n<|im_start|>assistant\n")
    for i, text in enumerate(("How many singers are there?", "Name the oldest.", "Who is 30?"))
]


@pytest.fixture(scope="module")
def adapter(short_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a GGUF adapter for the short model whose random matrices change its answers."""
    from sqlwright.training.lora import add_lora, trainable

    model = add_lora(load_model(short_model, torch.float32), 8, 16.0, "all-linear", seed=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_(0, 0.06)
    folder = tmp_path_factory.mktemp("short-adapter")
    model.save_pretrained(str(folder))
    write_gguf_adapter(folder, short_model, folder / "adapter.gguf")
    return folder / "adapter.gguf"


@pytest.mark.parametrize(("kind", "most"), [("f16", 2e-3), ("q8_0", 0.02), ("q4_0", 0.3)])
def test_weights_are_the_sum_of_base_and_adapters(
    kind: str, most: float, short_model: Path, adapter: Path, tmp_path: Path
) -> None:
    target = tmp_path / "merged.gguf"
    size = write_merged(short_model, [adapter, adapter], target, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["merged.gguf"] and size == target.stat().st_size
    expected = load_model(short_model, torch.float32)
    for _ in range(2):
        merge_adapter(expected, adapter)
    found = dict(load_model(target, torch.float32).named_parameters())
    for name, weight in expected.named_parameters():
        if weight.dim() == 1:
            assert torch.equal(found[name], weight), name
        else:
            assert (found[name] - weight).abs().max() <= most * weight.abs().max(), name
    header, base = read_header(target), read_header(short_model)
    assert header.metadata == base.metadata | {"general.file_type": KINDS[kind]}
    assert load_tokenizer(target)("SELECT 1")["input_ids"] == load_tokenizer(short_model)("SELECT 1")["input_ids"]


def test_llama_cpp_answers_as_with_the_adapter(short_model: Path, adapter: Path, tmp_path: Path) -> None:
    def agreeing(adapters: list[Path]) -> int:
        write_merged(short_model, adapters, tmp_path / "merged.gguf", "f16")
        found = compare_merged(
            PROMPTS, base=short_model, adapter=adapter, merged=tmp_path / "merged.gguf", max_tokens=4, context=192
        )
        assert found.prompts == len(PROMPTS)
        return found.agree

    # Random matrices leave the model undecided: rounding may tip one answer, but not all of them.
    assert agreeing([adapter]) >= 2 > agreeing([])


def test_what_does_not_fit_is_refused(short_model: Path, adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "merged.gguf"
    with pytest.raises(ModelError, match="expected one of f16, q8_0, q4_0"):
        write_merged(short_model, [adapter], target, "q2")
    with pytest.raises(ModelError, match="expected a LoRA adapter, found a llama model"):
        write_merged(short_model, [short_model], target)
    with pytest.raises(ModelError, match="expected a place for the model"):
        write_merged(short_model, [adapter], tmp_path / "none" / "merged.gguf")
    shipped = package_path("adapter/adapter.gguf")
    with pytest.raises(ModelError, match="doesn't fit"):
        write_merged(short_model, [shipped], target)
    assert not list(tmp_path.iterdir())
