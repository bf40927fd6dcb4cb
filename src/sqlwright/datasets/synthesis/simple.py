"""Questions about one table: lists, counts, aggregates, groups, superlatives, ratios.

A shape draws from an entity and returns a `Sketch`, or None where the table doesn't have what it needs.
Not covered: several tables (see `linked`), queries within queries and set operations (see `nested`).
"""

from __future__ import annotations

import random
from functools import partial
from typing import Literal

from sqlwright.datasets.synthesis.choices import any_of
from sqlwright.datasets.synthesis.conditions import condition, on_attribute
from sqlwright.datasets.synthesis.phrases import (
    aggregate,
    aggregates_of,
    all_of,
    counting,
    extra_columns,
    listing,
    shown,
    shown_singular,
    superlative,
    which,
)
from sqlwright.datasets.synthesis.profile import Attribute, Entity, Profile
from sqlwright.datasets.synthesis.select import Condition, Scope, Select, Sketch, sketch
from sqlwright.datasets.synthesis.words import amount, joined, plural, singular, with_article


def listed(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The labels, and maybe more columns, of rows under no, one or two conditions."""
    if not entity.label:
        return None
    scope = Scope(entity)
    found, joiner = drawn_conditions(entity, scope, rng, rng.choice((0, 1, 1, 1, 2)))
    columns, nouns = shown(entity, scope.ref)
    if rng.random() < 0.4 or not found:
        used = [a.name for a in entity.attributes if any(scope.ref(a.name) in one.sql for one in found)]
        more, words = extra_columns(entity, scope.ref, rng, used)
        columns += more
        text = listing(joined([nouns, *words]), all_of(entity, found, joiner.lower()))
    else:
        text = listing(nouns, all_of(entity, found, joiner.lower()))
        asked = which(entity, found, joiner.lower()) if entity.named else ""
        text = any_of(text, asked) if asked else text
    return sketch("listed", Select(columns, scope, found, joiner), text, "where")


def attribute_of(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """A column of the rows under a condition, without what they are called: "What are the cities of …?"."""
    able = entity.of_role("category", "number", "year", "date")
    if not able:
        return None
    scope = Scope(entity)
    asked = rng.choice(able)
    found = condition(entity, scope.ref, rng, (asked.name,))
    if found is None:
        return None
    distinct = asked.role == "category"
    nouns = (
        any_of(f"different {plural(asked.words)}", f"distinct {plural(asked.words)}")
        if distinct
        else plural(asked.words)
    )
    text = listing(nouns, all_of(entity, (found,)))
    return sketch("attribute_of", Select((scope.ref(asked.name),), scope, (found,), distinct=distinct), text, "where")


def counted(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """How many rows there are, under conditions."""
    scope = Scope(entity)
    found, joiner = drawn_conditions(entity, scope, rng, rng.choice((0, 1, 1, 1, 1, 2, 2)))
    return sketch(
        "counted", Select(("count(*)",), scope, found, joiner), counting(entity, found, joiner.lower()), "where"
    )


def different(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The different values of a column, or their number."""
    able = entity.of_role("category")
    if not able:
        return None
    scope, asked = Scope(entity), rng.choice(able)
    many = plural(asked.words)
    found, _ = drawn_conditions(entity, scope, rng, rng.choice((0, 1)), (asked.name,))
    if rng.random() < 0.5:
        column = f"count(DISTINCT {scope.ref(asked.name)})"
        text = any_of(
            f"How many different {many} do {all_of(entity, found)} have?",
            f"What is the number of distinct {many} of {all_of(entity, found)}?",
            f"How many distinct {many} are there among {all_of(entity, found)}?",
        )
        return sketch("different", Select((column,), scope, found), text, "where")
    text = listing(any_of(f"different {many}", f"distinct {many}", f"unique {many}"), all_of(entity, found))
    return sketch("different", Select((scope.ref(asked.name),), scope, found, distinct=True), text, "where")


def aggregated(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """One to three aggregates of a column, under conditions."""
    able = entity.of_role("number", "number", "date")
    if not able:
        return None
    scope, asked = Scope(entity), rng.choice(able)
    names = list(dict.fromkeys(aggregates_of(asked)))
    chosen = rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2, 3))))
    parts = [aggregate(name, asked, scope.ref) for name in chosen]
    found, _ = drawn_conditions(entity, scope, rng, rng.choice((0, 1, 1)), (asked.name,))
    told = joined([words for _, words in parts])
    things = all_of(entity, found)
    text = any_of(
        f"What {'is' if len(parts) == 1 else 'are'} the {told} of {things}?",
        f"Find the {told} of {things}.",
        f"Calculate the {told} of {things}.",
        f"What {'is' if len(parts) == 1 else 'are'} the {told} for {things}?",
    )
    return sketch("aggregated", Select(tuple(sql for sql, _ in parts), scope, found), text, "where")


