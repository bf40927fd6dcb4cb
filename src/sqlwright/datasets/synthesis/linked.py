"""Questions about linked tables: rows of one thing by another, numbers for each, the one with the most.

Joins follow declared and inferred links; a junction such as `PlaylistTrack` is never named, only crossed.
Not covered: links from a table to itself, and outer joins (rows without partners are asked for in `nested`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from sqlwright.datasets.synthesis.choices import any_of
from sqlwright.datasets.synthesis.conditions import condition, label_value
from sqlwright.datasets.synthesis.phrases import (
    Ref,
    aggregate,
    aggregates_of,
    extra_columns,
    listing,
    shown,
    shown_singular,
    superlative,
)
from sqlwright.datasets.synthesis.profile import Attribute, Entity, Link, Profile
from sqlwright.datasets.synthesis.select import Condition, Scope, Select, Sketch, sketch
from sqlwright.datasets.synthesis.words import amount, joined, plural


@dataclass(frozen=True)
class Family:
    """A parent and its children in words: artists have albums, films have actors (across a junction).

    `scope` joins the parent (at place 0) to the link's child (1) and, across a junction, to the child proper (2).
    `noun` is what a child calls its parent, `nouns` the plural of that.
    """

    parent: Entity
    child: Entity
    link: Link
    scope: Scope
    place: int
    noun: str
    far: Link | None = None

    @property
    def nouns(self) -> str:
        """What the children call their parents, in the plural."""
        return plural(self.noun)

    def ref(self, place: int) -> Ref:
        """Return how columns of the table at `place` are written."""
        return partial(self.scope.ref, place=place)

    @property
    def key(self) -> str:
        """The parent's column that tells its rows apart, as written in the statement."""
        return self.scope.ref(self.link.parent_column, 0)


def families(profile: Profile, *, downwards: bool = False) -> list[Family]:
    """Return every parent with its children; `downwards` leaves out those whose link has a name of its own."""
    found = []
    for link in profile.links:
        child, parent = profile.entities[link.child], profile.entities[link.parent]
        if downwards and not link.canonical:
            continue
        if not child.junction:
            found.append(Family(parent, child, link, Scope(parent, (link, child)), 1, link.noun))
            continue
        others = [other for other in profile.parents(child.table) if other != link]
        if len(others) == 1 and others[0].parent != link.parent:
            end = profile.entities[others[0].parent]
            scope = Scope(parent, (link, child), (others[0], end))
            found.append(Family(parent, end, link, scope, 2, link.noun, others[0]))
    return found


def of_parent(profile: Profile, rng: random.Random) -> Sketch | None:
    """The children of one parent, or of the parents under a condition: listed, counted or aggregated."""
    family = _drawn(profile, rng)
    if family is None:
        return None
    child = family.child
    where, phrase = parent_condition(family, rng)
    if where is None:
        return None
    conditions: tuple[Condition, ...] = (where,)
    # Behind a condition on the parents, "and whose" could be theirs or the children's.
    if family.parent.named and not where.verb and rng.random() < 0.35:
        own = condition(child, family.ref(family.place), rng)
        if own:
            conditions, phrase = (where, own), f"{phrase} and {own.phrase}"
    things = any_of(f"{child.plural} {phrase}", f"the {child.plural} {phrase}", f"all {child.plural} {phrase}")
    draw = rng.random()
    numbers = child.of_role("number")
    if draw < 0.3 or not child.label:
        text = any_of(
            f"How many {child.plural} {phrase} are there?",
            f"What is the number of {child.plural} {phrase}?",
            f"Count the {child.plural} {phrase}.",
        )
        return sketch("of_parent", Select(("count(*)",), family.scope, conditions), text, "table_join")
    if draw < 0.5 and numbers:
        asked = rng.choice(numbers)
        sql, told = aggregate(rng.choice(aggregates_of(asked)), asked, family.ref(family.place))
        text = any_of(
            f"What is the {told} of {things}?", f"Find the {told} of {things}.", f"What is the {told} for {things}?"
        )
        return sketch("of_parent", Select((sql,), family.scope, conditions), text, "table_join")
    columns, nouns = shown(child, family.ref(family.place))
    extra: list[str] = []
    if rng.random() < 0.25:
        more, extra = extra_columns(child, family.ref(family.place), rng)
        columns += more
    text = listing(joined([nouns, *extra]), things)
    return sketch("of_parent", Select(columns, family.scope, conditions), text, "table_join")


