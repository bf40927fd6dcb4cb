"""Productions for conditions: what a WHERE clause says of a row, in SQL and in words at once.

Every function draws what it needs (columns, values) from a profile by the given random numbers, and returns None
where the table has nothing of the kind. Words are texts with choices.

Not covered: conditions with queries in them (see `nested`).
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence

from sqlwright.datasets.synthesis.choices import any_of, plain
from sqlwright.datasets.synthesis.phrases import Ref, adjectives, called
from sqlwright.datasets.synthesis.profile import Attribute, Entity
from sqlwright.datasets.synthesis.select import Condition
from sqlwright.datasets.synthesis.words import is_plural, with_article
from sqlwright.sql.names import literal

_BOUNDS = {
    ">": any_of("more than", "above", "greater than", "over"),
    ">=": any_of("at least", "no less than"),
    "<": any_of("less than", "below", "under"),
    "<=": any_of("at most", "no more than"),
}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def possible(role_values: Sequence[tuple[object, int]], rng: random.Random) -> object:
    """Return a value, frequent ones more often than rare ones but not in proportion."""
    weights = [count**0.5 for _, count in role_values]
    return rng.choices([value for value, _ in role_values], weights)[0]


def said(value: object) -> str:
    """Return a value in words: text as it is or in quotes, a number without needless digits."""
    if isinstance(value, str):
        text = plain(value)
        return any_of(text, f'"{text}"') if "'" not in text and '"' not in text else text
    return (
        f"{value:g}"
        if isinstance(value, float) and f"{value:g}".find("e") < 0 and float(f"{value:g}") == value
        else plain(value)
    )


def label_value(entity: Entity, ref: Ref, rng: random.Random) -> Condition | None:
    """Return the condition that picks the rows of one label value; the phrase is how a person names that row."""
    if len(entity.label) != 1 or not entity.named:
        return None
    attribute = entity.label[0]
    values = [pair for pair in attribute.values if isinstance(pair[0], str) and 1 < len(pair[0]) <= 40]
    if not values:
        return None
    value = possible(values, rng)
    return Condition(f"{ref(attribute.name)} = {literal(value)}", said(value))


def condition(entity: Entity, ref: Ref, rng: random.Random, avoid: Sequence[str] = ()) -> Condition | None:
    """Return a condition on one of the table's own columns, none of them in `avoid`."""
    able = [a for a in entity.of_role("category", "number", "year", "date") if a.name not in avoid]
    names = [a for a in entity.of_role("name") if a.name not in avoid and len(a.values) > 3]
    if not able and not names:
        return None
    weights = [3 if a.role in ("category", "number") else 2 for a in able] + [1] * len(names)
    attribute = rng.choices([*able, *names], weights)[0]
    return on_attribute(entity, attribute, ref, rng)


def on_attribute(entity: Entity, attribute: Attribute, ref: Ref, rng: random.Random) -> Condition | None:
    """Return a condition on this column, of the kind that its role allows."""
    if attribute.nulls and attribute.role != "name" and rng.random() < 0.12:
        return _missing(called(entity, attribute), ref(attribute.name), rng)
    if attribute.role == "date":
        return in_time(entity, attribute, ref, rng)
    if attribute.role in ("number", "year"):
        return _compared(entity, attribute, ref, rng)
    if attribute.role == "name":
        return _spelt(entity, attribute, ref, rng)
    return _equal(entity, attribute, ref, rng)


def _equal(entity: Entity, attribute: Attribute, ref: Ref, rng: random.Random) -> Condition | None:
    values = [pair for pair in attribute.values if isinstance(pair[0], str) and len(pair[0]) <= 40]
    if not values:
        return None
    column, words = ref(attribute.name), called(entity, attribute)
    value = possible(values, rng)
    draw = rng.random()
    if draw < 0.12:
        phrase = any_of(f"whose {words} is not {said(value)}", f"with {with_article(words)} other than {said(value)}")
        return Condition(
            f"{column} != {literal(value)}", phrase, f"have {with_article(words)} other than {said(value)}"
        )
    if draw < 0.24 and len(values) > 2:
        other = possible([pair for pair in values if pair[0] != value], rng)
        pair = f"{said(value)} or {said(other)}"
        sql = f"{column} IN ({literal(value)}, {literal(other)})"
        if rng.random() < 0.5:
            sql = f"({column} = {literal(value)} OR {column} = {literal(other)})"
        weaker = (f"{column} = {literal(value)}", f"{column} = {literal(other)}")
        phrase = any_of(f"in {pair}", f"from {pair}") if attribute.is_place else f"whose {words} is {pair}"
        return Condition(
            sql, phrase, f"are {phrase}" if attribute.is_place else f"have {with_article(words)} of {pair}", weaker
        )
    return _equal_to(attribute, words, column, value)


