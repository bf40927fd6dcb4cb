"""Question/SQL pairs out of a database alone: sample, run, filter, and put into words by rules.

    pairs = sample_pairs("shop.sqlite", count=300, seed=0, wordings=3)

The grammar's shapes are drawn so that categories come out even; hardness levels above their share wait until the
others have had their chance. What is left out is counted by reason.

Not covered: rewording by a model and round trips (see `sqlwright.runs.synthesis`), links from a table to itself.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits
from sqlwright.datasets.golds import hardness_of
from sqlwright.datasets.synthesis import linked, nested, simple
from sqlwright.datasets.synthesis.choices import wordings
from sqlwright.datasets.synthesis.profile import Entity, Profile, read_profile
from sqlwright.datasets.synthesis.select import Sketch
from sqlwright.records import Hardness, Question, stable_id
from sqlwright.sql.category import CATEGORIES, Category, category
from sqlwright.sql.lexer import lex
from sqlwright.sql.skeleton import skeleton

Shape = Callable[[Profile, random.Random], Sketch | None]
OwnShape = Callable[[Profile, Entity, random.Random], Sketch | None]

LIMITS = Limits(seconds=3, rows=5000)
MOST_ROWS = 2000
"""Longer results make questions that nobody asks."""
SHARES: dict[Hardness, float] = {"easy": 0.25, "medium": 0.35, "hard": 0.25, "extra": 0.15}
"""The mix of hardness levels aimed at; Spider's development questions are .24, .43, .17 and .16."""
TRIES = 40
"""Draws per pair asked for before a database counts as exhausted."""

OWN: tuple[tuple[OwnShape, int], ...] = (
    (simple.listed, 5),
    (simple.attribute_of, 2),
    (simple.counted, 4),
    (simple.different, 2),
    (simple.aggregated, 5),
    (simple.extreme, 4),
    (simple.ordered, 3),
    (simple.grouped, 4),
    (simple.group_bound, 4),
    (simple.group_top, 3),
    (simple.share, 4),
    (simple.quotient, 1),
    (simple.over_time, 3),
    (simple.dated, 4),
    (nested.beside_average, 3),
    (nested.beside_row, 3),
    (nested.at_extreme, 2),
    (nested.both_kinds, 3),
)
"""Shapes about one table, and how often each is drawn."""
ACROSS: tuple[tuple[Shape, int], ...] = (
    (linked.of_parent, 8),
    (linked.with_parent, 3),
    (linked.per_parent, 4),
    (linked.parent_top, 4),
    (linked.parent_bound, 4),
    (linked.parent_of_extreme, 3),
    (linked.parents_column, 3),
    (linked.of_grandparent, 4),
    (linked.share_of_parent, 3),
    (nested.with_or_without, 6),
    (nested.parents_of_both, 4),
)
"""Shapes about linked tables, and how often each is drawn."""


@dataclass(frozen=True)
class Pair:
    """A SQL statement that was checked, with its wordings; `result` is its rows (for comparison only)."""

    sql: str
    wordings: tuple[str, ...]
    category: Category
    hardness: Hardness | None
    shape: str
    result: tuple[tuple[Any, ...], ...] = field(repr=False, compare=False, default=())


@dataclass
class Sampled:
    """Pairs, and how many draws each filter took away (`drawn` counts them all)."""

    pairs: list[Pair]
    counts: Counter[str]


def synthesise(database: Path | str, count: int = 300, seed: int = 0, wordings: int = 3) -> list[Question]:
    """Return questions about a SQLite file made by rules alone: `count` statements in up to `wordings` wordings each.

    The same database, seed and count give the same questions. Fewer come back where the database has no more to ask.

    Raises:
        DatabaseError: the file is missing, unreadable, or has no table with rows.
    """
    sampled = sample_pairs(database, count, seed, wordings)
    name = Path(database).stem
    return [question(name, pair, text) for pair in sampled.pairs for text in pair.wordings]


def question(database: str, pair: Pair, text: str) -> Question:
    """Return one wording of a pair as a question."""
    return Question(
        id=stable_id(database, text, pair.sql),
        database=database,
        text=text,
        golds=(pair.sql,),
        hardness=pair.hardness,
        category=pair.category,
        source=f"synthesis:{pair.shape}",
    )


