"""pass@k against its definition, published solutions, and programs that try to get away with it."""

from __future__ import annotations

import itertools
import json
import runpy
import shutil
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sqlwright.errors import DataError
from sqlwright.evaluation import code_sandbox
from sqlwright.evaluation.code import (
    CodeTask,
    canonical_samples,
    pass_at_k,
    read_samples,
    read_tasks,
    run_sample,
    score_code,
)
from sqlwright.evaluation.code_sandbox import ProgramLimits, ProgramOutcome, run_program

HOSTILE = Path(__file__).parent / "fixtures" / "hostile"
FILES = {
    "HumanEval.jsonl.gz": 164,
    "sanitized-mbpp.json": 427,
    "HumanEval-SingleLineInfilling.jsonl.gz": 1033,
    "HumanEval-RandomSpanInfillingLight.jsonl.gz": 164,
}
TESTS = "assert answer(3) == 4\nassert abs(answer(3) - 4) < 1\n"
QUICK = ProgramLimits(seconds=2.0, memory_mb=512)


def run(source: str, tests: str = TESTS, limits: ProgramLimits = QUICK) -> ProgramOutcome:
    return run_program(source, tests, ["answer"], limits=limits)


@pytest.mark.parametrize(("total", "right", "k"), [(5, 0, 1), (5, 2, 1), (5, 2, 3), (6, 5, 2), (4, 4, 4)])
def test_pass_at_k_is_the_share_of_choices_with_a_right_one(total: int, right: int, k: int) -> None:
    choices = list(itertools.combinations(range(total), k))
    share = sum(any(place < right for place in choice) for choice in choices) / len(choices)
    assert pass_at_k(total, right, k) == pytest.approx(share)


def test_pass_at_k_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="found 2, 1, 1"):
        pass_at_k(1, 2, 1)
    with pytest.raises(ValueError, match="found 1, 3, 4"):
        pass_at_k(3, 1, 4)


def test_an_honest_program_passes() -> None:
    found = run("def answer(x):\n    return x + 1\n")
    assert (found.verdict, found.detail) == ("passed", "")
    assert "limits" in found.fences


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def answer(x):\n    return x\n", "wrong_answer"),
        ("def answer(x):\n    return [x + 1]\n", "wrong_answer"),
        ("def answer(x)\n", "unparsable"),
        ("def other(x):\n    return 4\n", "runtime_error"),
        ("def answer(x):\n    return 1 / 0\n", "runtime_error"),
        ("", "runtime_error"),
    ],
)
def test_wrong_programs_are_told_apart(source: str, verdict: str) -> None:
    found = run(source)
    assert found.verdict == verdict
    assert found.detail


