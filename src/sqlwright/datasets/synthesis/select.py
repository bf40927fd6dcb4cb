"""SELECT statements as structure: rendered in Spider's spelling, and taken apart into the queries that test them.

A condition that changes nothing makes a trivial question, and a LIMIT that cuts through a tie has no one answer.
`Select.weaker` and `Select.tie` give the queries that tell.

Not covered: set operations (see `Sketch`), which combine two of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlwright.datasets.synthesis.profile import Entity, Link
from sqlwright.sql.category import Category
from sqlwright.sql.names import quoted


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition in SQL and in words.

    `phrase` follows a noun ("whose country is Brazil"), `verb` follows a plural subject ("are from Brazil"); `verb`
    may be empty. `weaker` are conditions that must have another result, or this one would say nothing.
    """

    sql: str
    phrase: str
    verb: str = ""
    weaker: tuple[str, ...] = ()
    dated: bool = False
    nested: bool = False


class Scope:
    """The tables of a FROM clause, joined one after another along links; one table alone needs no alias."""

    def __init__(self, first: Entity, *steps: tuple[Link, Entity]) -> None:
        self.entities = [first]
        self._joins: list[tuple[str, str]] = []
        self._steps = steps
        for link, entity in steps:
            new = entity.table == link.parent
            near, far = (link.column, link.parent_column) if new else (link.parent_column, link.column)
            owner = next(place for place, known in enumerate(self.entities) if known.table in (link.child, link.parent))
            self.entities.append(entity)
            self._joins.append((self._aliased(near, owner), self._aliased(far, len(self.entities) - 1)))

    def ref(self, column: str, place: int = 0) -> str:
        """Return the column of the table at `place`, with its alias where there are several tables."""
        return self._aliased(column, place) if self._joins else quoted(column)

    def sql(self) -> str:
        """Return the FROM clause without its keyword."""
        if not self._joins:
            return quoted(self.entities[0].table)
        text = f"{quoted(self.entities[0].table)} AS T1"
        for place, (near, far) in enumerate(self._joins, 1):
            text += f" JOIN {quoted(self.entities[place].table)} AS T{place + 1} ON {near} = {far}"
        return text

    def _aliased(self, column: str, place: int) -> str:
        return f"T{place + 1}.{quoted(column)}"


@dataclass(frozen=True)
class Select:
    """One SELECT. `order` is (expression, "ASC" or "DESC")."""

    columns: tuple[str, ...]
    scope: Scope
    where: tuple[Condition, ...] = ()
    joiner: Literal["AND", "OR"] = "AND"
    group: tuple[str, ...] = ()
    having: str = ""
    order: tuple[str, str] | None = None
    limit: int | None = None
    distinct: bool = False
    more_order: tuple[str, ...] = field(default=())

    def sql(self) -> str:
        """Return the statement."""
        text = f"SELECT {'DISTINCT ' if self.distinct else ''}{', '.join(self.columns)} FROM {self.scope.sql()}"
        if self.where:
            text += " WHERE " + f" {self.joiner} ".join(condition.sql for condition in self.where)
        if self.group:
            text += f" GROUP BY {', '.join(self.group)}"
        if self.having:
            text += f" HAVING {self.having}"
        if self.order:
            expression, direction = self.order
            text += f" ORDER BY {expression}{' DESC' if direction == 'DESC' else ' ASC'}"
        if self.limit is not None:
            text += f" LIMIT {self.limit}"
        return text

    def weaker(self) -> Iterator[str]:
        """Yield statements with one part less, each of which must have another result."""
        for place, condition in enumerate(self.where):
            rest = self.where[:place] + self.where[place + 1 :]
            yield replace(self, where=rest).sql()
            for sql in condition.weaker:
                weakened = replace(condition, sql=sql)
                yield replace(self, where=(*self.where[:place], weakened, *self.where[place + 1 :])).sql()
        if self.having:
            yield replace(self, having="").sql()

    def tie(self) -> str:
        """Return a query of the ordering's values up to one behind the LIMIT; empty without a LIMIT."""
        if self.limit is None or self.order is None:
            return ""
        return replace(self, columns=(self.order[0],), limit=self.limit + 1, distinct=False).sql()


@dataclass(frozen=True)
class Sketch:
    """A question before it is checked: SQL, its words as a text with choices, and the queries that test it.

    The result must differ from that of each statement in `weaker`; the last two rows of `tie` must differ.
    """

    shape: str
    sql: str
    text: str
    category: Category
    weaker: tuple[str, ...] = ()
    tie: str = ""


def sketch(shape: str, select: Select, text: str, category: Category) -> Sketch:
    """Return the sketch of a single SELECT."""
    if any(condition.dated for condition in select.where):
        category = "date"
    return Sketch(shape, select.sql(), text, category, tuple(select.weaker()), select.tie())


def combined(shape: str, operator: str, first: Select, second: Select, text: str, category: Category) -> Sketch:
    """Return the sketch of two SELECTs under a set operator; neither side alone may have the same result."""
    sides = (first.sql(), second.sql())
    # A UNION without repeats must add to each side, the others must take away from the first.
    weaker = [replace(side, distinct=True).sql() for side in ((first, second) if operator != "EXCEPT" else (first,))]
    return Sketch(shape, f"{sides[0]} {operator} {sides[1]}", text, category, tuple(weaker))
