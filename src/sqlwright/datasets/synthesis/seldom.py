"""Questions that collections of annotated questions seldom ask, but users do: what is missing, shares, spans of time.

A model that learns from annotators' questions alone forgets how to write `IS NULL`, `CASE`, `LEFT JOIN` and the like.
The shapes here are about the schema more than the rows, so that a NULL is asked for where these rows have none: an
empty result is no reason to leave a pair out.

Not covered: windows, common table expressions, links from a table to itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.datasets.golds import hardness_of
from sqlwright.datasets.synthesis import linked, simple
from sqlwright.datasets.synthesis.choices import any_of, wordings
from sqlwright.datasets.synthesis.conditions import condition
from sqlwright.datasets.synthesis.linked import families
from sqlwright.datasets.synthesis.phrases import all_of, called, counting, listing, shown, shown_singular, which
from sqlwright.datasets.synthesis.profile import Attribute, Entity, Profile, read_profile
from sqlwright.datasets.synthesis.sample import LIMITS, OwnShape, Pair, Shape, question
from sqlwright.datasets.synthesis.select import Condition, Scope, Select, Sketch, sketch
from sqlwright.datasets.synthesis.words import is_plural, with_article
from sqlwright.records import Question
from sqlwright.sql.category import category
from sqlwright.sql.names import literal

_EVENTS = {
    "approval": "been approved", "arrival": "arrived", "closing": "been closed", "completion": "been completed",
    "death": "died", "delivery": "been delivered", "departure": "departed", "destruction": "been destroyed",
    "discharge": "been discharged", "end": "ended", "expired": "expired", "expiry": "expired", "finish": "finished",
    "graduation": "graduated", "joined": "joined", "left": "left", "made": "been made", "moved in": "moved in",
    "moved out": "moved out",
    "paid": "been paid", "payment": "been paid", "publication": "been published", "release": "been released",
    "retired": "retired", "retirement": "retired", "return": "been returned", "settlement": "been settled",
    "ship": "been shipped", "shipment": "been shipped", "sold": "been sold", "start": "started",
    "taken": "been taken", "termination": "been terminated",
}  # fmt: skip
"""What has happened to a row whose "return date" is there; a "discontinued date" says it itself."""
_NO_EVENT = ("actual", "date", "datetime", "of", "time")
_TRIES = 6
_STEPS = ((1, "second"), (1, "second"), (2, "third"), (3, "fourth"), (4, "fifth"))


def missing(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """Rows without a value in a column, or with one: listed or counted, maybe under one more condition."""
    keys = {name.lower() for name in (entity.key, *(a.name for a in entity.label)) if name}
    return _missing(entity, [a for a in entity.attributes if a.name.lower() not in keys and _can_miss(a)], rng)


def undone(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """Rows to which something has not happened yet, or has: films that have not been returned."""
    return _missing(entity, [a for a in entity.attributes if _event(entity, a)], rng)


def _missing(entity: Entity, able: Sequence[Attribute], rng: random.Random) -> Sketch | None:
    if not able:
        return None
    scope, asked = Scope(entity), rng.choice(able)
    found = (_absent if rng.random() < 0.75 else _present)(entity, asked, scope.ref(asked.name))
    conditions: tuple[Condition, ...] = (found,)
    more = condition(entity, scope.ref, rng, (asked.name,)) if rng.random() < 0.35 else None
    if more:
        conditions = (more, found) if rng.random() < 0.5 else (found, more)
    if rng.random() < 0.4 or not entity.label:
        return sketch("missing", Select(("count(*)",), scope, conditions), counting(entity, conditions), "where")
    columns, nouns = shown(entity, scope.ref)
    text = listing(nouns, all_of(entity, conditions))
    asked_which = which(entity, conditions)
    text = any_of(text, asked_which) if asked_which else text
    return sketch("missing", Select(columns, scope, conditions), text, "where")


def _can_miss(attribute: Attribute) -> bool:
    words = attribute.words.lower()
    if attribute.unique and attribute.role == "key":
        return False
    return attribute.role not in ("flag",) and len(words) > 2 and words not in ("ID", "id")


def _thing(entity: Entity, attribute: Attribute) -> str:
    """Return what a row has or lacks: a "manager" for its "manager ID"."""
    words = called(entity, attribute)
    return words.removesuffix(" ID") if attribute.role == "key" else words


def _event(entity: Entity, attribute: Attribute) -> str:
    """Return what has happened to the rows with a value: "been closed" for a complaint's "date complaint closed"."""
    words = attribute.words.lower().split()
    if not {"date", "datetime", "time"}.intersection(words):
        return ""
    told = " ".join(word for word in words if word not in (*_NO_EVENT, *entity.singular.split()))
    said = _EVENTS.get(told, f"been {told}" if told.endswith("ed") and " " not in told else "")
    return "" if told == "planned" else said