def test_values_cross_over_whole() -> None:
    values = "[None, True, -(10**5000), 1.5, 1j, 'é\\ud800', b'x', (1, [2]), {3}, frozenset({4}), {5: {6: 7}}]"
    found = run(
        f"import collections\ndef answer(x):\n    return x\ndef last():\n    return {values}\n"
        "def made():\n    return collections.Counter('aab'), range(3), map(str, [1]), collections.OrderedDict(a=1)\n"
        "def change(x):\n    x.sort()\n",
    )
    assert found.verdict == "wrong_answer"
    tests = f"""
assert last() == {values}
assert [type(v) for v in last()] == [type(v) for v in {values}]
counter, numbers, texts, ordered = made()
assert counter == {{'a': 2, 'b': 1}} and numbers == range(3) and list(texts) == ['1'] and ordered == {{'a': 1}}
assert answer(float('inf')) == float('inf') and answer(x=3) == 3
items = [3, 1, 2]
assert change(items) is None and items == [1, 2, 3]
try:
    answer()
except TypeError:
    pass
else:
    assert False
"""
    source = (
        f"import collections\ndef answer(x):\n    return x\ndef last():\n    return {values}\n"
        "def made():\n    return collections.Counter('aab'), range(3), map(str, [1]), collections.OrderedDict(a=1)\n"
        "def change(x):\n    x.sort()\n"
    )
    found = run_program(source, tests, ["answer", "last", "made", "change"], limits=QUICK)
    assert (found.verdict, found.detail) == ("passed", "")


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("leaves_early", {"ended_early"}),
        ("leaves_when_called", {"ended_early"}),
        ("exits_when_called", {"runtime_error"}),
        ("equals_everything", {"wrong_answer"}),
        ("patches_builtins", {"wrong_answer", "runtime_error", "ended_early"}),
        ("raises_the_assertion", {"runtime_error"}),
        ("prints_a_verdict", {"wrong_answer", "ended_early"}),
        ("forges_frames", {"wrong_answer", "runtime_error", "ended_early"}),
        ("looks_for_tests", {"wrong_answer"}),
        ("loops", {"time_limit"}),
        ("loops_when_called", {"time_limit"}),
        ("hoards_memory", {"memory_limit"}),
        ("bombs", {"runtime_error"}),
        ("bombs_below_python", {"runtime_error"}),
        ("starts_a_program", {"runtime_error"}),
        ("writes_outside", {"runtime_error"}),
        ("never_ends_its_value", {"runtime_error", "ended_early"}),
        ("floods_output", {"wrong_answer", "time_limit"}),
    ],
)
def test_hostile_programs_fail(name: str, verdicts: set[str]) -> None:
    start = time.perf_counter()
    found = run((HOSTILE / f"{name}.txt").read_text())
    assert found.verdict in verdicts, found
    assert time.perf_counter() - start < 15
    assert not Path("/tmp/sqlwright-escaped").exists()


def test_nothing_outside_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep me")
    source = (HOSTILE / "removes_outside.txt").read_text().replace("TARGET", str(target))
    assert run(source).verdict == "runtime_error"
    assert target.read_text() == "keep me"


def test_no_connection_gets_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        source = (HOSTILE / "opens_a_socket.txt").read_text().replace("PORT", str(server.getsockname()[1]))
        assert run(source).verdict == "runtime_error"
        with pytest.raises(TimeoutError):
            server.accept()


ALONE = {
    "audit hook": ("code_judge.py", "if libc.unshare(_NAMESPACES) == 0:", "if False:"),
    "kernel": ("code_candidate.py", "    _forbid(scratch)\n", ""),
}


@pytest.mark.parametrize("fence", ALONE)
def test_each_fence_holds_alone(fence: str, tmp_path: Path) -> None:
    """The namespaces and the audit hook taken away in turn, in a copy of the three files."""
    source = Path(code_sandbox.__file__).parent
    for name in ("code_sandbox.py", "code_judge.py", "code_candidate.py"):
        shutil.copy(source / name, tmp_path)
    name, before, after = ALONE[fence]
    text = (tmp_path / name).read_text()
    assert text.count(before) == 1
    (tmp_path / name).write_text(text.replace(before, after))
    loaded = runpy.run_path(str(tmp_path / "code_sandbox.py"))
    precious = tmp_path / "precious"
    precious.write_text("keep me")

    def verdict(program: str) -> str:
        found = loaded["run_program"](program, TESTS, ["answer"], limits=QUICK)
        if fence == "kernel" and "read-only" not in found.fences:
            pytest.skip("this system permits no namespaces")
        return str(found.verdict)

    assert verdict("def answer(x):\n    return x + 1\n") == "passed"
    assert verdict((HOSTILE / "removes_outside.txt").read_text().replace("TARGET", str(precious))) == "runtime_error"
    assert precious.exists()
    for hostile in ("bombs", "starts_a_program", "writes_outside", "leaves_early", "equals_everything"):
        assert verdict((HOSTILE / f"{hostile}.txt").read_text()) != "passed"
    assert not Path("/tmp/sqlwright-escaped").exists()


