"""Self-instruct with execution feedback: a model sets problems, tests and solutions; what runs decides.

For every attempt the model writes a problem, then tests for it, then solutions one after another, each drawn by a
seed of its own. The first solution that passes all tests is kept; after `solutions` failures the problem is given up.
That is the way of Code Llama (Rozière et al. 2023, "Self-Instruct"), which draws ten solutions and takes the first
that passes: drawing stops here where it would have been found. Problems and solutions that were seen are left out.

The folder holds `attempts.jsonl`, a line for every attempt, synced when it is done, and `accepted.jsonl`, made from
it. An attempt depends on its number, the settings and the attempts before it: killed at any moment, the same command
goes on and ends as an undisturbed one.

Not covered: whether an accepted solution answers its problem: tests and solution may share a misunderstanding.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlwright.errors import DataError
from sqlwright.models.gguf import GgufEngine
from sqlwright.records import Record, stable_id
from sqlwright.runs.folder import RunFolder, append_records, read_appended, write_text

STAGE = "self-instruct"
ACCEPTED = "accepted"
OUTCOMES = (ACCEPTED, "no problem", "problem seen before", "no tests", "no solution passes", "solution seen before")
"""How an attempt can end."""

# Texts other than SQL may hold ";\n"; they end where a code fence closes.
_STOP = ("\n```\n",)


@dataclass(frozen=True, slots=True)
class Attempt(Record):
    """One attempt: its number, how it ended (`OUTCOMES`), and what the model wrote.

    `tries` counts the solutions that were run, `faults` says why each that failed did. `tokens` were decoded.
    """

    number: int
    outcome: str
    problem: str = ""
    tests: tuple[str, ...] = ()
    solution: str = ""
    tries: int = 0
    faults: tuple[str, ...] = ()
    tokens: int = 0


class Kind(Protocol):
    """What problems are about: how the model is asked, how its texts are read, and what running them shows."""

    @property
    def name(self) -> str:
        """What the command calls it."""
        ...

    @property
    def tests_start(self) -> str:
        """Return how the model's text of tests begins; it is put in its mouth."""
        ...

    @property
    def solution_start(self) -> str:
        """Return how the model's text of a solution begins."""
        ...

    @property
    def stop(self) -> Sequence[str]:
        """Return the texts of which each ends a solution."""
        ...

    def inputs(self) -> dict[str, str]:
        """Return what the results depend on, by name."""
        ...

    def ask_problem(self, number: int, seed: int) -> tuple[str, str]:
        """Return the prompt for a problem, as (prefix, suffix); all prompts share the prefix."""
        ...

    def ask_tests(self, problem: str) -> tuple[str, str]:
        """Return the prompt for tests."""
        ...

    def ask_solution(self, problem: str, tests: Sequence[str]) -> tuple[str, str]:
        """Return the prompt for a solution."""
        ...

    def read_problem(self, text: str) -> str:
        """Return the problem in what the model wrote, empty where there is none."""
        ...

    def read_tests(self, text: str, problem: str) -> tuple[str, ...]:
        """Return the tests that can fail; none where the model wrote none of use."""
        ...

    def read_solution(self, text: str) -> str:
        """Return the solution in what the model wrote."""
        ...

    def fault(self, solution: str, tests: Sequence[str]) -> str:
        """Return why the solution doesn't pass the tests, empty where it does."""
        ...

    def line(self, attempt: Attempt) -> dict[str, Any]:
        """Return an accepted attempt as a line of `accepted.jsonl`."""
        ...


@dataclass(frozen=True, slots=True)
class InstructSettings:
    """How problems are drawn: solutions tried at most, temperature, tokens per text, seed."""

    solutions: int = 10
    temperature: float = 0.8
    max_tokens: int = 300
    seed: int = 0


