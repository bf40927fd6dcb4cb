"""An adapter as GGUF: llama.cpp answers with it as torch does with PEFT's; what doesn't fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from needs import needs

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from sqlwright.errors import ModelError
from sqlwright.export import gguf_adapter
from sqlwright.export.check import Agreement, compare_engines
from sqlwright.export.gguf_adapter import write_gguf_adapter
from sqlwright.models.gguf import GgufEngine
from sqlwright.models.gguf_file import read_header
from sqlwright.records import Prompt

needs("peft")

PREFIX = "<|im_start|>user\nCREATE TABLE singer (id INTEGER, name TEXT, country TEXT, age INTEGER);\n\n"
PROMPTS = [
    Prompt(str(i), "concerts", PREFIX, f"Question: {text}<|im_end|>\n<|im_start|>assistant\n")
    for i, text in enumerate(("How many singers are there?", "Name the oldest.", "List all countries.", "Who is 30?"))
]


def compare(tiny_model: Path, adapter: Path, gguf: Path) -> Agreement:
    return compare_engines(
        PROMPTS, base=tiny_model, adapter=adapter, gguf_adapter=gguf, max_tokens=12, context=192, threads=2
    )


def test_the_exported_adapter_answers_as_torch_does(tiny_model: Path, random_adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "adapter.gguf"
    assert write_gguf_adapter(random_adapter, tiny_model, target) == 2 * 7 * 30
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.gguf"]
    agreement = compare(tiny_model, random_adapter, target)
    assert agreement.prompts == 4
    # Random matrices leave the model undecided: llama.cpp's 8-bit activations tip close choices, not probabilities.
    assert agreement.agree >= 2
    assert agreement.difference < 0.03
    with (
        GgufEngine(tiny_model, context=192, parallel=4) as plain,
        GgufEngine(tiny_model, target, context=192, parallel=4) as adapted,
    ):
        suffixes = [prompt.suffix for prompt in PROMPTS]
        without, with_it = (engine.answer(PREFIX, suffixes, 12) for engine in (plain, adapted))
    assert [one.tokens for one in without] != [one.tokens for one in with_it], "the adapter must matter"


def test_without_the_permutation_the_check_fails(
    tiny_model: Path, random_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_adapter, "permute_rotary", lambda rows, _heads: rows)
    target = tmp_path / "adapter.gguf"
    write_gguf_adapter(random_adapter, tiny_model, target)
    agreement = compare(tiny_model, random_adapter, target)
    assert agreement.difference > 0.06
    assert agreement.agree <= 2
    with pytest.raises(ModelError, match="doesn't answer as what was trained"):
        agreement.require()


@pytest.mark.parametrize(
    ("prompts", "agree", "difference", "good"),
    [(20, 18, 0.05, True), (20, 17, 0.0, False), (20, 20, 0.06, False), (1, 1, 0.0, True), (1, 0, 0.0, False)],
)
def test_what_counts_as_agreement(prompts: int, agree: int, difference: float, good: bool) -> None:
    assert Agreement(prompts, agree, 0.0, -difference).good is good


def test_the_file_says_what_it_is(tiny_model: Path, random_adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "adapter.gguf"
    write_gguf_adapter(random_adapter, tiny_model, target)
    header = read_header(target)
    assert header.metadata["general.type"] == "adapter"
    assert header.metadata["adapter.type"] == "lora"
    assert header.metadata["adapter.lora.alpha"] == 16.0
    assert header.architecture == "llama"
    assert header.tensors["blk.3.attn_q.weight.lora_a"].shape == (8, 576)
    assert header.tensors["blk.3.attn_q.weight.lora_b"].shape == (576, 8)
    assert {place.kind for place in header.tensors.values()} == {0}, "float32"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"settings": {"use_dora": True}}, "found DoRA, which a GGUF adapter can.t hold"),
        ({"settings": {"peft_type": "IA3"}}, "found IA3"),
        ({"rename": ("mlp.up_proj", "mlp.side_proj")}, "no counterpart in GGUF"),
        ({"rename": ("lora_A", "lora_C")}, "no counterpart in GGUF"),
        ({"rename": ("layers.29.", "layers.30.")}, "doesn't fit"),
        ({"rows": 2}, "doesn't fit"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(
    tiny_model: Path, damaged: Callable[..., Path], tmp_path: Path, change: dict[str, object], found: str
) -> None:
    target = tmp_path / "out" / "adapter.gguf"
    target.parent.mkdir()
    with pytest.raises(ModelError, match=found):
        write_gguf_adapter(damaged(**change), tiny_model, target)
    assert list(target.parent.iterdir()) == []


def test_the_engine_refuses_an_adapter_of_another_base(tiny_model: Path, random_adapter: Path, tmp_path: Path) -> None:
    import re

    target = tmp_path / "adapter.gguf"
    write_gguf_adapter(random_adapter, tiny_model, target)
    content = target.read_bytes()
    other = tmp_path / "other.gguf"
    other.write_bytes(
        content.replace(
            b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama",
            b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0qwen2",
        )
    )
    with pytest.raises(ModelError, match="expected a LoRA adapter for a llama model, found a qwen2 adapter"):
        GgufEngine(tiny_model, other)
    other.write_bytes(re.sub(rb"blk\.29\.", rb"blk.99.", content))
    with pytest.raises(ModelError, match=r"doesn't fit .* it was trained on another base"):
        GgufEngine(tiny_model, other)


@pytest.mark.model
def test_an_adapter_of_another_model_is_refused(base_model: Path, random_adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"doesn't fit {base_model.name}"):
        write_gguf_adapter(random_adapter, base_model, tmp_path / "adapter.gguf")
