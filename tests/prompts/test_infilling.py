"""Prompts for gaps: the model's own marks, both orders, and text that can't pretend to be a mark."""

from __future__ import annotations

import pytest

from sqlwright.datasets.infilling import MARK, TASK
from sqlwright.prompts.chat import ChatTemplate, pieces
from sqlwright.prompts.infilling import Marks, find_marks, gap_prompt, gap_text
from sqlwright.records import Question

QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
TINY = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>", "<filename>", "<gh_stars>")
CHAT = "<|im_start|>{{ messages }}<|im_end|>"


def chat(special: tuple[str, ...]) -> ChatTemplate:
    return ChatTemplate(CHAT, "<s>", "<|im_end|>", special)


@pytest.mark.parametrize(
    ("special", "marks"),
    [
        (QWEN, Marks("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")),
        (("<fim_prefix>", "<fim_middle>", "<fim_suffix>"), Marks("<fim_prefix>", "<fim_suffix>", "<fim_middle>")),
        (("<s>", "▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"), Marks("▁<PRE>", "▁<SUF>", "▁<MID>", begins=True)),
        (TINY, Marks("<repo_name>", "<file_sep>", "<filename>")),
        (("<s>", "</s>"), Marks("<PRE>", "<SUF>", "<MID>")),
    ],
    ids=["qwen", "starcoder", "code llama", "mapped", "as text"],
)
def test_marks(special: tuple[str, ...], marks: Marks) -> None:
    assert find_marks(chat(special)) == marks


def test_both_orders_share_their_beginning() -> None:
    model = chat(QWEN)
    assert gap_text("a", "b", model) == ("<|fim_prefix|>", "a<|fim_suffix|>b<|fim_middle|>")
    assert gap_text("a", "b", model, "spm") == ("<|fim_prefix|>", "<|fim_suffix|>b<|fim_middle|>a")
    assert gap_text("a", "b", chat(("▁<PRE>", "▁<MID>", "▁<SUF>")))[0] == "<s>▁<PRE>"


def test_half_is_learned_in_either_order_and_all_is_asked_in_one() -> None:
    questions = [Question(f"q{n}", "", f"a{MARK}b", ("middle",), TASK) for n in range(400)]
    styles = [gap_prompt(question, chat(QWEN), learned=True).style for question in questions]
    assert 150 < styles.count("infilling spm") < 250
    asked = [gap_prompt(question, chat(QWEN), learned=False) for question in questions]
    assert {(prompt.style, prompt.target) for prompt in asked} == {("infilling psm", "")}


def test_a_mark_in_the_text_is_text() -> None:
    _, suffix = gap_text("x = '<|fim_middle|>'", "", chat(QWEN))
    assert not any("<|fim_middle|>'" in piece for piece in pieces(suffix))
    assert "".join(pieces(suffix)) == "x = '<|fim_middle|>'<|fim_suffix|><|fim_middle|>"