def test_the_scratch_folder_may_be_written() -> None:
    source = "def answer(x):\n    open('note', 'w').write('1')\n    return x + int(open('note').read())\n"
    assert run(source).verdict == "passed"


def test_tests_that_swallow_errors_don_t_hide_an_early_end() -> None:
    tests = "try:\n    answer(1)\nexcept BaseException:\n    pass\n"
    assert run((HOSTILE / "leaves_when_called.txt").read_text(), tests).verdict == "ended_early"


@pytest.mark.parametrize(("name", "count"), FILES.items())
def test_published_solutions_pass(name: str, count: int, archive: Callable[[str], Path]) -> None:
    """Every 40th of each file; all of them were run once for the record, which takes minutes."""
    tasks = read_tasks(archive("code") / "code" / name)
    assert len(tasks) == count
    assert all(task.program(task.canonical) == task.solution and task.names for task in tasks)

    def passes(task: CodeTask) -> bool:
        return run_sample(task, task.canonical, ProgramLimits()).passed

    with ThreadPoolExecutor(2) as pool:
        chosen = tasks[::40]
        assert [t.id for t, right in zip(chosen, pool.map(passes, chosen), strict=True) if not right] == []


def test_a_file_is_scored(archive: Callable[[str], Path], tmp_path: Path) -> None:
    gold = archive("code") / "code" / "HumanEval.jsonl.gz"
    right, other = canonical_samples(read_tasks(gold)[:2])
    wrong = {"task_id": other["task_id"], "completion": "    return None\n"}
    predicted = tmp_path / "samples.jsonl"
    predicted.write_text("".join(json.dumps(sample) + "\n" for sample in (right, right, other, wrong)))
    calls: list[tuple[int, int]] = []
    found = score_code(gold, predicted, progress=lambda done, total: calls.append((done, total)))
    assert [(item["db_id"], item["sample"], item["pass"]) for item in found.items] == [
        ("HumanEval/0", 1, True),
        ("HumanEval/0", 2, True),
        ("HumanEval/1", 1, True),
        ("HumanEval/1", 2, False),
    ]
    assert found.measures == {"pass@1": {"all": 0.75}}
    assert found.reports["pass"].reasons == {"wrong_answer": 1}
    assert found.reports["pass"].partial
    assert found.notes[1] == "162 of 164 tasks have no sample and are left out"
    assert calls[-1] == (4, 4)
    assert "pass@1" in found.table()
    assert json.loads(found.to_json())["measures"]["pass@1"]["all"] == 0.75


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "{}", r"t\.json:1: expected a JSON list of tasks"),
        ("t.json", "[]", r"t\.json: expected tasks, found none"),
        ("t.json", '[{"task_id": 1, "test_list": "x"}]', r"t\.json, task 1: expected lists of texts"),
        ("t.json", '[{"task_id": 1, "test_list": [], "test_imports": [], "code": "("}]', r"task 1: expected Python"),
        ("t.jsonl", '{"prompt": ""}', r"t\.jsonl:1: expected an object with a task_id"),
        ("t.jsonl", '{"task_id": "a", "prompt": ""}', r"t\.jsonl:1: expected text under 'canonical_solution'"),
        ("t.jsonl.gz", "no gzip", r"t\.jsonl\.gz: expected gzipped UTF-8 text"),
    ],
)
def test_malformed_tasks(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_tasks(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"task_id": "1", "completion": "x"}\n{"task_id": 2, "completion": "x"}',
            r"p\.jsonl:2: .*such as '1', found '2'",
        ),
        ('{"task_id": 1}', r"p\.jsonl:1: expected text under 'completion'"),
        ("[1]", r"p\.jsonl:1: expected a JSON object, found list"),
        ("", r"p\.jsonl: expected lines with task_id"),
    ],
)
def test_malformed_samples(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    task = CodeTask("1", "mbpp", "", "", "", "", "", ())
    with pytest.raises(DataError, match=message):
        read_samples(path, {"1": task})
