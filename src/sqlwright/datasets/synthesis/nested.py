"""Questions whose answer needs a query within a query, or two queries under a set operator.

Not covered: correlated subqueries beyond EXISTS, and nesting deeper than one level.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from sqlwright.datasets.synthesis.choices import any_of
from sqlwright.datasets.synthesis.conditions import condition, label_value, on_attribute
from sqlwright.datasets.synthesis.linked import families
from sqlwright.datasets.synthesis.phrases import (
    adjectives,
    all_of,
    called,
    counting,
    listing,
    shown,
    superlative,
    which,
)
from sqlwright.datasets.synthesis.profile import Attribute, Entity, Link, Profile
from sqlwright.datasets.synthesis.select import Condition, Scope, Select, Sketch, combined, sketch
from sqlwright.datasets.synthesis.words import is_plural, plural, with_article
from sqlwright.sql.names import quoted


def beside_average(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The rows above or below the average of a column, or of the rows of one kind; listed or counted."""
    numbers = entity.of_role("number")
    if not numbers:
        return None
    scope, by, above = Scope(entity), rng.choice(numbers), rng.random() < 0.65
    column, table, words = scope.ref(by.name), quoted(entity.table), called(entity, by)
    inner, among = f"SELECT avg({column}) FROM {table}", ""
    weaker: tuple[str, ...] = ()
    if rng.random() < 0.25:
        kind = condition(entity, scope.ref, rng, (by.name,))
        if kind:
            sign = ">" if above else "<"
            weaker = (f"{column} {sign} ({inner})",)
            inner, among = f"{inner} WHERE {kind.sql}", f" of the {entity.plural} {kind.phrase}"
    word = any_of("above", "higher than", "greater than") if above else any_of("below", "lower than", "less than")
    if is_plural(words):
        than = f"{'more' if above else 'fewer'} {words} than the average{among}"
        phrase, verb = any_of(f"with {than}", f"that have {than}"), f"have {than}"
    else:
        ways = [f"whose {words} is {word} the average{among}"]
        ways.append(f"with {with_article(words)} {word} the average{among or f' {words}'}")
        ways += [] if among else [f"with {'an above' if above else 'a below'}-average {words}"]
        phrase, verb = any_of(*ways), f"have {with_article(words)} {word} the average{among}"
    found = Condition(f"{column} {'>' if above else '<'} ({inner})", phrase, verb, weaker, nested=True)
    return _listed_or_counted("beside_average", entity, scope, found, rng)


