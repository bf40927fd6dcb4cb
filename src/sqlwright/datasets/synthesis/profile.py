"""A database made ready for questions: what its columns hold, what they are called in words, how tables are linked.

Every column gets a role, told by declared type, name and values together; the grammar's productions ask for roles
(a number to average, a category to group by, a name to show). Values are read through the safe executor.

Not covered: views, keys of several columns on the side that is referred to, dates that aren't written as ISO 8601.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlwright.databases import Executor, Limits, Schema, Table, describe
from sqlwright.datasets.synthesis.words import plural, singular, words_of
from sqlwright.errors import DatabaseError
from sqlwright.sql.names import quoted

Role = Literal["name", "category", "number", "year", "date", "key", "flag", "text", "skip"]
"""What a column is good for: `name` shows a row, `text` and `skip` are left alone (long, coded, technical)."""

SCANNED_ROWS = 4000
"""Rows of a table whose values are looked at."""
KEPT_VALUES = 200
LIMITS = Limits(seconds=20)

_TECHNICAL = frozenset(
    {
        "blob", "checksum", "fax", "guid", "hash", "html", "image", "json", "password", "path", "photo", "picture",
        "rowguid", "salt", "thumbnail", "token", "uri", "url", "uuid", "website", "wikipedia", "xml",
    }
)  # fmt: skip
_CODES = frozenset(
    {
        "code", "extension", "iban", "isbn", "latitude", "longitude", "number", "phone", "postal", "postcode",
        "ssn", "telefon", "telephone", "zip",
    }
)  # fmt: skip
_PLACES = frozenset(
    {
        "city", "continent", "country", "county", "district", "location", "nationality", "province", "region",
        "state",
    }
)  # fmt: skip
_PEOPLE = frozenset(
    {
        "actor", "actress", "advisor", "architect", "artist", "author", "candidate", "celebrity", "child",
        "client", "coach", "conductor", "contestant", "customer", "director", "doctor", "driver", "editor",
        "employee", "engineer", "entrepreneur", "faculty", "fan", "friend", "guest", "gymnast", "host",
        "instructor", "journalist", "judge", "lawyer", "man", "manager", "member", "musician", "nurse", "owner",
        "participant", "patient", "people", "person", "physician", "pilot", "player", "politician", "professional",
        "professor", "reviewer", "rider", "salesperson", "singer", "staff", "student", "swimmer", "teacher",
        "tenant", "user", "visitor", "voter", "woman", "worker", "wrestler", "writer",
    }
)  # fmt: skip
_NOT_ADDED = frozenset(
    {
        "age", "average", "day", "discount", "duration", "gpa", "grade", "height", "hour", "humidity", "index",
        "latitude", "length", "level", "longitude", "mean", "month", "order", "percent", "percentage", "percents",
        "position", "pressure", "price", "rank", "ranking", "rate", "rating", "ratio", "score", "speed", "stars",
        "temperature", "version", "weight", "year",
    }
)  # fmt: skip
_FILLER = re.compile(r"(?<=\w) (?:data|info|information|list|table|details|records?)$")
_YEARS = frozenset({"year", "founded", "opened", "built", "established", "formed", "launched", "released", "closed"})
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_NAMES = ("name", "title")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column: its words ("birth date"), its role, and the values found, the most frequent first.

    `distinct` and `nulls` count within the whole table (its first 200,000 rows), `values` within what was scanned.
    """

    name: str
    words: str
    role: Role
    values: tuple[tuple[Any, int], ...] = ()
    distinct: int = 0
    nulls: int = 0
    unique: bool = False

    @property
    def is_place(self) -> bool:
        """Whether rows are "in" or "from" its values."""
        return self.words in _PLACES

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are integers."""
        return all(isinstance(value, int) for value, _ in self.values)

    @property
    def is_additive(self) -> bool:
        """Whether a sum of its numbers means something."""
        return self.role == "number" and not _NOT_ADDED.intersection(self.words.split())


@dataclass(frozen=True)
class Entity:
    """A table as something to ask about: "a film", "films", shown by `label` (its name, or its number)."""

    table: str
    singular: str
    plural: str
    attributes: tuple[Attribute, ...]
    label: tuple[Attribute, ...]
    key: str | None
    rows: int
    person: bool
    junction: bool = False

    def of_role(self, *roles: Role) -> list[Attribute]:
        """Return the attributes of the roles, in the table's order."""
        return [attribute for attribute in self.attributes if attribute.role in roles]

    @property
    def named(self) -> bool:
        """Whether its label is a name that people would use."""
        return bool(self.label) and all(attribute.role == "name" for attribute in self.label)


