"""Chat JSON lines for a fine-tuning API in the style of OpenAI's: written from prompts, and checked before they go.

A line is `{"messages": [system, user, assistant]}`: the style's instruction, the schema with the question, and the
SQL to learn. The checks are those whose failure the API reports only after the upload: JSON, keys, roles, empty
texts, the least number of lines, the longest line, the size of the file; and a question in both files.

Not covered: tools, images, preference pairs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError
from sqlwright.records import Prompt

LEAST_LINES = 10
MOST_BYTES = 512 * 1024 * 1024
"""What OpenAI's API demands of a training file."""

ROLES = ("system", "developer", "user", "assistant")

# By OpenAI's published rule of thumb a message costs its text, its role and three marks, and a reply's start three.
_MARKS, _ROLE, _REPLY = 3, 1, 3

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class ChatCheck:
    """What checking a file showed.

    `problems` would make the API refuse the file, or the result worthless; each begins with its place (`file:line`).
    `tokens` counts what is trained on per epoch, marks of messages included; `answer_tokens` the assistant's part;
    `longest` the longest line.
    """

    path: Path
    lines: int
    tokens: int
    answer_tokens: int
    longest: int
    problems: tuple[str, ...]
    users: frozenset[str]


def write_chat(path: Path, prompts: Sequence[Prompt], instruction: str) -> int:
    """Write a line per prompt that has a target, whole or not at all; return how many."""
    lines = []
    for prompt in prompts:
        if prompt.target:
            texts = {"system": instruction, "user": prompt.prefix + prompt.suffix, "assistant": prompt.target}
            messages = [{"role": role, "content": text} for role, text in texts.items()]
            lines.append(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    aside.write_text("".join(lines), encoding="utf-8")
    aside.replace(path)
    return len(lines)


def check_chat(
    path: Path, count_tokens: CountTokens, context: int, others: frozenset[str] = frozenset(), least: int = LEAST_LINES
) -> ChatCheck:
    """Return what is wrong with a file, and its tokens.

    Args:
        path: the file.
        count_tokens: the model's tokenizer, or the nearest at hand.
        context: the most tokens that a line may have.
        others: texts of users that the file must not hold (those of the training file, for a validation file).
        least: the least number of lines.

    Raises:
        DataError: the file can't be read as text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected chat lines in UTF-8, found {error}.") from None
    problems: list[str] = []
    sizes: list[int] = []
    answers = 0
    users: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        sizes.append(0)
        try:
            messages = _messages(line)
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        counts = [count_tokens(message["content"]) for message in messages]
        sizes[-1] = sum(counts) + (_MARKS + _ROLE) * len(messages) + _REPLY
        answers += sum(n for n, message in zip(counts, messages, strict=True) if message["role"] == "assistant")
        if sizes[-1] > context:
            problems.append(f"{where}: expected at most {context:,} tokens, found {sizes[-1]:,}")
        asked = "\n".join(message["content"] for message in messages if message["role"] == "user")
        if asked in others:
            problems.append(f"{where}: this question is in the training file, too")
        users.add(asked)
    if len(sizes) < least:
        problems.append(f"{path.name}: expected at least {least} lines, found {len(sizes)}")
    if path.stat().st_size > MOST_BYTES:
        problems.append(f"{path.name}: expected at most {MOST_BYTES:,} bytes, found {path.stat().st_size:,}")
    return ChatCheck(path, len(sizes), sum(sizes), answers, max(sizes, default=0), tuple(problems), frozenset(users))


def _messages(line: str) -> list[dict[str, str]]:
    """Return the messages of a line; raise `ValueError` with what is wrong."""
    try:
        values = json.loads(line)
    except ValueError as error:
        raise ValueError(f"expected one JSON object, found {error}") from None
    if not isinstance(values, dict) or list(values) != ["messages"] or not isinstance(values["messages"], list):
        found = ", ".join(values) if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"expected an object with the list 'messages' only, found {found or 'no keys'}")
    messages = values["messages"]
    for place, message in enumerate(messages, 1):
        _check_message(place, message)
    roles = [message["role"] for message in messages]
    if "user" not in roles or roles[-1] != "assistant":
        raise ValueError(f"expected a user's message and, last, the assistant's; found {', '.join(roles) or 'none'}")
    return messages


def _check_message(place: int, message: Any) -> None:
    if not isinstance(message, dict) or set(message) != {"role", "content"}:
        found = ", ".join(message) if isinstance(message, dict) else type(message).__name__
        raise ValueError(f"message {place}: expected the keys role and content, found {found or 'none'}")
    if message["role"] not in ROLES:
        raise ValueError(f"message {place}: expected a role of {', '.join(ROLES)}, found {message['role']!r}")
    if not isinstance(message["content"], str) or not message["content"].strip():
        raise ValueError(f"message {place}: expected text in content, found {message['content']!r:.40}")
