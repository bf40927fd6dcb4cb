"""Kinds of fine-tuning through all stages: what serves them, what the card says, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import needs

torch = pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from small_recipe import write_recipe  # noqa: E402

from sqlwright import pipeline  # noqa: E402
from sqlwright.errors import ModelError, RecipeError  # noqa: E402
from sqlwright.export.gguf_adapter import write_gguf_adapter  # noqa: E402
from sqlwright.models.adapter import read_adapter  # noqa: E402
from sqlwright.models.gguf_file import read_header  # noqa: E402
from sqlwright.models.weights import load_model  # noqa: E402
from sqlwright.recipe_file import read_recipe  # noqa: E402

needs("peft")


@pytest.fixture
def recipe(short_model: Path, tmp_path: Path) -> Path:
    return write_recipe(tmp_path, "kind", short_model, 6)


@pytest.mark.parametrize(("kind", "checked"), [("freeze", 2), ("dora", 0)])
def test_what_no_adapter_can_hold_becomes_a_model(
    kind: str, checked: int, recipe: Path, tiny_model: Path, short_model: Path, tmp_path: Path
) -> None:
    base_file = tiny_model if checked else short_model  # few layers make no sense, and rounding decides what they say
    merged = "" if checked else "q8_0"
    overrides = [f"train.kind={kind}", "train.layers=1", f"export.merged={merged}", "predict.engine=gguf"]
    overrides += [f"export.check_prompts={checked}", f"model.base={base_file}"]
    pipeline.run(read_recipe(recipe, overrides), recipe, tmp_path)
    found = read_adapter(tmp_path / "kind")
    assert found.whole
    assert found.files(base_file) == (found.weights, None)
    base, own = (dict(load_model(path, torch.float32).named_parameters()) for path in (base_file, found.weights))
    last = len({name.split(".")[2] for name in base if ".layers." in name}) - 1
    # Those that differ by more than rounding to F16.
    changed = {name for name, weight in base.items() if not torch.allclose(own[name], weight, rtol=2e-3, atol=1e-5)}
    assert changed
    assert all(f".layers.{last}." in name for name in changed)
    before, after = (read_header(path).tensors for path in (base_file, found.weights))
    assert all(after[name].kind == before[name].kind for name in before if not name.startswith(f"blk.{last}."))
    export = tmp_path / "kind" / "export"
    names = {path.name for path in export.iterdir()}
    assert {"model.gguf", "prompt.json", "README.md"} <= names
    assert ({"model-q8_0.gguf", "Modelfile"} <= names) == bool(merged)
    assert ("adapter_config.json" in names) == (kind == "dora")
    card = (export / "README.md").read_text(encoding="utf-8")
    assert {"freeze": "The last 1 layers of", "dora": "A DoRA adapter (rank 2"}[kind] in card
    assert f"of {checked} greedy answers agree" in card
    with pytest.raises(RecipeError, match=r"expected an adapter, found a model of its own\. Set model\.base to"):
        pipeline.run(
            read_recipe(recipe, [*overrides, f"model.adapter={tmp_path / 'kind'}", "name=next"]),
            recipe,
            tmp_path,
            only="train",
        )


def test_rslora_answers_in_llama_cpp_as_in_torch(recipe: Path, short_model: Path, tmp_path: Path) -> None:
    from sqlwright.models.weights import merge_adapter
    from sqlwright.training.lora import add_lora, trainable

    model = add_lora(load_model(short_model, torch.float32), 4, 8.0, "all-linear", seed=0, kind="rslora")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_(0, 0.05)
    model.save_pretrained(str(tmp_path))
    write_gguf_adapter(tmp_path, short_model, tmp_path / "adapter.gguf")
    merged = load_model(short_model, torch.float32)
    merge_adapter(merged, tmp_path / "adapter.gguf")
    expected = dict(model.merge_and_unload().named_parameters())
    for name, weight in merged.named_parameters():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.kind=full", "model.dtype=bfloat16"], r'expected model\.dtype = "auto" or "float32", found "bfloat16"'),
        (["train.kind=full", "train.layers=2"], r"leave out train\.layers"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        pipeline.run(read_recipe(recipe, overrides), recipe, tmp_path, only="train")


def test_qlora_wants_a_quantised_base(recipe: Path, short_model: Path, tmp_path: Path) -> None:
    from sqlwright.export.merged import write_merged

    exact = tmp_path / "exact.gguf"
    write_merged(short_model, [], exact, "f16")
    chosen = [f"model.base={exact}", "train.kind=qlora"]
    with pytest.raises(RecipeError, match="expected a base of 8 bits or fewer a weight, found 16 in exact"):
        pipeline.run(read_recipe(recipe, chosen), recipe, tmp_path, only="train")


def test_dora_is_no_gguf_adapter(short_model: Path, tmp_path: Path) -> None:
    from sqlwright.training.lora import add_lora

    add_lora(load_model(short_model, torch.float32), 2, 4.0, "mlp", seed=0, kind="dora").save_pretrained(str(tmp_path))
    with pytest.raises(ModelError, match="found DoRA, which a GGUF adapter can't hold"):
        write_gguf_adapter(tmp_path, short_model, tmp_path / "adapter.gguf")