@dataclass(frozen=True, slots=True)
class Link:
    """Rows of `child` refer to a row of `parent`: `column` holds `parent_column`. `noun` is what the child calls it."""

    child: str
    column: str
    parent: str
    parent_column: str
    noun: str
    declared: bool = True
    canonical: bool = True


@dataclass(frozen=True)
class Profile:
    """A database ready for questions: entities by table, and the links between them."""

    name: str
    path: Path
    entities: dict[str, Entity]
    links: tuple[Link, ...]
    schema: Schema = field(repr=False)

    def parents(self, table: str) -> list[Link]:
        """Return the links from `table` to what it refers to."""
        return [link for link in self.links if link.child == table]

    def children(self, table: str) -> list[Link]:
        """Return the links to `table`."""
        return [link for link in self.links if link.parent == table]


def read_profile(database: Path | str, executor: Executor) -> Profile:
    """Return the profile of a SQLite file; tables without rows are left out, since no answer can come from them.

    Raises:
        DatabaseError: the file is missing, unreadable, or has no table with rows.
    """
    schema = describe(database, 0, executor=executor)
    known = {word for table in schema.tables for word in _noun_words(table.name)}
    entities = {}
    for table in schema.tables:
        if table.rows == 0 or not table.columns:
            continue
        try:
            entities[table.name] = _entity(table, schema, executor, known)
        except DatabaseError:  # a table whose contents can't be read is none to ask about
            continue
    if not entities:
        raise DatabaseError(f"{schema.path}: expected a table with rows to ask about, found none in it.")
    links = _links(schema, entities, executor)
    entities = {name: _settled(entity, entities, links) for name, entity in entities.items()}
    return Profile(schema.name, Path(schema.path), entities, links, schema)


def _noun_words(name: str) -> set[str]:
    words = words_of(name).lower().split()
    return {word for word in (*words, *map(singular, words)) if len(word) > 2}


def _entity(table: Table, schema: Schema, executor: Executor, known: set[str]) -> Entity:
    rows, stats, values = _contents(table, schema.path, executor)
    noun = _FILLER.sub("", words_of(table.name, known))
    keys = {column for key in table.foreign_keys for column in key.columns}
    attributes = []
    for place, column in enumerate(table.columns):
        full, distinct = stats[place]
        counts = Counter(value for value in values[place] if value is not None)
        # In the order of the rows where counts agree, so that a draw depends on the data alone.
        kept = tuple(pair for pair in counts.most_common(KEPT_VALUES) if _is_clean(pair[0]))
        words = words_of(column.name, known)
        role: Role = "key" if column.name in keys else _role(words, [value for value, _ in kept], distinct, full)
        if role == "number" and table.primary_key == (column.name,):
            role = "key"
        attributes.append(Attribute(column.name, words, role, kept, distinct, rows - full, distinct == full == rows))
    one = singular(noun)
    label = _label(attributes, one, rows)
    single = table.primary_key[0] if len(table.primary_key) == 1 else None
    attributes = [_demoted(attribute, label) for attribute in attributes]
    by_name = {attribute.name: attribute for attribute in attributes}
    label = tuple(by_name[chosen.name] for chosen in label)
    person = one.partition(" in ")[0].split()[-1] in _PEOPLE
    return Entity(table.name, one, plural(one), tuple(attributes), label, single, rows, person)


