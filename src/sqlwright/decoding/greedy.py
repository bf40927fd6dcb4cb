"""Greedy prediction: questions sorted by database, the schema decoded once, several answers side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from sqlwright.models.engines import Engine
from sqlwright.models.gguf import Answer
from sqlwright.records import Completion, Prompt
from sqlwright.sql.extract import extract_sql

Wave = list[list[Prompt]]
"""Groups of prompts that are answered together; the prompts of a group share a prefix."""


def prompt_groups(prompts: Sequence[Prompt], size: int) -> list[list[Prompt]]:
    """Return the prompts in groups of at most `size` that share a prefix; prefixes in order of first appearance.

    The grouping depends on the prompts alone: work that was interrupted continues with the same groups.
    """
    by_prefix: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_prefix.setdefault(prompt.prefix, []).append(prompt)
    return [part for members in by_prefix.values() for part in _even(members, size)]


def prompt_waves(prompts: Sequence[Prompt], size: int) -> list[Wave]:
    """Return the prompts in even waves of at most `size`, whatever their prefixes; prefixes as they first appear."""
    ordered = [prompt for group in prompt_groups(prompts, max(1, len(prompts))) for prompt in group]
    return [prompt_groups(part, size) for part in _even(ordered, size)] if ordered else []


def predict(
    engine: Engine,
    waves: Sequence[Wave],
    max_tokens: int,
    progress: Callable[[int], None] = lambda _: None,
    grammars: Mapping[str, str] | None = None,
) -> Iterator[list[Completion]]:
    """Yield the completions of each wave as it is done; `progress` gets the number of questions done so far.

    `grammars` hold what is written, by database (see `sql.grammar`).
    """
    done = 0
    for wave in waves:
        asked = [(group[0].prefix, [prompt.suffix for prompt in group]) for group in wave]
        answers = engine.answer_wave(
            asked, max_tokens, grammars=wave_grammars(wave, grammars), progress=partial(_report, progress, done)
        )
        done += sum(map(len, wave))
        progress(done)
        yield [
            completion(prompt, answer)
            for group, own in zip(wave, answers, strict=True)
            for prompt, answer in zip(group, own, strict=True)
        ]


def wave_grammars(wave: Wave, grammars: Mapping[str, str] | None) -> list[str]:
    """Return the grammar of each group of a wave, an empty text for none."""
    return [(grammars or {}).get(group[0].database, "") for group in wave]


def completion(prompt: Prompt, answer: Answer) -> Completion:
    """Return the answer as a completion, with the SQL taken out of its text; all of it where there's no database."""
    return Completion(
        id=prompt.id,
        database=prompt.database,
        text=answer.text,
        sql=extract_sql(answer.text) if prompt.database else answer.text,
        log_probability=answer.log_probability,
        tokens=len(answer.tokens),
        seconds=round(answer.seconds, 4),
    )


def _report(progress: Callable[[int], None], before: int, more: int) -> None:
    progress(before + more)


def _even(prompts: Sequence[Prompt], size: int) -> list[list[Prompt]]:
    """Return the prompts in even parts of at most `size`: 9 in parts of 8 make 4 and 5."""
    parts = -(-len(prompts) // size)
    return [list(prompts[i * len(prompts) // parts : (i + 1) * len(prompts) // parts]) for i in range(parts)]
