"""Few-shot by retrieval: solved questions of the training data that are most like the one that is asked.

As DAIL-SQL (arXiv 2308.15363) chooses: questions are compared with the names of their schemas and their values
masked, so that likeness is one of structure, and a candidate counts for more if the skeleton of its query is like the
one that is expected. DAIL-SQL lets a model draft that query and compares questions by embeddings; here the expected
skeleton is the agreement of the nearest questions' queries, and likeness is the cosine of weighted words and pairs of
words, so that no model is needed.

Candidates are training questions only. A question never gets itself, its own text on the same database, or (in
training) another wording with the same SQL, which would teach copying.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from pathlib import Path

from sqlwright.databases import Schema, describe
from sqlwright.prompts.words import name_words, stem, words
from sqlwright.records import Question, Record
from sqlwright.sql.skeleton import skeleton as build_skeleton

# Longer ones would fill the context; a shot is an illustration.
MOST_CHARACTERS = 600
_NEAREST = 24
_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|‘[^’]*’|“[^”]*”")


@dataclass(frozen=True, slots=True)
class Shot(Record):
    """A solved question: its text, its SQL as the model learns to write it, and its text with names masked."""

    database: str
    text: str
    sql: str
    masked: str


def make_shots(
    questions: Iterable[Question], databases: Mapping[str, Path], target: Callable[[str, Schema], str]
) -> list[Shot]:
    """Return the questions that can be shown as solved; `target` writes their SQL (see `prompts.target`)."""
    schemas: dict[str, Schema] = {}
    shots = []
    for question in questions:
        if not question.database or not question.golds or len(question.text) + len(question.golds[0]) > MOST_CHARACTERS:
            continue
        if question.database not in schemas:
            schemas[question.database] = describe(databases[question.database], 0)
        schema = schemas[question.database]
        sql = target(question.golds[0], schema)
        shots.append(Shot(question.id, question.database, question.text, sql, mask(question.text, schema)))
    return shots


def mask(text: str, schema: Schema) -> str:
    """Return the question's words with `<name>` for those of the schema and `<value>` for quotes, numbers and names."""
    names = {stem(word) for table in schema.tables for word in name_words(table.name)}
    names |= {stem(word) for table in schema.tables for column in table.columns for word in name_words(column.name)}
    masked: list[str] = []
    for position, match in enumerate(re.finditer(r"\w+|¤", _QUOTED.sub(" ¤ ", text))):
        word = match.group()
        folded = stem(word.casefold())
        if folded in names:
            shown = "<name>"
        elif word == "¤" or word[0].isdigit() or (position and word[0].isupper()):
            shown = "<value>"
        else:
            shown = folded
        if masked[-1:] != [shown] or not shown.startswith("<"):
            masked.append(shown)
    return " ".join(masked)


class ShotIndex:
    """The candidates, ready to be compared with questions."""

    def __init__(self, shots: Sequence[Shot]) -> None:
        self.shots = tuple(shots)
        self._own = {shot.id: shot.sql for shot in self.shots}
        terms = [Counter(_terms(shot.masked)) for shot in self.shots]
        documents = Counter(term for counts in terms for term in counts)
        # What a third of the questions has tells none of them apart, and would be most of the work.
        common = max(2, len(self.shots) // 3)
        self._weight = {t: math.log(1 + len(self.shots) / n) for t, n in documents.items() if n <= common}
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, counts in enumerate(terms):
            weights = self._weights(counts)
            for term, weight in weights.items():
                self._postings[term].append((number, weight))

    def choose(self, question: Question, schema: Schema, most: int) -> list[Shot]:
        """Return at most `most` shots for the question, the best last: it will stand next to the question."""
        near = self._nearest(question, schema)
        if not near:
            return []
        built = {number: _skeleton(self.shots[number].sql) for number, _ in near}
        total = sum(score for _, score in near)
        # The expected skeleton is what the nearest questions' queries agree on, the nearer ones counting for more.
        agreed = [
            sum(score * _alike(*sorted((built[number], built[other]))) for other, score in near) / total
            for number, _ in near
        ]
        ranked = sorted(
            ((score + agreement, number) for (number, score), agreement in zip(near, agreed, strict=True)),
            key=lambda pair: (-pair[0], pair[1]),
        )
        chosen: list[Shot] = []
        for _, number in ranked:
            shot = self.shots[number]
            if all((shot.database, shot.sql) != (other.database, other.sql) for other in chosen):
                chosen.append(shot)
        return chosen[:most][::-1]

    def _nearest(self, question: Question, schema: Schema) -> list[tuple[int, float]]:
        """Return the candidates nearest by their masked words, with the cosine, the nearest first."""
        scores: dict[int, float] = defaultdict(float)
        for term, weight in self._weights(Counter(_terms(mask(question.text, schema)))).items():
            for number, other in self._postings.get(term, ()):
                scores[number] += weight * other
        own_words, own_sql = words(question.text), self._own.get(question.id)
        near: list[tuple[int, float]] = []
        # Enough that the question's own wordings, which are left out, don't use them up.
        for number, score in nsmallest(4 * _NEAREST, scores.items(), key=lambda pair: (-pair[1], pair[0])):
            shot = self.shots[number]
            same = shot.database == question.database
            if shot.id == question.id or (same and (shot.sql == own_sql or words(shot.text) == own_words)):
                continue
            near.append((number, score))
        return near[:_NEAREST]

    def _weights(self, counts: Counter[str]) -> dict[str, float]:
        """Return the weights of a question's terms, as a vector of length 1; unknown and common terms have none."""
        weights = {term: count * self._weight[term] for term, count in counts.items() if term in self._weight}
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {term: weight / norm for term, weight in weights.items()}


def _terms(masked: str) -> list[str]:
    """Return the words of a masked question, and its pairs of neighbours."""
    found = masked.split(" ")
    return [*found, *(f"{one} {other}" for one, other in pairwise(found))]


@lru_cache(maxsize=1 << 18)
def _alike(one: str, other: str) -> float:
    """Return how alike two skeletons are, from 0 to 1: Dice's coefficient over their pairs of neighbours."""
    first, second = _pairs(one), _pairs(other)
    return 2 * (first & second).total() / (first.total() + second.total())


@lru_cache(maxsize=1 << 14)
def _pairs(text: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(["", *text.split(" "), ""]))


@lru_cache(maxsize=1 << 15)
def _skeleton(sql: str) -> str:
    return build_skeleton(sql)
