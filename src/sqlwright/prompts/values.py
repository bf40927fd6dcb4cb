"""Values of the data that a question names: `Which singers come from France?` and `singer.Country = 'France'`.

All texts of a database are read once, through the safe executor, into an index: a SQLite file in the run's folder
`values/` that is made anew when the database changes. A question is then looked up by its runs of words (a text named
whole) and by its single words (a text named in part), so that a large table costs no more than a small one.

Not covered: other engines than SQLite, numbers and dates (a question's `2014` is in too many columns to say anything),
texts of more than 60 characters, spelling mistakes, and translations.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Executor, Limits, Schema
from sqlwright.errors import DatabaseError
from sqlwright.prompts.words import STOP, WORD, name_words, stem, words
from sqlwright.sql.names import literal, quoted

MOST_CHARACTERS = 60
MOST_TEXTS = 200_000
MOST_WORDS = 8
# A word that stands in more texts than this names none of them.
_MOST_IN_PART = 20
_LIMITS = Limits(seconds=120, rows=MOST_TEXTS, cells=MOST_TEXTS)
_VERSION = "1"
_TABLES = """
CREATE TABLE value (id INTEGER PRIMARY KEY, key TEXT, text TEXT, owner TEXT, field TEXT);
CREATE TABLE word (word TEXT, value INTEGER);
"""
_INDEXES = "CREATE INDEX value_key ON value (key); CREATE INDEX word_word ON word (word);"


@dataclass(frozen=True, slots=True)
class Value:
    """A text of the data that a question names, with its words from `start` to `end`; a higher `score` is surer."""

    table: str
    column: str
    text: str
    start: int
    end: int
    score: float

    def hides(self, other: Value) -> bool:
        """Return whether the other is within this one's words, or is the same column's for the same words."""
        if (self.start, self.end) == (other.start, other.end):
            return (self.table, self.column) == (other.table, other.column)
        return self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        return f"{quoted(self.table)}.{quoted(self.column)} = {literal(self.text)}"


class ValueIndex:
    """The texts of one database, ready to be looked up."""

    def __init__(self, database: Path, schema: Schema, folder: Path, executor: Executor) -> None:
        self.executor, self.schema = executor, schema
        stat = database.stat()
        parts = (_VERSION, os.path.abspath(database), str(stat.st_size), str(stat.st_mtime_ns))  # noqa: PTH100
        key = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        name = re.sub(r"[^\w.-]", "_", database.stem)
        self.path = folder / f"{name}-{key}.sqlite"
        if not self.path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            self._make(database)
        self._names = {stem(word) for table in schema.tables for word in name_words(table.name)}
        self._names |= {stem(word) for t in schema.tables for c in t.columns for word in name_words(c.name)}

    def find(self, question: str, most: int) -> list[Value]:
        """Return at most `most` values that the question names, the surest first."""
        spans = _Spans(question, self._names)
        found = [*self._whole(spans), *self._in_part(spans)]
        found.sort(key=lambda value: (-value.score, value.table, value.column, value.text))
        chosen: list[Value] = []
        for value in found:
            # `New York` in full says more than a `York` within it; the same words may be in several columns.
            if not any(one.hides(value) for one in chosen):
                chosen.append(value)
        return chosen[:most]

    def _whole(self, spans: _Spans) -> Iterator[Value]:
        """Yield the texts of which all words stand in the question, in a row."""
        if not spans.keys:
            return
        keys = ", ".join(map(literal, spans.keys))
        for key, text, owner, field in self._ask(f"SELECT key, text, owner, field FROM value WHERE key IN ({keys})"):
            start, end, exact = spans.keys[key]
            sure = spans.named(start, end) or spans.written(start, end, text)
            if spans.means_something(start, end, sure):
                # A text in its own spelling is surer than one in another case or number.
                yield Value(owner, field, text, start, end, len(key) * (1.5 if sure else 1.0) * (1.0 if exact else 0.8))

    def _in_part(self, spans: _Spans) -> Iterator[Value]:
        """Yield the texts of which the question names one word, as a proper name or in quotes."""
        chosen = {word: place for place, word in enumerate(spans.words) if spans.named(place, place + 1)}
        chosen = {w: p for w, p in chosen.items() if len(w) > 2 and w not in STOP and stem(w) not in self._names}
        if not chosen:
            return
        listed = ", ".join(map(literal, chosen))
        rows = self._ask(
            f"SELECT w.word, v.text, v.owner, v.field, v.key FROM word AS w JOIN value AS v ON v.id = w.value "
            f"WHERE w.word IN ({listed}) AND w.word IN "
            f"(SELECT word FROM word WHERE word IN ({listed}) GROUP BY word HAVING count(*) <= {_MOST_IN_PART})"
        )
        for word, text, owner, field, key in rows:
            yield Value(owner, field, text, chosen[word], chosen[word] + 1, 0.7 * len(word) * len(word) / len(key))

    def _ask(self, sql: str) -> list[tuple[str, ...]]:
        return self.executor.run(self.path, sql).require().rows

    def _make(self, database: Path) -> None:
        """Write the index aside and put it into its place; another process may do the same."""
        number, name = tempfile.mkstemp(dir=self.path.parent, suffix=".partial")
        os.close(number)
        aside = Path(name)
        try:
            index = sqlite3.connect(aside)
            index.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
            for table in self.schema.tables:
                for column in table.columns:
                    self._add(index, database, table.name, column.name)
            index.executescript(_INDEXES)
            index.commit()
            index.close()
            aside.replace(self.path)
        finally:
            aside.unlink(missing_ok=True)

    def _add(self, index: sqlite3.Connection, database: Path, table: str, column: str) -> None:
        """Put the texts of one column into the index; a column that can't be read in time has none."""
        name = quoted(column)
        outcome = self.executor.run(
            database,
            f"SELECT DISTINCT {name} FROM {quoted(table)} WHERE typeof({name}) = 'text' "
            f"AND length({name}) BETWEEN 1 AND {MOST_CHARACTERS} LIMIT {MOST_TEXTS}",
            limits=_LIMITS,
        )
        if not outcome.ok and outcome.error_class not in ("time_limit", "memory_limit", "runtime_error"):
            raise DatabaseError(f"{database}: {table}.{column} can't be read: {outcome.message}")
        for (text,) in outcome.rows:
            own = words(text)
            if not 0 < len(own) <= MOST_WORDS or not any(character.isalpha() for character in text):
                continue
            insert = "INSERT INTO value (key, text, owner, field) VALUES (?, ?, ?, ?)"
            number = index.execute(insert, (" ".join(own), text, table, column)).lastrowid
            if len(own) > 1:
                index.executemany("INSERT INTO word VALUES (?, ?)", [(word, number) for word in {*own} - STOP])


