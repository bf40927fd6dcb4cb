"""Hosted fine-tuning: chat files from a prepared run, checks, costs, and jobs at a service that speaks the API."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fine_tuning_server import KEY, Service, serve

from sqlwright.cli.app import run as sqlwright
from sqlwright.errors import DataError, ModelError
from sqlwright.export.hosted_chat import check_chat
from sqlwright.export.hosted_cost import choose_counter, cost_table, read_prices
from sqlwright.export.hosted_jobs import HostedClient

RECIPE = """
name = "hosted"
[model]
base = "smollm2-135m-instruct"
[data]
train = ["package:quickstart/train.json"]
databases = "package:quickstart/database"
max_train = 40
validation_databases = 1
[hosted]
epochs = 2
"""
MODEL = "gpt-4o-mini-2024-07-18"


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recipe and its run, exported."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hosted")
    (folder / "r.toml").write_text(RECIPE, encoding="utf-8")
    assert sqlwright(["hosted", "export", str(folder / "r.toml"), "--runs", str(folder / "runs")]) == 0
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy", symlinks=True))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    pytest.importorskip("openai")
    with serve(Service()) as started:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", started.url)
        yield started


@pytest.fixture
def hosted(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Return a function from a verb and options to exit code, JSON document and what was said."""

    def call(verb: str, *words: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = sqlwright(["hosted", verb, str(folder / "r.toml"), "--runs", str(folder / "runs"), "--json", *words])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return call


def chat(folder: Path, part: str = "train") -> Path:
    return folder / "runs" / "hosted" / "hosted" / f"{part}.jsonl"


def test_a_chat_line_is_the_prompt_of_the_run_with_its_target(folder: Path) -> None:
    lines = [json.loads(line)["messages"] for line in chat(folder).read_text(encoding="utf-8").splitlines()]
    questions = [
        json.loads(line)
        for line in (folder / "runs" / "hosted" / "questions.train.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(lines) == len(questions) >= 20
    for messages, question in zip(lines, questions, strict=True):
        assert [message["role"] for message in messages] == ["system", "user", "assistant"]
        system, user, answer = (message["content"] for message in messages)
        assert "SQLite" in system
        assert user.startswith("CREATE TABLE") and question["text"].split()[0] in user
        assert "<|im" not in user + answer
        assert answer.lower().startswith(("select", "with"))


def test_check_counts_tokens_and_costs(hosted: Callable[..., Any], folder: Path) -> None:
    code, found, _ = hosted("check")
    assert code == 0
    assert found["ok"] and found["problems"] == []
    train = found["files"]["train"]
    text = chat(folder).read_text(encoding="utf-8")
    assert len(text) / 8 < train["tokens"] < len(text) / 2
    assert 0 < train["answer_tokens"] < train["tokens"] / 4
    assert found["dollars_per_epoch"] == pytest.approx(train["tokens"] * 3.0 / 1e6, abs=1e-4)
    assert found["dollars"] == pytest.approx(2 * found["dollars_per_epoch"], abs=2e-4)
    assert ("smollm2" in found["tokenizer"]) == bool(found["note"]), "another tokenizer is said"


BAD = {
    "no json": ("{", "expected one JSON object"),
    "another key": ('{"messages": [], "x": 1}', "found messages, x"),
    "no messages": ('{"messages": []}', "found none"),
    "no answer": ('{"messages": [{"role": "user", "content": "a"}]}', "last, the assistant's; found user"),
    "role": ('{"messages": [{"role": "robot", "content": "a"}]}', "found 'robot'"),
    "empty": ('{"messages": [{"role": "user", "content": " "}]}', "message 1: expected text"),
    "list": ("[1]", "found list"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_the_service_would_refuse_is_found_before(folder: Path, hosted: Callable[..., Any], kind: str) -> None:
    line, message = BAD[kind]
    with chat(folder).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    code, found, _ = hosted("check")
    assert code == 1
    assert len(found["problems"]) == 1
    assert found["problems"][0].startswith(f"train.jsonl:{len(chat(folder).read_text('utf-8').splitlines())}: ")
    assert message in found["problems"][0]


def test_too_few_too_long_and_seen_before(folder: Path, tmp_path: Path) -> None:
    lines = chat(folder).read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "few.jsonl"
    path.write_text("".join(lines[:3]), encoding="utf-8")
    found = check_chat(path, len, 100)
    assert [problem.partition(": ")[2].split(" found")[0] for problem in found.problems] == [
        "expected at most 100 tokens,",
        "expected at most 100 tokens,",
        "expected at most 100 tokens,",
        "expected at least 10 lines,",
    ]
    again = check_chat(path, len, 10**6, others=found.users, least=1)
    assert len(again.problems) == 3 and "in the training file" in again.problems[0]


def test_a_job_from_upload_to_model(service: Service, hosted: Callable[..., Any], folder: Path) -> None:
    service.faults += [("POST /v1/files", 503), ("POST /v1/files", "lost"), ("GET .*ftjob-1", 500)]
    code, sent, said = hosted("upload")
    assert code == 0
    assert service.files[sent["train"]] == chat(folder).read_bytes()
    assert service.files[sent["validation"]] == chat(folder, "validation").read_bytes()
    assert f"to {service.url}" in said
    uploads = service.requests.count("POST /v1/files")
    assert hosted("upload")[:2] == (0, sent)
    assert service.requests.count("POST /v1/files") == uploads, "sent once"

    code, job, _ = hosted("start")
    assert (code, job["id"], job["status"]) == (0, "ftjob-1", "validating_files")
    assert service.jobs["ftjob-1"]["training_file"] == sent["train"]
    assert service.jobs["ftjob-1"]["hyperparameters"] == {"n_epochs": 2}
    assert hosted("start")[1]["id"] == "ftjob-1", "started once"

    assert hosted("poll", "--once")[1]["status"] == "queued"
    code, job, said = hosted("poll", "--every", "0.01")
    assert (code, job["status"], job["fine_tuned_model"]) == (0, "succeeded", f"ft:{MODEL}:hosted:1")
    assert said.split("\n")[:4] == ["now validating_files", "now queued", "now running", "now succeeded"]
    assert hosted("cancel")[1]["status"] == "succeeded"
    assert hosted("start", "--again")[1]["id"] == "ftjob-2"
    code, job, _ = hosted("cancel")
    assert (code, job["status"]) == (0, "cancelled")
    assert hosted("poll", "--once")[0] == 1
    everything = "".join(path.read_text("utf-8", "replace") for path in folder.rglob("*.json*") if path.is_file())
    assert KEY not in everything


@pytest.mark.parametrize("fault", [503, 429, "lost"])
def test_a_start_that_seems_to_fail_starts_one_job(service: Service, folder: Path, fault: int | str) -> None:
    client = HostedClient(retries=3, pause=0.01)
    sent = client.upload(chat(folder))
    service.faults.append(("POST /v1/fine_tuning/jobs", fault))
    job = client.start(MODEL, sent)
    assert (job.id, len(service.jobs)) == ("ftjob-1", 1)
    assert client.start(MODEL, sent).id == "ftjob-1"
    service.faults.append(("POST /v1/fine_tuning/jobs", fault))
    assert client.start(MODEL, sent, again=True).id == "ftjob-2"
    assert len(service.jobs) == 2


def test_a_job_that_fails_says_why(service: Service, hosted: Callable[..., Any]) -> None:
    service.breaks = True
    hosted("upload")
    hosted("start")
    code, job, _ = hosted("poll", "--every", "0.01")
    assert (code, job["status"], job["error"]) == (1, "failed", "the loss is no number")


def test_refusals_say_what_to_do_and_never_the_key(
    service: Service, folder: Path, hosted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, said = hosted("start")
    assert code == 3 and "sqlwright hosted upload" in said
    code, _, said = hosted("poll")
    assert code == 3 and "Start one first" in said
    hosted("upload")
    code, _, said = hosted("start", "--set", "hosted.model=no-such-model")
    assert code == 3 and "the model doesn't exist" in said
    with chat(folder).open("a", encoding="utf-8") as file:
        file.write("{\n")
    code, _, said = hosted("start")
    assert code == 3 and "not what was sent" in said
    code, _, said = hosted("upload")
    assert code == 3 and "nothing was sent" in said
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    code, _, said = hosted("poll")
    assert code == 3
    with pytest.raises(ModelError, match="was refused") as refused:
        HostedClient().upload(chat(folder))
    assert "sk-wrong" not in str(refused.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    code, _, said = hosted("poll")
    assert code == 5 and "OPENAI_API_KEY" in said


def test_a_service_that_stays_away(service: Service, folder: Path) -> None:
    service.faults += [("GET .*jobs", 500)] * 3
    with pytest.raises(ModelError, match=r"failed after repeats: .*busy"):
        HostedClient(retries=2).start(MODEL, "file-1")
    with pytest.raises(ModelError, match="failed after repeats"):
        HostedClient("http://127.0.0.1:9", retries=0).upload(chat(folder))


def test_costs_set_hosted_beside_rented(hosted: Callable[..., Any], folder: Path) -> None:
    code, found, _ = hosted("costs")
    assert code == 0
    ways = {row["way"]: row for row in found["ways"]}
    assert ways["LoRA on a rented h100"]["training"] is None, "what nobody measured has no price"
    tokens = ways[MODEL]["tokens"]
    assert ways[MODEL]["training"] == pytest.approx(tokens * 3.0 / 1e6)
    assert ways["gpt-4o-2024-08-06"]["training"] == pytest.approx(tokens * 25.0 / 1e6)
    code, found, _ = hosted("costs", "--gpu-hours", "h100=0.5")
    assert {row["way"]: row for row in found["ways"]}["LoRA on a rented h100"]["training"] == pytest.approx(0.5 * 2.79)
    assert hosted("costs", "--gpu-hours", "h900=1")[0] == 3
    assert hosted("costs", "--gpu-hours", "h100")[0] == 2
    assert "trained on a GPU" in hosted("costs", "--gpu", "h100")[2]
    manifest = folder / "runs" / "hosted" / "manifest.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    facts = {"steps": 9, "tokens": 90_000, "seconds": 360.0, "device": "cuda"}
    values["stages"]["train"] = {"status": "done", "inputs": {}, "outputs": {}, "facts": facts}
    manifest.write_text(json.dumps(values), encoding="utf-8")
    row = {row["way"]: row for row in hosted("costs", "--gpu", "h100")[1]["ways"]}["LoRA on a rented h100"]
    assert (row["tokens"], row["hours"], row["training"]) == (90_000, 0.1, pytest.approx(0.279))


def test_price_tables_that_are_wrong(hosted: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    for text, message in (
        ("as_of = ", "expected a price table in TOML"),
        ('as_of = "2026"', "model: Field required"),
        ('as_of = "2026"\n[model.a]\ntraining = -1\ninput = 1\noutput = 1', "model.a.training"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            read_prices(path)
    path.write_text('as_of = "2026"\n[model.mine]\ntraining = 1\ninput = 1\noutput = 2', encoding="utf-8")
    code, _, said = hosted("check", "--set", f"hosted.prices={path}")
    assert code == 3 and "expected a price for 'gpt-4o-mini-2024-07-18', found those of mine" in said
    row = cost_table(read_prices(path), lines=10, tokens=1000, answer_tokens=100, epochs=3, local=None, gpu_hours={})[0]
    assert (row.training, row.questions) == (pytest.approx(0.003), pytest.approx(0.11))


def test_an_encoding_that_nobody_knows_is_said() -> None:
    counter = choose_counter("no-such-encoding", "tiny", len)
    assert counter.count("four") == 4
    assert counter.name == "tiny"
    assert "the bill will differ" in counter.note
