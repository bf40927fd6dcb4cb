"""The two things a language model does for a synthesised pair: put the question in other words, and answer it.

A wording is kept only if the model, given the question alone, writes SQL with the same result, its names and texts
repaired as `ask` does (small models lose the joins, and those are what pairs should teach). That needs no judge: a
question that lost a condition leads elsewhere.

Not covered: wordings that lead to the right result by chance, which the filters before make rare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Executor, Limits
from sqlwright.datasets import package_path
from sqlwright.datasets.synthesis.sample import Pair
from sqlwright.decoding import Repairer, predict, prompt_groups
from sqlwright.evaluation.robust import RobustItem, score_robust
from sqlwright.models.engines import Engine
from sqlwright.prompts import PromptFormat, Shot, build_prompts
from sqlwright.records import Question, stable_id
from sqlwright.sql.lexer import lex

MAX_TOKENS = 160
_REWORDED_TOKENS = 60
_MOST_WORDS = 45
LIMITS = Limits(seconds=5, rows=5000)
_INSTRUCTION = (
    "You rewrite questions about a database in the words of a colleague who asks them. Keep every condition, number "
    "and name. Answer with the rewritten question and nothing else."
)
_CODE = re.compile(r"\b(?:SELECT|FROM|JOIN|WHERE)\b|```")


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a pair: its wordings by the model and by rules, and those that led back to its result."""

    reworded: str
    right: tuple[str, ...]


class RoundTrip:
    """Loaded models at work on the pairs of one database: one that rewords, and one that answers, in its own format.

    They may be the same engine. A model that was trained to write SQL alone is no good at the first.
    """

    def __init__(
        self,
        writer: Engine,
        reader: Engine,
        fmt: PromptFormat,
        database: Path,
        executor: Executor,
        shots: Sequence[Shot] = (),
    ) -> None:
        self._writer, self._reader = writer, reader
        self._format, self._database, self._executor = fmt, database, executor
        self._shots = shots
        shown = package_path("synthesis/rewordings.tsv").read_text(encoding="utf-8").splitlines()
        # As turns of a conversation: small models repeat examples that stand in one message.
        self._turns = [(asked, said) for asked, _, said in (line.partition("\t") for line in shown)]

    def tried(self, pairs: Sequence[Pair], progress: Callable[[int], None] = lambda _: None) -> list[Tried]:
        """Return what came of each pair, in order; `progress` gets the number of answers so far."""
        reworded = self._reworded(pairs, progress)
        asked = {
            stable_id(str(number), text): (number, text)
            for number, pair in enumerate(pairs)
            for text in dict.fromkeys([reworded[number], pair.wordings[0]])
            if text
        }
        right = self._led_back(pairs, asked, lambda done: progress(len(pairs) + done))
        return [
            Tried(reworded[number], tuple(text for key, (own, text) in asked.items() if own == number and key in right))
            for number in range(len(pairs))
        ]

    def _reworded(self, pairs: Sequence[Pair], progress: Callable[[int], None]) -> list[str]:
        """Return the model's wording of each pair, empty where it can't be a question for the same SQL."""
        found = []
        size = self._writer.parallel
        for start in range(0, len(pairs), size):
            group = pairs[start : start + size]
            split = [self._format.chat.split(_INSTRUCTION, "", pair.wordings[0], self._turns) for pair in group]
            answers = self._writer.answer(split[0][0], [suffix for _, suffix in split], _REWORDED_TOKENS)
            found += [usable(answer.text, pair) for answer, pair in zip(answers, group, strict=True)]
            progress(start + len(group))
        return found

    def _led_back(
        self, pairs: Sequence[Pair], asked: Mapping[str, tuple[int, str]], progress: Callable[[int], None]
    ) -> set[str]:
        """Return the keys of the questions for which the model's SQL, repaired, has the pair's result."""
        name = self._database.stem
        questions = [Question(key, name, text, (pairs[number].sql,)) for key, (number, text) in asked.items()]
        databases = {name: self._database}
        prompts = build_prompts(questions, databases, self._format, self._reader.count_tokens, shots=self._shots)
        groups = prompt_groups(prompts, self._reader.parallel)
        written = {
            one.id: one.sql
            for group in predict(self._reader, [[group] for group in groups], MAX_TOKENS, progress)
            for one in group
        }
        outcomes = self._executor.map([(self._database, written[q.id]) for q in questions])
        repairer = Repairer(databases, self._executor)
        answers = [
            repairer.mended(written[q.id], outcome, name, q.text)[0]
            for q, outcome in zip(questions, outcomes, strict=True)
        ]
        items = [RobustItem(q.id, self._database, q.golds, sql) for q, sql in zip(questions, answers, strict=True)]
        return {verdict.id for verdict in score_robust(items, self._executor) if verdict.correct}


def usable(text: str, pair: Pair) -> str:
    """Return the model's wording as one line; empty if it is no question, is the rule's own, or lost a value."""
    first = text.strip().partition("\n")[0]
    line = " ".join(first.split()).strip('"')
    if not line or _CODE.search(line) or len(line.split()) > _MOST_WORDS or line in pair.wordings:
        return ""
    kept = line.lower().replace(",", "")
    rule = pair.wordings[0].lower().replace(",", "")
    values = {piece.strip("'%").replace("''", "'") for kind, piece in lex(pair.sql) if kind in ("string", "number")}
    # What the rule's wording doesn't say word for word (dates, the 100 of a percentage) can't be looked for.
    said = [value.lower() for value in values if len(value) > 1 and value.lower().replace(",", "") in rule]
    return line if all(value.replace(",", "") in kept for value in said) else ""
