"""Voting by result: several answers are run, and the result that most of them have wins.

Self-consistency for SQL: texts that differ can have the same result, and answers that don't run are no candidates at
all; repaired ones count half, since half of them are right. Results that say little (no rows, or nothing but zeros and
NULLs) count half, since wrong conditions often have them. Ties go to the result whose likeliest answer is likelier.
Against a greedy answer that says something, half of all votes are needed: answers that agree by chance are few.
With a ranker (see `ranker`), an answer counts as much as it is likely to be right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Outcome
from sqlwright.decoding.greedy import Wave, completion, wave_grammars
from sqlwright.decoding.ranker import Ranker
from sqlwright.decoding.repair import Repairer, telling
from sqlwright.models.engines import Engine
from sqlwright.models.gguf import Answer
from sqlwright.records import Completion, Prompt

_MAJORITY = 0.5
"""The share of the votes by which another result wins against that of a greedy answer that runs and says something."""

# Digits of a float that count when results are compared.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Voted:
    """What came of a vote: the greedy completion, and the winner with all candidates, best first.

    `share` is the winner's part of all votes, 0 where nothing ran.
    """

    greedy: Completion
    winner: Completion
    share: float


def predict_voted(
    engine: Engine,
    waves: Sequence[Wave],
    max_tokens: int,
    *,
    databases: Mapping[str, Path | str],
    executor: Executor,
    samples: int,
    temperature: float,
    seed: int = 0,
    repairer: Repairer | None = None,
    questions: Mapping[str, str] | None = None,
    ranker: Ranker | None = None,
    grammars: Mapping[str, str] | None = None,
) -> Iterator[list[Voted]]:
    """Yield the votes on the prompts of each wave; `samples` answers are decoded to each, one of them greedy.

    With a `repairer`, answers that don't run are repaired; with a `ranker`, likelier right ones count more; `questions`
    are the texts by the prompts' ids. `grammars` hold what is written, by database.
    """
    for wave in waves:
        asked = [(group[0].prefix, [prompt.suffix for prompt in group]) for group in wave]
        held = wave_grammars(wave, grammars)
        answers = engine.sample_wave(asked, max_tokens, samples, temperature, seed, grammars=held)
        pairs = [
            (prompt, several)
            for group, own in zip(wave, answers, strict=True)
            for prompt, several in zip(group, own, strict=True)
        ]
        texts = questions or {}
        yield [
            vote(prompt, several, databases[prompt.database], executor, repairer, texts.get(prompt.id, ""), ranker)
            for prompt, several in pairs
        ]


def vote(
    prompt: Prompt,
    answers: Sequence[Answer],
    database: Path | str,
    executor: Executor,
    repairer: Repairer | None = None,
    question: str = "",
    ranker: Ranker | None = None,
) -> Voted:
    """Return the vote on the answers to a prompt, the first of which is the greedy one.

    Each different text is run once. Where none runs, the greedy answer stays, and so it does where it says something
    and no other result has half of the votes. A `ranker` knows better.
    """
    greedy = completion(prompt, answers[0])
    written = [greedy, *(completion(prompt, answer) for answer in answers[1:])]
    texts = list(dict.fromkeys(one.sql for one in written))
    outcomes = dict(zip(texts, executor.map([(database, text) for text in texts]), strict=True))
    repaired: set[str] = set()
    if repairer:
        mended = {text: repairer.mended(text, outcomes[text], prompt.database, question) for text in texts}
        repaired = {text for old, (text, _) in mended.items() if text != old} - set(texts)
        outcomes = dict(mended.values())
        written = [replace(one, sql=mended[one.sql][0]) for one in written]
    sure = [1.0] * len(written)
    if ranker:
        sure = [
            ranker.of(
                answer.log_probabilities, one.sql, outcomes[one.sql], one.sql in repaired, question, prompt.database
            )
            for one, answer in zip(written, answers, strict=True)
        ]
    order = rank([(one.sql, one.log_probability) for one in written], outcomes, repaired, sure)
    by_sql = {one.sql: one for one in reversed(written)}
    shares = _shares(written, outcomes, repaired)
    first = written[0].sql
    if not ranker and telling(outcomes[first]) and shares[order[0]] < _MAJORITY:
        order.sort(key=lambda sql: sql != first)
    winner = replace(
        by_sql[order[0]],
        candidates=tuple(order),
        tokens=sum(one.tokens for one in written),
        seconds=round(sum(one.seconds for one in written), 4),
    )
    return Voted(greedy, winner, shares[order[0]])


def _shares(
    written: Sequence[Completion], outcomes: Mapping[str, Outcome], repaired: Collection[str]
) -> dict[str, float]:
    """Return what part of all votes the result of each SQL has; 0 for what doesn't run."""
    votes = _votes([one.sql for one in written], outcomes, repaired, ())
    return {one.sql: votes[_result(outcomes[one.sql])] / len(written) for one in written}


def _votes(
    sqls: Sequence[str], outcomes: Mapping[str, Outcome], repaired: Collection[str], sure: Sequence[float]
) -> dict[Any, float]:
    """Return the votes of each result; `sure` is what each SQL counts, 1 without."""
    votes: dict[Any, float] = defaultdict(float)
    for sql, counts in zip(sqls, sure or [1.0] * len(sqls), strict=True):
        votes[_result(outcomes[sql])] += counts * _weight(outcomes[sql], sql in repaired)
    return votes


def rank(
    written: Sequence[tuple[str, float | None]],
    outcomes: Mapping[str, Outcome],
    repaired: Collection[str] = (),
    sure: Sequence[float] = (),
) -> list[str]:
    """Return the different texts of `written` (SQL, mean log-probability), best first; `sure` is what each counts.

    Those whose result has most votes come first, then those of the next result, at last those that don't run; the
    first of `written` leads among these. Within a result the likeliest text leads.
    """
    votes = _votes([sql for sql, _ in written], outcomes, repaired, sure)
    best: dict[Any, float] = {}
    likely: dict[str, float] = {}
    for sql, log in written:
        key, log = _result(outcomes[sql]), float("-inf") if log is None else log
        best[key] = max(best.get(key, float("-inf")), log)
        likely[sql] = max(likely.get(sql, float("-inf")), log)
    first = {sql: place for place, (sql, _) in reversed(list(enumerate(written)))}

    def goodness(sql: str) -> tuple[float, ...]:
        key = _result(outcomes[sql])
        if key is None:
            return 0.0, -first[sql], 0.0
        return votes[key], best[key], likely[sql]

    return sorted(likely, key=goodness, reverse=True)


def _weight(outcome: Outcome, repaired: bool) -> float:
    """Return what an answer counts: nothing if it didn't run, half if it was repaired or its result says little."""
    if not outcome.ok:
        return 0.0
    return (1.0 if telling(outcome) else 0.5) * (0.5 if repaired else 1.0)


def _result(outcome: Outcome) -> Any:
    """Return a key that equal results share, whatever the order of their rows; None if the query failed."""
    if not outcome.ok:
        return None
    rows = sorted(repr(tuple(_rounded(value) for value in row)) for row in outcome.rows)
    return len(outcome.columns), tuple(rows)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        value = float(f"{value:.{_DIGITS}g}")
        return int(value) if value.is_integer() else value
    return value
