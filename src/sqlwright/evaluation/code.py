"""pass@k on HumanEval, MBPP (sanitized) and HumanEval infilling (single-line, random-span).

pass@k is the chance that at least one of k samples passes all tests. It is estimated without bias from n ≥ k
samples of which c pass: 1 - C(n-c, k)/C(n, k), averaged over the tasks. Every program runs in a sandbox
(see `code_sandbox`).

A program is put together as the benchmarks do: HumanEval prompt + completion; infilling prompt + completion +
suffix; MBPP the completion alone. The tests' own helpers (an encoder whose decoder is asked for) come from the
published solution, not from the program.

Sources: Chen et al. 2021, "Evaluating Large Language Models Trained on Code"; Austin et al. 2021, "Program
Synthesis with Large Language Models"; Bavarian et al. 2022, "Efficient Training of Language Models to Fill in
the Middle".

Not covered: cutting a completion at stop words (that is the decoder's work), languages other than Python.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError
from sqlwright.evaluation.benchmark_score import BenchmarkScore, Item, collect, mean
from sqlwright.evaluation.code_sandbox import ProgramLimits, ProgramOutcome, run_program
from sqlwright.evaluation.input_files import read_json, read_json_lines, text_of
from sqlwright.evaluation.robust import Progress
from sqlwright.records import Verdict

METRIC = "pass"

KS = (1, 10, 100)
"""The k of pass@k that are reported where every task has as many samples."""


@dataclass(frozen=True, slots=True)
class CodeTask:
    """A task: what stands before and after a completion, the published solution, the tests.

    `names` are the functions that the tests call in the program; `solution` is the whole published program and
    `canonical` the completion in it.
    """

    id: str
    benchmark: str
    prompt: str
    suffix: str
    canonical: str
    solution: str
    tests: str
    names: tuple[str, ...]

    def program(self, completion: str) -> str:
        """Return the program that a completion makes."""
        return self.prompt + completion + self.suffix


def pass_at_k(total: int, right: int, k: int) -> float:
    """Return the unbiased estimate of pass@k from `right` passing samples out of `total` ≥ k."""
    if not 0 <= right <= total or not 0 < k <= total:
        raise ValueError(f"pass@k: expected 0 <= right <= total and 0 < k <= total, found {right}, {total}, {k}")
    return 1.0 - math.comb(total - right, k) / math.comb(total, k)


def score_code(
    gold: Path,
    predictions: Path,
    *,
    limits: ProgramLimits = ProgramLimits(),  # noqa: B008 - it is frozen
    workers: int = 2,
    progress: Progress | None = None,
) -> BenchmarkScore:
    """Return pass@k and a verdict for every sample.

    Args:
        gold: a benchmark's file as published: JSON lines (also gzipped) or MBPP's JSON list.
        predictions: JSON lines with `task_id` and `completion`, as many per task as there are samples, or a run's
            `completions.jsonl`, which calls them `id` and `text`.
        limits: what each program may use.
        workers: programs run at the same time.
        progress: called after each sample.

    Raises:
        DataError: a file is malformed, or a prediction's task isn't in the benchmark.
    """
    tasks = {task.id: task for task in read_tasks(gold)}
    samples = read_samples(predictions, tasks)
    outcomes: list[ProgramOutcome] = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for outcome in pool.map(lambda s: run_sample(tasks[s[0]], s[1], limits), samples):
                outcomes.append(outcome)
                if progress:
                    progress(len(outcomes), len(samples))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    seen: dict[str, list[bool]] = {}
    items: list[Item] = []
    verdicts: list[Verdict] = []
    for index, ((id, _), outcome) in enumerate(zip(samples, outcomes, strict=True)):
        flags = seen.setdefault(id, [])
        flags.append(outcome.passed)
        items.append(_item(index, id, len(flags), outcome))
        verdicts.append(_verdict(tasks[id], len(flags), outcome))
    missing = len(tasks) - len(seen)
    fences = sorted({", ".join(outcome.fences) for outcome in outcomes if outcome.fences})
    notes = [f"sandbox: {'; '.join(fences) or 'no program came to its end'}"]
    if missing:
        notes.append(f"{missing} of {len(tasks)} tasks have no sample and are left out")
    return collect(
        "code",
        items,
        verdicts,
        [METRIC],
        expected=len(samples) + missing,
        measures={f"pass@{k}": {"all": value} for k, value in _pass_rates(seen)},
        notes=notes,
    )


def read_tasks(path: Path) -> list[CodeTask]:
    """Return the tasks of a benchmark's file, told apart by their keys; raise `DataError` on a bad one."""
    if ".jsonl" in path.suffixes:
        entries = [(f"{path}:{line}", entry) for line, entry in read_json_lines(path)]
    else:
        found = read_json(path)
        if not isinstance(found, list):
            raise DataError(f"{path}:1: expected a JSON list of tasks, found {type(found).__name__}.")
        entries = [(f"{path}, task {place}", entry) for place, entry in enumerate(found, 1)]
    tasks = [_task(entry, where) for where, entry in entries]
    if not tasks:
        raise DataError(f"{path}: expected tasks, found none.")
    return tasks


