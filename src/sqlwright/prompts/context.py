"""What a prompt says beside schema and question: the earlier turns of a dialogue, or a task that has no database.

Not covered: cutting long dialogues; all earlier turns are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlwright.prompts.infilling import gap_prompt, is_gap
from sqlwright.records import Prompt, Question

if TYPE_CHECKING:
    from sqlwright.prompts.build import PromptFormat

TASK_INSTRUCTION = "Do the given task exactly. Answer with the result and nothing else."
TASK_STYLE = "task"
"""What the prompts of questions without a database name as their style."""


def earlier_turns(history: Sequence[Sequence[str]]) -> str:
    """Return the turns before a question, two lines each, oldest first; empty where there are none."""
    return "".join(
        f"Earlier question: {' '.join(text.split())}\nIts query: {' '.join(sql.split())}\n" for text, sql in history
    )


def task_prompt(question: Question, fmt: PromptFormat, *, learned: bool) -> Prompt:
    """Return the prompt of a question about no database; its first gold is the target if it is `learned`.

    The evidence describes the task and is shared by all questions that have the same; text and gold stay as they are,
    since blanks count in programs. A gap is asked for with the model's own marks (see `prompts.infilling`).
    """
    if is_gap(question):
        return gap_prompt(question, fmt.chat, learned=learned)
    shared = f"{question.evidence}\n\n" if question.evidence else ""
    prefix, suffix = fmt.chat.split(TASK_INSTRUCTION, shared, question.text)
    target = fmt.chat.guarded(question.golds[0]) if learned and question.golds else ""
    return Prompt(question.id, "", prefix, suffix, target=target, style=TASK_STYLE)
