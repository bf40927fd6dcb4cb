"""Prompts in groups that share a prefix, and completions in the order of the prompts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.decoding import completion, predict, prompt_groups, prompt_waves
from sqlwright.models.gguf import Answer, GgufEngine
from sqlwright.records import Prompt


@given(st.lists(st.sampled_from("abcde"), max_size=40), st.integers(1, 9))
def test_groups_hold_every_prompt_once_and_share_a_prefix(prefixes: list[str], size: int) -> None:
    prompts = [Prompt(str(i), prefix, prefix, f"s{i}") for i, prefix in enumerate(prefixes)]
    groups = prompt_groups(prompts, size)
    assert Counter(prompt.id for group in groups for prompt in group) == Counter(prompt.id for prompt in prompts)
    for group in groups:
        assert 1 <= len(group) <= size
        assert len({prompt.prefix for prompt in group}) == 1
        assert [int(prompt.id) for prompt in group] == sorted(int(prompt.id) for prompt in group)
    order = [group[0].prefix for group in groups]
    assert order == sorted(order, key=prefixes.index), "each schema is read once"
    for prefix in set(prefixes):
        sizes = [len(group) for group in groups if group[0].prefix == prefix]
        assert len(sizes) == -(-prefixes.count(prefix) // size)
        assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.sampled_from("abcde"), max_size=40), st.integers(1, 9))
def test_waves_hold_every_prompt_once_whatever_the_prefixes(prefixes: list[str], size: int) -> None:
    prompts = [Prompt(str(i), prefix, prefix, f"s{i}") for i, prefix in enumerate(prefixes)]
    waves = prompt_waves(prompts, size)
    found = [prompt for wave in waves for group in wave for prompt in group]
    assert sorted(found, key=lambda prompt: int(prompt.id)) == prompts
    assert len(waves) == -(-len(prompts) // size)
    assert all(1 <= sum(map(len, wave)) <= size for wave in waves)
    for wave in waves:
        assert all(len({prompt.prefix for prompt in group}) == 1 for group in wave)
        assert len({group[0].prefix for group in wave}) == len(wave), "a schema is read once a wave"


def test_a_completion_holds_the_sql_of_the_text() -> None:
    text = "Here it is:\n```sql\nSELECT name FROM singer;\n```\n"
    answer = Answer(text, (1, 2, 3), (-0.5, -1.0, 0.0), True, 0.25)
    found = completion(Prompt("7", "concerts", "p", "s"), answer)
    assert (found.id, found.database, found.text, found.tokens, found.seconds) == ("7", "concerts", text, 3, 0.25)
    assert found.sql == "SELECT name FROM singer"
    assert found.log_probability == -0.5
    empty = completion(Prompt("7", "concerts", "p", "s"), Answer("", (), (), True, 0.1))
    assert (empty.sql, empty.log_probability, empty.tokens) == ("", None, 0)


def test_each_group_is_held_to_the_grammar_of_its_database() -> None:
    heard: list[list[str]] = []

    class Listening:
        def answer_wave(self, wave: Any, _most: int, *, grammars: list[str], progress: Any) -> list[list[Answer]]:
            heard.append(grammars)
            return [[Answer("", (), (), True, 0.1) for _ in suffixes] for _, suffixes in wave]

    prompts = [Prompt(str(i), "ab"[i % 2], f"Schema {'ab'[i % 2]}\n", f"Question {i}:") for i in range(4)]
    assert len(list(predict(Listening(), prompt_waves(prompts, 4), 4, grammars={"b": "the grammar of b"}))) == 1  # type: ignore[arg-type]
    assert heard == [["", "the grammar of b"]]


def test_predictions_come_group_by_group(tiny_model: Path) -> None:
    pytest.importorskip("xllamacpp")
    prompts = [Prompt(str(i), "ab"[i % 2], f"Schema {'ab'[i % 2]}\n", f"Question {i}:") for i in range(6)]
    groups = prompt_groups(prompts, 2)
    seen: list[int] = []
    with GgufEngine(tiny_model, context=128, parallel=2) as engine:
        found = list(predict(engine, [[group] for group in groups], 4, seen.append))
        alone = [completion(p, engine.answer(p.prefix, [p.suffix], 4)[0]) for p in groups[1]]
    assert [[one.id for one in group] for group in found] == [[prompt.id for prompt in group] for group in groups]
    assert [one.database for group in found for one in group] == [prompt.database for g in groups for prompt in g]
    assert sorted(set(seen)) == [1, 3, 4, 6] and seen == sorted(seen)
    assert found[1][0].text == alone[0].text
