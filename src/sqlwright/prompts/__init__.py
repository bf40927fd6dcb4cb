"""Prompts: a database and a question as text, one file per style, split into a shared prefix and an own suffix."""

from __future__ import annotations

from sqlwright.prompts import compact, create_table_context, ddl, m_schema, prose, sqlcoder
from sqlwright.prompts.build import PromptFormat, PromptWriter, build_prompts
from sqlwright.prompts.chat import ChatTemplate, pieces
from sqlwright.prompts.fit import CountTokens, SchemaText, cut_notes, schema_text
from sqlwright.prompts.shots import Shot, make_shots
from sqlwright.prompts.style import Style
from sqlwright.prompts.target import TARGETS

STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        compact.STYLE,
        ddl.STYLE,
        prose.STYLE,
        sqlcoder.STYLE,
        m_schema.STYLE,
        create_table_context.STYLE,
    )
}
"""The prompt styles by name."""

__all__ = [
    "STYLES",
    "TARGETS",
    "ChatTemplate",
    "CountTokens",
    "PromptFormat",
    "PromptWriter",
    "SchemaText",
    "Shot",
    "Style",
    "build_prompts",
    "cut_notes",
    "make_shots",
    "pieces",
    "schema_text",
]
