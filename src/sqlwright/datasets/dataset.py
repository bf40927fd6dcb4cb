"""What every reader of questions returns, and the checks they share.

A reader hands each raw question to a `Collector`; the collector checks it, finds its database, gives it a
stable id and keeps a note of everything it had to leave out. Nothing is left out in silence.

Not covered here: running the golds and telling how hard a question is (see `golds.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlwright.datasets.locate import Located, locate_database
from sqlwright.errors import DataError
from sqlwright.records import HARDNESS, Hardness, Question, stable_id

TEXT_SHOWN = 200
"""Characters of a dropped question that are kept for the reader of the report."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A question that was left out: `where` (`file:line` or `file#index`), why, and how it begins.

    `reason` is "kind: detail"; the kind is the same for all questions dropped for the same cause.
    """

    where: str
    reason: str
    text: str

    @property
    def kind(self) -> str:
        """The part of the reason before the colon."""
        return self.reason.partition(":")[0]


@dataclass(frozen=True)
class Dataset:
    """Questions, the databases they are about, and what was left out on the way.

    `databases` maps each name in `Question.database` to its file; questions about no database have an empty name.
    `tables` is Spider's `tables.json` (needed for the official exact set match), None where there is none.
    """

    questions: tuple[Question, ...]
    databases: dict[str, Path]
    dropped: tuple[Dropped, ...] = ()
    tables: Path | None = None

    def dropped_by_kind(self) -> dict[str, int]:
        """Return how many questions were dropped for each kind of reason, the most frequent first."""
        return dict(Counter(d.kind for d in self.dropped).most_common())

    def summary(self) -> str:
        """Return one line: "238 questions on 10 databases, 2 left out (bad JSON 2)"."""
        line = _count(len(self.questions), "question")
        if self.databases or not self.questions:
            line += f" on {_count(len(self.databases), 'database')}"
        if self.dropped:
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.dropped_by_kind().items())
            line += f", {len(self.dropped)} left out ({kinds})"
        return line


class Reader(Protocol):
    """From files, their folder of databases, and whether every question needs a gold, to a `Dataset`."""

    def __call__(self, files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
        """Return the questions in order; raise `DataError` where a file as a whole can't be read."""
        ...


class BadQuestion(Exception):
    """A question can't be used; the text is the reason. Never leaves a reader."""