def self_instruct(
    engine: GgufEngine,
    kind: Kind,
    folder: RunFolder,
    count: int,
    settings: InstructSettings,
    *,
    model_hash: str,
    progress: Callable[[int, int, int], None] = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Make `count` attempts in the folder, those that are there included, and return the counts of all of them.

    `progress` is called with (attempts done, attempts, accepted).

    Raises:
        DataError: the folder holds attempts under other settings.
        RunLockedError: another process works on the folder.
    """
    with folder.locked():
        inputs = {"kind": kind.name, "model": model_hash, **kind.inputs()}
        inputs |= {name: str(getattr(settings, name)) for name in InstructSettings.__slots__}
        _begin(folder, inputs)
        path = folder.path / "attempts.jsonl"
        attempts = _attempts(path, say)
        try:
            for number in range(len(attempts), count):
                attempt = _Asked(engine, kind, settings).attempt(number, attempts)
                append_records(path, [attempt])
                attempts.append(attempt)
                progress(len(attempts), count, sum(one.outcome == ACCEPTED for one in attempts))
        finally:
            lines = [kind.line(attempt) for attempt in attempts if attempt.outcome == ACCEPTED]
            accepted = folder.path / "accepted.jsonl"
            write_text(accepted, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        facts = counts(attempts)
        folder.done(STAGE, [path, accepted], facts)
        return facts


def counts(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return how attempts ended, in which try solutions passed, why others didn't, and the tokens it took."""
    tries = Counter(attempt.tries for attempt in attempts if attempt.outcome == ACCEPTED)
    faults = Counter(fault for attempt in attempts for fault in attempt.faults)
    return {
        "attempts": len(attempts),
        "outcomes": {outcome: sum(one.outcome == outcome for one in attempts) for outcome in OUTCOMES},
        "accepted in try": {str(number): tries[number] for number in sorted(tries)},
        "solutions run": sum(attempt.tries for attempt in attempts),
        "faults": dict(faults.most_common()),
        "tokens": sum(attempt.tokens for attempt in attempts),
    }


class _Asked:
    """Asks the model for one attempt, and counts what it writes."""

    def __init__(self, engine: GgufEngine, kind: Kind, settings: InstructSettings) -> None:
        self.engine, self.kind, self.settings = engine, kind, settings
        self.tokens = 0

    def attempt(self, number: int, before: Sequence[Attempt]) -> Attempt:
        """Return the attempt with this number."""
        kind = self.kind
        seed = self.settings.seed * 1_000_003 + number * 1_009
        problem = kind.read_problem(self._write(kind.ask_problem(number, self.settings.seed), seed, _STOP))
        tests: tuple[str, ...] = ()
        faults: list[str] = []
        solution, tries = "", 0
        if not problem:
            outcome = "no problem"
        elif _key(problem) in {_key(one.problem) for one in before}:
            outcome = "problem seen before"
        elif not (tests := kind.read_tests(self._tests(problem, seed + 1), problem)):
            outcome = "no tests"
        else:
            outcome = "no solution passes"
            for tries in range(1, self.settings.solutions + 1):
                asked = kind.ask_solution(problem, tests)
                text = self._write(asked, seed + 1 + tries, kind.stop, kind.solution_start)
                solution = kind.read_solution(text)
                fault = kind.fault(solution, tests)
                if not fault:
                    seen = {_key(one.solution) for one in before if one.outcome == ACCEPTED}
                    outcome = "solution seen before" if _key(solution) in seen else ACCEPTED
                    break
                faults.append(fault)
        return Attempt(
            id=stable_id(kind.name, str(number), problem, solution),
            number=number,
            outcome=outcome,
            problem=problem,
            tests=tests,
            solution=solution,
            tries=tries,
            faults=tuple(faults),
            tokens=self.tokens,
        )

    def _tests(self, problem: str, seed: int) -> str:
        return self._write(self.kind.ask_tests(problem), seed, _STOP, self.kind.tests_start)

    def _write(self, prompt: tuple[str, str], seed: int, stop: Sequence[str], start: str = "") -> str:
        """Return what the model writes for a prompt, with the start that was put in its mouth."""
        answer = self.engine.answer(
            prompt[0],
            [prompt[1] + start],
            self.settings.max_tokens,
            temperature=self.settings.temperature,
            seed=seed % 2**31,
            stop=stop,
        )[0]
        self.tokens += len(answer.tokens)
        return start + answer.text


def _key(text: str) -> str:
    """Return what two texts share that differ in case, spaces and punctuation at their ends only."""
    return " ".join(text.lower().split()).strip(" .;?!")


def _begin(folder: RunFolder, inputs: dict[str, str]) -> None:
    """Record the settings of a new folder; raise `DataError` where it was begun with others."""
    record = folder.manifest["stages"].get(STAGE)
    if record is None:
        if any(path.suffix == ".jsonl" for path in folder.path.iterdir()):
            raise DataError(f"{folder.path}: expected an empty folder or one of `self-instruct`, found other files.")
        folder.begin(STAGE, inputs)
        return
    other = [
        f"{name} was {record['inputs'].get(name, 'absent')}, now {inputs.get(name, 'absent')}"
        for name in dict.fromkeys([*record["inputs"], *inputs])
        if record["inputs"].get(name) != inputs.get(name)
    ]
    if other:
        raise DataError(f"{folder.path}: it was begun with other settings ({'; '.join(other)}). Give another folder.")


def _attempts(path: Path, say: Callable[[str], None]) -> list[Attempt]:
    """Return the attempts that are done; a torn last line is taken out of the file, and said."""
    lines, torn = read_appended(path)
    attempts = [Attempt.from_dict(line, str(path)) for line in lines]
    if torn:
        say(f"{path.name}: the last line was torn; that attempt is made again.")
        write_text(path, "".join(attempt.to_json() + "\n" for attempt in attempts))
    return attempts
