"""The stages on their own: what each one writes, says and refuses. All together they run in tests/test_pipeline.py."""

from __future__ import annotations

import json
import shutil
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from sqlwright import pipeline
from sqlwright.errors import DataError
from sqlwright.recipe_file import read_recipe
from sqlwright.records import Completion, Question, Verdict, read_records, write_records
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.outcome import Outcome
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run
from sqlwright.runs.stages import evaluate, predict, prepare, train

QUICKSTART = Path(str(resources.files("sqlwright"))) / "data" / "quickstart"


class Heard(Silent):
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a recipe with its own databases `farm` and `gas_company` and Spider files of a few questions."""
    for name, part in (("farm", "evaluate"), ("gas_company", "train")):
        questions = json.loads((QUICKSTART / f"{part}.json").read_text(encoding="utf-8"))
        assert name in {question["db_id"] for question in questions}, "the packaged questions were exchanged"
        shutil.copytree(QUICKSTART / "database" / name, tmp_path / "database" / name)
        chosen = [question for question in questions if question["db_id"] == name][:5]
        (tmp_path / f"{part}.json").write_text(json.dumps(chosen), encoding="utf-8")
    shutil.copy(QUICKSTART / "tables.json", tmp_path)
    recipe = tmp_path / "my.toml"
    recipe.write_text(
        'name = "r"\n[model]\nbase = "smollm2-135m-instruct"\n'
        '[data]\ntrain = ["train.json"]\nevaluate = ["evaluate.json"]\nvalidation_databases = 0\n',
        encoding="utf-8",
    )
    return recipe


def prepared(place: Path, *overrides: str) -> Run:
    """Return a run whose questions are prepared."""
    recipe, heard = read_recipe(place, overrides), Heard()
    pipeline.run(recipe, place, place.parent / "runs", heard, only="prepare")
    return Run(recipe, place, RunFolder(place.parent / "runs" / recipe.name), heard)


def add(place: Path, part: str, *questions: dict[str, str]) -> None:
    path = place.parent / f"{part}.json"
    path.write_text(json.dumps([*json.loads(path.read_text(encoding="utf-8")), *questions]), encoding="utf-8")


def test_prepare_writes_questions_and_links_databases(place: Path) -> None:
    run = prepared(place)
    assert [question.database for question in run.questions("train")] == ["gas_company"] * 5
    assert [question.database for question in run.questions("evaluate")] == ["farm"] * 5
    assert run.questions("validation") == []
    assert all(question.golds and question.hardness for question in run.questions("evaluate"))
    assert any(question.category for question in run.questions("evaluate"))
    assert set(run.databases) == {"farm", "gas_company"}
    assert (run.folder.path / "databases" / "farm" / "farm.sqlite").is_file()
    facts = run.folder.facts("prepare")
    assert (facts["train"], facts["evaluate"], facts["dropped"]) == (5, 5, 0)
    assert facts["tables"].endswith("tables.json")


def test_prepare_says_what_it_leaves_out(place: Path) -> None:
    add(place, "evaluate", {"db_id": "farm", "question": "Broken?", "query": "SELECT x FROM nowhere"})
    run = prepared(place)
    assert len(run.questions("evaluate")) == 5
    dropped = json.loads((run.folder.path / "dropped.json").read_text(encoding="utf-8"))
    assert len(dropped) == run.folder.facts("prepare")["dropped"] == 1
    assert "nowhere" in dropped[0]["reason"]
    assert isinstance(run.reporter, Heard)
    assert any("left out" in text for text in run.reporter.said)


def test_prepare_warns_of_databases_on_both_sides(place: Path) -> None:
    run = prepared(place, 'data.evaluate=["train.json"]', 'data.accept_leaks=["question:gas_company"]')
    assert isinstance(run.reporter, Heard)
    assert any("both trained on and evaluated (gas_company)" in text for text in run.reporter.said)
    assert run.folder.facts("prepare")["leaks accepted"] == "question:gas_company (5)"


def test_prepare_refuses_leaks_and_lists_them(place: Path) -> None:
    with pytest.raises(DataError, match=r'found 5 leaks(.|\n)*accept_leaks = \["question:gas_company"\]'):
        prepared(place, 'data.evaluate=["train.json"]')
    folder = place.parent / "runs" / "r"
    listed = json.loads((folder / "cleaning.json").read_text(encoding="utf-8"))["leaks"]
    assert {leak["name"] for leak in listed} == {"question:gas_company"}
    assert [leak["evaluate"] for leak in listed] == [f"train.json#{number}" for number in range(5)]
    assert not (folder / "questions.jsonl").exists()


def test_prepare_knows_a_database_under_another_name(place: Path) -> None:
    folder = place.parent / "database" / "gas_firm"
    shutil.copytree(folder.with_name("gas_company"), folder)
    (folder / "gas_company.sqlite").rename(folder / "gas_firm.sqlite")
    add(place, "evaluate", {"db_id": "gas_firm", "question": "Which?", "query": "SELECT company_id FROM company"})
    with pytest.raises(DataError, match=r"schema:gas_firm: gas_firm has the schema of gas_company"):
        prepared(place)
    assert len(prepared(place, 'data.accept_leaks=["schema:*"]').questions("evaluate")) == 6


def test_prepare_leaves_repeats_out_of_training_only(place: Path) -> None:
    for part in ("train", "evaluate"):
        first = json.loads((place.parent / f"{part}.json").read_text(encoding="utf-8"))[0]
        add(place, part, first | {"question": first["question"].upper()})
    run = prepared(place)
    assert (len(run.questions("train")), len(run.questions("evaluate"))) == (5, 6)
    (dropped,) = json.loads((run.folder.path / "dropped.json").read_text(encoding="utf-8"))
    assert dropped["where"] == "train.json#5"
    assert dropped["reason"].startswith("repeated question: train.json#0")
    (pair,) = json.loads((run.folder.path / "cleaning.json").read_text(encoding="utf-8"))["similar questions"]
    assert (pair["part"], pair["likeness"], pair["same SQL"]) == ("evaluate", 1.0, True)
    assert pair["where"] == ["evaluate.json#0", "evaluate.json#5"]
    facts = run.folder.facts("prepare")
    assert (facts["similar questions"], facts["dropped"]) == ("1", 1)


def test_a_part_drawn_by_the_seed(place: Path) -> None:
    def drawn(*overrides: str) -> list[str]:
        return [question.text for question in prepared(place, "data.max_train=3", *overrides).questions("train")]

    whole = [question.text for question in prepared(place).questions("train")]
    draws = [drawn(f"seed={seed}", f"name=r{seed}") for seed in range(6)]
    assert drawn("seed=0", "name=again") == draws[0]
    assert len({tuple(one) for one in draws}) > 1
    for one in draws:
        assert len(one) == 3
        assert one == [text for text in whole if text in one], "in their order"


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ('data.train=["absent.json"]', r"absent\.json: expected a question file"),
        (
            'data.databases="nowhere"',
            r"data\.train, found none that can be used\. The first was left out: .*gas_company",
        ),
    ],
)
def test_data_that_is_missing(place: Path, override: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        prepared(place, override)


def test_no_question_files_at_all(place: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        prepared(place, "data.train=[]", "data.evaluate=[]")


def test_all_questions_unusable(place: Path) -> None:
    (place.parent / "train.json").write_text(
        json.dumps([{"db_id": "farm", "question": "?", "query": "SELECT x FROM y"}]), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"data\.train, found none that can be used"):
        prepared(place)


def test_a_changed_file_or_database_is_named(place: Path) -> None:
    run = prepared(place)
    assert run.folder.changed("prepare", prepare.inputs(run)) == []
    add(place, "train", {"db_id": "farm", "question": "How many farms?", "query": "SELECT count(*) FROM farm"})
    (reason,) = run.folder.changed("prepare", prepare.inputs(run))
    assert reason.startswith("question files changed")
    database = place.parent / "database" / "farm" / "farm.sqlite"
    database.write_bytes(database.read_bytes() + bytes(4096))
    assert any(text.startswith("databases changed") for text in run.folder.changed("prepare", prepare.inputs(run)))


def answer(questions: list[Question], *sqls: str) -> list[Completion]:
    return [Completion(q.id, q.database, sql, sql) for q, sql in zip(questions, sqls, strict=False)]


def scored(run: Run, before: list[Completion], after: list[Completion]) -> dict[str, Any]:
    write_records(run.folder.baseline, before)
    write_records(run.folder.completions, after)
    run.folder.begin("evaluate", evaluate.inputs(run))
    run.folder.done("evaluate", evaluate.outputs(run), evaluate.execute(run, False))
    found: dict[str, Any] = json.loads(run.folder.report.read_text(encoding="utf-8"))
    return found


def test_evaluate_scores_before_and_after(place: Path, tiny_model: Path) -> None:
    run = prepared(place)
    questions = run.questions("evaluate")
    golds = [question.golds[0] for question in questions]
    wrong = ["SELECT 1", "SELECT nothing FROM nowhere", "", "DROP TABLE farm", golds[4]]
    report = scored(run, answer(questions, *wrong), answer(questions, *golds))
    before, after = report["scores"].values()
    assert (before["ex"]["overall"]["correct"], after["ex"]["overall"]["correct"]) == (1, 5)
    assert after["em"]["overall"]["correct"] == 5
    verdicts = list(read_records(run.folder.verdicts, Verdict))
    assert all(not one.reason and not one.detail for one in verdicts if one.correct)
    assert all(one.reason for one in verdicts if not one.correct)
    outcome = Outcome(run.folder)
    assert not outcome.partial
    assert "100.0 %" in outcome.table()
    assert json.loads(json.dumps(outcome.to_json()))["scores"] == report["scores"]


def test_any_of_several_golds_is_right(place: Path, tiny_model: Path) -> None:
    run = prepared(place)
    question = run.questions("evaluate")[0]
    both = Question(question.id, question.database, question.text, ("SELECT 'no'", *question.golds))
    write_records(run.folder.questions, [both])
    right = answer([both], question.golds[0])
    report = scored(run, right, right)
    assert report["scores"]["after fine-tuning"]["ex"]["overall"] | {} == {
        **report["scores"]["before fine-tuning"]["ex"]["overall"],
        "correct": 1,
        "total": 1,
    }


def test_a_missing_completion_makes_the_score_partial(place: Path, tiny_model: Path) -> None:
    run = prepared(place)
    questions = run.questions("evaluate")
    some = answer(questions[:3], *(question.golds[0] for question in questions))
    report = scored(run, some, some)
    ex = report["scores"]["after fine-tuning"]["ex"]
    assert (ex["overall"]["total"], ex["expected"]) == (3, 5)
    assert Outcome(run.folder).partial
    assert "scored 3 of 5" in run.folder.page.read_text(encoding="utf-8")


def test_without_tables_there_is_no_exact_match_and_it_is_said(place: Path, tiny_model: Path) -> None:
    (place.parent / "tables.json").unlink()
    run = prepared(place)
    questions = run.questions("evaluate")
    right = answer(questions, *(question.golds[0] for question in questions))
    report = scored(run, right, right)
    assert "em" not in report["scores"]["after fine-tuning"]
    assert any("EM was not computed" in note for note in report["notes"])


def test_the_distinct_setting_is_said_in_the_report(place: Path, tiny_model: Path) -> None:
    run = prepared(place, "evaluate.keep_distinct=true")
    questions = run.questions("evaluate")
    right = answer(questions, *(question.golds[0] for question in questions))
    assert any("DISTINCT kept" in note for note in scored(run, right, right)["notes"])


def test_accepted_leaks_are_said_in_the_report(place: Path, tiny_model: Path) -> None:
    run = prepared(place, 'data.evaluate=["train.json"]', 'data.accept_leaks=["question:*"]')
    questions = run.questions("evaluate")
    right = answer(questions, *(question.golds[0] for question in questions))
    report = scored(run, right, right)
    assert any("the recipe accepts it: question:gas_company (5)" in note for note in report["notes"])
    assert report["facts"]["Data: built like a training gold"] == "5 of 5"


def test_only_exact_match_without_tables_is_an_error(place: Path, tiny_model: Path) -> None:
    (place.parent / "tables.json").unlink()
    run = prepared(place, 'evaluate.metrics=["em"]')
    questions = run.questions("evaluate")
    right = answer(questions, *(question.golds[0] for question in questions))
    with pytest.raises(DataError, match=r"expected Spider's tables\.json"):
        scored(run, right, right)


def test_a_changed_database_redoes_all_that_reads_it(place: Path, tiny_model: Path) -> None:
    run = prepared(place)
    questions = run.questions("evaluate")
    right = answer(questions, *(question.golds[0] for question in questions))
    scored(run, right, right)
    stages = {"train": train.inputs, "predict": predict.inputs, "evaluate": evaluate.inputs}
    before = {name: inputs(run) for name, inputs in stages.items()}
    connection = sqlite3.connect(place.parent / "database" / "farm" / "farm.sqlite")
    connection.execute("CREATE TABLE barn (id INTEGER)")
    connection.close()
    again = prepared(place)
    assert again.folder.questions.read_bytes() == run.folder.questions.read_bytes()
    for name, inputs in stages.items():
        after = inputs(again)
        assert {key for key in after if after[key] != before[name][key]} == {"databases"}, name


def test_a_changed_tables_json_scores_again(place: Path, tiny_model: Path) -> None:
    run = prepared(place)
    questions = run.questions("evaluate")
    right = answer(questions, *(question.golds[0] for question in questions))
    scored(run, right, right)
    assert run.folder.changed("evaluate", evaluate.inputs(run)) == []
    tables = place.parent / "tables.json"
    tables.write_text(tables.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (reason,) = run.folder.changed("evaluate", evaluate.inputs(run))
    assert reason.startswith("tables changed")


def test_training_without_questions_left(place: Path, tiny_model: Path) -> None:
    pytest.importorskip("peft")
    run = prepared(place)
    write_records(run.part("train"), [])
    with pytest.raises(DataError, match="none left after the validation databases"):
        train.execute(run, False)


def test_prompts_with_solved_questions_and_values_from_the_runs_own_data(place: Path, tiny_model: Path) -> None:
    settings = ("prompt.few_shot=2", "prompt.matched_values=3")
    run = prepared(place, *settings)
    learned = {question.id for question in run.questions("train")}
    assert {shot.id for shot in run.shots} == learned, "training questions only"
    plain = prepared(place, "name=plain")
    assert set(predict.inputs(run)) - set(predict.inputs(plain)) == {
        "prompt.few_shot",
        "prompt.matched_values",
        "train questions",
    }, "a run without them stays up to date as it was"
    before = predict.inputs(run)
    add(place, "train", {"db_id": "gas_company", "question": "How many?", "query": "SELECT count(*) FROM company"})
    again = prepared(place, *settings)
    assert {key for key, value in predict.inputs(again).items() if before[key] != value} == {"train questions"}


def test_grammars_are_of_the_databases_that_are_asked_about(place: Path, tiny_model: Path) -> None:
    free, held, turned = (
        prepared(place, f"name={name}", *settings)
        for name, settings in {
            "free": (),
            "held": ("predict.grammar=true",),
            "turned": ("predict.grammar=true", "train.target=from-first"),
        }.items()
    )
    assert predict.grammars(free) == {}
    assert set(predict.inputs(held)) - set(predict.inputs(free)) == {"predict.grammar"}
    assert set(predict.grammars(held)) == {"farm"}
    assert predict.grammars(held) == predict.grammars(turned, adapter=False) != predict.grammars(turned)


def test_solved_questions_need_training_questions(place: Path, tiny_model: Path) -> None:
    run = prepared(place, "prompt.few_shot=2", "data.train=[]")
    with pytest.raises(DataError, match=r"prompt\.few_shot: expected training questions"):
        _ = run.shots


def test_changed_notes_of_a_database_redo_what_reads_it(place: Path) -> None:
    run = prepared(place)
    (place.parent / "database" / "farm" / "farm.sqlwright.yaml").write_text("glossary: {a: b}", encoding="utf-8")
    assert any(text.startswith("databases changed") for text in run.folder.changed("prepare", prepare.inputs(run)))