def parent_condition(family: Family, rng: random.Random) -> tuple[Condition | None, str]:
    """Return a condition on the parent, and the words that say it behind the children's noun."""
    if family.parent.named and rng.random() < 0.6:
        where = label_value(family.parent, family.ref(0), rng)
        if where is not None:
            value = where.phrase
            if family.far:
                return where, any_of(f"of the {family.noun} {value}", f"that belong to the {family.noun} {value}")
            return where, any_of(
                f"of the {family.noun} {value}", f"whose {family.noun} is {value}", f"for the {family.noun} {value}"
            )
    label = tuple(a.name for a in family.parent.label)
    where = condition(family.parent, family.ref(0), rng, label)
    if where is None:
        return None, ""
    return where, f"of {family.nouns} {where.phrase}"


def with_parent(profile: Profile, rng: random.Random) -> Sketch | None:
    """The children, each with its parent, maybe under a condition on the children."""
    family = _drawn(profile, rng, lambda f: bool(f.far is None and f.child.label and f.parent.label))
    if family is None:
        return None
    child, parent = family.child, family.parent
    columns, nouns = shown(child, family.ref(1))
    parents, _ = shown(parent, family.ref(0))
    where = condition(child, family.ref(1), rng) if rng.random() < 0.6 else None
    phrase = f" {where.phrase}" if where else ""
    one = f"the {shown_singular(child)} and the {shown_singular(parent)} of the {family.noun}"
    every = any_of("all ", "the ") if where is None else "the "
    name = shown_singular(parent)
    text = any_of(
        f"List the {nouns} of {every}{child.plural}{phrase} and the {name} of the {family.noun} of each.",
        f"For each {child.singular}{phrase}, show {one}.",
        f"Show the {nouns} of {every}{child.plural}{phrase} together with the {name} of their {family.noun}.",
    )
    return sketch(
        "with_parent", Select((*columns, *parents), family.scope, (where,) if where else ()), text, "table_join"
    )


def per_parent(profile: Profile, rng: random.Random) -> Sketch | None:
    """For each parent that has children: how many, or an aggregate of theirs."""
    family = _drawn(profile, rng, lambda f: bool(f.parent.label), downwards=True)
    if family is None:
        return None
    columns, nouns = shown(family.parent, family.ref(0))
    sql, told = _measure(family, rng)
    name, one, many = shown_singular(family.parent), family.parent.singular, family.parent.plural
    text = any_of(
        f"For each {one}, show the {name} and the {told}.",
        f"What are the {name} and the {told} for each {one}?",
        f"List the {nouns} of the {many} and the {told} of each.",
        f"Show the {told} for each {one}, with the {name} of the {one}.",
    )
    return sketch("per_parent", Select((*columns, sql), family.scope, group=(family.key,)), text, "group_by")


def parent_top(profile: Profile, rng: random.Random) -> Sketch | None:
    """The parent, or the k parents, with the most or fewest children, or the highest aggregate of theirs."""
    family = _drawn(profile, rng, lambda f: bool(f.parent.label), downwards=True)
    if family is None:
        return None
    parent, limit, most = family.parent, rng.choice((1, 1, 1, 3, 5)), rng.random() < 0.8
    columns, nouns = shown(parent, family.ref(0))
    numbers = family.child.of_role("number")
    if numbers and not family.far and rng.random() < 0.4:
        asked = rng.choice(numbers)
        function = rng.choice([name for name in aggregates_of(asked) if name in ("avg", "sum")])
        sql, told = aggregate(function, asked, family.ref(family.place))
        behind = f"with the {'highest' if most else 'lowest'} {told} of {family.child.plural}"
        verb = f"{{has}} the {'highest' if most else 'lowest'} {told} of {family.child.plural}"
    else:
        amount = any_of("most", "largest number of") if most else any_of("fewest", "smallest number of")
        sql, behind, verb = (
            "count(*)",
            f"with the {amount} {family.child.plural}",
            f"{{has}} the {amount} {family.child.plural}",
        )
    if limit == 1:
        name = shown_singular(parent)
        ways = [
            f"What is the {name} of the {parent.singular} {behind}?",
            f"Find the {name} of the {parent.singular} {behind}.",
        ]
        if parent.named:
            ways.append(f"Which {parent.singular} {verb.format(has='has')}?")
    else:
        ways = [
            f"What are the {nouns} of the {limit} {parent.plural} {behind}?",
            f"List the {nouns} of the {limit} {parent.plural} {behind}.",
        ]
        if parent.named:
            ways.append(f"Which {limit} {parent.plural} {verb.format(has='have')}?")
    order = (sql, "DESC" if most else "ASC")
    select = Select(columns, family.scope, group=(family.key,), order=order, limit=limit)
    return sketch("parent_top", select, any_of(*ways), "order_by")