def _absent(entity: Entity, attribute: Attribute, column: str) -> Condition:
    words = _thing(entity, attribute)
    one, sql = with_article(words), f"{column} IS NULL"
    event = _event(entity, attribute)
    if event:
        phrase = any_of(f"that have not {event}", f"that have not {event} yet", f"without {one}")
        return Condition(sql, phrase, any_of(f"have not {event}", f"have not yet {event}"))
    if is_plural(words):
        one = words
    phrase = any_of(
        f"without {one}",
        f"with no {words}",
        f"that have no {words}",
        f"with no {words} on record",
        f"whose {words} is missing",
        f"whose {words} is unknown",
        f"whose {words} is not known",
        f"whose {words} has not been recorded",
        f"for which no {words} is given",
    )
    verb = any_of(f"have no {words}", f"do not have {one}", f"lack {one}", f"have no {words} on record")
    return Condition(sql, phrase, verb)


def _present(entity: Entity, attribute: Attribute, column: str) -> Condition:
    words = _thing(entity, attribute)
    one, sql = with_article(words), f"{column} IS NOT NULL"
    event = _event(entity, attribute)
    if event:
        return Condition(sql, f"that have already {event}", f"have already {event}")
    if is_plural(words):
        one = words
    phrase = any_of(
        f"that have {one}", f"whose {words} is known", f"for which {one} is recorded", f"that do have {one}"
    )
    return Condition(sql, phrase, any_of(f"have {one}", f"do have {one}"))


