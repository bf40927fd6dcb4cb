"""Self-instruct: the loop with the tiny model, continued and torn; what is read, run and refused on fixed texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xllamacpp")

from sqlwright.databases import Executor
from sqlwright.datasets import check_golds, read_jsonl
from sqlwright.errors import DataError
from sqlwright.models.gguf import GgufEngine
from sqlwright.models.tokenizer import chat_template
from sqlwright.prompts import ChatTemplate
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.instruct_python import PythonProblems
from sqlwright.runs.instruct_sql import SqlProblems
from sqlwright.runs.self_instruct import OUTCOMES, Attempt, InstructSettings, self_instruct

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"
PLAIN = ChatTemplate("{{ messages[-1]['content'] }}")
TEXTS = json.loads((Path(__file__).parent / "fixtures" / "self_instruct.json").read_text(encoding="utf-8"))
BRIEF = InstructSettings(solutions=2, max_tokens=16)


class Sums(PythonProblems):
    """The one exercise that a tiny model can set and solve, if it is led by the hand."""

    tests_start = "assert add(2, 3) =="
    solution_start = "```python\ndef add(a, b):\n    return"

    def ask_problem(self, number: int, seed: int) -> tuple[str, str]:
        return self._chat.split("", "", "Say this again: The function add takes two numbers and returns their sum.")


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[GgufEngine]:
    with GgufEngine(tiny_model, context=512) as started:
        yield started


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def work(engine: GgufEngine, kind: PythonProblems, folder: Path, count: int, **options: Any) -> dict[str, Any]:
    settings = options.pop("settings", BRIEF)
    return self_instruct(engine, kind, RunFolder(folder), count, settings, model_hash="tiny", **options)


def test_a_run_that_was_killed_and_torn_ends_as_an_undisturbed_one(
    engine: GgufEngine, tiny_model: Path, tmp_path: Path
) -> None:
    kind = PythonProblems(chat_template(tiny_model))
    facts = work(engine, kind, tmp_path / "whole", 2)
    assert facts["attempts"] == 2 == sum(facts["outcomes"].values())
    assert set(facts["outcomes"]) == set(OUTCOMES)
    assert facts["tokens"] > 0
    assert len(lines_of(tmp_path / "whole", "accepted.jsonl")) == facts["outcomes"]["accepted"]

    class Killed(Exception):
        """The process ends."""

    def kill(done: int, *_: int) -> None:
        if done == 1:
            raise Killed

    parts = tmp_path / "parts"
    with pytest.raises(Killed):
        work(engine, kind, parts, 2, progress=kill)
    attempts = parts / "attempts.jsonl"
    with attempts.open("a", encoding="utf-8") as file:
        file.write('{"id": "f00", "number": 1, "outc')
    said: list[str] = []
    assert work(engine, kind, parts, 2, say=said.append) == facts
    assert said == ["attempts.jsonl: the last line was torn; that attempt is made again."]
    assert attempts.read_bytes() == (tmp_path / "whole" / "attempts.jsonl").read_bytes()
    # All attempts are there: nothing is written again.
    assert work(engine, kind, parts, 2) == facts
    with pytest.raises(DataError, match=r"begun with other settings \(seed was 0, now 1\)"):
        work(engine, kind, parts, 2, settings=InstructSettings(solutions=2, max_tokens=16, seed=1))


def test_what_passes_is_accepted_once(engine: GgufEngine, tiny_model: Path, tmp_path: Path) -> None:
    kind = Sums(chat_template(tiny_model))
    greedy = InstructSettings(solutions=2, max_tokens=24, temperature=0.0)
    facts = work(engine, kind, tmp_path, 2, settings=greedy)
    assert facts["outcomes"]["accepted"] == 1, lines_of(tmp_path, "attempts.jsonl")
    assert facts["outcomes"]["problem seen before"] == 1
    assert facts["accepted in try"] == {"1": 1}
    accepted = lines_of(tmp_path, "accepted.jsonl")
    assert [line["question"] for line in accepted] == ["The function add takes two numbers and returns their sum."]
    assert accepted[0]["solution"].startswith("def add(a, b):\n    return a + b")
    assert accepted[0]["tests"][0].startswith("assert add(2, 3) == 5")


@pytest.fixture
def sql() -> Iterator[SqlProblems]:
    with Executor(workers=1) as executor:
        yield SqlProblems(CHINOOK, PLAIN, executor, len)


@pytest.mark.parametrize("case", TEXTS["sql problems"], ids=lambda case: case["id"])
def test_questions_are_read(sql: SqlProblems, case: dict[str, str]) -> None:
    assert sql.read_problem(case["text"]) == case["problem"]


@pytest.mark.parametrize("case", TEXTS["sql checks"], ids=lambda case: case["id"])
def test_checks_that_can_fail_are_kept(sql: SqlProblems, case: dict[str, Any]) -> None:
    assert list(sql.read_tests(case["text"], "How many?")) == case["checks"]


@pytest.mark.parametrize("case", TEXTS["sql solutions"], ids=lambda case: case["id"])
def test_a_query_passes_or_has_a_fault(sql: SqlProblems, case: dict[str, Any]) -> None:
    assert sql.fault(case["sql"], case["checks"]) == case["fault"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Exercise: The function f takes a number and returns it.", "The function f takes a number and returns it."),
        (
            "The function f takes a number and returns it.\nTests:\nassert f(1) == 1\nSolution:\n",
            "The function f takes a number and returns it.",
        ),
        (
            "The function f takes a number and tests: returns it.\n\n**Solution**:\nreturn",
            "The function f takes a number and tests: returns it.",
        ),
        ("Reverse the string.\nTest:\nassert reverse('ab') == 'ba'", ""),
        ("def f(number): return number, as the function does it", ""),
    ],
)
def test_exercises_end_where_tests_begin(text: str, problem: str) -> None:
    assert PythonProblems(PLAIN).read_problem(text) == problem


@pytest.mark.parametrize("case", TEXTS["python tests"], ids=lambda case: case["id"])
def test_asserts_that_can_fail_are_kept(case: dict[str, Any]) -> None:
    assert list(PythonProblems(PLAIN).read_tests(case["text"], case["problem"])) == case["tests"]


@pytest.mark.parametrize("case", TEXTS["python solutions"], ids=lambda case: case["id"])
def test_a_function_passes_or_has_a_fault(case: dict[str, Any]) -> None:
    kind = PythonProblems(PLAIN)
    solution = kind.read_solution(case["text"])
    assert kind.fault(solution, case["tests"]) == case["fault"], solution
    assert "print(" not in solution


def test_prompts_share_their_prefix_and_differ_by_number(sql: SqlProblems) -> None:
    for kind in (sql, PythonProblems(PLAIN)):
        asked = [kind.ask_problem(number, 0) for number in range(20)]
        others = [kind.ask_tests("How many?"), kind.ask_solution("How many?", ["assert f(1) == 2"])]
        assert len({prefix for prefix, _ in asked + others}) == 1
        assert len({suffix for _, suffix in asked}) > 10
        assert asked == [kind.ask_problem(number, 0) for number in range(20)]
        assert asked != [kind.ask_problem(number, 1) for number in range(20)]


def test_accepted_questions_are_data_that_prepare_reads(sql: SqlProblems, tmp_path: Path) -> None:
    checks = ("SELECT count(*) = 1 FROM answer",)
    attempt = Attempt("a", 0, "accepted", "How many artists are there?", checks, "SELECT count(*) FROM Artist", 1)
    path = tmp_path / "accepted.jsonl"
    path.write_text(json.dumps(sql.line(attempt)) + "\n", encoding="utf-8")
    with Executor(workers=1) as executor:
        dataset = check_golds(read_jsonl([path]), executor)
    assert [(q.text, q.golds) for q in dataset.questions] == [(attempt.problem, (attempt.solution,))]


def test_the_command(sqlwright_words: Callable[..., int], tiny_model: Path, tmp_path: Path) -> None:
    assert sqlwright_words("self-instruct", "sql", "--out", str(tmp_path / "a")) == 2
    assert sqlwright_words("self-instruct", "python", "--out", str(tmp_path / "a"), "--database", str(CHINOOK)) == 2
    assert sqlwright_words("self-instruct", "python", "--out", str(tmp_path / "a"), "--count", "0") == 2
    words = ["self-instruct", "python", "--out", str(tmp_path / "b"), "--model", str(tiny_model), "--max-tokens", "8"]
    assert sqlwright_words(*words, "--count", "1") == 1, "eight tokens are no exercise"
    assert len(lines_of(tmp_path / "b", "attempts.jsonl")) == 1


@pytest.fixture
def sqlwright_words() -> Callable[..., int]:
    from sqlwright.cli.app import run

    return lambda *words: run(list(words))