def _contents(table: Table, path: str, executor: Executor) -> tuple[int, list[tuple[int, int]], list[tuple[Any, ...]]]:
    """Return the number of rows, (values, distinct values) per column, and the values of the first rows by column."""
    source = quoted(table.name)
    names = [quoted(column.name) for column in table.columns]
    counts = ", ".join(f"count({name}), count(DISTINCT {name})" for name in names)
    counted = executor.run(path, f"SELECT count(*), {counts} FROM (SELECT * FROM {source} LIMIT 200000)", limits=LIMITS)
    shown = ", ".join(
        f"CASE typeof({name}) WHEN 'blob' THEN NULL WHEN 'text' THEN substr({name}, 1, 200) ELSE {name} END"
        for name in names
    )
    scanned = executor.run(path, f"SELECT {shown} FROM {source} LIMIT {SCANNED_ROWS}", limits=LIMITS)
    rows, *pairs = counted.require().rows[0]
    found = scanned.require().rows
    columns = list(zip(*found, strict=True)) if found else [() for _ in names]
    return rows, list(zip(pairs[::2], pairs[1::2], strict=True)), columns


def _role(words: str, values: Sequence[Any], distinct: int, full: int) -> Role:
    """Return what a column with these words and values (most frequent first) is good for."""
    parts = words.lower().split()
    if distinct < 2 or not values or _TECHNICAL.intersection(parts) or words in ("last update", "modified date"):
        return "skip"
    if parts[-1] in ("id", "key", "ids", "uid"):
        return "key"
    if len(words) < 3:  # "h" and "ab" tell nobody what they are
        return "skip"
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return _role_of_numbers(parts, values)
    if len(texts) < 0.95 * len(values):
        return "skip"
    if all(_ISO_DATE.fullmatch(text) for text in texts):
        return "date"
    if {text.strip().lower() for text in texts} <= {"y", "n", "yes", "no", "t", "f", "true", "false", "0", "1"}:
        return "flag"
    if all(_is_number(text) for text in texts) or _CODES.intersection(parts):
        return "text"
    longest = sorted(map(len, texts))[int(0.9 * (len(texts) - 1))]
    if longest > 50 or any("\n" in text or not text.strip() for text in texts):
        return "text"
    if parts[-1] in _NAMES:
        return "name"
    if distinct <= 0.5 * full or (distinct <= 0.9 * full and _PLACES.intersection(parts)):
        return "category"
    return "name" if longest <= 40 else "text"


def _role_of_numbers(parts: Sequence[str], values: Sequence[Any]) -> Role:
    if not all(isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e15 for value in values):
        return "skip"
    if _CODES.intersection(parts[-1:]) and "of" not in parts and parts != ["number"]:
        return "skip" if not (parts[0] in ("total", "average") or len(parts) == 1) else "number"
    if set(values) <= {0, 1}:
        return "flag"
    if _YEARS.intersection(parts) and all(isinstance(value, int) and 1000 <= value <= 2200 for value in values):
        return "year"
    return "number"


def _is_clean(value: object) -> bool:
    """Return whether a person who reads the value can type it: no spaces around it, none doubled."""
    return not isinstance(value, str) or value == " ".join(value.split())


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").strip("$€£% "))
    except ValueError:
        return False
    return True


def _label(attributes: Sequence[Attribute], noun: str, rows: int) -> tuple[Attribute, ...]:
    """Return the attributes that show a row: first and last name, its name or title, else its number."""
    by_words = {attribute.words: attribute for attribute in attributes if attribute.role in ("name", "category")}
    for first, last in (("first name", "last name"), ("forename", "surname"), ("given name", "last name")):
        if first in by_words and last in by_words:
            return by_words[first], by_words[last]
    for words in ("name", "title", f"{noun} name", f"{noun} title", "full name", noun):
        if words in by_words:
            return (by_words[words],)
    names = [a for a in attributes if a.role == "name" and 2 * a.distinct >= rows]
    for attribute in sorted(names, key=lambda a: (not a.words.endswith(_NAMES), "description" in a.words)):
        return (attribute,)
    numbers = [a for a in attributes if a.role == "key" and a.unique]
    return (numbers[0],) if numbers else ()


def _demoted(attribute: Attribute, label: Sequence[Attribute]) -> Attribute:
    """Return the attribute as a name if it is in the label; a name that isn't and repeats is a category."""
    role = attribute.role
    if attribute in label:
        role = "name" if role == "category" else role
    elif role == "name" and attribute.distinct <= 0.5 * sum(count for _, count in attribute.values):
        role = "category"
    return Attribute(
        attribute.name, attribute.words, role, attribute.values, attribute.distinct, attribute.nulls, attribute.unique
    )