def _equal_to(attribute: Attribute, words: str, column: str, value: object) -> Condition:
    """Return the condition that a column has this value."""
    text = said(value)
    phrase = any_of(f"whose {words} is {text}", f"with {words} {text}", f"with the {words} {text}")
    verb = any_of(f"have the {words} {text}", f"have {with_article(words)} of {text}")
    if attribute.is_place:
        phrase = any_of(f"in {text}", f"from {text}", f"whose {words} is {text}")
        verb = any_of(f"are in {text}", f"are from {text}")
    return Condition(f"{column} = {literal(value)}", phrase, verb)


def _compared(entity: Entity, attribute: Attribute, ref: Ref, rng: random.Random) -> Condition | None:
    """Return a condition on a number or year: above or below a bound, or between two."""
    values = sorted({value for value, _ in attribute.values})
    if len(values) < 3:
        return None
    column, words = ref(attribute.name), called(entity, attribute)
    low, high = (_rounded(values[place]) for place in sorted(rng.sample(range(len(values)), 2)))
    if rng.random() < 0.2 and low < high:
        return _between(column, words, low, high)
    more = rng.random() < 0.6
    value = _rounded(values[int((0.2 + 0.6 * rng.random()) * (len(values) - 1))])
    if attribute.role == "year":
        word = f"{'after' if more else 'before'} {value}"
        phrase = any_of(f"whose {words} is {word}", f"with {with_article(words)} {word}")
        return Condition(f"{column} {'>' if more else '<'} {value}", phrase, f"have {with_article(words)} {word}")
    sign = (">" if more else "<") + ("=" if rng.random() < 0.15 else "")
    condition = f"{column} {sign} {value}"
    if is_plural(words):
        word = {">": "more than", ">=": "at least", "<": "fewer than", "<=": "at most"}[sign]
        return Condition(condition, f"with {word} {value} {words}", f"have {word} {value} {words}")
    word = _BOUNDS[sign]
    of = "of " if "=" in sign else ""
    phrase = any_of(f"whose {words} is {word} {value}", f"with {with_article(words)} {of}{word} {value}")
    verb = f"have {with_article(words)} of {word} {value}"
    adjective = adjectives(entity, attribute)[2 if more else 3]
    if adjective and "=" not in sign and attribute.words in ("age", "length", "height", "weight"):
        phrase, verb = any_of(phrase, f"{adjective} {value}"), any_of(verb, f"are {adjective} {value}")
    return Condition(condition, phrase, verb)


def _between(column: str, words: str, low: float, high: float) -> Condition:
    sql, weaker = f"{column} BETWEEN {low} AND {high}", (f"{column} >= {low}", f"{column} <= {high}")
    if is_plural(words):
        return Condition(
            sql, f"with between {low} and {high} {words}", f"have between {low} and {high} {words}", weaker
        )
    text = f"between {low} and {high}"
    phrase = any_of(f"whose {words} is {text}", f"with {with_article(words)} {text}")
    return Condition(sql, phrase, f"have {with_article(words)} {text}", weaker)


def _rounded(value: float) -> float:
    """Return a value near this one that people would ask for."""
    if isinstance(value, int) or float(value).is_integer():
        whole = int(value)
        step = 10 ** max(0, len(str(abs(whole))) - 2)
        return whole // step * step if abs(whole) >= 1000 else whole
    return round(value, 2) if abs(value) >= 0.1 else value


