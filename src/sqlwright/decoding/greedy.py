"""Greedy prediction: questions sorted by database, the schema decoded once, several answers side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlwright.models.gguf import Answer, GgufEngine
from sqlwright.records import Completion, Prompt
from sqlwright.sql.extract import extract_sql


def prompt_groups(prompts: Sequence[Prompt], size: int) -> list[list[Prompt]]:
    """Return the prompts in groups of at most `size` that share a prefix; prefixes in order of first appearance.

    The grouping depends on the prompts alone: work that was interrupted continues with the same groups.
    """
    by_prefix: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_prefix.setdefault(prompt.prefix, []).append(prompt)
    groups = []
    for members in by_prefix.values():
        parts = -(-len(members) // size)  # even groups: 9 prompts in groups of 8 make 5 and 4
        groups += [members[i * len(members) // parts : (i + 1) * len(members) // parts] for i in range(parts)]
    return groups


def predict(
    engine: GgufEngine,
    groups: Sequence[Sequence[Prompt]],
    max_tokens: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[list[Completion]]:
    """Yield the completions of each group as it is done; `progress` gets the number of questions done so far."""
    done = 0
    for group in groups:
        answers = engine.answer(group[0].prefix, [prompt.suffix for prompt in group], max_tokens)
        done += len(group)
        progress(done)
        yield [completion(prompt, answer) for prompt, answer in zip(group, answers, strict=True)]


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
