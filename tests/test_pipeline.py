"""All stages end to end, with the tiny model, and with few of its layers: what is written, what is done again and why,
and kill -9 in each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from needs import needs

pytest.importorskip("xllamacpp")
pytest.importorskip("torch")

from sqlwright import pipeline
from sqlwright.cli.app import run as run_command
from sqlwright.databases import Executor
from sqlwright.decoding.retry import AGAIN
from sqlwright.errors import RecipeError, RunLockedError
from sqlwright.models.gguf_file import read_header
from sqlwright.models.weights import read_pairs
from sqlwright.recipe_file import read_recipe
from sqlwright.records import Completion, Verdict, read_records
from sqlwright.runs.folder import RunFolder

needs("peft")

QUICKSTART = Path(str(resources.files("sqlwright"))) / "data" / "quickstart"
STAGES = ["prepare", "train", "predict.base", "predict", "evaluate", "export"]
RECIPE = """
name = "small"
seed = 1

[model]
base = "{base}"
dtype = "float32"

[data]
train = ["train.json"]
evaluate = ["evaluate.json"]
databases = "package:quickstart/database"
tables = "package:quickstart/tables.json"
max_train = 10
max_evaluate = 4

[prompt]
sample_values = 0
max_schema_tokens = 64

[train]
learning_rate = 1e-3
rank = 2
questions_per_step = 3
questions_per_sequence = 3
tokens_per_batch = 512
checkpoint_every = 1

[predict]
engine = "gguf"
max_tokens = 6
parallel = 2

[export]
check_prompts = 0
"""


class Recorder:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.actions: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.said: list[str] = []

    def stage(self, name: str, action: str, why: str = "") -> None:
        self.actions[name], self.reasons[name] = action, why

    def progress(self, label: str, done: int, total: int, note: str = "", curve: Any = (), unit: str = "") -> None:
        assert 0 <= done <= total, f"{label}: {done} of {total} {note}"

    def say(self, text: str) -> None:
        self.said.append(text)

    def finish(self) -> None:
        return

    def redone(self) -> list[str]:
        return [name for name, action in self.actions.items() if action != "up to date"]


@pytest.fixture(scope="session")
def recipe_path(short_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe over questions of the quickstart: three databases to learn from, two to be asked about."""
    folder = tmp_path_factory.mktemp("recipe")
    for name, count, each in (("train", 3, 4), ("evaluate", 2, 3)):
        questions = json.loads((QUICKSTART / f"{name}.json").read_text(encoding="utf-8"))
        databases = sorted({question["db_id"] for question in questions})[:count]
        chosen = [q for database in databases for q in [q for q in questions if q["db_id"] == database][:each]]
        (folder / f"{name}.json").write_text(json.dumps(chosen), encoding="utf-8")
    path = folder / "small.toml"
    path.write_text(RECIPE.replace("{base}", str(short_model)), encoding="utf-8")
    return path


def run(recipe_path: Path, runs: Path, *overrides: str, only: str | None = None) -> Recorder:
    recorder = Recorder()
    pipeline.run(read_recipe(recipe_path, overrides), recipe_path, runs, recorder, only=only)
    return recorder


