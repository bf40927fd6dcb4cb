"""A schema within a budget of tokens: what the question is about stays, and what goes is named.

Tables are ranked by the words they share with the question (names count most, then columns, descriptions, sample
values; a word that every table has says little), and tables that join relevant ones are kept with them. Without a
question the order is the schema's own. Not covered: meaning beyond words, such as synonyms.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlwright.databases import Column, Schema, Table
from sqlwright.prompts.style import Style
from sqlwright.prompts.words import name_words, stems, words
from sqlwright.records import Prompt

CountTokens = Callable[[str], int]
_NAMED = 8


@dataclass(frozen=True, slots=True)
class SchemaText:
    """A database as text, and the names of the tables and columns (`table.column`) that did not fit."""

    text: str
    omitted: tuple[str, ...]


def schema_text(
    schema: Schema, style: Style, max_tokens: int, count_tokens: CountTokens, about: str = ""
) -> SchemaText:
    """Return the schema as text of at most `max_tokens` tokens, what `about` speaks of first (see `FittedSchema`)."""
    return FittedSchema(schema, style, max_tokens, count_tokens).text(about)


def cut_notes(prompts: Iterable[Prompt]) -> list[str]:
    """Return a line per database whose schema was cut: how many prompts miss what, most often left out first."""
    missing: dict[str, Counter[str]] = {}
    asked: Counter[str] = Counter()
    for prompt in prompts:
        asked[prompt.database] += 1
        if prompt.omitted:
            missing.setdefault(prompt.database, Counter()).update(prompt.omitted)
    lines = []
    for database, counts in sorted(missing.items()):
        named = [name if count == asked[database] else f"{name} ({count})" for name, count in counts.most_common(20)]
        rest = f" and {len(counts) - len(named)} more" if len(counts) > len(named) else ""
        lines.append(f"{database}: schema over prompt.max_schema_tokens, left out: {', '.join(named)}{rest}")
    return lines


class FittedSchema:
    """A schema that is written for one question after another; it is measured once."""

    def __init__(self, schema: Schema, style: Style, max_tokens: int, count_tokens: CountTokens) -> None:
        self.schema, self.style, self.max_tokens, self.count = schema, style, max_tokens, count_tokens
        self.whole = self._write(schema.tables)
        self.fits = count_tokens(self.whole) <= max_tokens

    def text(self, about: str = "") -> SchemaText:
        """Return the schema as text of at most `max_tokens` tokens, and what is left out.

        Tables stay whole, the most relevant first, as long as they fit; the first relevant one that doesn't fit keeps
        its keys and the columns that the question names. At least one column is always kept. What is left out is
        named in `omitted` and, as a comment, in the text itself (the comment is beyond the budget).
        """
        if self.fits:
            return SchemaText(self.whole, ())
        asked = set(stems(words(about)))
        scores = self._scores(asked)
        ranked = sorted(self.schema.tables, key=lambda table: -scores[table.name])
        kept = self._whole_tables(ranked)
        left = [table for table in ranked if table.name not in kept]
        if left and (not kept or (asked and scores[left[0].name] > 0)):
            narrow = self._narrowed(left[0], kept, asked)
            if narrow:
                kept[narrow.name] = narrow
        shown = [kept[table.name] for table in self.schema.tables if table.name in kept]
        omitted: list[str] = []
        for table in self.schema.tables:
            if table.name not in kept:
                omitted.append(table.name)
            elif len(kept[table.name].columns) < len(table.columns):
                present = {column.name for column in kept[table.name].columns}
                omitted += [f"{table.name}.{column.name}" for column in table.columns if column.name not in present]
        named = ", ".join(omitted[:_NAMED]) + (f" and {len(omitted) - _NAMED} more" if len(omitted) > _NAMED else "")
        return SchemaText(f"{self._write(shown)}\n-- not shown: {named}", tuple(omitted))

    def _write(self, tables: Sequence[Table]) -> str:
        part = replace(self.schema, tables=tuple(tables))
        texts = [self.style.table(table, part) for table in tables]
        joined = self.style.joint.join(texts)
        relations = self.style.relations(part)
        return self.style.frame(f"{joined}\n{relations}" if relations and joined else joined + relations, part)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Tokens of each table with its relations; the empty name is what stands around the tables."""
        sizes = {"": self.count(self._write(()))}
        for table in self.schema.tables:
            part = replace(self.schema, tables=(table,))
            sizes[table.name] = self.count(self.style.joint + self.style.table(table, part))
            sizes[table.name] += self.count(self.style.relations(part))
        return sizes

    def _whole_tables(self, ranked: Sequence[Table]) -> dict[str, Table]:
        """Return the tables that fit, taken in the order of their rank."""
        used = self._sizes[""]
        kept: list[Table] = []
        for table in ranked:
            if used + self._sizes[table.name] <= self.max_tokens:
                used += self._sizes[table.name]
                kept.append(table)
        # Sizes add up but for a few tokens at the seams: only the text as a whole is sure.
        while kept and self.count(self._write(kept)) > self.max_tokens:
            kept.pop()
        return {table.name: table for table in kept}

    def _scores(self, asked: set[str]) -> dict[str, float]:
        """Return how much each table has to do with the question; all 0 where no word is shared."""
        if not asked:
            return {table.name: 0.0 for table in self.schema.tables}
        frequency = Counter(word for weights in self._words.values() for word in weights)
        count = len(self.schema.tables)
        direct = {
            name: sum(weights.get(word, 0.0) * math.log(1 + count / frequency[word]) for word in asked & weights.keys())
            for name, weights in self._words.items()
        }
        scores = dict(direct)
        for name, near in self._neighbours.items():
            best = sorted((direct[other] for other in near), reverse=True)[:2]
            if len(best) == 2:  # it joins two relevant tables: a query needs it although no question names it
                scores[name] += best[1] / 2
            scores[name] += best[0] / 20 if best else 0.0
        return scores

    @cached_property
    def _words(self) -> dict[str, dict[str, float]]:
        """The words of each table with their weights."""
        found: dict[str, dict[str, float]] = {}
        for table in self.schema.tables:
            weights = found.setdefault(table.name, {})
            for column in table.columns:
                for word, weight in _column_words(column).items():
                    weights[word] = max(weights.get(word, 0.0), weight)
            for word in stems(words(table.description)):
                weights[word] = max(weights.get(word, 0.0), 1.0)
            for word in stems(name_words(table.name)):
                weights[word] = 4.0
        return found

    @cached_property
    def _neighbours(self) -> dict[str, set[str]]:
        """The tables that a table's foreign keys lead to or come from."""
        near: dict[str, set[str]] = {table.name: set() for table in self.schema.tables}
        for table in self.schema.tables:
            for key in table.foreign_keys:
                if key.table in near and key.table != table.name:
                    near[table.name].add(key.table)
                    near[key.table].add(table.name)
        return near

    def _narrowed(self, table: Table, kept: dict[str, Table], asked: set[str]) -> Table | None:
        """Return the table with as many columns as fit beside `kept`; None where not even one does."""
        keys = {*table.primary_key, *(column for key in table.foreign_keys for column in key.columns)}

        def rank(column: Column) -> float:
            shared = sum(weight for word, weight in _column_words(column).items() if word in asked)
            return shared + (1.0 if asked and column.name in keys else 0.0)

        ranked = sorted(table.columns, key=lambda column: -rank(column))
        order = [other.name for other in self.schema.tables]

        def fits(count: int) -> bool:
            tables = [*kept.values(), _with_columns(table, ranked[:count])]
            tables.sort(key=lambda one: order.index(one.name))
            return self.count(self._write(tables)) <= self.max_tokens

        low, high = 1, len(ranked)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        if kept and not fits(low):
            return None
        return _with_columns(table, ranked[:low])


def _column_words(column: Column) -> dict[str, float]:
    """Return the words of a column with their weights."""
    weights = {word: 1.0 for text in (column.description, *column.samples) for word in stems(words(text))}
    return weights | dict.fromkeys(stems(name_words(column.name)), 2.0)


def _with_columns(table: Table, chosen: Sequence[Column]) -> Table:
    """Return the table with these of its columns, in its own order, and the keys that they still have."""
    names = {column.name for column in chosen}
    return replace(
        table,
        columns=tuple(column for column in table.columns if column.name in names),
        primary_key=table.primary_key if names.issuperset(table.primary_key) else (),
        foreign_keys=tuple(key for key in table.foreign_keys if names.issuperset(key.columns)),
    )
