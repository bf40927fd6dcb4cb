"""Prompts: a database and a question as text, one file per style, split into a shared prefix and an own suffix."""

from __future__ import annotations

from sqlwright.prompts import compact, ddl, prose
from sqlwright.prompts.build import CountTokens, PromptFormat, SchemaText, build_prompts, schema_text
from sqlwright.prompts.chat import ChatTemplate, pieces
from sqlwright.prompts.style import Style
from sqlwright.prompts.target import TARGETS

STYLES: dict[str, Style] = {style.name: style for style in (compact.STYLE, ddl.STYLE, prose.STYLE)}
"""The prompt styles by name."""

__all__ = [
    "STYLES",
    "TARGETS",
    "ChatTemplate",
    "CountTokens",
    "PromptFormat",
    "SchemaText",
    "Style",
    "build_prompts",
    "pieces",
    "schema_text",
]
