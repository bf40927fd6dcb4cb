"""A folder of transformers as a base: read, hashed, answered from in torch, and trained on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from model_folders import CHAT, make_folder
from needs import needs
from random_models import KINDS
from test_torch_engine import alone

torch = pytest.importorskip("torch")

from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.models.engines import choose_engine  # noqa: E402
from sqlwright.models.folder import tensor_shapes  # noqa: E402
from sqlwright.models.gguf_file import read_header  # noqa: E402
from sqlwright.models.tokenizer import chat_template, load_tokenizer  # noqa: E402
from sqlwright.models.torch_engine import TorchEngine  # noqa: E402
from sqlwright.models.verify import find_model, model_hash  # noqa: E402
from sqlwright.models.weights import load_model  # noqa: E402
from sqlwright.training.lora import add_lora, trainable  # noqa: E402

needs("peft")

SCHEMAS = ("a schema of one table: ", "another, which is a bit longer than it: ")
WAVE = [(SCHEMAS[0], ["how many?", "who is the oldest of them all?"]), (SCHEMAS[1], ["names"])]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wave_has_the_answers_of_questions_alone(tmp_path: Path, kind: str) -> None:
    folder = make_folder(tmp_path / "model", kind)
    model, tokenizer = load_model(folder, torch.float32), load_tokenizer(folder)
    with TorchEngine(folder, parallel=8, device="cpu", dtype="float32") as engine:
        found = engine.answer_wave(WAVE, 24, stop=())
    for (prefix, suffixes), answers in zip(WAVE, found, strict=True):
        for suffix, answer in zip(suffixes, answers, strict=True):
            tokens, logs = alone(model, tokenizer, prefix, suffix, 24)
            assert list(answer.tokens) == tokens[: len(answer.tokens)]
            assert answer.log_probabilities == pytest.approx(logs[: len(answer.tokens)], abs=1e-3)


@pytest.mark.parametrize("kind", ["llama", "starcoder", "falcon", "bloom"])
def test_an_adapter_of_peft_is_merged(tmp_path: Path, kind: str) -> None:
    folder = make_folder(tmp_path / "model", kind)
    adapted = add_lora(load_model(folder, torch.float32), 4, 8.0, "all-linear", seed=0)
    with torch.no_grad():
        for weight in trainable(adapted).values():
            weight.normal_(0, 0.2)
    adapted.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    tokens, _ = alone(adapted, load_tokenizer(folder), *(WAVE[1][0], WAVE[1][1][0]), 12)
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    with TorchEngine(folder, weights, device="cpu", dtype="float32") as engine:
        assert list(engine.answer(WAVE[1][0], WAVE[1][1], 12, stop=())[0].tokens) == tokens
    with TorchEngine(folder, device="cpu", dtype="float32") as engine:
        assert list(engine.answer(WAVE[1][0], WAVE[1][1], 12, stop=())[0].tokens) != tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("folders") / "tiny-0.5b", "starcoder")


def test_the_hash_is_that_of_its_files(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "other"))
    assert model_hash(copy) == model_hash(folder)
    assert (folder.parent / "tiny-0.5b.json").is_file(), "the record lies beside the folder"
    before = model_hash(copy)
    settings = copy / "config.json"
    settings.write_text(settings.read_text().replace('"n_inner": 48', '"n_inner":  48'))
    assert model_hash(copy) != before


def test_what_is_read_without_transformers(folder: Path) -> None:
    found = chat_template(folder)
    assert (found.template, found.bos, found.eos) == (CHAT, "<|begin|>", "<|end|>")
    assert "<|user|>" in found.special
    assert tensor_shapes(folder)["transformer.h.0.attn.c_attn.weight"] == (48, 32)


def test_folders_that_are_no_models(folder: Path, tmp_path: Path) -> None:
    assert find_model(str(folder)) == folder
    assert choose_engine("auto", folder) == "torch"
    with pytest.raises(ModelError, match=r'predict.engine = "gguf", found a folder of transformers'):
        choose_engine("gguf", folder)
    with pytest.raises(ModelError, match=r"llama.cpp, found a folder .*convert_hf_to_gguf"):
        read_header(folder)
    with pytest.raises(ModelError, match=r"found a folder without config.json"):
        find_model(str(tmp_path))
    copy = Path(shutil.copytree(folder, tmp_path / "other"))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"expected a fast tokenizer .*save_pretrained"):
        load_tokenizer(copy)
    shutil.copy(folder / "tokenizer.json", copy)
    (copy / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ModelError, match="damaged"):
        tensor_shapes(copy)


def test_code_in_a_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "other"))
    settings = copy / "config.json"
    text = settings.read_text().replace('"gpt_bigcode"', '"unknown"')
    settings.write_text(text.replace("{", '{"auto_map": {"AutoConfig": "own.Own"},', 1))
    (copy / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(ModelError, match="expected a causal language model of transformers"):
        load_model(copy, torch.float32)


def recipe(base: Path) -> str:
    return f'''
name = "folder"
[model]
base = "{base}"
dtype = "float32"
[data]
train = ["train.json"]
evaluate = ["evaluate.json"]
databases = "package:quickstart/database"
tables = "package:quickstart/tables.json"
max_train = 6
max_evaluate = 2
validation_databases = 0
[prompt]
sample_values = 0
max_schema_tokens = 64
[train]
rank = 2
questions_per_step = 3
questions_per_sequence = 3
[predict]
max_tokens = 6
'''


def test_a_run_trains_two_steps_and_predicts(tmp_path: Path) -> None:
    from importlib import resources

    from sqlwright import pipeline
    from sqlwright.models.adapter import read_adapter
    from sqlwright.recipe_file import read_recipe
    from sqlwright.records import Completion, read_records

    quickstart = Path(str(resources.files("sqlwright"))) / "data" / "quickstart"
    for name in ("train.json", "evaluate.json"):
        shutil.copy(quickstart / name, tmp_path)
    base = make_folder(tmp_path / "model", "falcon")
    path = tmp_path / "recipe.toml"
    path.write_text(recipe(base))
    said: list[Any] = []

    class Listener(pipeline.Silent):
        def say(self, text: str) -> None:
            said.append(text)

    read = read_recipe(path)
    planned = pipeline.plan(read, path, tmp_path / "runs")
    assert planned.steps == 2
    assert planned.memory_mb > 0
    pipeline.run(read, path, tmp_path / "runs", Listener())
    run = tmp_path / "runs" / "folder"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2
    assert len(list(read_records(run / "completions.jsonl", Completion))) == 2
    adapter = read_adapter(run)
    assert adapter.weights.name == "adapter_model.safetensors"
    assert adapter.base_hash == model_hash(base)
    assert any("No GGUF adapter" in text for text in said)
    assert "adapter.gguf" not in (run / "export" / "README.md").read_text()