def beside_row(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The rows that have more, less or the same of something as one that is named, or than all of a kind."""
    able = entity.of_role("number", "category", "date")
    if not able or not entity.named:
        return None
    scope, by = Scope(entity), rng.choice(able)
    column, table, words = scope.ref(by.name), quoted(entity.table), called(entity, by)
    named = label_value(entity, scope.ref, rng)
    label = entity.label[0]
    if by.role == "category":
        if named is None or not label.unique:
            return None
        value = named.sql.split(" = ", 1)[1]
        sql = f"{column} = (SELECT {column} FROM {table} WHERE {named.sql}) AND {scope.ref(label.name)} != {value}"
        phrase = any_of(f"with the same {words} as {named.phrase}", f"that have the same {words} as {named.phrase}")
        other = any_of("other ", "")
        text = listing(
            shown(entity, scope.ref)[1], f"the {other}{entity.plural} {phrase}, not counting {named.phrase} itself"
        )
        columns, _ = shown(entity, scope.ref)
        return sketch("beside_row", Select(columns, scope, (Condition(sql, phrase, nested=True),)), text, "where")
    more = rng.random() < 0.6
    if rng.random() < 0.5 and named is not None and label.unique:
        inner, than = f"SELECT {column} FROM {table} WHERE {named.sql}", named.phrase
    else:
        kind = condition(entity, scope.ref, rng, (by.name,))
        if kind is None or by.role == "date":
            return None
        inner = f"SELECT {'max' if more else 'min'}({column}) FROM {table} WHERE {kind.sql}"
        than = any_of(f"every {entity.singular} {kind.phrase}", f"any of the {entity.plural} {kind.phrase}")
    if by.role == "date":
        word = "later" if more else "earlier"
        phrase = any_of(
            f"with {with_article(word)} {words} than {than}", f"whose {words} is {word} than that of {than}"
        )
    elif is_plural(words):
        phrase = f"with {'more' if more else 'fewer'} {words} than {than}"
    else:
        word = any_of("higher", "greater") if more else "lower"
        phrase = any_of(f"with a {word} {words} than {than}", f"whose {words} is {word} than that of {than}")
        adjective = adjectives(entity, by)[2 if more else 3]
        if adjective:
            phrase = any_of(phrase, f"{adjective} {than}")
    found = Condition(f"{column} {'>' if more else '<'} ({inner})", phrase, nested=True)
    return _listed_or_counted("beside_row", entity, scope, found, rng)


def at_extreme(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """All rows that share the highest or lowest value of a column."""
    numbers = [a for a in entity.of_role("number", "date") if not a.unique]
    if not numbers:
        return None
    scope, by, most = Scope(entity), rng.choice(numbers), rng.random() < 0.6
    column = scope.ref(by.name)
    _, behind = superlative(entity, by, most)
    sql = f"{column} = (SELECT {'max' if most else 'min'}({column}) FROM {quoted(entity.table)})"
    found = Condition(sql, behind, nested=True)
    return _listed_or_counted("at_extreme", entity, scope, found, rng)


def with_or_without(profile: Profile, rng: random.Random) -> Sketch | None:
    """The parents that have no children, some, or some under a condition; by IN, EXISTS, or a count."""
    able = [family for family in families(profile, downwards=True) if family.far is None or family.parent.label]
    if not able:
        return None
    family = rng.choice(able)
    parent, link = family.parent, family.link
    holder, child = profile.entities[link.child], family.child
    inner, phrase = None, ""
    if family.far is None and rng.random() < 0.55:
        found = condition(child, quoted, rng)
        if found:
            inner, phrase = found, f" {found.phrase}"
    negative = inner is None or rng.random() < 0.4
    scope = Scope(parent)
    sql, weaker = _membership(link, holder, inner, negative, rng.random() < 0.3)
    has = any_of(
        f"that have no {child.plural}{phrase}",
        f"without any {child.plural}{phrase}",
        f"that do not have any {child.plural}{phrase}",
    )
    verb = any_of(f"have no {child.plural}{phrase}", f"do not have any {child.plural}{phrase}")
    if not negative:
        has = any_of(
            f"that have {child.plural}{phrase}",
            f"with at least one {child.singular}{phrase}",
            f"that have at least one {child.singular}{phrase}",
        )
        verb = any_of(f"have {child.plural}{phrase}", f"have at least one {child.singular}{phrase}")
    where = Condition(sql, has, verb, weaker, inner.dated if inner else False, nested=True)
    made = _listed_or_counted("with_or_without", parent, scope, where, rng)
    return replace(made, category="table_join") if made and made.category == "where" else made


def _membership(
    link: Link, holder: Entity, inner: Condition | None, negative: bool, exists: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a parent has children (or hasn't), and what it must differ from."""
    column, key, table = quoted(link.column), quoted(link.parent_column), quoted(holder.table)
    not_ = "NOT " if negative else ""
    if exists:
        base = f"{not_}EXISTS (SELECT 1 FROM {table} WHERE {table}.{column} = {quoted(link.parent)}.{key}"
        return f"{base}{f' AND {inner.sql}' if inner else ''})", (f"{base})",) if inner else ()
    base = f"{key} {not_}IN (SELECT {column} FROM {table}"
    return f"{base}{f' WHERE {inner.sql}' if inner else ''})", (f"{base})",) if inner else ()


def both_kinds(profile: Profile, entity: Entity, rng: random.Random) -> Sketch | None:
    """The values of a column that rows of two kinds share, that either has, or that one has and the other hasn't."""
    columns = [a for a in entity.of_role("category") if not a.nulls and a.distinct > 3]
    if not columns:
        return None
    scope, asked = Scope(entity), rng.choice(columns)
    kinds = _two_kinds(entity, asked, rng)
    if kinds is None:
        return None
    first, second = (Select((scope.ref(asked.name),), scope, (kind,)) for kind in kinds)
    operator, text = _set_words(plural(asked.words), entity.plural, kinds[0].phrase, kinds[1].phrase, rng)
    return combined("both_kinds", operator, first, second, text, "where")


def parents_of_both(profile: Profile, rng: random.Random) -> Sketch | None:
    """The parents that have children of two kinds, of either, or of one and not the other."""
    able = [
        f for f in families(profile, downwards=True) if f.far is None and f.parent.label and len(f.parent.label) == 1
    ]
    if not able:
        return None
    family = rng.choice(able)
    if not family.parent.label[0].unique:
        return None
    kinds = _two_kinds(family.child, None, rng, family.ref(1))
    if kinds is None:
        return None
    columns, nouns = shown(family.parent, family.ref(0))
    first, second = (Select(columns, family.scope, (kind,)) for kind in kinds)
    many, one = family.child.plural, family.parent.plural
    operator, text = _set_words(f"{nouns} of {one}", many, kinds[0].phrase, kinds[1].phrase, rng)
    return combined("parents_of_both", operator, first, second, text, "table_join")


def _two_kinds(
    entity: Entity, avoid: Attribute | None, rng: random.Random, ref: Callable[[str], str] = quoted
) -> tuple[Condition, Condition] | None:
    """Return two conditions on the same column with different values, or on two columns."""
    taken = (avoid.name,) if avoid else ()
    able = [a for a in entity.of_role("category", "number", "year") if a.name not in taken]
    if not able:
        return None
    by = rng.choice(able)
    found: dict[str, Condition] = {}
    for _ in range(8):
        one = on_attribute(entity, by, ref, rng)
        if one and not one.weaker and "!=" not in one.sql and "NULL" not in one.sql:
            found[one.sql] = one
    pair = list(found.values())[:2]
    return (pair[0], pair[1]) if len(pair) == 2 else None


def _set_words(asked: str, things: str, first: str, second: str, rng: random.Random) -> tuple[str, str]:
    """Return a set operator and the question for it."""
    operator = rng.choice(("INTERSECT", "INTERSECT", "EXCEPT", "EXCEPT", "UNION"))
    if operator == "INTERSECT":
        return operator, any_of(
            f"What are the {asked} that have both {things} {first} and {things} {second}?",
            f"Find the {asked} that have {things} {first} as well as {things} {second}.",
        )
    if operator == "EXCEPT":
        return operator, any_of(
            f"What are the {asked} that have {things} {first} but no {things} {second}?",
            f"Find the {asked} that have {things} {first} but not {things} {second}.",
        )
    return operator, any_of(
        f"What are the {asked} that have {things} {first} or {things} {second}?",
        f"List the {asked} that have {things} {first} or {things} {second}, each one once.",
    )


def _listed_or_counted(shape: str, entity: Entity, scope: Scope, found: Condition, rng: random.Random) -> Sketch | None:
    """Return the sketch of a list of the rows under a condition, or of their number."""
    if not entity.label or rng.random() < 0.3:
        return sketch(shape, Select(("count(*)",), scope, (found,)), counting(entity, (found,)), "where")
    columns, nouns = shown(entity, scope.ref)
    text = listing(nouns, all_of(entity, (found,)))
    asked = which(entity, (found,)) if entity.named else ""
    return sketch(shape, Select(columns, scope, (found,)), any_of(text, text, asked) if asked else text, "where")
