"""Chat templates: split where the question begins; templates without a system role; templates that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlwright.errors import ModelError
from sqlwright.models.tokenizer import chat_template
from sqlwright.prompts import ChatTemplate

NO_SYSTEM = ChatTemplate(
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ m.role }}] {{ m.content | trim }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[model]{% endif %}",
    "<s>",
    "</s>",
)


def test_without_a_system_role_the_instruction_leads_the_message() -> None:
    prefix, suffix = NO_SYSTEM.split("Write SQL.", "CREATE TABLE t (a);\n\n", "Question: how many?")
    assert prefix == "<s>[user] Write SQL.\n\nCREATE TABLE t (a);\n\n"
    assert suffix == "Question: how many?</s>[model]"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('never') }}",
        "{% for m in messages %}{{ m.role }}{% endfor %}",
        "{{ messages[0].content }}",
        "{{ messages[9].content.x }}",
        "{% if %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
    ],
)
def test_a_template_that_cannot_be_used_is_a_model_error(template: str) -> None:
    with pytest.raises(ModelError, match="chat template"):
        ChatTemplate(template).split("a", "b", "c")


def test_what_looks_like_a_template_in_a_question_is_text() -> None:
    prefix, suffix = NO_SYSTEM.split("i", "{{ 7 * 7 }} {% raw %}\n\n", "{{ messages }} \ue000 {# #}")
    assert "{{ 7 * 7 }} {% raw %}" in prefix
    assert "{{ messages }}  {# #}" in suffix, "the mark of the split itself is taken out of the text"


def test_the_prefix_never_depends_on_the_question() -> None:
    questions = ["a", " leading", "trailing \n", "\n\n", "ü" * 500, "</s>"]
    prefixes = {NO_SYSTEM.split("i", "schema\n\n", question)[0] for question in questions if question.strip()}
    assert len(prefixes) == 1


def test_the_tiny_models_own_template(tiny_model: Path) -> None:
    prefix, suffix = chat_template(tiny_model).split("Write SQL.", "CREATE TABLE t (a);\n\n", "How many?")
    assert prefix == "<|im_start|>system\nWrite SQL.<|im_end|>\n<|im_start|>user\nCREATE TABLE t (a);\n\n"
    assert suffix == "How many?<|im_end|>\n<|im_start|>assistant\n"