@dataclass
class Collector:
    """Gathers the questions of one or more files and turns them into a `Dataset`.

    `keys` maps the names of our fields to the accepted names in the file, the preferred one first.
    `without_database` is for questions about no database (a sentence to parse, a program to complete): none is looked
    for, and texts keep the blanks around them, which count in a program.
    """

    databases_root: Path | None
    need_golds: bool
    keys: Mapping[str, tuple[str, ...]]
    without_database: bool = False
    _rows: list[_Row] = field(default_factory=list)
    _dropped: list[Dropped] = field(default_factory=list)
    _located: dict[tuple[str, Path], Located | str] = field(default_factory=dict)
    _given: dict[str, str] = field(default_factory=dict)

    def drop(self, where: str, reason: str, text: str) -> None:
        """Note that what stands at `where` is left out."""
        shown = text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN] + "…"
        self._dropped.append(Dropped(where, reason, shown.encode("utf-8", "replace").decode()))

    def add(self, values: object, *, file: Path, mark: str, text: str) -> None:
        """Take one raw question, or note why it can't be used.

        Args:
            values: the question as the file gives it; anything but a dictionary with text keys is dropped.
            file: where it was read; relative paths of databases start from its folder.
            mark: its place in the file, `:line` or `#index`.
            text: the raw text, shown in reports.
        """
        try:
            self._rows.append(self._check(values, file, mark))
        except BadQuestion as problem:
            self.drop(f"{file}{mark}", str(problem), text)

    def add_all(
        self,
        file: Path,
        raws: Iterable[tuple[str, object, str]],
        change: Callable[[dict[Any, Any]], dict[Any, Any]] | None = None,
    ) -> None:
        """Take raw questions as (mark, values, text); `change` turns a question's values into those of `keys`.

        What `change` refuses with `BadQuestion` is dropped for that reason.
        """
        for mark, values, text in raws:
            try:
                changed = change(values) if change and isinstance(values, dict) else values
            except BadQuestion as problem:
                self.drop(f"{file}{mark}", str(problem), text)
            else:
                self.add(changed, file=file, mark=mark, text=text)

    def finish(self, tables: Path | None = None) -> Dataset:
        """Return the dataset: questions in file order, each with a unique id."""
        named = [row.database for row in self._rows if row.database]
        names = _name_databases(named)
        seen: Counter[str] = Counter()
        questions = []
        for row in self._rows:
            database = names[row.database] if row.database else ""
            given = row.fields.pop("id")
            parts = [database, row.fields["text"], *row.fields["golds"], row.fields["evidence"]]
            key = given or stable_id(*parts, *(part for turn in row.fields["history"] for part in turn))
            seen[key] += 1
            # Word-for-word repeats are interchangeable, so counting them keeps ids independent of order.
            number = seen[key]
            identity = key if number == 1 else stable_id(key, str(number))
            questions.append(Question(id=identity, database=database, source=row.source, **row.fields))
        files = {names[place]: place.path for place in named}
        return Dataset(tuple(questions), dict(sorted(files.items())), tuple(self._dropped), tables)

    def _check(self, values: object, file: Path, mark: str) -> _Row:
        if not isinstance(values, dict):
            raise BadQuestion(f"wrong type: expected an object with keys, found {kind_of(values)}")
        fields: dict[str, Any] = {
            "text": self._text(values, "text"),
            "golds": self._golds(values),
            "evidence": self._text(values, "evidence", optional=True),
            "history": self._history(values),
            "hardness": self._hardness(values),
            "category": self._text(values, "category", optional=True) or None,
        }
        located = None if self.without_database else self._locate(self._text(values, "database"), file)
        given = self._text(values, "id", optional=True)
        place = f"{file}{mark}"
        if given in self._given:
            raise BadQuestion(f"repeated id: {given!r} was already used at {self._given[given]}")
        if given:
            self._given[given] = place
        return _Row(located, f"{file.name}{mark}", fields | {"id": given})

    def _find(self, values: dict[Any, Any], name: str) -> tuple[str, object]:
        names = self.keys.get(name, ())
        for key in names:
            if values.get(key) is not None:
                return key, values[key]
        return (names[0] if names else name), None

    def _text(self, values: dict[Any, Any], name: str, *, optional: bool = False) -> str:
        key, value = self._find(values, name)
        if value is None:
            if optional:
                return ""
            found = ", ".join(str(k) for k in values) or "no keys at all"
            raise BadQuestion(f"missing key: expected {key!r}, found {found}")
        if name == "id" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return self._clean(key, value, optional=optional)

    def _golds(self, values: dict[Any, Any]) -> tuple[str, ...]:
        key, value = self._find(values, "golds")
        alternatives = list(value) if isinstance(value, list | tuple) else [value]
        if not self.need_golds and (value is None or value == "" or not alternatives):
            return ()
        if value is None:
            self._text(values, "golds")
        if not alternatives:
            raise BadQuestion(f"empty value: {key!r} is an empty list")
        return tuple(dict.fromkeys(self._clean(key, gold) for gold in alternatives))

    def _history(self, values: dict[Any, Any]) -> tuple[tuple[str, str], ...]:
        key, value = self._find(values, "history")
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(t, list) and len(t) == 2 for t in value):
            raise BadQuestion(f"wrong type: expected a list of [question, sql] pairs in {key!r}")
        return tuple((self._clean(key, text), self._clean(key, sql)) for text, sql in value)

    def _hardness(self, values: dict[Any, Any]) -> Hardness | None:
        text = self._text(values, "hardness", optional=True)
        for level in HARDNESS:
            if text == level:
                return level
        if text:
            raise BadQuestion(f"unknown hardness: expected one of {', '.join(HARDNESS)}, found {text!r}")
        return None

    def _clean(self, key: str, value: object, *, optional: bool = False) -> str:
        """Return the text, without the blanks around it unless they count, or say what is wrong with it."""
        if not isinstance(value, str):
            raise BadQuestion(f"wrong type: expected text in {key!r}, found {kind_of(value)}")
        text = value.strip()
        if not text and not optional:
            raise BadQuestion(f"empty value: {key!r} is empty")
        if "\x00" in text:
            raise BadQuestion(f"binary data: {key!r} holds a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadQuestion(f"not UTF-8: {key!r} holds bytes or escapes that are no characters") from None
        return value if self.without_database else text

    def _locate(self, reference: str, file: Path) -> Located:
        key = (reference, file.parent)
        if key not in self._located:
            try:
                self._located[key] = locate_database(reference, root=self.databases_root, base=file.parent)
            except DataError as error:
                self._located[key] = str(error)
        found = self._located[key]
        if isinstance(found, str):
            raise BadQuestion(f"unknown database: {found}")
        return found


@dataclass
class _Row:
    """A checked question before the names of databases are settled."""

    database: Located | None
    source: str
    fields: dict[str, Any]


def _name_databases(located: Sequence[Located]) -> dict[Located, str]:
    """Return the name of every database; one given by path gets the shortest end of its path that is free.

    The result depends on the set of databases only, not on their order. A file given by name somewhere keeps
    that name where it is given by path, so that one file never counts as two databases.
    """
    named = {place.path: place.name for place in sorted(set(located), key=_order) if place.by_name}
    by_path = {place.path for place in located if not place.by_name and place.path not in named}
    taken = {place.name for place in located if place.by_name}
    ends = Counter(end for path in by_path for end in _ends(path))
    for path in by_path:
        named[path] = next((end for end in _ends(path) if ends[end] == 1 and end not in taken), str(path))
    return {place: place.name if place.by_name else named[place.path] for place in located}


def _ends(path: Path) -> list[str]:
    """Return the ends of a path without its suffix: shop, data/shop, home/data/shop, …"""
    parts = path.with_suffix("").parts
    return ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]


def _order(place: Located) -> str:
    return place.name


def kind_of(value: object) -> str:
    """Return what a value of JSON is, in words."""
    words = {dict: "an object", list: "a list", bool: "true or false", type(None): "null", str: "text"}
    return words.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