def sample_pairs(
    database: Path | str,
    count: int = 300,
    seed: int = 0,
    wordings: int = 3,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Sampled:
    """Return up to `count` different, checked pairs, balanced over categories and hardness, and the filters' counts.

    Raises:
        DatabaseError: the file is missing, unreadable, or has no table with rows.
    """
    with Executor(workers=1, limits=LIMITS) as executor:
        sampler = Sampler(read_profile(database, executor), executor, seed, wordings)
        quota = {level: max(1, round(share * count)) for level, share in SHARES.items()}
        kept: list[Pair] = []
        spare: list[Pair] = []
        levels: Counter[Hardness] = Counter()
        for pair in sampler.pairs(TRIES * count):
            if pair is not None:
                level: Hardness = pair.hardness or "medium"
                if levels[level] < quota[level]:
                    levels[level] += 1
                    kept.append(pair)
                elif len(spare) < count:
                    spare.append(pair)
            progress(len(kept), count)
            # A level that this database hardly has would keep the others waiting for ever.
            if len(kept) >= count or len(kept) + len(spare) >= 1.5 * count:
                break
        missing = max(0, count - len(kept))
        chosen = kept[:count] + spare[:missing]
        sampler.counts["over its share of hardness"] = sampler.counts["accepted"] - len(chosen)
        return Sampled(chosen, sampler.counts)


class Sampler:
    """Draws sketches and lets through those that run, say something, and are new. Deterministic by seed."""

    def __init__(self, profile: Profile, executor: Executor, seed: int, wordings: int) -> None:
        self.profile, self.executor, self.wordings = profile, executor, wordings
        self.rng = random.Random(f"{seed}:{profile.name}")
        self.counts: Counter[str] = Counter()
        self._by_category: Counter[Category] = Counter()
        self._statements: Counter[str] = Counter()
        self._results: set[tuple[str, str]] = set()
        self._texts: set[str] = set()
        self._tables = {
            table.name.lower(): tuple(column.name.lower() for column in table.columns)
            for table in profile.schema.tables
        }

    def pairs(self, most: int) -> Iterator[Pair | None]:
        """Yield a pair for each of at most `most` draws, None where a filter took it away."""
        for _ in range(most):
            drawn = self._draw()
            if drawn is None:
                self.counts["no such columns"] += 1
                continue
            self.counts["drawn"] += 1
            pair, reason = self._judge(drawn)
            if pair is None:
                self.counts[reason] += 1
            else:
                self.counts["accepted"] += 1
                self._by_category[pair.category] += 1
            yield pair

    def _draw(self) -> Sketch | None:
        """Return a sketch, of the category that is furthest behind wherever a few draws can give one."""
        wanted = self._wanted()
        last = None
        for _ in range(6):
            found = self._any_shape()
            if found is not None:
                last = found
                if found.category in wanted:
                    return found
        return last

    def _wanted(self) -> tuple[Category, ...]:
        """Return the categories that have fewer pairs than the average."""
        average = sum(self._by_category.values()) / len(CATEGORIES)
        return tuple(name for name in CATEGORIES if self._by_category[name] <= average)

    def _any_shape(self) -> Sketch | None:
        rng, profile = self.rng, self.profile
        share = 0.45 if profile.links else 0.0
        if rng.random() < share:
            shapes, weights = zip(*ACROSS, strict=True)
            across: Shape = rng.choices(shapes, weights)[0]
            return across(profile, rng)
        shapes, weights = zip(*OWN, strict=True)
        own: OwnShape = rng.choices(shapes, weights)[0]
        entities = [entity for entity in profile.entities.values() if not entity.junction]
        if not entities:
            return None
        # Tables with more to ask about are asked about more.
        sizes = [
            (3 if entity.rows > 4 else 1) * (1 + len(entity.of_role("name", "category", "number", "year", "date")))
            for entity in entities
        ]
        return own(profile, rng.choices(entities, sizes)[0], rng)

    def _judge(self, drawn: Sketch) -> tuple[Pair | None, str]:
        """Return the pair of a sketch, or the name of the filter that takes it away."""
        statement = masked(drawn.sql)
        if self._statements[statement]:
            return None, "same statement but for values"
        outcome = self.executor.run(self.profile.path, drawn.sql)
        if not outcome.ok:
            return None, "does not run"
        if not outcome.rows or all(value in (None, 0) for row in outcome.rows for value in row):
            return None, "empty result"
        if outcome.truncated or len(outcome.rows) > MOST_ROWS:
            return None, "long result"
        result = _key(outcome.rows)
        if any(_key(self._rows(sql)) == result for sql in drawn.weaker):
            return None, "trivial: a part changes nothing"
        if drawn.tie and self._is_tied(drawn.tie):
            return None, "tie at the limit"
        shape = skeleton(drawn.sql)
        if (shape, result) in self._results:
            return None, "same shape and result"
        texts = tuple(text for text in wordings(drawn.text, self.rng, self.wordings) if text not in self._texts)
        if not texts:
            return None, "same words"
        self._texts.update(texts)
        self._statements[statement] += 1
        self._results.add((shape, result))
        level = hardness_of(drawn.sql, self._tables)
        kind = category(drawn.sql) or drawn.category
        return Pair(drawn.sql, texts, kind, level, drawn.shape, tuple(outcome.rows)), ""

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.executor.run(self.profile.path, sql).rows

    def _is_tied(self, sql: str) -> bool:
        rows = self._rows(sql)
        pairs = itertools.pairwise(rows)
        return any(row[0] is None for row in rows) or any(a == b for a, b in pairs)


def masked(sql: str) -> str:
    """Return the statement with its values masked: the same question about another value is the same statement."""
    return "".join("?" if kind in ("string", "number") else text for kind, text in lex(sql))


def _key(rows: list[tuple[Any, ...]]) -> str:
    """Return rows as a text that doesn't depend on their order."""
    return repr(sorted(map(repr, rows)))