@pytest.fixture(scope="session")
def finished(recipe_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of runs with an undisturbed run `small`."""
    runs = tmp_path_factory.mktemp("finished")
    recorder = run(recipe_path, runs)
    assert recorder.actions == dict.fromkeys(STAGES, "run")
    return runs


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run, to be changed."""
    shutil.copytree(finished, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


def results(runs: Path) -> dict[str, Any]:
    """Return all that must not depend on how often a run was interrupted."""
    folder = RunFolder(runs / "small")
    answers = {
        path.name: [(one.id, one.text, one.sql, one.tokens) for one in read_records(path, Completion)]
        for path in (folder.baseline, folder.completions)
    }
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    return {
        "questions": folder.questions.read_bytes(),
        "verdicts": list(read_records(folder.verdicts, Verdict)),
        "answers": answers,
        "adapter": (folder.adapter / "adapter_model.safetensors").read_bytes(),
        "gguf": (folder.path / "export" / "adapter.gguf").read_bytes(),
        "scores": report["scores"],
    }


def test_a_run_leaves_all_that_the_readme_promises(finished: Path) -> None:
    folder = RunFolder(finished / "small")
    found = results(finished)
    assert {(one.metric) for one in found["verdicts"]} == {
        f"{metric}, {label}"
        for metric in ("robust", "ex", "em", "ex_keep_distinct")
        for label in ("before fine-tuning", "after fine-tuning")
    }
    assert len(found["verdicts"]) == 4 * 8
    for metrics in found["scores"].values():
        assert metrics["ex"]["overall"]["total"] == metrics["ex"]["expected"] == 4
    page = folder.page.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "before fine-tuning" in page
    assert all(len(answers) == 4 for answers in found["answers"].values())
    assert found["answers"]["completions.jsonl"] != found["answers"]["completions.base.jsonl"], "it has learned"
    assert {path.name for path in (folder.path / "export").iterdir()} >= {
        "adapter.gguf",
        "adapter_model.safetensors",
        "adapter_config.json",
        "prompt.json",
        "README.md",
    }
    for stage in STAGES:
        assert folder.manifest["stages"][stage]["status"] == "done"
    facts = folder.facts("train")
    assert facts["steps"] == len([line for line in _metrics(folder) if "loss" in line]) >= 2
    assert facts["validation loss"][-1] < facts["validation loss"][0]
    assert not list(folder.path.rglob("*.partial"))
    assert read_recipe(folder.recipe).train == read_recipe(folder.recipe, ["name=x"]).train


def test_the_whole_tiny_model_learns_and_both_engines_predict(
    recipe_path: Path, tiny_model: Path, tmp_path: Path
) -> None:
    whole = (f"model.base={tiny_model}", "data.max_evaluate=2")
    assert run(recipe_path, tmp_path, *whole).actions == dict.fromkeys(STAGES, "run")
    losses = RunFolder(tmp_path / "small").facts("train")["validation loss"]
    assert losses[-1] < losses[0]
    in_gguf = results(tmp_path)["answers"]
    assert in_gguf["completions.jsonl"] != in_gguf["completions.base.jsonl"]
    recorder = run(recipe_path, tmp_path, *whole, "predict.engine=torch", only="evaluate")
    assert recorder.actions["predict"] == "redo" and "predict.engine" in recorder.reasons["predict"]
    in_torch = results(tmp_path)["answers"]
    for name, answers in in_gguf.items():
        texts = [{one: text for one, text, *_ in found} for found in (answers, in_torch[name])]
        assert texts[0].keys() == texts[1].keys() and len(texts[0]) == 2
        assert any(texts[0][one] == texts[1][one] for one in texts[0]), "answers of six tokens"


def _metrics(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_second_call_has_nothing_to_do_and_is_quick(recipe_path: Path, runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (runs / "small").rglob("*") if path.name != ".lock"}
    before.pop(runs / "small" / "recipe.toml")
    started = time.process_time()
    recorder = run(recipe_path, runs)
    assert time.process_time() - started < 2
    assert recorder.redone() == []
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if not path.is_dir())


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("train.learning_rate=2e-3", ["train", "predict", "evaluate", "export"]),
        ("evaluate.keep_distinct=true", ["evaluate", "export"]),
        ("evaluate.workers=1", []),
        ("train.checkpoint_every=7", []),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(
    recipe_path: Path, runs: Path, override: str, redone: list[str]
) -> None:
    recorder = run(recipe_path, runs, override)
    assert recorder.redone() == redone
    if redone:
        assert override.partition("=")[0] in recorder.reasons[redone[0]]


def test_base_and_adapter_are_merged_into_one_file(recipe_path: Path, runs: Path) -> None:
    recorder = run(recipe_path, runs, "export.merged=q8_0")
    assert recorder.redone() == ["export"]
    export = runs / "small" / "export"
    header = read_header(export / "model-q8_0.gguf")
    assert header.metadata["general.file_type"] == 7
    assert "FROM ./model-q8_0.gguf" in (export / "Modelfile").read_text(encoding="utf-8")
    assert "`model-q8_0.gguf`" in (export / "README.md").read_text(encoding="utf-8")


def test_what_was_edited_or_lost_is_made_again(recipe_path: Path, runs: Path, finished: Path) -> None:
    folder = runs / "small"
    (folder / "verdicts.jsonl").write_text("{}\n", encoding="utf-8")
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "export")
    recorder = run(recipe_path, runs)
    assert recorder.redone() == ["evaluate", "export"]
    assert recorder.reasons["evaluate"] == "verdicts.jsonl was edited; report.html is missing"
    assert recorder.reasons["export"] == "export is missing"
    assert results(runs) == results(finished)


def test_a_torn_line_of_completions_is_done_again(recipe_path: Path, runs: Path, finished: Path) -> None:
    folder = RunFolder(runs / "small")
    text = folder.completions.read_text(encoding="utf-8")
    folder.completions.write_text(text[:-40], encoding="utf-8")
    folder.manifest["stages"]["predict"]["status"] = "begun"
    folder.write_manifest()
    recorder = run(recipe_path, runs)
    assert recorder.actions["predict"] == "continue"
    assert any("torn" in text for text in recorder.said)
    assert results(runs) == results(finished)


def test_one_stage_only(recipe_path: Path, tmp_path: Path) -> None:
    recorder = run(recipe_path, tmp_path, only="prepare")
    assert recorder.actions == {"prepare": "run"}
    with pytest.raises(RecipeError, match="found 'deploy'"):
        run(recipe_path, tmp_path, only="deploy")


def test_vote_and_repair_are_scored_beside_the_greedy_answers(recipe_path: Path, runs: Path) -> None:
    before = (runs / "small" / "completions.jsonl").read_bytes()
    recorder = run(recipe_path, runs, "predict.samples=4", only="evaluate")
    assert recorder.redone() == ["predict.best", "evaluate"]
    folder = RunFolder(runs / "small")
    assert folder.completions.read_bytes() == before
    greedy = {one.id: one for one in read_records(folder.completions, Completion)}
    for one in read_records(folder.best, Completion):
        assert greedy[one.id].sql in one.candidates and one.sql == one.candidates[0] and len(one.candidates) <= 4
        greedy.pop(one.id)
    assert not greedy
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    assert list(report["scores"]) == ["before fine-tuning", "after fine-tuning", "after fine-tuning, vote among 4"]
    assert any("temperature 0.8" in note for note in report["notes"])
    assert run(recipe_path, runs, "predict.repair=true", only="evaluate").redone() == ["predict.best", "evaluate"]
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    assert list(report["scores"])[-1] == "after fine-tuning, repair"
    assert [one.id for one in read_records(folder.best, Completion)] == [
        one.id for one in read_records(folder.completions, Completion)
    ]
    assert run(recipe_path, runs, "predict.repair=true", only="evaluate").redone() == []


def test_what_cannot_be_run_is_asked_once_more(recipe_path: Path, runs: Path) -> None:
    recorder = run(recipe_path, runs, "predict.retry=true", only="evaluate")
    assert recorder.redone() == ["predict.retry", "predict.best", "evaluate"]
    folder = RunFolder(runs / "small")
    first, second, best = (
        {one.id.removesuffix(AGAIN): one for one in read_records(path, Completion)}
        for path in (folder.completions, folder.retried, folder.best)
    )
    databases = {name: Path(path) for name, path in json.loads((folder.path / "databases.json").read_text()).items()}
    with Executor(workers=1) as executor:
        runs_now = {key: executor.run(databases[one.database], one.sql).ok for key, one in first.items()}
        assert set(second) == {key for key, ok in runs_now.items() if not ok} != set()
        for key, one in best.items():
            taken = not runs_now[key] and executor.run(databases[one.database], second[key].sql).ok
            assert one.sql == (second[key].sql if taken else first[key].sql)
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    assert list(report["scores"])[-1] == "after fine-tuning, retry"
    assert run(recipe_path, runs, "predict.retry=true", only="evaluate").redone() == []


def test_a_run_can_start_from_an_adapter(recipe_path: Path, runs: Path) -> None:
    first = f"model.adapter={runs / 'small'}"
    run(recipe_path, runs, "name=as-it-is", first, "train.epochs=0", only="evaluate")
    again = RunFolder(runs / "as-it-is")
    assert again.completions.read_text("utf-8").count("\n") == 4
    texts = [
        [one.text for one in read_records(path, Completion)]
        for path in (again.completions, RunFolder(runs / "small").completions)
    ]
    assert texts[0] == texts[1]
    assert list(json.loads(again.report.read_text(encoding="utf-8"))["scores"]) == ["adapter"]
    run(recipe_path, runs, "name=more", first, "train.epochs=0.3", only="train")
    losses = [_metrics(RunFolder(runs / name))[0]["validation_loss"] for name in ("small", "more")]
    last = _metrics(RunFolder(runs / "small"))[-1]["validation_loss"]
    assert losses[1] == pytest.approx(last, rel=1e-4)
    assert last < losses[0]


def test_more_can_learn_than_an_adapter_has(recipe_path: Path, runs: Path) -> None:
    run(recipe_path, runs, "name=upper", "train.layers=2", "train.epochs=0.3", only="train")
    given = f"model.adapter={runs / 'upper'}"
    run(recipe_path, runs, "name=all", given, "train.epochs=0.3", "train.rank=3", "train.alpha=12", only="train")
    (_, *_, last), (first, *_, end) = (_metrics(RunFolder(runs / name)) for name in ("upper", "all"))
    # What is new begins with nothing to add.
    assert first["validation_loss"] == pytest.approx(last["validation_loss"], rel=1e-4)
    assert end["validation_loss"] != first["validation_loss"]
    found = [read_pairs(RunFolder(runs / name).adapter / "adapter.gguf")[1] for name in ("upper", "all")]
    assert [len({name.split(".")[1] for name in pairs}) for pairs in found] == [2, 6]
    assert [{len(a) for a, _ in pairs.values()} for pairs in found] == [{2}, {3}]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.rank=1", r"It has rank = 2, layers = 6 and matrices for down_proj.*set the same"),
        ("train.targets=mlp", "expected room for the matrices of the adapter"),
        ("train.layers=4", "layers = 6 .*or more"),
        ("prompt.sample_values=1", r"Set in \[prompt\]: sample_values = 0"),
    ],
)
def test_an_adapter_that_does_not_fit_the_recipe(recipe_path: Path, runs: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run(recipe_path, runs, "name=more", f"model.adapter={runs / 'small'}", override, only="train")


def test_without_training_there_is_one_column(recipe_path: Path, runs: Path) -> None:
    recorder = run(recipe_path, runs, "train.epochs=0", only="evaluate")
    assert "predict.base" not in recorder.actions
    folder = RunFolder(runs / "small")
    assert not folder.adapter.exists()
    scores = json.loads(folder.report.read_text(encoding="utf-8"))["scores"]
    assert list(scores) == ["base model"]


def test_kill_9_in_every_stage_leads_to_the_same_results(recipe_path: Path, finished: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "small" / "manifest.json"
    draw = random.Random(os.getpid())
    words = ["run", str(recipe_path), "--runs", str(tmp_path)]
    # The processes that are killed are forked from one that has imported torch: six imports less.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["peft", "xllamacpp", "sqlwright.cli.app", "sqlwright.pipeline"])

    def status(stage: str) -> str:
        if not manifest.is_file():
            return ""
        found: str = json.loads(manifest.read_text(encoding="utf-8"))["stages"].get(stage, {}).get("status", "")
        return found

    killed = []
    for stage in STAGES:
        process = processes.Process(target=run_command, args=(words,))
        process.start()
        while process.is_alive() and not status(stage):
            time.sleep(0.002)
        if status(stage) == "begun":
            if stage == "train":  # into the steps, some times; before the weights are read, other times
                steps = draw.randrange(3)
                path = tmp_path / "small" / "metrics.jsonl"
                while process.is_alive() and (path.read_text().count('"loss"') if path.is_file() else 0) < steps:
                    time.sleep(0.002)
            else:
                time.sleep(draw.random() * 0.2)
        if stage == "predict":
            with pytest.raises(RunLockedError, match=str(process.pid)):
                run(recipe_path, tmp_path)
        process.kill()
        process.join()
        killed.append((stage, status(stage)))
        assert process.exitcode in {-signal.SIGKILL, 0}
    assert [state for _, state in killed].count("begun") >= 3, killed
    command = [sys.executable, "-c", "from sqlwright.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert results(tmp_path) == results(finished), killed
    assert not list((tmp_path / "small").rglob("*.partial"))