def read_samples(path: Path, tasks: dict[str, CodeTask]) -> list[tuple[str, str]]:
    """Return (task id, completion) for each line of a prediction file; ids may be numbers."""
    samples = []
    for line, entry in read_json_lines(path):
        where = f"{path}:{line}"
        id = str(entry.get("task_id", entry.get("id", "")))
        if id not in tasks:
            known = next(iter(tasks))
            raise DataError(f"{where}: expected a task_id of the benchmark such as {known!r}, found {id!r}.")
        samples.append(
            (id, text_of(entry, "text" if "text" in entry and "completion" not in entry else "completion", where))
        )
    if not samples:
        raise DataError(f"{path}: expected lines with task_id and completion, found none.")
    return samples


def run_sample(task: CodeTask, completion: str, limits: ProgramLimits) -> ProgramOutcome:
    """Return what the task's tests say about one completion."""
    return run_program(task.program(completion), task.tests, task.names, task.solution, limits)


def _task(entry: Any, where: str) -> CodeTask:
    if not isinstance(entry, dict) or "task_id" not in entry:
        raise DataError(f"{where}: expected an object with a task_id, found {entry!r:.60}.")
    if "test_list" in entry:
        return _mbpp_task(entry, where)
    prompt, canonical = text_of(entry, "prompt", where), text_of(entry, "canonical_solution", where)
    suffix = text_of(entry, "suffix", where) if "suffix" in entry else ""
    name = text_of(entry, "entry_point", where)
    return CodeTask(
        id=str(entry["task_id"]),
        benchmark="infilling" if "suffix" in entry else "humaneval",
        prompt=prompt,
        suffix=suffix,
        canonical=canonical,
        solution=prompt + canonical + suffix,
        tests=f"{text_of(entry, 'test', where)}\n\ncheck({name})\n",
        names=(name,),
    )


def _mbpp_task(entry: dict[str, Any], where: str) -> CodeTask:
    """Return a task of MBPP, whose tests call functions of the solution by name."""
    lists = [entry.get(key) for key in ("test_imports", "test_list")]
    if not all(isinstance(lines, list) and all(isinstance(line, str) for line in lines) for lines in lists):
        raise DataError(f"{where}: expected lists of texts under test_imports and test_list.")
    tests, code = "\n".join(line for lines in lists for line in lines or ()), text_of(entry, "code", where)
    try:
        with warnings.catch_warnings():  # published code has escapes that newer Pythons warn about
            warnings.simplefilter("ignore")
            trees = ast.parse(code), ast.parse(tests)
    except SyntaxError as error:
        raise DataError(f"{where}: expected Python, found {error.msg} in {error.text!r:.60}.") from None
    defined = {node.name for node in ast.walk(trees[0]) if isinstance(node, ast.FunctionDef)}
    used = {node.id for node in ast.walk(trees[1]) if isinstance(node, ast.Name)}
    return CodeTask(
        id=str(entry["task_id"]),
        benchmark="mbpp",
        prompt="",
        suffix="",
        canonical=code,
        solution=code,
        tests=tests,
        names=tuple(sorted(defined & used)),
    )


def _pass_rates(seen: dict[str, list[bool]]) -> Iterator[tuple[int, float]]:
    """Yield (k, pass@k) for every k of `KS` for which each task has enough samples."""
    for k in KS:
        if all(len(flags) >= k for flags in seen.values()):
            yield k, mean([pass_at_k(len(flags), sum(flags), k) for flags in seen.values()])


def _item(index: int, id: str, sample: int, outcome: ProgramOutcome) -> Item:
    return {
        "index": index,
        "db_id": id,
        "hardness": "",
        METRIC: outcome.passed,
        "sample": sample,
        "reason": "" if outcome.passed else outcome.verdict,
        "detail": outcome.detail,
        "seconds": round(outcome.seconds, 3),
    }


def _verdict(task: CodeTask, sample: int, outcome: ProgramOutcome) -> Verdict:
    return Verdict(
        id=f"{task.id}#{sample}",
        metric=METRIC,
        correct=outcome.passed,
        reason="" if outcome.passed else outcome.verdict,
        detail=outcome.detail,
        category=task.benchmark,
    )


def canonical_samples(tasks: Sequence[CodeTask]) -> list[dict[str, str]]:
    """Return the published completion of every task in the form of a prediction file's lines."""
    return [{"task_id": task.id, "completion": task.canonical} for task in tasks]