def parent_bound(profile: Profile, rng: random.Random) -> Sketch | None:
    """The parents with more, at least or exactly so many children."""
    family = _drawn(profile, rng, lambda f: bool(f.parent.label), downwards=True)
    if family is None:
        return None
    parent, children = family.parent, family.child.plural
    columns, nouns = shown(parent, family.ref(0))
    holder = profile.entities[family.link.child]
    counts = sorted({count for a in holder.attributes if a.name == family.link.column for _, count in a.values})
    if len(counts) < 2:
        return None
    number = rng.choice(counts[:-1])
    told = amount(number, family.child.singular, children)
    kinds = [
        (">", any_of(f"more than {told}", f"over {told}")),
        (">=", any_of(f"at least {told}", f"{number} or more {children}")),
        ("=", f"exactly {told}"),
        ("<", any_of(f"fewer than {told}", f"less than {told}")),
    ]
    sign, word = rng.choices(kinds, (4, 3, 1, 1))[0]
    if number == 1 and sign != ">":
        return None
    also: tuple[str, ...] = ("count(*)",) if rng.random() < 0.3 else ()
    if also:
        text = any_of(
            f"Show the {nouns} of {parent.plural} with {word}, and the number of {children} of each.",
            f"For the {parent.plural} that have {word}, list the {nouns} and the number of {children}.",
        )
    else:
        ways = [
            f"List the {nouns} of {parent.plural} with {word}.",
            f"What are the {nouns} of the {parent.plural} that have {word}?",
        ]
        if parent.named:
            ways.append(f"Which {parent.plural} have {word}?")
        text = any_of(*ways)
    select = Select((*columns, *also), family.scope, group=(family.key,), having=f"count(*) {sign} {number}")
    return sketch("parent_bound", select, text, "group_by")


def parent_of_extreme(profile: Profile, rng: random.Random) -> Sketch | None:
    """The parent of the child with the most or least of a number or date."""
    family = _drawn(profile, rng, lambda f: bool(f.far is None and f.parent.label and _ordering(f.child)))
    if family is None:
        return None
    by, most = rng.choice(_ordering(family.child)), rng.random() < 0.65
    columns, _ = shown(family.parent, family.ref(0))
    before, behind = superlative(family.child, by, most)
    child = family.child.singular
    thing = any_of(f"the {child} {behind}", *([f"the {before} {child}"] * 2 if before else []))
    name = shown_singular(family.parent)
    text = any_of(
        f"What is the {name} of the {family.noun} of {thing}?",
        f"Find the {name} of the {family.noun} of {thing}.",
        f"Show the {name} of the {family.noun} that {thing} belongs to.",
    )
    order = (family.scope.ref(by.name, 1), "DESC" if most else "ASC")
    return sketch("parent_of_extreme", Select(columns, family.scope, order=order, limit=1), text, "order_by")


def parents_column(profile: Profile, rng: random.Random) -> Sketch | None:
    """The different parents of the children under a condition."""
    family = _drawn(profile, rng, lambda f: bool(f.parent.label))
    if family is None:
        return None
    where = condition(family.child, family.ref(family.place), rng)
    if where is None:
        return None
    columns, nouns = shown(family.parent, family.ref(0))
    things = f"{family.child.plural} {where.phrase}"
    text = any_of(
        f"What are the different {nouns} of the {family.nouns} of {things}?",
        f"List the distinct {nouns} of {family.nouns} that have {things}.",
        f"Show the {nouns} of the {family.nouns} that have at least one of the {things}, without repeats.",
    )
    return sketch("parents_column", Select(columns, family.scope, (where,), distinct=True), text, "table_join")


