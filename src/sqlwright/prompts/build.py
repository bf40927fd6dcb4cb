"""From questions to prompts: the schema of each database is written once and shared by all its questions.

What belongs to one question stands behind it: the solved questions that are like it, and the values of the data that
it names. Only a schema over the budget is cut for each question anew (see `prompts.fit`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlwright.databases import Executor, Schema
from sqlwright.databases.notes import describe_with_notes
from sqlwright.prompts.chat import ChatTemplate
from sqlwright.prompts.context import earlier_turns, task_prompt
from sqlwright.prompts.fit import CountTokens, FittedSchema
from sqlwright.prompts.shots import Shot, ShotIndex
from sqlwright.prompts.style import Style
from sqlwright.prompts.values import ValueIndex
from sqlwright.records import Prompt, Question

Target = Callable[[str, Schema], str]


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """All that decides how a prompt is written. It is stored with an adapter and used wherever the adapter is.

    `max_schema_tokens` bounds the schema's text; `sample_values` is per text column; `few_shot` and `matched_values`
    are how many solved questions and values of the data a question gets at most.
    """

    style: Style
    sample_values: int
    max_schema_tokens: int
    chat: ChatTemplate
    few_shot: int = 0
    matched_values: int = 0

    @property
    def own_tokens(self) -> int:
        """Tokens of a prompt beside its schema: generous, they only size the cache."""
        return 512 + 320 * self.few_shot + 48 * self.matched_values


class PromptWriter:
    """Writes prompts for one question after another; a context manager.

    `shots` are the solved questions to choose from, `cache` a folder for the indexes of values (without one they are
    made anew each time).
    """

    def __init__(
        self, fmt: PromptFormat, count_tokens: CountTokens, *, shots: Sequence[Shot] = (), cache: Path | None = None
    ) -> None:
        self.fmt, self._cache = fmt, cache
        self._count = lambda text: count_tokens(fmt.chat.guarded(text))
        self._shots = ShotIndex(shots) if fmt.few_shot else None
        self._schemas: dict[str, FittedSchema] = {}
        self._values: dict[str, ValueIndex] = {}
        self._stack = ExitStack()
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, question: Question, database: Path | str, target: Target | None = None) -> Prompt:
        """Return the prompt of a question; `target` makes the text to learn from its first gold and the schema."""
        fmt, style = self.fmt, self.fmt.style
        if question.database not in self._schemas:
            schema = describe_with_notes(database, fmt.sample_values)
            self._schemas[question.database] = FittedSchema(schema, style, fmt.max_schema_tokens, self._count)
        fitted = self._schemas[question.database]
        values = self._matched(question, database, fitted.schema)
        text = fitted.text(" ".join([question.text, question.evidence, *values]))
        asked = earlier_turns(question.history) + style.ask(question.text, question.evidence, values)
        own = self._solved(question, fitted.schema) + asked
        instruction = style.instruction.replace("SQLite", fitted.schema.engine)
        prefix, suffix = fmt.chat.split(instruction, text.text + "\n\n", own)
        learned = target(question.golds[0], fitted.schema) if target and question.golds else ""
        return Prompt(
            id=question.id,
            database=question.database,
            prefix=prefix,
            suffix=suffix,
            target=fmt.chat.guarded(learned),
            style=style.name,
            omitted=text.omitted,
        )

    def _matched(self, question: Question, database: Path | str, schema: Schema) -> tuple[str, ...]:
        """Return the values that the question or its evidence names, as text."""
        if not self.fmt.matched_values or schema.engine != "SQLite":
            return ()
        if self._executor is None:
            self._executor = self._stack.enter_context(Executor(workers=1))
        if self._cache is None:
            self._cache = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sqlwright-values-")))
        if question.database not in self._values:
            self._values[question.database] = ValueIndex(Path(database), schema, self._cache, self._executor)
        asked = " ".join(filter(None, [question.text, question.evidence]))
        found = self._values[question.database].find(asked, self.fmt.matched_values)
        return tuple(dict.fromkeys(map(str, found)))

    def _solved(self, question: Question, schema: Schema) -> str:
        """Return the solved questions that are most like this one, as text."""
        shots = self._shots.choose(question, schema, self.fmt.few_shot) if self._shots else []
        if not shots:
            return ""
        style = self.fmt.style
        solved = [f"{style.ask(shot.text, '')}{style.answer}{shot.sql}" for shot in shots]
        return "\n\n".join(["Solved questions, some of them about other databases:", *solved, ""])


def build_prompts(
    questions: Iterable[Question],
    databases: Mapping[str, Path],
    fmt: PromptFormat,
    count_tokens: CountTokens,
    target: Target | None = None,
    *,
    shots: Sequence[Shot] = (),
    cache: Path | None = None,
) -> list[Prompt]:
    """Return a prompt per question, in order; questions of one database share the very same prefix.

    The prefix is shared as long as the schema fits; one over the budget is cut for each question. Earlier turns of a
    dialogue stand before the question. A question about no database shares its evidence, which describes the task, in
    the place of a schema, and its text stays as it is. `target` makes the
    text to learn from the first gold and the schema (see `prompts.target`); without it the prompts have none
    (prediction). `shots` and `cache` are as for `PromptWriter`.
    """
    with PromptWriter(fmt, count_tokens, shots=shots, cache=cache) as writer:
        return [
            writer.write(question, databases[question.database], target)
            if question.database
            else task_prompt(question, fmt, learned=target is not None)
            for question in questions
        ]