def _links(schema: Schema, entities: dict[str, Entity], executor: Executor) -> tuple[Link, ...]:
    """Return declared links, then those that names and values suggest; never from a table to itself."""
    found: dict[tuple[str, str], Link] = {}
    for table in schema.tables:
        for key in table.foreign_keys:
            usable = len(key.columns) == 1 == len(key.to_columns) and key.table in entities
            if (
                usable
                and table.name in entities
                and key.table != table.name
                and (table.name, key.columns[0]) not in found
            ):
                parent_column = key.to_columns[0]
                # A join to a column that repeats would count rows twice.
                if parent_column in {
                    attribute.name for attribute in entities[key.table].attributes if attribute.unique
                }:
                    found[table.name, key.columns[0]] = Link(
                        table.name, key.columns[0], key.table, parent_column, entities[key.table].singular
                    )
    for entity in entities.values():
        for attribute in entity.attributes:
            if (entity.table, attribute.name) not in found and attribute.role in ("key", "number", "skip"):
                inferred = _inferred(entity, attribute, entities, schema.path, executor)
                if inferred:
                    found[entity.table, attribute.name] = inferred
    return tuple(_called(link, tuple(found.values()), entities) for link in found.values())


def _inferred(
    entity: Entity, attribute: Attribute, entities: dict[str, Entity], path: str, executor: Executor
) -> Link | None:
    """Return the link that a column's name suggests, if all its values are found where it would lead."""
    if entity.key == attribute.name and attribute.unique:
        return None
    for parent in entities.values():
        key = next((a for a in parent.attributes if a.name == parent.key), None)
        if parent.table == entity.table or key is None or not key.unique:
            continue
        same = attribute.name.lower() == key.name.lower() != "id" and key.role == "key"
        if not same and attribute.words not in (f"{parent.singular} ID", parent.singular):
            continue
        column, table = quoted(attribute.name), quoted(entity.table)
        outcome = executor.run(
            path,
            f"SELECT count(*) FROM {table} WHERE {column} IS NOT NULL AND "
            f"{column} NOT IN (SELECT {quoted(key.name)} FROM {quoted(parent.table)})",
            limits=LIMITS,
        )
        if outcome.ok and outcome.rows == [(0,)]:
            return Link(entity.table, attribute.name, parent.table, key.name, parent.singular, declared=False)
    return None


def _called(link: Link, links: Sequence[Link], entities: dict[str, Entity]) -> Link:
    """Return the link with the noun that its column suggests, where that differs from the parent's own."""
    child, parent = entities[link.child], entities[link.parent]
    words = next((a.words for a in child.attributes if a.name == link.column), "")
    key = next((a.words for a in parent.attributes if a.name == link.parent_column), "")
    role = re.sub(r" (?:ID|code|key|number|name)$", "", words)
    same = words == key or role in (parent.singular, parent.plural) or parent.singular.endswith(role)
    twins = sum((other.child, other.parent) == (link.child, link.parent) for other in links)
    if same or len(role) < 3 or re.search(r"\b(?:to|by|via|from|of|in)$", role):
        return Link(
            link.child, link.column, link.parent, link.parent_column, parent.singular, link.declared, same or twins == 1
        )
    return Link(link.child, link.column, link.parent, link.parent_column, role, link.declared, twins == 1)


def _settled(entity: Entity, entities: dict[str, Entity], links: Sequence[Link]) -> Entity:
    """Return the entity with what only all tables together tell: link columns are keys, junctions are known."""
    columns = {link.column for link in links if link.child == entity.table}
    attributes = tuple(
        Attribute(a.name, a.words, "key", a.values, a.distinct, a.nulls, a.unique) if a.name in columns else a
        for a in entity.attributes
    )
    bare = not [a for a in attributes if a.role not in ("key", "skip")]
    junction = bare and len(columns) >= 2 and (entity.key is None or entity.key in columns)
    label = tuple(a for a in entity.label if a.name not in columns)
    one, many = entity.singular, entity.plural
    if sum(other.singular == one for other in entities.values()) > 1:
        one = singular(words_of(entity.table))
        many = plural(one)
    return Entity(entity.table, one, many, attributes, label, entity.key, entity.rows, entity.person, junction)