def extreme(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The row, or the k rows, with the most or least of a number or date."""
    able = [a for a in entity.of_role("number", "date") if not a.nulls and len(a.values) > 3]
    if not able or not entity.label:
        return None
    scope, by, most = Scope(entity), rng.choice(able), rng.random() < 0.65
    limit = rng.choice((1, 1, 1, 3, 5))
    found, _ = drawn_conditions(entity, scope, rng, rng.choice((0, 0, 1)), (by.name,))
    columns, nouns = shown(entity, scope.ref)
    extra: list[str] = []
    if rng.random() < 0.35:
        more, extra = extra_columns(entity, scope.ref, rng)
        columns += more
    text = top_text(entity, by, most, limit, nouns, extra, "".join(f" {one.phrase}" for one in found))
    order = (scope.ref(by.name), "DESC" if most else "ASC")
    return sketch("extreme", Select(columns, scope, found, order=order, limit=limit), text, "order_by")


def top_text(entity: Entity, by: Attribute, most: bool, limit: int, nouns: str, extra: list[str], phrase: str) -> str:
    """Return the words for the first rows in an order; `phrase` is the conditions, with a space before it."""
    before, behind = superlative(entity, by, most)
    number = "" if limit == 1 else f"{limit} "
    noun = entity.singular if limit == 1 else entity.plural
    things = [f"the {number}{noun}{phrase} {behind}"]
    if before:
        things += [f"the {number}{before} {noun}{phrase}"] * 2
    thing = any_of(*things)
    if limit == 1:
        asked = joined([shown_singular(entity), *(singular(one) for one in extra)])
        ways = [f"What is the {asked} of {thing}?", f"Find the {asked} of {thing}.", f"Show the {asked} of {thing}."]
        if entity.named and not extra:
            ways += [f"Which {entity.singular}{phrase} has the {behind_only(behind)}?"]
        return any_of(*ways)
    asked = joined([nouns, *extra])
    return any_of(f"What are the {asked} of {thing}?", f"List the {asked} of {thing}.", f"Show the {asked} of {thing}.")


def behind_only(behind: str) -> str:
    """Return "highest price" of "with the highest price", in all its choices."""
    return behind.replace("with the ", "")


def ordered(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """All rows in the order of a column without repeats, so that the order is told."""
    able = [a for a in entity.of_role("number", "date", "name") if a.unique]
    if not able or not entity.label:
        return None
    scope, by, down = Scope(entity), rng.choice(able), rng.random() < 0.5
    found, _ = drawn_conditions(entity, scope, rng, rng.choice((0, 1)), (by.name,))
    columns, nouns = shown(entity, scope.ref)
    nouns_list = [nouns]
    if by not in entity.label and rng.random() < 0.5:
        columns, nouns_list = (*columns, scope.ref(by.name)), [nouns, plural(by.words)]
    if by.role == "name":
        way = (
            any_of("in reverse alphabetical order", "in descending alphabetical order")
            if down
            else any_of("in alphabetical order", "alphabetically")
        )
        way += "" if by in entity.label else f" by {by.words}"
    elif by.role == "date":
        way = (
            any_of(f"from the latest to the earliest {by.words}", f"by {by.words}, latest first")
            if down
            else any_of(f"by {by.words}, earliest first", f"from the earliest to the latest {by.words}")
        )
    else:
        way = (
            any_of(
                f"in descending order of {by.words}",
                f"from the highest to the lowest {by.words}",
                f"sorted by {by.words} in descending order",
            )
            if down
            else any_of(
                f"in ascending order of {by.words}",
                f"ordered by {by.words}",
                f"from the lowest to the highest {by.words}",
            )
        )
    things = all_of(entity, found)
    text = any_of(
        f"List the {joined(nouns_list)} of {things} {way}.", f"Show the {joined(nouns_list)} of {things}, {way}."
    )
    order = (scope.ref(by.name), "DESC" if down else "ASC")
    return sketch("ordered", Select(columns, scope, found, order=order), text, "order_by")


def grouped(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The number of rows or an aggregate for each value of a column, or only the values that pass a bound."""
    by = group_column(entity, rng)
    if by is None:
        return None
    scope = Scope(entity)
    key, words = by.name, by.words
    column = scope.ref(key)
    numbers = [a for a in entity.of_role("number") if a.name != key]
    found, _ = drawn_conditions(entity, scope, rng, rng.choice((0, 0, 0, 1)), (key,))
    things = all_of(entity, found) if found else entity.plural
    if numbers and rng.random() < 0.55:
        asked = rng.choice(numbers)
        sql, told = aggregate(rng.choice(aggregates_of(asked)), asked, scope.ref)
        text = any_of(
            f"What is the {told} of {things} for each {words}?",
            f"For each {words}, what is the {told} of {things}?",
            f"Show each {words} and the {told} of its {things}."
            if not found
            else f"Show the {told} of {things} by {words}.",
            f"Find the {told} of {things} for every {words}.",
        )
        return sketch("grouped", Select((column, sql), scope, found, group=(column,)), text, "group_by")
    text = any_of(
        f"How many {things} are there for each {words}?"
        if not found
        else f"How many {entity.plural} {found[0].phrase} are there for each {words}?",
        f"What is the number of {things} for each {words}?",
        f"Show each {words} and the number of {things}.",
        f"Count the {things} by {words}." if not found else f"Count {things} by {words}.",
        f"For each {words}, how many {entity.plural} are there?"
        if not found
        else f"For each {words}, what is the number of {things}?",
    )
    return sketch("grouped", Select((column, "count(*)"), scope, found, group=(column,)), text, "group_by")


def group_bound(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The values of a column that enough rows have, or whose rows pass a bound on average."""
    by = group_column(entity, rng)
    if by is None:
        return None
    scope = Scope(entity)
    column, many = scope.ref(by.name), plural(by.words)
    numbers = [a for a in entity.of_role("number") if a.name != by.name]
    if numbers and rng.random() < 0.4:
        asked = rng.choice(numbers)
        values = sorted(value for value, _ in asked.values)
        bound = round(values[len(values) // 2], 2)
        sql, told = aggregate("avg", asked, scope.ref)
        text = any_of(
            f"Which {many} have {with_article('average')} {asked.words} of {entity.plural} above {bound}?",
            f"List the {many} of {entity.plural} whose average {asked.words} is more than {bound}.",
            f"What are the {many} where the {told} of the {entity.plural} is greater than {bound}?",
        )
        return sketch(
            "group_bound", Select((column,), scope, group=(column,), having=f"{sql} > {bound}"), text, "group_by"
        )
    counts = sorted({count for _, count in by.values})
    if len(counts) < 2:
        return None
    bound = rng.choice(counts[:-1])
    least = rng.random() < 0.4
    sign, number = (">=", bound + 1) if least else (">", bound)
    told = amount(number, entity.singular, entity.plural)
    more = any_of(f"more than {told}", f"over {told}")
    word = any_of(f"at least {told}", f"{number} or more {entity.plural}") if least else more
    columns: tuple[str, ...] = (column,)
    text = any_of(
        f"Which {many} have {word}?", f"List the {many} that have {word}.", f"What are the {many} with {word}?"
    )
    if rng.random() < 0.4:
        columns = (column, "count(*)")
        text = any_of(
            f"Show the {many} with {word} and the number of {entity.plural} for each.",
            f"Which {many} have {word}, and how many do they have?",
        )
    return sketch(
        "group_bound", Select(columns, scope, group=(column,), having=f"count(*) {sign} {number}"), text, "group_by"
    )


def group_top(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The value of a column that most or fewest rows have, or the k most frequent ones."""
    by = group_column(entity, rng)
    if by is None:
        return None
    scope, most, limit = Scope(entity), rng.random() < 0.75, rng.choice((1, 1, 1, 3))
    column, words = scope.ref(by.name), by.words
    amount = "most" if most else "fewest"
    columns, also = (
        ((column,), "")
        if rng.random() < 0.7
        else ((column, "count(*)"), any_of(" and how many are there", " and what is the number"))
    )
    if limit == 1:
        text = any_of(
            f"Which {words} has the {amount} {entity.plural}{also}?",
            f"What is the {'most' if most else 'least'} common {words} of {entity.plural}{also}?",
            f"What is the {words} with the {amount} {entity.plural}{also}?",
        )
    else:
        text = any_of(
            f"Which {limit} {plural(words)} have the {amount} {entity.plural}{also}?",
            f"What are the {limit} {'most' if most else 'least'} common {plural(words)} of {entity.plural}{also}?",
        )
    select = Select(columns, scope, group=(column,), order=("count(*)", "DESC" if most else "ASC"), limit=limit)
    return sketch("group_top", select, text, "order_by")


def share(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """What percentage of the rows fulfils a condition."""
    scope = Scope(entity)
    found = condition(entity, scope.ref, rng)
    if found is None:
        return None
    column = f"100.0 * sum(CASE WHEN {found.sql} THEN 1 ELSE 0 END) / count(*)"
    ways = [
        f"What is the percentage of {entity.plural} {found.phrase}?",
        f"Calculate the percentage of {entity.plural} {found.phrase}.",
    ]
    if found.verb:
        ways.append(f"What percentage of the {entity.plural} {found.verb}?")
    return sketch("share", Select((column,), scope), any_of(*ways), "ratio")


def quotient(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """How many rows of one kind there are for each row of another kind, or the ratio of two sums."""
    by = group_column(entity, rng)
    if by is None or len(by.values) < 2:
        return None
    scope = Scope(entity)
    pair = [
        one
        for one in (on_attribute(entity, by, scope.ref, rng) for _ in range(6))
        if one and not one.weaker and "!=" not in one.sql
    ]
    if len({one.sql for one in pair}) < 2:
        return None
    first, second = list({one.sql: one for one in pair}.values())[:2]
    counts = [f"sum(CASE WHEN {one.sql} THEN 1 ELSE 0 END)" for one in (first, second)]
    text = any_of(
        f"What is the ratio of {entity.plural} {first.phrase} to {entity.plural} {second.phrase}?",
        f"Find the ratio between {entity.plural} {first.phrase} and {entity.plural} {second.phrase}.",
    )
    return sketch("quotient", Select((f"1.0 * {counts[0]} / {counts[1]}",), scope), text, "ratio")


def over_time(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The number of rows, or an aggregate, for each year or month of a date."""
    dates = [a for a in entity.of_role("date") if not a.nulls]
    if not dates:
        return None
    scope, when = Scope(entity), rng.choice(dates)
    years = {value[:4] for value, _ in when.values}
    unit, fmt = ("year", "%Y") if len(years) > 1 and rng.random() < 0.7 else ("month", "%Y-%m")
    period = f"strftime('{fmt}', {scope.ref(when.name)})"
    numbers = entity.of_role("number")
    value, told = "count(*)", f"number of {entity.plural}"
    if numbers and rng.random() < 0.5:
        asked = rng.choice(numbers)
        value, words = aggregate(rng.choice(aggregates_of(asked)), asked, scope.ref)
        told = f"{words} of {entity.plural}"
    shown_as = unit if unit == "year" else any_of("month (as YYYY-MM)", "month, written as YYYY-MM,")
    text = any_of(
        f"What is the {told} for each {shown_as} of the {when.words}?",
        f"For each {shown_as} of the {when.words}, show the {told}.",
        f"Show the {told} by {shown_as} of the {when.words}.",
    )
    if unit == "year" and rng.random() < 0.35:
        text = any_of(
            f"In which year of the {when.words} is the {told} the highest?",
            f"Which {unit} of the {when.words} has the highest {told}?",
        )
        select = Select((period,), scope, group=(period,), order=(value, "DESC"), limit=1)
    else:
        select = Select((period, value), scope, group=(period,))
    return sketch("over_time", select, text, "date")


def dated(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """A count or list of rows in a stretch of time."""
    dates = entity.of_role("date")
    if not dates:
        return None
    scope = Scope(entity)
    found = on_attribute(entity, rng.choice(dates), scope.ref, rng)
    if found is None:
        return None
    conditions: tuple[Condition, ...] = (found,)
    if rng.random() < 0.35:
        more = condition(entity, scope.ref, rng, tuple(a.name for a in dates))
        conditions += (more,) if more else ()
    if rng.random() < 0.5 or not entity.label:
        return sketch("dated", Select(("count(*)",), scope, conditions), counting(entity, conditions), "date")
    columns, nouns = shown(entity, scope.ref)
    return sketch("dated", Select(columns, scope, conditions), listing(nouns, all_of(entity, conditions)), "date")


def drawn_conditions(
    entity: Entity, scope: Scope, rng: random.Random, count: int, avoid: tuple[str, ...] = ()
) -> tuple[tuple[Condition, ...], Literal["AND", "OR"]]:
    """Return up to `count` conditions on different columns, and how they are joined: mostly AND, sometimes OR."""
    found: list[Condition] = []
    used = list(avoid)
    for _ in range(count):
        ref = partial(scope.ref)
        one = condition(entity, ref, rng, used)
        if one is None:
            break
        found.append(one)
        used += [a.name for a in entity.attributes if scope.ref(a.name) in one.sql]
    joiner: Literal["AND", "OR"] = (
        "OR" if len(found) == 2 and rng.random() < 0.25 and not any(one.weaker for one in found) else "AND"
    )
    return tuple(found), joiner


def group_column(entity: Entity, rng: random.Random) -> Attribute | None:
    """Return a column whose values repeat and are never missing."""
    able = [a for a in entity.of_role("category", "year") if not a.nulls and 2 <= a.distinct <= 0.7 * entity.rows]
    return rng.choice(able) if able else None
