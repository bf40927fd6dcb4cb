"""Self-instruct for Python: an exercise, asserts for a function of it, a function that passes them in the sandbox.

Tests that a function without a body passes show nothing, and the exercise is given up.

Not covered: exercises that need files, networks or packages: the sandbox has none.
"""

from __future__ import annotations

import ast
import builtins
import random
import re
import warnings
from collections.abc import Sequence
from typing import Any

from sqlwright.datasets import package_path
from sqlwright.evaluation.code_sandbox import ProgramLimits, run_program
from sqlwright.prompts import ChatTemplate
from sqlwright.runs.self_instruct import Attempt

MOST_TESTS = 5
LIMITS = ProgramLimits(seconds=5.0)
_INSTRUCTION = (
    "You prepare short exercises in Python: what a function has to do, asserts that test it, and the function itself. "
    "Write what is asked for and nothing else."
)
_EXAMPLE = """\
Exercise: The function double takes a number and returns twice that number.
Tests:
assert double(2) == 4
assert double(-3) == -6
Solution:
```python
def double(number):
    return 2 * number
```

"""
_KEPT = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)


class PythonProblems:
    """Exercises about the topics that ship with SQLWright."""

    name = "python"
    stop = ("\n```\n",)
    tests_start = "assert "
    solution_start = "```python\n"

    def __init__(self, chat: ChatTemplate) -> None:
        self._chat = chat
        self._topics = package_path("self_instruct/python_topics.txt").read_text(encoding="utf-8").splitlines()

    def inputs(self) -> dict[str, str]:
        """Return nothing: exercises depend on the model and the settings alone."""
        return {}

    def ask_problem(self, number: int, seed: int) -> tuple[str, str]:
        """Return the prompt for an exercise about a topic that the number draws."""
        topic = random.Random(f"{seed}:{number}").choice(self._topics)
        return self._prompt(
            f"Write another exercise, about {topic}: one or two sentences that name one function, what it takes and "
            "what it returns. No tests, no solution."
        )

    def ask_tests(self, problem: str) -> tuple[str, str]:
        """Return the prompt for asserts."""
        return self._prompt(f"Exercise: {problem}\nWrite its tests: three asserts, one to a line.")

    def ask_solution(self, problem: str, tests: Sequence[str]) -> tuple[str, str]:
        """Return the prompt for the function, with the first test, which shows its name and arguments."""
        return self._prompt(f"Exercise: {problem}\nTests:\n{tests[0]}\nWrite its solution in Python.")

    def read_problem(self, text: str) -> str:
        """Return the exercise as one paragraph, up to tests or a solution; empty where it is too short or code."""
        found = re.sub(r"^[\s*#]*exercise\b[^:\n]{0,40}:[\s*]*", "", text.partition("```")[0], flags=re.IGNORECASE)
        found = re.split(r"^[\s*#]*(?:tests?|solution)\b[\s*]*:", found, flags=re.IGNORECASE | re.MULTILINE)[0]
        words = found.split()
        return " ".join(words) if 6 <= len(words) <= 200 and "def " not in found else ""

    def read_tests(self, text: str, problem: str) -> tuple[str, ...]:
        """Return the asserts about a function that the exercise names, unless one without a body passes them."""
        found: dict[str, None] = {}
        name = ""
        for line in text.splitlines():
            test = line.strip().strip("`")
            called = _called(test)
            if called and (called == name or (not name and re.search(rf"\b{called}\b", problem))):
                name = called
                found[test] = None
        tests = tuple(found)[:MOST_TESTS]
        return tests if tests and self._run(f"def {name}(*_, **__):\n    pass\n", tests, name) else ()

    def read_solution(self, text: str) -> str:
        """Return functions, classes, imports and constants of the program, without calls and prints."""
        fenced = re.search(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", text, re.DOTALL)
        source = fenced[1] if fenced else text[max(0, _first_code(text)) :]
        tree = _parsed(source)
        if tree is None:
            return source.strip()
        kept = [ast.get_source_segment(source, node) for node in tree.body if isinstance(node, _KEPT)]
        return "\n".join(part for part in kept if part)

    def fault(self, solution: str, tests: Sequence[str]) -> str:
        """Return the sandbox's verdict where the function doesn't pass."""
        return self._run(solution, tests, _called(tests[0]))

    def line(self, attempt: Attempt) -> dict[str, Any]:
        """Return the exercise with its tests and its solution."""
        values = {"id": attempt.id, "question": attempt.problem}
        return values | {"tests": list(attempt.tests), "solution": attempt.solution}

    def _run(self, program: str, tests: Sequence[str], name: str) -> str:
        outcome = run_program(program, "\n".join(tests) + "\n", [name], limits=LIMITS)
        return "" if outcome.passed else outcome.verdict

    def _prompt(self, own: str) -> tuple[str, str]:
        return self._chat.split(_INSTRUCTION, _EXAMPLE, own)


def _called(test: str) -> str:
    """Return the name of the function that an assert tests, empty where the text is no such assert."""
    tree = _parsed(test)
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        return ""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return next((f.id for f in calls if isinstance(f, ast.Name) and not hasattr(builtins, f.id)), "")


def _first_code(text: str) -> int:
    found = re.search(r"^(?:def|class|import|from)\s", text, re.MULTILINE)
    return found.start() if found else 0


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # escapes that newer Pythons warn about are the program's own affair
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
