"""Earlier turns stand before the question; a task without a database shares its description and keeps its blanks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqlwright.prompts import STYLES, TARGETS, ChatTemplate, PromptFormat, build_prompts
from sqlwright.records import Question

CHAT = ChatTemplate("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]")
TURNS = (("How many books?", "SELECT count(*)\nFROM book"), ("And  authors?", "SELECT count(*) FROM author"))


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


@pytest.mark.parametrize("name", STYLES)
def test_earlier_turns_and_evidence_stand_in_the_suffix(library: Path, name: str) -> None:
    own = Question("3", "library", "Which of them?", ("SELECT 'gold'",), evidence="them = authors", history=TURNS)
    alone = Question("1", "library", "Which of them?", ("SELECT 'gold'",), evidence="them = authors")
    fmt = PromptFormat(STYLES[name], 0, 2048, CHAT)
    with_turns, without = build_prompts([own, alone], {"library": library}, fmt, count, TARGETS["plain"])
    assert with_turns.prefix == without.prefix
    turns = (
        "Earlier question: How many books?\nIts query: SELECT count(*) FROM book\n"
        "Earlier question: And authors?\nIts query: SELECT count(*) FROM author\n"
    )
    assert with_turns.suffix == turns + without.suffix
    assert "them = authors" in without.suffix
    assert "gold" not in with_turns.prefix + with_turns.suffix


def test_a_task_without_a_database() -> None:
    text, gold = "\ndef twice(x):\n    '''Double  it.'''\n", "    return 2 * x\n"
    questions = [
        Question("1", "", text, (gold,), evidence="Complete it."),
        Question("2", "", "x", evidence="Complete it."),
    ]
    fmt = PromptFormat(STYLES["compact"], 0, 2048, CHAT)
    first, second = build_prompts(questions, {}, fmt, count, TARGETS["plain"])
    assert first.prefix == second.prefix
    assert first.prefix.endswith("[user]Complete it.\n\n")
    assert "SQL" not in first.prefix
    assert first.suffix == text + "[answer]"
    assert (first.target, second.target) == (gold, "")
    assert build_prompts(questions, {}, fmt, count)[0].target == ""