def of_grandparent(profile: Profile, rng: random.Random) -> Sketch | None:
    """The rows two links below a named one, listed or counted, or their number for each of those above."""
    chains = [
        (low, high)
        for low in profile.links
        for high in profile.parents(low.parent)
        if not profile.entities[low.child].junction and high.parent != low.child and profile.entities[high.parent].named
    ]
    if not chains:
        return None
    low, high = rng.choice(chains)
    child, middle, top = (profile.entities[name] for name in (low.child, low.parent, high.parent))
    scope = Scope(child, (low, middle), (high, top))
    top_ref: Ref = partial(scope.ref, place=2)
    per, nouns = shown(top, top_ref)
    if rng.random() < 0.35 and low.canonical and high.canonical:
        text = any_of(
            f"How many {child.plural} are there for each {high.noun}? Show the {shown_singular(top)} and the number.",
            f"For each {high.noun}, show the {shown_singular(top)} and the number of {child.plural}.",
        )
        select = Select((*per, "count(*)"), scope, group=(top_ref(high.parent_column),))
        return sketch("of_grandparent", select, text, "group_by")
    where = label_value(top, top_ref, rng)
    if where is None:
        return None
    phrase = any_of(
        f"of {plural(low.noun)} of the {high.noun} {where.phrase}",
        f"whose {low.noun} belongs to the {high.noun} {where.phrase}",
    )
    if not child.label or rng.random() < 0.5:
        text = any_of(f"How many {child.plural} {phrase} are there?", f"What is the number of {child.plural} {phrase}?")
        return sketch("of_grandparent", Select(("count(*)",), scope, (where,)), text, "table_join")
    columns, nouns = shown(child, scope.ref)
    text = listing(nouns, f"the {child.plural} {phrase}")
    return sketch("of_grandparent", Select(columns, scope, (where,)), text, "table_join")


def share_of_parent(profile: Profile, rng: random.Random) -> Sketch | None:
    """What percentage of the children belongs to one parent, or how many children a parent has on average."""
    family = _drawn(profile, rng, lambda f: f.far is None and f.parent.named)
    if family is None:
        return None
    child, parent = family.child, family.parent
    if rng.random() < 0.35 and family.link.canonical:
        key = f"count(DISTINCT {family.scope.ref(family.link.column, 1)})"
        column = f"1.0 * count(*) / {key}"
        text = any_of(
            f"What is the average number of {child.plural} per {parent.singular}, among {parent.plural} that have any?",
            f"On average, how many {child.plural} does each {parent.singular} with at least one {child.singular} have?",
        )
        return sketch("share_of_parent", Select((column,), family.scope), text, "ratio")
    where = label_value(parent, family.ref(0), rng)
    if where is None:
        return None
    column = f"100.0 * sum(CASE WHEN {where.sql} THEN 1 ELSE 0 END) / count(*)"
    text = any_of(
        f"What percentage of {child.plural} belong to the {family.noun} {where.phrase}?",
        f"What is the percentage of {child.plural} whose {family.noun} is {where.phrase}?",
    )
    return sketch("share_of_parent", Select((column,), family.scope), text, "ratio")


def _measure(family: Family, rng: random.Random) -> tuple[str, str]:
    """Return (SQL, words) of the number of children or an aggregate of one of their numbers."""
    numbers = family.child.of_role("number")
    if numbers and not family.far and rng.random() < 0.45:
        asked = rng.choice(numbers)
        sql, told = aggregate(rng.choice(aggregates_of(asked)), asked, family.ref(family.place))
        return sql, f"{told} of {family.child.plural}"
    return "count(*)", any_of(f"number of {family.child.plural}", f"total number of {family.child.plural}")


def _ordering(entity: Entity) -> list[Attribute]:
    return [a for a in entity.of_role("number", "date") if not a.nulls and len(a.values) > 3]


def _drawn(profile: Profile, rng: random.Random, fits=lambda _: True, *, downwards: bool = False) -> Family | None:  # type: ignore[no-untyped-def]
    found = [family for family in families(profile, downwards=downwards) if fits(family)]
    return rng.choice(found) if found else None