def _spelt(entity: Entity, attribute: Attribute, ref: Ref, rng: random.Random) -> Condition | None:
    """Return a condition on how a name is written: its first letter, or a word in it."""
    texts = [value for value, _ in attribute.values if isinstance(value, str) and value.isprintable()]
    column, words = ref(attribute.name), called(entity, attribute)
    inner = sorted({w for t in texts for w in t.split() if len(w) > 2 and w.isalpha() and w != t})
    if inner and rng.random() < 0.6:
        word = rng.choice(inner)
        phrase = any_of(
            f'whose {words} contains "{word}"', f'with "{word}" in the {words}', f"whose {words} includes {word}"
        )
        return Condition(
            f"{column} LIKE '%{word}%'",
            phrase,
            any_of(f'have "{word}" in the {words}', f"have {with_article(words)} that contains {word}"),
        )
    letters = sorted({text[0].upper() for text in texts if text[0].isascii() and text[0].isalpha()})
    if len(letters) < 3:
        return None
    letter = rng.choice(letters)
    phrase = any_of(
        f"whose {words} starts with {letter}",
        f"whose {words} begins with the letter {letter}",
        f'with {with_article(words)} starting with "{letter}"',
    )
    return Condition(f"{column} LIKE '{letter}%'", phrase, f"have {with_article(words)} that starts with {letter}")


def _missing(words: str, column: str, rng: random.Random) -> Condition:
    if rng.random() < 0.6:
        phrase = any_of(
            f"without {with_article(words)}",
            f"with no {words}",
            f"whose {words} is missing",
            f"whose {words} is unknown",
        )
        return Condition(f"{column} IS NULL", phrase, any_of(f"have no {words}", f"do not have {with_article(words)}"))
    return Condition(
        f"{column} IS NOT NULL",
        any_of(f"that have {with_article(words)}", f"whose {words} is known"),
        f"have {with_article(words)}",
    )


def in_time(entity: Entity, attribute: Attribute, ref: Ref, rng: random.Random) -> Condition | None:
    """Return a condition on a date: in a year or month, before or after, or between two days."""
    texts = [value for value, _ in attribute.values if isinstance(value, str)]
    try:
        day = dt.date.fromisoformat(rng.choice(texts)[:10]).replace(day=1)
    except ValueError:
        return None
    column, words = ref(attribute.name), called(entity, attribute)
    # "Orders from 1997" are those whose order date is in 1997: the column needn't be said.
    plain_date = attribute.words in ("date", f"{entity.singular} date")
    draw = rng.random()
    if draw < 0.35 and len({text[:4] for text in texts}) > 1:
        year = f"{day.year:04}"
        sql = rng.choice((f"strftime('%Y', {column}) = '{year}'", f"{column} LIKE '{year}%'"))
        return _within(sql, words, year, plain_date)
    if draw < 0.55:
        sql = f"strftime('%Y-%m', {column}) = '{day.year:04}-{day.month:02}'"
        return _within(sql, words, f"{_MONTHS[day.month - 1]} {day.year}", plain_date)
    if draw < 0.8:
        after = rng.random() < 0.5
        word, sign = ("on or after", ">=") if after else ("before", "<")
        return _timed(f"{column} {sign} '{day.isoformat()}'", words, word, _day(day))
    over = day.month - 1 + rng.choice((2, 3, 6))
    end = dt.date(day.year + over // 12, over % 12 + 1, 1)
    last = end - dt.timedelta(days=1)
    months = f"from {_MONTHS[day.month - 1]} {day.year} to {_MONTHS[last.month - 1]} {last.year}"
    text = any_of(f"between {day.isoformat()} and {last.isoformat()}", months)
    # Half open, because the last day may have times of day.
    parts = (f"{column} >= '{day.isoformat()}'", f"{column} < '{end.isoformat()}'")
    return _timed(" AND ".join(parts), words, "", text, parts)


def _within(sql: str, words: str, period: str, plain_date: bool) -> Condition:
    """Return the condition that a date is in a year or month."""
    ways = [f"whose {words} is in {period}", f"with {with_article(words)} in {period}"]
    ways += [f"from {period}"] * (2 if plain_date else 0)
    return Condition(sql, any_of(*ways), f"have {with_article(words)} in {period}", dated=True)


def _timed(sql: str, words: str, word: str, text: str, weaker: tuple[str, ...] = ()) -> Condition:
    """Return the condition that a date is before, after or between what `text` says."""
    phrase = any_of(f"whose {words} is {word} {text}", f"with {with_article(words)} {word} {text}")
    return Condition(sql, phrase, f"have {with_article(words)} {word} {text}", weaker, dated=True)


def _day(day: dt.date) -> str:
    return any_of(day.isoformat(), f"{_MONTHS[day.month - 1]} {day.day}, {day.year}")
