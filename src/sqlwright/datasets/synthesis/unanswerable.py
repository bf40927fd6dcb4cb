"""Questions that a database can't answer, for training a model to say so.

Near misses look like any other question but ask for an attribute, a thing or a relation that the schema doesn't have;
off-topic questions have nothing to do with any database. What is asked for in vain is drawn from word lists and checked
against every table and column name, whole words and parts alike.

The gold of all of them is `ABSTENTION`, a statement that runs and returns one empty cell: a model that learned it
abstains in the language of its other answers, and scoring needs no exception.

Not covered: questions that the schema could answer but the data can't (no such value), which have an empty result.
"""

from __future__ import annotations

import random
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.datasets.locate import package_path
from sqlwright.datasets.synthesis.choices import any_of, draw
from sqlwright.datasets.synthesis.profile import Entity, Profile, read_profile
from sqlwright.datasets.synthesis.words import joined, plural, singular, with_article, words_of
from sqlwright.records import Question, stable_id

ABSTENTION = "SELECT NULL"
"""The answer to a question that has none."""

CATEGORY = "unanswerable"
_OFF_TOPIC_SHARE = 0.25
_TRIES = 20


def unanswerable_questions(database: Path | str, count: int = 30, seed: int = 0) -> list[Question]:
    """Return up to `count` different questions that the database can't answer: near misses, and one in four off topic.

    Raises:
        DatabaseError: the file is missing, unreadable, or has no table with rows.
    """
    with Executor(workers=1) as executor:
        profile = read_profile(database, executor)
    rng = random.Random(f"unanswerable:{seed}:{profile.name}")
    off_topic = _lines("off_topic")
    rng.shuffle(off_topic)
    off_topic = off_topic[: round(_OFF_TOPIC_SHARE * count)]
    texts = dict.fromkeys(off_topic, "off-topic")
    maker = _NearMisses(profile, rng)
    for _ in range(_TRIES * count):
        if len(texts) >= count:
            break
        texts.setdefault(maker.draw(), "near-miss")
    order = list(texts)
    rng.shuffle(order)
    return [_question(profile.name, text, texts[text]) for text in order]


def _question(database: str, text: str, kind: str) -> Question:
    identity = stable_id(database, text, ABSTENTION)
    return Question(identity, database, text, (ABSTENTION,), category=CATEGORY, source=f"synthesis:{kind}")


class _NearMisses:
    """Writes questions about attributes and things that the schema hasn't."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.rng = rng
        held = [words_of(table.name) for table in profile.schema.tables]
        held += [words_of(column.name) for table in profile.schema.tables for column in table.columns]
        self.known = {singular(word) for words in held for word in words.lower().split()}
        self.attributes = [words for words in _lines("attributes") if self._is_missing(words)]
        self.measures = [words for words in _lines("measures") if self._is_missing(words)]
        self.things = [words for words in _lines("things") if self._is_missing(words)]
        self.entities = [entity for entity in profile.entities.values() if not entity.junction]

    def _is_missing(self, words: str) -> bool:
        return not any(singular(word) in self.known for word in words.split())

    def draw(self) -> str:
        """Return a question that asks for what isn't there."""
        entity = self.rng.choice(self.entities or [_ANYTHING])
        kinds = (
            (_missing_attribute, self.attributes),
            (_missing_measure, self.measures),
            (_missing_thing, self.things),
        )
        write, words = self.rng.choice([kind for kind in kinds if kind[1]])
        return draw(any_of(*write(entity, self.rng.choice(words))), self.rng)


def _missing_attribute(entity: Entity, attribute: str) -> list[str]:
    many = entity.plural
    shown = joined([*(plural(label.words) for label in entity.label), plural(attribute)])
    ways = [
        f"List the {shown} of all {many}.",
        f"How many {many} are there for each {attribute}?",
        f"How many {many} have no {attribute}?",
        f"What is the most common {attribute} of {many}?",
    ]
    for label in entity.label[:1] if entity.named else ():
        for value, _ in label.values[:40:13]:
            ways.append(f"What is the {attribute} of {value}?")
    return ways


def _missing_measure(entity: Entity, measure: str) -> list[str]:
    one, many = entity.singular, entity.plural
    return [
        f"What is the average {measure} of the {many}?",
        f"Which {one} has the highest {measure}?",
        f"What are the 5 {many} with the lowest {measure}?",
        f"Which {many} have {with_article(measure)} above 50?",
        f"Find the highest and lowest {measure} among all {many}.",
        f"Sort the {many} by {measure}.",
    ]


def _missing_thing(entity: Entity, thing: str) -> list[str]:
    many = plural(thing)
    return [
        f"How many {many} are there?",
        f"Which {entity.plural} have {with_article(thing)}?",
        f"List the {entity.plural} with more than three {many}.",
        f"What are the names of all {many}?",
        f"Which {entity.singular} has the most {many}?",
        f"Show the number of {many} for each {entity.singular}.",
    ]


_ANYTHING = Entity("", "entry", "entries", (), (), None, 0, person=False)


def _lines(name: str) -> list[str]:
    return package_path(f"synthesis/{name}.txt").read_text(encoding="utf-8").split("\n")[:-1]
