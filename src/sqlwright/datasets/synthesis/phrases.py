"""Productions for what a question shows: labels, aggregates, superlatives, lists and counts of rows.

Words are texts with choices. Not covered: conditions (see `conditions`) and whole questions (see `simple`, `linked`
and `nested`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from sqlwright.datasets.synthesis.choices import any_of
from sqlwright.datasets.synthesis.profile import Attribute, Entity
from sqlwright.datasets.synthesis.select import Condition
from sqlwright.datasets.synthesis.words import is_plural, plural

Ref = Callable[[str], str]
"""From a column's name to how it is written in the statement."""

# Words of a column by (most, least, more, less): questions can then leave the column unsaid.
_ADJECTIVES = {
    "age": ("oldest", "youngest", "older than", "younger than"),
    "price": ("most expensive", "cheapest", "more expensive than", "cheaper than"),
    "unit price": ("most expensive", "cheapest", "more expensive than", "cheaper than"),
    "cost": ("most expensive", "cheapest", "", ""),
    "length": ("longest", "shortest", "longer than", "shorter than"),
    "duration": ("longest", "shortest", "longer than", "shorter than"),
    "milliseconds": ("longest", "shortest", "", ""),
    "weight": ("heaviest", "lightest", "heavier than", "lighter than"),
    "height": ("tallest", "shortest", "taller than", "shorter than"),
    "population": ("most populous", "least populous", "", ""),
    "area": ("largest", "smallest", "", ""),
    "surface area": ("largest", "smallest", "", ""),
    "salary": ("highest-paid", "lowest-paid", "", ""),
    "speed": ("fastest", "slowest", "", ""),
    "birth date": ("youngest", "oldest", "", ""),
    "date of birth": ("youngest", "oldest", "", ""),
}


def called(entity: Entity, attribute: Attribute) -> str:
    """Return a column's words beside its table's: the "city" and the "city name" of a city are its "name"."""
    if attribute.words == entity.singular and "name" not in {other.words for other in entity.attributes}:
        return "name"
    short = attribute.words.removeprefix(f"{entity.singular} ")
    return short if short not in {other.words for other in entity.attributes} else attribute.words


def adjectives(entity: Entity, attribute: Attribute) -> tuple[str, str, str, str]:
    """Return (most, least, more than, less than) for a column, empty texts where words would not be clear."""
    found = _ADJECTIVES.get(attribute.words)
    if not found:
        return ("", "", "", "")
    if attribute.words in ("salary", "birth date", "date of birth") and not entity.person:
        return ("", "", "", "")
    rivals = [
        a for a in entity.attributes if _ADJECTIVES.get(a.words, ("",))[0] == found[0] and a.role in ("number", "date")
    ]
    return found if len(rivals) == 1 else ("", "", "", "")


def superlative(entity: Entity, attribute: Attribute, most: bool) -> tuple[str, str]:
    """Return (before the noun, behind the noun): ("longest", "") or ("", "with the highest price"), as choices."""
    words = attribute.words
    adjective = adjectives(entity, attribute)[0 if most else 1]
    if is_plural(words) and attribute.role == "number":
        behind = f"with the {'most' if most else 'fewest'} {words}"
    elif attribute.role in ("date", "year"):
        behind = any_of(
            f"with the {'latest' if most else 'earliest'} {words}",
            f"with the {'most recent' if most else 'oldest'} {words}",
        )
    else:
        behind = any_of(
            *(
                f"with the {word} {words}"
                for word in (("highest", "largest", "greatest") if most else ("lowest", "smallest"))
            )
        )
    return (adjective, behind)


def aggregate(function: str, attribute: Attribute, ref: Ref) -> tuple[str, str]:
    """Return (SQL, words) of an aggregate over a column: "average price"."""
    words = attribute.words
    sql = f"{function}({ref(attribute.name)})"
    if function == "sum":
        sums = any_of(f"sum of the {plural(words)}", f"sum of {plural(words)}")
        told = any_of(f"total {words}", sums) if words.split()[0] not in ("total", "number", "max") else sums
        told = f"total number of {words}" if is_plural(words) else told
    elif function == "avg":
        told = f"average number of {words}" if is_plural(words) else any_of(f"average {words}", f"mean {words}")
    elif attribute.role in ("date", "year"):
        told = f"{'latest' if function == 'max' else 'earliest'} {words}"
    elif is_plural(words):
        told = f"{'highest' if function == 'max' else 'lowest'} number of {words}"
    else:
        ways = ("highest", "maximum") if function == "max" else ("lowest", "minimum")
        told = any_of(*(f"{way} {words}" for way in ways))
    return sql, told


