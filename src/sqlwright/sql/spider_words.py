"""Words of a query as Spider's official parser sees them.

That parser runs an English word tokeniser over SQL: operators are words only where spaces or brackets set
them apart, so `age >= 5` is four characters away from `age >=5`, which no longer parses. The rules here are
those of NLTK's word tokeniser as far as they can touch text without quotes, written anew and in linear time.

Not covered: NLTK's cutting of the text into sentences first, which changes no query of the recorded scores.
"""

from __future__ import annotations

import re

_OPENING_QUOTES = re.compile(r"([«“‘„]|`+)")
_CLOSING_QUOTES = re.compile(r"([»”’])")
_COLON_OR_COMMA = re.compile(r"([:,])(\D)")
_SET_APART = re.compile(r"\.{2,}|[;@#$%&?!*]")
_BRACKETS = re.compile(r"[][(){}<>]|--")
# Spellings that the tokeniser takes for two English words.
_CONTRACTIONS = re.compile(
    r"\b(can)(not)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(wan)(na)(?=\s)", re.IGNORECASE
)
_AFTER_FINAL_STOP = "])}>\"'»”’ \t\n\r\f\v"


class SpiderSyntaxError(ValueError):
    """The query is outside the grammar of Spider's official parser; the message says why."""


def spider_words(sql: str) -> list[str]:
    """Return the lower-case words of `sql`; a string in quotes is one word, as written, in double quotes.

    Raises:
        SpiderSyntaxError: the number of quotes is odd.
    """
    text = sql.replace("'", '"')
    quotes = [place for place, character in enumerate(text) if character == '"']
    if len(quotes) % 2:
        raise SpiderSyntaxError("unexpected quote: quotes of both kinds must pair up")
    strings: dict[str, str] = {}
    parts: list[str] = []
    done = 0
    for start, end in zip(quotes[::2], quotes[1::2], strict=True):
        placeholder = f"__val_{start}_{end}__"
        strings[placeholder] = text[start : end + 1]
        parts += (text[done:start], placeholder)
        done = end + 1
    words = [word.lower() for word in english_words("".join(parts) + text[done:])]
    return _joined_comparisons([strings.get(word, word) for word in words])


def english_words(text: str) -> list[str]:
    """Return the words of `text`, which holds no quotes of the kinds ' and ", split as English."""
    text = _OPENING_QUOTES.sub(r" \1 ", text).replace("``", " `` ")
    text = _split_final_stop(text)
    text = _COLON_OR_COMMA.sub(r" \1 \2", text)
    if text.endswith((":", ",")):
        text = f"{text[:-1]} {text[-1]} "
    text = _SET_APART.sub(r" \g<0> ", text)
    text = _BRACKETS.sub(r" \g<0> ", text)
    text = _CLOSING_QUOTES.sub(r" \1 ", f" {text} ")
    text = _CONTRACTIONS.sub(_two_words, text)
    return text.split()


def _split_final_stop(text: str) -> str:
    head = text.rstrip(_AFTER_FINAL_STOP)
    if len(head) > 1 and head[-1] == "." and head[-2] != ".":
        return f"{head[:-1]} . {text[len(head) :]}"
    return text


def _two_words(match: re.Match[str]) -> str:
    first, second = (group for group in match.groups() if group)
    return f" {first} {second} "


def _joined_comparisons(words: list[str]) -> list[str]:
    """Return `words` with `>` `=` (and `<` `=`, `!` `=`) joined into one word."""
    joined: list[str] = []
    for word in words:
        if word == "=" and joined and joined[-1] in ("!", ">", "<"):
            joined[-1] += "="
        else:
            joined.append(word)
    return joined
