"""The recipe: read, overridden, written back; every mistake is reported, all at once, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sqlwright.errors import RecipeError
from sqlwright.recipe import (
    DataSettings,
    EvaluateSettings,
    ExportSettings,
    ModelSettings,
    PredictSettings,
    PromptSettings,
    Recipe,
    TrainSettings,
    settings,
)
from sqlwright.recipe_file import read_recipe, to_toml

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
WRONG = """name = "a/b"
sead = 3

[train]
epochs = -1
learning_rate = "fast"
ephocs = 2

[prompt]
style = "compakt"

[evalute]
seconds = 1

[predict]
rank = 8
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_errors_are_reported_at_once_with_place_value_and_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(write(tmp_path, WRONG), ["predict.max_tokens=0", "nonsense"])
    text = str(caught.value)
    assert "10 errors in the recipe" in text
    for expected in (
        "my.toml:1: `name` = 'a/b'",
        "my.toml:2: unknown setting `sead`. Did you mean `seed`?",
        "my.toml:5: `train.epochs` = -1",
        "my.toml:6: `train.learning_rate` = 'fast'",
        "my.toml:7: unknown setting `train.ephocs`. Did you mean `epochs`?",
        "my.toml:10: `prompt.style` = 'compakt'",
        "Did you mean `compact`?",
        "my.toml:12: unknown setting `evalute`. Did you mean `evaluate`?",
        "my.toml:16: unknown setting `predict.rank`. It is `train.rank`.",
        "--set predict.max_tokens: `predict.max_tokens` = 0",
        "--set nonsense: expected KEY=VALUE",
    ):
        assert expected in text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.epochs=2", "train.epochs", 2.0),
        ("prompt.style=ddl", "prompt.style", "ddl"),
        ('data.train=["a.json", "b.json"]', "data.train", ["a.json", "b.json"]),
        ("evaluate.keep_distinct=true", "evaluate.keep_distinct", True),
        ("name=second", "name", "second"),
        ("model.base=C:\\models\\own.gguf", "model.base", "C:\\models\\own.gguf"),
    ],
)
def test_overrides_win_over_the_file(tmp_path: Path, override: str, key: str, value: Any) -> None:
    path = write(tmp_path, '[train]\nepochs = 1\n[prompt]\nstyle = "prose"\n')
    assert read_recipe(path, [override]).flat()[key] == value


def test_the_last_of_two_overrides_wins(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, ""), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [("seed = ", "expected TOML"), ("seed = 1\nseed = 2", "expected TOML"), ("train = 3", r"`train` = 3")],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(RecipeError, match=found):
        read_recipe(write(tmp_path, text))


def test_a_missing_and_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="recipe list"):
        read_recipe(tmp_path / "absent.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="UTF-8"):
        read_recipe(binary)
    with pytest.raises(RecipeError):
        read_recipe(tmp_path)


def test_a_section_set_as_a_value(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="single setting"):
        read_recipe(write(tmp_path, "seed = 1"), ["seed.x=1"])


@pytest.mark.parametrize("name", ["shop", "schema", "sql:", "golds:shop"])
def test_a_leak_is_accepted_by_its_kind_and_database(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=r"`data\.accept_leaks` = "):
        read_recipe(write(tmp_path, f'[data]\naccept_leaks = ["{name}"]'))
    assert read_recipe(write(tmp_path, '[data]\naccept_leaks = ["sql:*"]')).data.accept_leaks == ("sql:*",)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "a b", ".hidden"])
def test_a_name_can_only_be_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError):
        read_recipe(write(tmp_path, f'name = "{name}"'))


@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
@pytest.mark.parametrize("key", ["train.alpha", "train.max_gradient_norm", "train.learning_rate"])
def test_numbers_are_finite(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(RecipeError, match=key):
        read_recipe(write(tmp_path, ""), [f"{key}={value}"])


def test_there_is_a_metric(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"`evaluate\.metrics`"):
        read_recipe(write(tmp_path, ""), ["evaluate.metrics=[]"])


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
positive = st.floats(1e-6, 1e6)
recipes = st.builds(
    Recipe,
    name=st.from_regex(r"\A[a-z0-9_]+\Z"),
    seed=st.integers(0, 2**31 - 1),
    model=st.builds(ModelSettings, base=texts, threads=st.integers(0, 1024)),
    data=st.builds(DataSettings, train=st.lists(texts, max_size=3).map(tuple), databases=texts),
    prompt=st.builds(PromptSettings, style=st.sampled_from(["compact", "ddl", "prose"])),
    train=st.builds(TrainSettings, epochs=st.floats(0, 1000), learning_rate=st.floats(1e-12, 1), alpha=positive),
    predict=st.builds(PredictSettings, baseline=st.booleans()),
    evaluate=st.builds(EvaluateSettings, metrics=st.sampled_from([("ex",), ("em", "ex"), ("robust",)])),
    export=st.builds(ExportSettings, check_prompts=st.integers(0, 1000)),
)


@given(recipe=recipes)
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_recipe_written_as_toml_reads_back_the_same(tmp_path: Path, recipe: Recipe) -> None:
    assert read_recipe(write(tmp_path, to_toml(recipe))) == recipe


def test_every_setting_is_described_and_there_are_few() -> None:
    found = list(settings())
    assert len(found) <= 73  # docs/design.md says which ones went over the 60 of the first design
    assert not [key for key, _, _, description in found if len(description) < 15]
    assert {key for key, *_ in found} == set(Recipe().flat())


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_that_ship_are_right(path: Path) -> None:
    assert read_recipe(path).name == path.stem