def aggregates_of(attribute: Attribute) -> list[str]:
    """Return the aggregates that make sense for a column."""
    if attribute.role in ("date", "year"):
        return ["max", "min"]
    return ["avg", "max", "min", *(["sum", "sum"] if attribute.is_additive else [])]


def shown(entity: Entity, ref: Ref) -> tuple[tuple[str, ...], str]:
    """Return (columns, plural words) of what shows a row: "names", "first and last names", "invoice IDs"."""
    columns = tuple(ref(attribute.name) for attribute in entity.label)
    words = [attribute.words for attribute in entity.label]
    if len(words) == 2:
        return columns, any_of("first and last names", "first names and last names", "full names")
    if words[0] == entity.singular:
        return columns, "names"
    full = plural(words[0])
    short = plural(words[0].removeprefix(f"{entity.singular} "))
    return columns, any_of(short, full) if short != full else full


def shown_singular(entity: Entity) -> str:
    """Return the singular words of what shows a row: "name", "first and last name"."""
    words = [attribute.words for attribute in entity.label]
    if len(words) == 2:
        return any_of("first and last name", "full name")
    return called(entity, entity.label[0])


def extra_columns(
    entity: Entity, ref: Ref, rng: random.Random, avoid: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[str]]:
    """Return (columns, plural words) of one or two more columns to show, none in `avoid`; maybe none."""
    taken = {attribute.name for attribute in entity.label} | set(avoid)
    able = [a for a in entity.of_role("name", "category", "number", "year", "date") if a.name not in taken]
    chosen = rng.sample(able, min(len(able), rng.choice((1, 1, 2))))
    return tuple(ref(a.name) for a in chosen), [plural(a.words) for a in chosen]


def listing(nouns: str, things: str) -> str:
    """Return the question for a list: "What are the names of the films longer than 90?"."""
    return any_of(
        f"List the {nouns} of {things}.",
        f"What are the {nouns} of {things}?",
        f"Show the {nouns} of {things}.",
        f"Find the {nouns} of {things}.",
        f"Give me the {nouns} of {things}.",
        f"Return the {nouns} of {things}.",
    )


def all_of(entity: Entity, conditions: Sequence[Condition], joiner: str = "and") -> str:
    """Return the rows meant, in words: "all films", "the films whose rating is PG and whose length is below 90"."""
    if not conditions:
        return any_of(f"all {entity.plural}", f"all the {entity.plural}")
    phrase = f" {joiner} ".join(one.phrase for one in conditions)
    return any_of(f"{entity.plural} {phrase}", f"the {entity.plural} {phrase}", f"all {entity.plural} {phrase}")


def which(entity: Entity, conditions: Sequence[Condition], joiner: str = "and") -> str:
    """Return "Which films are longer than 90?", or an empty text where the conditions have no such form."""
    if not conditions or not all(one.verb for one in conditions):
        return ""
    return f"Which {entity.plural} {f' {joiner} '.join(one.verb for one in conditions)}?"


def counting(entity: Entity, conditions: Sequence[Condition], joiner: str = "and") -> str:
    """Return the question for a number of rows."""
    many = entity.plural
    if not conditions:
        return any_of(
            f"How many {many} are there?",
            f"What is the total number of {many}?",
            f"Count the {many}.",
            f"How many {many} are there in total?",
        )
    phrase = f" {joiner} ".join(one.phrase for one in conditions)
    ways = [
        f"How many {many} {phrase} are there?",
        f"What is the number of {many} {phrase}?",
        f"Count the {many} {phrase}.",
    ]
    if all(one.verb for one in conditions):
        ways += [f"How many {many} {f' {joiner} '.join(one.verb for one in conditions)}?"] * 2
    return any_of(*ways)
