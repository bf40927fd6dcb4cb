"""Answers to training questions, drawn, run and judged: what preference methods learn from.

`mined.jsonl` in the run folder gets a line per answer, wave by wave (or round by round, where the model learns in
between); the same call again goes on behind the last whole one. Not covered: learning from them (`stages.prefer`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlwright.databases import Executor, Schema, describe
from sqlwright.decoding import Wave
from sqlwright.decoding.confidence import signals
from sqlwright.evaluation.reward import UNJUDGED, score_rewards
from sqlwright.evaluation.robust import RobustItem
from sqlwright.models.gguf import Answer
from sqlwright.records import Prompt, Question, Record
from sqlwright.runs.folder import append_records, read_appended, write_text
from sqlwright.sql.extract import extract_sql
from sqlwright.sql.normalise import normalise

FILE = "mined.jsonl"


@dataclass(frozen=True, slots=True)
class Mined(Record):
    """An answer that was drawn, run and judged.

    `question` is the question's id, `round` the round of learning in which it was drawn, `sample` its number there.
    `tokens` is what the model wrote and `log_probability` that of all of it (natural log); `signals` are those that a
    ranker weighs (`decoding.confidence.SIGNALS`).
    """

    question: str
    database: str
    round: int
    sample: int
    sql: str
    tokens: tuple[int, ...]
    log_probability: float
    correct: bool
    reason: str
    reward: float
    signals: tuple[float, ...]


class Miner:
    """Judges answers to the given questions and keeps them in a file, in which finished ones are found again."""

    def __init__(
        self,
        questions: Sequence[Question],
        databases: Mapping[str, Path | str],
        executor: Executor,
        path: Path,
        samples: int,
    ) -> None:
        self._questions = {question.id: question for question in questions}
        self._databases, self._executor = databases, executor
        self._schemas: dict[str, Schema] = {}
        self._path, self._samples = path, samples
        self.found: dict[tuple[int, str], list[Mined]] = {}
        lines, self.torn = read_appended(path)
        for line in lines:
            one = Mined.from_dict(line, str(path))
            self.found.setdefault((one.round, one.question), []).append(one)

    @property
    def all(self) -> list[Mined]:
        """All answers so far, in the order in which they were drawn."""
        return [one for several in self.found.values() for one in several]

    def keep(self, waves: Sequence[Wave], number: int = 0) -> list[Wave]:
        """Return the waves of a round that are not complete, and forget what is known of these.

        What is decoded side by side may differ in the last bits from what is decoded alone: a wave that was cut off is
        done again as a whole. Later rounds are forgotten, too.
        """
        waiting = [wave for wave in waves if not all(self._whole(number, prompt) for prompt in _prompts(wave))]
        again = {prompt.id for wave in waiting for prompt in _prompts(wave)}
        kept = {
            key: several
            for key, several in self.found.items()
            if key[0] < number or (key[0] == number and key[1] not in again)
        }
        if self.torn or kept.keys() != self.found.keys() or not self._path.is_file():
            self.found, self.torn = kept, False
            write_text(self._path, "".join(one.to_json() + "\n" for one in self.all))
        return waiting

    def add(self, wave: Wave, answers: Sequence[Sequence[Sequence[Answer]]], number: int = 0) -> None:
        """Judge the answers to each prompt of each group of the wave, and append them to the file."""
        pairs = [
            (self._questions[prompt.id], sample, answer)
            for group, own in zip(wave, answers, strict=True)
            for prompt, several in zip(group, own, strict=True)
            for sample, answer in enumerate(several)
        ]
        items = [
            RobustItem(question.id, self._databases[question.database], question.golds, extract_sql(answer.text))
            for question, _, answer in pairs
        ]
        rewards = score_rewards(items, self._executor)
        new = []
        for (question, sample, answer), item, reward in zip(pairs, items, rewards, strict=True):
            logs, sql = answer.log_probabilities, item.prediction
            schema = self._schema(question.database)
            one = Mined(
                id=f"{question.id}#{number}.{sample}",
                question=question.id,
                database=question.database,
                round=number,
                sample=sample,
                sql=sql,
                tokens=answer.tokens,
                log_probability=round(sum(logs), 4),
                correct=reward.verdict.correct,
                reason=reward.verdict.reason,
                reward=round(reward.value, 6),
                signals=tuple(
                    round(value, 4) for value in signals(logs, sql, reward.outcome, False, question.text, schema)
                ),
            )
            new.append(one)
            self.found.setdefault((number, question.id), []).append(one)
        append_records(self._path, new)

    def _whole(self, number: int, prompt: Prompt) -> bool:
        return len(self.found.get((number, prompt.id), ())) == self._samples

    def _schema(self, name: str) -> Schema:
        if name not in self._schemas:
            self._schemas[name] = describe(self._databases[name], 0, executor=self._executor)
        return self._schemas[name]


def different(answers: Sequence[Mined]) -> list[Mined]:
    """Return one answer of each that are the same SQL but for spelling, the likeliest first."""
    by_text: dict[str, Mined] = {}
    for one in sorted(answers, key=lambda one: -_per_token(one)):
        by_text.setdefault(normalise(one.sql).lower(), one)
    return list(by_text.values())


def more_targets(question: Question, answers: Sequence[Mined], most: int) -> list[Question]:
    """Return the question with each right answer that is written otherwise than its golds, at most `most` times."""
    known = {normalise(gold).lower() for gold in question.golds}
    right = different([one for one in answers if one.correct])
    found = [one for one in right if normalise(one.sql).lower() not in known]
    return [replace(question, id=one.id, golds=(one.sql,)) for one in found[:most]]


def right_and_wrong(answers: Sequence[Mined], most: int) -> list[tuple[Mined, Mined]]:
    """Return at most `most` pairs of a right and a wrong answer to one question; likely ones first, by turns.

    Wrong answers that couldn't be judged are in none, and where all are right or wrong there are no pairs.
    """
    right = different([one for one in answers if one.correct])
    wrong = different([one for one in answers if not one.correct and one.reason not in UNJUDGED])
    if not right or not wrong:
        return []
    count = min(most, max(len(right), len(wrong)))
    return [(right[n % len(right)], wrong[n % len(wrong)]) for n in range(count)]


def likeliest_wrong(answers: Sequence[Mined]) -> Mined | None:
    """Return the likeliest answer where all that could be judged are wrong, None where one is right or none judged."""
    wrong = different([one for one in answers if not one.correct and one.reason not in UNJUDGED])
    return wrong[0] if wrong and not any(one.correct for one in answers) else None


def _per_token(one: Mined) -> float:
    return one.log_probability / max(1, len(one.tokens))


def _prompts(wave: Wave) -> Iterator[Prompt]:
    return (prompt for group in wave for prompt in group)