def difference(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """How far apart a column's highest and lowest values are, maybe in a group of rows."""
    numbers = entity.of_role("number", "year")
    if not numbers:
        return None
    scope, asked = Scope(entity), rng.choice(numbers)
    column = scope.ref(asked.name)
    where = condition(entity, scope.ref, rng, (asked.name,)) if rng.random() < 0.5 else None
    conditions = (where,) if where else ()
    words, many = asked.words, all_of(entity, conditions)
    text = any_of(
        f"What is the difference between the highest and the lowest {words} of {many}?",
        f"By how much does the maximum {words} of {many} exceed the minimum?",
        f"How far apart are the largest and the smallest {words} of {many}?",
    )
    return sketch("difference", Select((f"max({column}) - min({column})",), scope, conditions), text, "ratio")


def rounded(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """An average with so many decimals, alone or per group."""
    numbers = [a for a in entity.of_role("number") if a.distinct > 2]
    if not numbers:
        return None
    scope, asked, places = Scope(entity), rng.choice(numbers), rng.choice((1, 2, 2, 2, 3))
    column = f"round(avg({scope.ref(asked.name)}), {places})"
    told = f"average {'number of ' if is_plural(asked.words) else ''}{asked.words}"
    decimals = any_of(
        f"rounded to {places} decimal place{'s' * (places > 1)}",
        f"rounded to {('one', 'two', 'three')[places - 1]} decimal{'s' * (places > 1)}",
    )
    by = simple.group_column(entity, rng)
    if by and rng.random() < 0.5:
        group = scope.ref(by.name)
        text = any_of(
            f"For each {by.words}, what is the {told} of the {entity.plural}, {decimals}?",
            f"Show each {by.words} of {entity.plural} with the {told}, {decimals}.",
        )
        return sketch("rounded", Select((group, column), scope, group=(group,)), text, "group_by")
    where = condition(entity, scope.ref, rng, (asked.name,)) if rng.random() < 0.5 else None
    conditions = (where,) if where else ()
    text = any_of(
        f"What is the {told} of {all_of(entity, conditions)}, {decimals}?",
        f"Give the {told} of {all_of(entity, conditions)}, {decimals}.",
    )
    return sketch("rounded", Select((column,), scope, conditions), text, "ratio")


def runner_up(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The row that comes second, third … by a number or a date."""
    able = [a for a in entity.of_role("number", "date", "year") if a.distinct > 5 and not a.nulls]
    if not able or not entity.label:
        return None
    scope, by = Scope(entity), rng.choice(able)
    skipped, place = rng.choice(_STEPS)
    most = rng.random() < 0.7
    columns, _ = shown(entity, scope.ref)
    high = "latest" if by.role in ("date", "year") else any_of("highest", "largest")
    low = "earliest" if by.role in ("date", "year") else any_of("lowest", "smallest")
    noun = entity.singular
    asked = shown_singular(entity)
    order = any_of(f"the {place} {high if most else low} {by.words}", f"the {place}-{high if most else low} {by.words}")
    text = any_of(
        f"Which {noun} has {order}?",
        f"What is the {asked} of the {noun} with {order}?",
        f"Show the {asked} of the {noun} that has {order}.",
    )
    select = Select(columns, scope, order=(scope.ref(by.name), "DESC" if most else "ASC"), limit=1)
    drawn = sketch("runner_up", select, text, "order_by")
    return Sketch(drawn.shape, f"{drawn.sql} OFFSET {skipped}", drawn.text, drawn.category)


def lengthy(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """Rows by how many characters a text has."""
    texts = [a for a in entity.of_role("name", "category", "text") if a.values and isinstance(a.values[0][0], str)]
    if not texts or not entity.label:
        return None
    scope, by = Scope(entity), rng.choice(texts)
    column, words = f"length({scope.ref(by.name)})", called(entity, by)
    columns, nouns = shown(entity, scope.ref)
    if rng.random() < 0.4:
        most = rng.random() < 0.6
        text = f"Which {entity.singular} has the {'longest' if most else 'shortest'} {words}?"
        select = Select(columns, scope, order=(column, "DESC" if most else "ASC"), limit=1)
        return sketch("lengthy", select, text, "order_by")
    bound = rng.choice((4, 5, 6, 8, 10, 12, 15, 20))
    more = rng.random() < 0.6
    told = any_of(
        f"{'more' if more else 'fewer'} than {bound} characters", f"{'more' if more else 'less'} than {bound} letters"
    )
    found = Condition(
        f"{column} {'>' if more else '<'} {bound}", f"whose {words} {'have' if is_plural(words) else 'has'} {told}"
    )
    if rng.random() < 0.4:
        return sketch("lengthy", Select(("count(*)",), scope, (found,)), counting(entity, (found,)), "where")
    return sketch("lengthy", Select(columns, scope, (found,)), listing(nouns, all_of(entity, (found,))), "where")


def between_dates(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """How many days lie between two dates of a row: on average, the longest, or more than so many."""
    dates = entity.of_role("date")
    if len(dates) < 2:
        return None
    scope = Scope(entity)
    first, second = rng.sample(dates, 2)
    if min(value for value, _ in first.values) > min(value for value, _ in second.values):
        first, second = second, first
    days = f"julianday({scope.ref(second.name)}) - julianday({scope.ref(first.name)})"
    span = any_of(f"between the {first.words} and the {second.words}", f"from the {first.words} to the {second.words}")
    draw = rng.random()
    if draw < 0.35:
        text = any_of(
            f"How many days are there on average {span} of {all_of(entity, ())}?",
            f"What is the average number of days {span} of {all_of(entity, ())}?",
        )
        return sketch("between_dates", Select((f"avg({days})",), scope), text, "date")
    bound = rng.choice((1, 3, 5, 7, 10, 14, 30, 60, 90))
    found = Condition(f"{days} > {bound}", any_of(f"with more than {bound} days {span}"), dated=True)
    if draw < 0.6 or not entity.label:
        return sketch("between_dates", Select(("count(*)",), scope, (found,)), counting(entity, (found,)), "date")
    columns, nouns = shown(entity, scope.ref)
    if draw < 0.8:
        select = Select((*columns, days), scope)
        text = f"For each {entity.singular}, show the {shown_singular(entity)} and the number of days {span}."
        return sketch("between_dates", select, text, "date")
    return sketch("between_dates", Select(columns, scope, (found,)), listing(nouns, all_of(entity, (found,))), "date")


def beside_column(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """Rows where one column is above, below or the same as another one of its kind."""
    kinds: dict[str, list[Attribute]] = {}
    for a in entity.of_role("date"):
        kinds.setdefault("date", []).append(a)
    for a in entity.of_role("number", "name", "category"):
        kinds.setdefault(f"{a.role} {a.words.split()[-1]}", []).append(a)
    able = [group for group in kinds.values() if len(group) > 1]
    if not able:
        return None
    scope = Scope(entity)
    first, second = rng.sample(rng.choice(able), 2)
    if first.role in ("number", "date"):
        sign = rng.choice((">", "<"))
        later = ("later than", "before") if first.role == "date" else ("higher than", "below")
        told = f"is {later[sign == '<']}"
    else:
        sign, told = rng.choice((("=", "is the same as"), ("!=", any_of("differs from", "is not the same as"))))
    found = Condition(
        f"{scope.ref(first.name)} {sign} {scope.ref(second.name)}", f"whose {first.words} {told} the {second.words}"
    )
    if rng.random() < 0.5 or not entity.label:
        return sketch("beside_column", Select(("count(*)",), scope, (found,)), counting(entity, (found,)), "where")
    columns, nouns = shown(entity, scope.ref)
    return sketch("beside_column", Select(columns, scope, (found,)), listing(nouns, all_of(entity, (found,))), "where")


def classed(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """How many rows fulfil a condition and how many don't, side by side, or a class for each row."""
    scope = Scope(entity)
    numbers = [a for a in entity.of_role("number") if a.distinct > 4 and a.values]
    if numbers and entity.label and rng.random() < 0.5:
        by = rng.choice(numbers)
        values = sorted(value for value, _ in by.values)
        bound = values[len(values) // 2]
        high, low = rng.choice((("high", "low"), ("large", "small"), ("above", "below")))
        columns, nouns = shown(entity, scope.ref)
        column = f"CASE WHEN {scope.ref(by.name)} > {literal(bound)} THEN {literal(high)} ELSE {literal(low)} END"
        text = any_of(
            f"Show the {nouns} of the {entity.plural}, with '{high}' if the {by.words} is over {bound}, else '{low}'.",
            f"For each {entity.singular}, give the {shown_singular(entity)} and whether the {by.words} is '{high}' "
            f"(above {bound}) or '{low}'.",
        )
        return sketch("classed", Select((*columns, column), scope), text, "ratio")
    found = condition(entity, scope.ref, rng)
    if found is None or found.weaker:
        return None
    yes, no = (f"sum(CASE WHEN {found.sql} THEN {a} ELSE {b} END)" for a, b in ((1, 0), (0, 1)))
    text = any_of(
        f"How many {entity.plural} {found.phrase} are there, and how many others?",
        f"Count the {entity.plural} {found.phrase} and, beside them, all other {entity.plural}.",
    )
    return sketch("classed", Select((yes, no), scope), text, "ratio")


def with_none(profile: Profile, rng: random.Random) -> Sketch | None:
    """For each parent, how many children it has: those without any count, too."""
    found = [f for f in families(profile, downwards=True) if f.parent.label and not f.far]
    if not found:
        return None
    family = rng.choice(found)
    parent, child, link = family.parent, family.child, family.link
    columns, nouns = shown(parent, family.ref(0))
    counted = family.scope.ref(link.column, 1)
    told = any_of(f"number of {child.plural}", f"count of {child.plural}")
    none = any_of(
        f"including {parent.plural} without any {child.singular}",
        f"also for {parent.plural} that have no {child.plural}",
        "zero for those that have none",
    )
    text = any_of(
        f"For each {parent.singular}, show the {shown_singular(parent)} and the {told}, {none}.",
        f"List the {nouns} of all {parent.plural} with the {told} each has, {none}.",
        f"How many {child.plural} does every {parent.singular} have, {none}? Show the {shown_singular(parent)}, too.",
    )
    drawn = sketch(
        "with_none", Select((*columns, f"count({counted})"), family.scope, group=(family.key,)), text, "group_by"
    )
    return Sketch(drawn.shape, drawn.sql.replace(" JOIN ", " LEFT JOIN "), drawn.text, drawn.category)


def share_of_group(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """For each group, what percentage of the rows it has, or what share of its rows fulfils a condition."""
    by = simple.group_column(entity, rng)
    if by is None:
        return None
    scope = Scope(entity)
    group, words = scope.ref(by.name), by.words
    if rng.random() < 0.5:
        source = scope.sql()
        column = f"100.0 * count(*) / (SELECT count(*) FROM {source})"
        text = any_of(
            f"For each {words}, what percentage of all {entity.plural} does it have?",
            f"Show each {words} and its share of all {entity.plural} in percent.",
        )
    else:
        found = condition(entity, scope.ref, rng, (by.name,))
        if found is None:
            return None
        column = f"100.0 * sum(CASE WHEN {found.sql} THEN 1 ELSE 0 END) / count(*)"
        text = any_of(
            f"For each {words}, what percentage of the {entity.plural} are {entity.plural} {found.phrase}?",
            f"Show, by {words}, the percentage of {entity.plural} {found.phrase}.",
        )
    return sketch("share_of_group", Select((group, column), scope, group=(group,)), text, "ratio")


OWN: tuple[tuple[OwnShape, float], ...] = (
    (missing, 2),
    (undone, 2),
    (simple.share, 1),
    (share_of_group, 0.8),
    (simple.quotient, 0.6),
    (difference, 0.6),
    (rounded, 0.6),
    (runner_up, 0.7),
    (lengthy, 0.3),
    (between_dates, 1),
    (beside_column, 1),
    (classed, 0.4),
    (simple.over_time, 2),
    (simple.dated, 2),
)
"""Shapes about one table, and how many of each are drawn in the mean; few databases have dates."""
ACROSS: tuple[tuple[Shape, float], ...] = ((with_none, 0.7), (linked.share_of_parent, 0.8))
"""Shapes about linked tables, likewise."""


def seldom_pairs(database: Path | str, count: int, seed: int = 0) -> list[Question]:
    """Return at most `count` questions about a SQLite file with what annotators seldom ask.

    The same database, count and seed give the same questions; about a dozen is what a database gives at most. Each
    gold runs; it may find nothing.

    Raises:
        DatabaseError: the file is missing, unreadable, or has no table with rows.
    """
    rng = random.Random(f"{seed}:{Path(database).stem}")
    found: dict[str, Question] = {}
    with Executor(workers=1, limits=LIMITS) as executor:
        profile = read_profile(database, executor)
        tables = {table.name.lower(): tuple(c.name.lower() for c in table.columns) for table in profile.schema.tables}
        drawn = list(_drawn(profile, rng))
        for one in rng.sample(drawn, len(drawn)):
            if len(found) < count and one.sql not in found and executor.run(profile.path, one.sql).ok:
                kind, level = category(one.sql) or one.category, hardness_of(one.sql, tables)
                pair = Pair(one.sql, wordings(one.text, rng, 1), kind, level, one.shape)
                found[one.sql] = question(Path(database).stem, pair, pair.wordings[0])
    return list(found.values())


def _drawn(profile: Profile, rng: random.Random) -> Iterator[Sketch]:
    """Yield the sketches of a draw, each shape's over different tables where there are several."""
    entities = [entity for entity in profile.entities.values() if not entity.junction]
    for own, share in OWN:
        order = rng.sample(entities, len(entities))
        sketches = (own(profile, entity, rng) for entity in order)
        yield from islice(filter(None, sketches), int(share + rng.random()))
    for across, share in ACROSS:
        sketches = (across(profile, rng) for _ in range(_TRIES))
        yield from islice(filter(None, sketches), int(share + rng.random()))