class _Spans:
    """A question in words, and the runs of its words by the key under which a value would stand in the index."""

    def __init__(self, question: str, names: set[str]) -> None:
        self.question, self.names = question, names
        places = list(WORD.finditer(question))
        # Folding case may turn one word into several (ß, İ): then each is taken as it was written.
        self.words = [match.group().casefold() for match in places]
        self.places = [(match.start(), match.end()) for match in places]
        self.keys: dict[str, tuple[int, int, bool]] = {}
        for length in range(min(MOST_WORDS, len(self.words)), 0, -1):
            for start in range(len(self.words) - length + 1):
                run = self.words[start : start + length]
                self.keys.setdefault(" ".join(run), (start, start + length, True))
                last = stem(run[-1])
                if last != run[-1]:
                    self.keys.setdefault(" ".join([*run[:-1], last]), (start, start + length, False))

    def text(self, start: int, end: int) -> str:
        """Return the words from `start` to `end` as they stand in the question."""
        return self.question[self.places[start][0] : self.places[end - 1][1]]

    def named(self, start: int, end: int) -> bool:
        """Return whether the words stand in quotes, or as a proper name: in capitals within a sentence."""
        before = self.question[: self.places[start][0]].rstrip()
        after = self.question[self.places[end - 1][1] :]
        if before.endswith(tuple("'\"‘“«`")) and after.lstrip().startswith(tuple("'\"’”»`")):
            return True
        opens = not before or before.endswith(tuple(".?!:"))
        return not opens and all(self.question[place].isupper() for place, _ in self.places[start:end])

    def written(self, start: int, end: int, text: str) -> bool:
        """Return whether the value stands in the question letter by letter, and has more than small letters."""
        return self.text(start, end) == text and text != text.lower() and start > 0

    def means_something(self, start: int, end: int, sure: bool) -> bool:
        """Return whether these words may be a value: no filler, no name of the schema, no single letter in passing."""
        run = self.words[start:end]
        # A sign of Chinese or Japanese says as much as a few letters.
        weight = sum(len(word) if word.isascii() else 2 * len(word) for word in run)
        if all(word in STOP or stem(word) in self.names for word in run) or weight < 3:
            return sure and not (end - start == 1 and self.text(start, end) in ("I", "A"))
        return True
