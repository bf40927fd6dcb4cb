"""The SQL in what a model wrote: out of fences, behind labels, between explanations, on one line.

Nothing is repaired and nothing is judged: a statement that writes is returned as well as one that reads, so that
the executor refuses it rather than something else being run in its place.

Not covered: choosing among several statements (the first fenced one wins, or the first of the text), and a query
whose quotes don't pair up: it may run on into the prose behind it.
"""

from __future__ import annotations

import json
import re

from sqlwright.sql.from_first import select_first
from sqlwright.sql.lexer import lex

# Marks that end a model's turn in common chat templates.
_END_OF_TURN = re.compile(r"<\|(?:im_end|endoftext|eot_id|end|end_of_text)\|>|</s>|\[/SQL\]|<end_of_turn>")
_FENCE = re.compile(r"(?:```|~~~)(?:[ \t]*(?:\w*sql\w*|postgres|duckdb|[\w+-]+(?=[ \t]*\n)))?", re.IGNORECASE)
_WITH = (
    r"WITH\s+(?:RECURSIVE\s+)?[\w\"`\[\]]+\s*(?:\([^()]*\)\s*)?AS\s*(?:(?:NOT\s+)?MATERIALIZED\s*)?\(\s*"
    r"(?:SELECT|VALUES|WITH)\b"
)
_SELECT = r"SELECT\b(?!\s+(?:the|all\s+the|which|only|those|every|each|appropriate|relevant)\s+[a-z])"
_OTHER = (
    r"VALUES\s*\(|INSERT\s+(?:OR\s+\w+\s+)?INTO\b|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\b|REPLACE\s+INTO\b"
    r"|(?:CREATE|DROP|ALTER)\s+(?:TEMP\w*\s+)?(?:UNIQUE\s+)?(?:TABLE|VIEW|INDEX|TRIGGER)\b"
    r"|PRAGMA\s+\w|EXPLAIN\s+(?:QUERY\s+PLAN\s+)?(?:SELECT|WITH)\b|ATTACH\s"
)
# Where a statement starts: on a line of its own, or behind a colon, a back-tick or a tag.
_START = re.compile(rf"(?:^|(?<=[:`>\]]))[ \t]*(\(*(?:{_SELECT}|{_WITH}|{_OTHER}))", re.IGNORECASE | re.MULTILINE)
# What a model writes that learned the target `from-first` (see `prompts.target`).
_FROM_FIRST = re.compile(
    r"\s*(?:WITH\s+(?:RECURSIVE\s+)?[\w\"`\[\]]+\s*(?:\([^()]*\)\s*)?AS\s*\(\s*)?FROM\s+[\w\"`\[(]", re.IGNORECASE
)
# Within a sentence only keywords in capitals are taken for SQL.
_START_WITHIN = re.compile(rf"(\bSELECT\b|\b{_WITH})")
_CONTINUES = re.compile(
    r"(?:FROM|WHERE|GROUP|ORDER|HAVING|LIMIT|OFFSET|UNION|INTERSECT|EXCEPT|JOIN|LEFT|RIGHT|FULL|INNER|OUTER|CROSS"
    r"|NATURAL|ON|USING|AND|OR|NOT|WHEN|THEN|ELSE|END|WINDOW|SELECT|VALUES)\b|[(),+*/=<>|.]|--|/\*",
    re.IGNORECASE,
)
_PROSE = re.compile(
    r"\#{1,6}\s|\*\*|>\s|[A-Z][\w ]{0,40}:(?:\s|$)"
    r"|(?:This|The|It|In|Here|Note|However|Alternatively|You|We|I|Explanation)\s+(?:[a-z'’]|SQL\b)"
)


def extract_sql(text: str) -> str:
    """Return the first SQL statement in a model's `text`, on one line, without its semicolon.

    Strings keep their contents, line breaks included; comments are dropped where joining lines would let them
    swallow the rest. A statement with FROM before SELECT is put in the usual order. Text without anything like a
    statement comes back as it is, on one line: whoever runs it gets the database's own message.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff \n\t")
    text = _from_json(text.rpartition("</think>")[2])
    text = next((part for part in _END_OF_TURN.split(text) if part.strip()), "")
    if _FROM_FIRST.match(text):
        return select_first(_statement(text.lstrip(), 0))
    segments = _FENCE.split(text)
    blocks = segments[1::2] + segments[::2]
    if _START.match(segments[0].lstrip()):
        blocks.insert(0, segments[0])  # the prompt had opened the fence
    for pattern in (_START, _START_WITHIN):
        for block in blocks:
            for found in pattern.finditer(block):
                if not _in_comment(block, found.start(1)):
                    return _statement(block, found.start(1))
    return _statement(next((block.strip().strip("`") for block in blocks if block.strip()), ""), 0)


def _from_json(text: str) -> str:
    """Return the query of an answer in JSON, else the text."""
    if text.startswith("{"):
        try:
            values = json.loads(text)
        except ValueError:
            return text
        for name, value in values.items():
            if name.lower() in ("sql", "query", "answer", "sql_query") and isinstance(value, str):
                return value
    return text


def _in_comment(text: str, place: int) -> bool:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return "--" in line


def _statement(text: str, start: int) -> str:
    """Return the statement that begins at `start`, on one line."""
    inline = start > 0 and text[start - 1] == "`"
    text = text[start : text.find("`", start) if inline and "`" in text[start:] else None]
    parts: list[str] = []
    place = 0
    depth = 0
    for kind, piece in lex(text):
        place += len(piece)
        if piece == ";":
            break
        if kind == "newline" and depth <= 0 and _ends_at(text[place:]):
            break
        if kind in ("newline", "space"):
            parts.append("\n" if kind == "newline" else piece)
        elif kind == "comment" and (piece.startswith(("--", "#")) or "\n" in piece):
            parts.append("\n")
        else:
            depth += {"(": 1, ")": -1}.get(piece, 0)
            parts.append(piece)
    return _joined(parts)


def _ends_at(rest: str) -> bool:
    """Return whether what follows a line break is no part of the statement."""
    upcoming = rest.lstrip()
    if not upcoming:
        return True
    blank_line = "\n" in rest[: len(rest) - len(upcoming)]
    if blank_line:
        return not _CONTINUES.match(upcoming)
    return bool(_PROSE.match(upcoming))


def _joined(parts: list[str]) -> str:
    """Return the parts with each stretch of white space that breaks the line, or holds a tab, as one space."""
    joined: list[str] = []
    blank: list[str] = []
    for part in [*parts, ""]:
        if part.isspace():
            blank.append(part)
            continue
        if blank:
            joined.append(" " if {"\n", "\t"} & set(blank) else "".join(blank))
            blank = []
        joined.append(part)
    return "".join(joined).strip()
