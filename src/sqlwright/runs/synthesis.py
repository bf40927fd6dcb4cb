"""`synthesize`: from a database to question files, by rules alone or with a language model; continues where it stopped.

With a model, pairs go in batches: reworded, asked, compared. Every finished batch is appended to a journal beside the
output; the same command draws the same pairs again, skips what the journal holds, and ends with the files of an
undisturbed run. Pairs of a hardness level that has its share are passed over before they cost model time.

Not covered: sampling and wording by rules (`sqlwright.datasets.synthesis`), and the model's part (`round_trip`).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlwright.databases import Executor
from sqlwright.datasets.synthesis.profile import read_profile
from sqlwright.datasets.synthesis.sample import LIMITS, TRIES, Pair, Sampler, question, sample_pairs
from sqlwright.datasets.synthesis.unanswerable import unanswerable_questions
from sqlwright.errors import DatabaseError, DataError
from sqlwright.models.choose import Chosen, choose_model
from sqlwright.models.engines import Engine, choose_engine, open_engine
from sqlwright.models.tokenizer import chat_template
from sqlwright.models.verify import model_hash
from sqlwright.prompts import STYLES, PromptFormat
from sqlwright.records import Question
from sqlwright.runs.folder import append_lines, hash_path, hash_values, read_appended, write_text
from sqlwright.runs.reporter import Reporter, Silent
from sqlwright.runs.round_trip import MAX_TOKENS, RoundTrip, Tried

BATCH = 64
"""Pairs that go through the model together: the schema is decoded once for each batch."""
LARGEST_SHARE = 0.4
"""No hardness level has more of the accepted pairs: easy ones lead back far more often than others."""
UNANSWERABLE_SHARE = 0.1
_FORMAT = 3
"""Counts what changed in how pairs are judged: journals of before are refused."""
_STEPS = (
    "its hardness has its share",
    "tried by the model",
    "reworded by the model",
    "model's wording led back",
    "rule's wording led back",
    "led back in either wording",
)
"""What is counted behind the filters of the rules, in this order."""


@dataclass(frozen=True)
class Settings:
    """What decides the result: the database, how many pairs, the seed, and the model (None: rules alone)."""

    database: Path
    questions: int
    seed: int
    model: Chosen | None

    def key(self) -> str:
        """Return a hash of all that the journal's lines depend on."""
        model = [model_hash(self.model.path)] if self.model else []
        adapter = [hash_path(self.model.adapter.folder)] if self.model and self.model.adapter else []
        return hash_values(
            _FORMAT, hash_path(self.database), self.questions, self.seed, model, adapter, BATCH, LARGEST_SHARE
        )


@dataclass
class Synthesised:
    """What was written: how many pairs and unanswerable questions, where, and what each filter took away.

    `seconds` is what it took in all, interrupted calls included.
    """

    database: str
    asked_for: int
    accepted: int
    unanswerable: int
    files: tuple[Path, Path]
    counts: dict[str, int] = field(default_factory=dict)
    hardness: dict[str, int] = field(default_factory=dict)
    category: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def partial(self) -> bool:
        """Whether there are fewer pairs than were asked for."""
        return self.accepted < self.asked_for

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "database": self.database,
            "asked_for": self.asked_for,
            "accepted": self.accepted,
            "unanswerable": self.unanswerable,
            "files": [str(path) for path in self.files],
            "counts": self.counts,
            "hardness": self.hardness,
            "category": self.category,
            "seconds": round(self.seconds, 1),
        }


def synthesise_file(
    database: Path,
    out: Path,
    *,
    questions: int = 300,
    seed: int = 0,
    use_model: bool = True,
    model: str | None = None,
    adapter: str | None = None,
    reporter: Reporter | None = None,
) -> Synthesised:
    """Write `questions` pairs about a SQLite file to `out`, and questions it can't answer beside them.

    The same call again continues an interrupted one.

    Raises:
        DatabaseError: the database is missing, unreadable, or has no table with rows.
        DataError: `out` has a journal of other settings, or can't be written.
        ModelError: the model or adapter is missing, or they don't belong together.
    """
    reporter = reporter or Silent()
    started = time.perf_counter()
    if not database.is_file():
        raise DatabaseError(f"{database}: expected the path of a SQLite file, found no such file.")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise DataError(f"{out}: expected a file in a folder that exists, found none there.")
    # No adapter is the default: one trained on pairs of this database would judge by what it knows, and the shipped
    # one leads back no oftener (docs/experiments.md).
    chosen = choose_model(model, adapter or "none", Path("runs")) if use_model else None
    settings = Settings(database, questions, seed, chosen)
    before = 0.0
    if chosen is None:
        sampled = sample_pairs(
            database, questions, seed, 1, lambda done, total: reporter.progress("sample", done, total)
        )
        pairs, counts = sampled.pairs, sampled.counts
    else:
        pairs, counts, before = _with_model(settings, chosen, out, reporter)
    found = [question(database.stem, pair, pair.wordings[0]) for pair in pairs]
    beside = out.with_name(f"{out.stem}.unanswerable{out.suffix}")
    unanswerable = unanswerable_questions(database, round(UNANSWERABLE_SHARE * questions), seed)
    _write_questions(out, database, found)
    _write_questions(beside, database, unanswerable)
    reporter.finish()
    return Synthesised(
        database=str(database),
        asked_for=questions,
        accepted=len(found),
        unanswerable=len(unanswerable),
        files=(out, beside),
        counts=dict(counts),
        hardness=dict(Counter(str(one.hardness) for one in found)),
        category=dict(Counter(str(one.category) for one in found)),
        seconds=before + time.perf_counter() - started,
    )


def _with_model(
    settings: Settings, chosen: Chosen, out: Path, reporter: Reporter
) -> tuple[list[Pair], Counter[str], float]:
    """Return the pairs that led back to their result, each with the wording that did, all counts, and the seconds that
    the batches in the journal took."""
    journal = _Journal(out.with_name(f"{out.name}.journal"), settings.key(), reporter)
    state = _State(settings.questions)
    with Executor(workers=1, limits=LIMITS) as executor, _Model(chosen, settings.database, executor) as model:
        sampler = Sampler(read_profile(settings.database, executor), executor, settings.seed, wordings=2)
        for batch in state.batches(sampler):
            tried = journal.known(batch)
            if tried is None:
                began = time.perf_counter()
                tried = model.tried(batch, state, reporter)
                journal.add(batch, tried, time.perf_counter() - began)
            state.take(batch, tried)
            reporter.progress("accepted", min(len(state.accepted), state.wanted), state.wanted)
            if len(state.accepted) >= state.wanted:
                break
        # Not `+`, which would leave out the filters that let nothing through.
        sampler.counts.update(state.counts)
        return state.accepted[: state.wanted], sampler.counts, journal.seconds


class _State:
    """What was accepted so far. It depends on the pairs and what came of them, not on who found out when."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.accepted: list[Pair] = []
        self.counts: Counter[str] = Counter(dict.fromkeys(_STEPS, 0))
        self._levels: Counter[str] = Counter()

    def batches(self, sampler: Sampler) -> Iterator[list[Pair]]:
        """Yield pairs to try, without those of a hardness level that has its share."""
        batch: list[Pair] = []
        for pair in sampler.pairs(TRIES * self.wanted):
            if pair is None:
                continue
            if self._levels[str(pair.hardness)] >= max(1, LARGEST_SHARE * self.wanted):
                self.counts["its hardness has its share"] += 1
                continue
            batch.append(pair)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def take(self, batch: Sequence[Pair], tried: Sequence[Tried]) -> None:
        """Count what came of a batch and keep the pairs that led back, the model's wording before the rule's."""
        for pair, one in zip(batch, tried, strict=True):
            self.counts["tried by the model"] += 1
            self.counts["reworded by the model"] += bool(one.reworded)
            self.counts["model's wording led back"] += bool(one.reworded) and one.reworded in one.right
            self.counts["rule's wording led back"] += pair.wordings[0] in one.right
            if one.right:
                self.counts["led back in either wording"] += 1
                self._levels[str(pair.hardness)] += 1
                self.accepted.append(replace(pair, wordings=one.right))


class _Model:
    """The model, loaded when it is first needed: a run that only replays its journal needs none.

    With an adapter, the model that answers is fine-tuned by it, and the model that rewords isn't.
    """

    def __init__(self, chosen: Chosen, database: Path, executor: Executor) -> None:
        self._chosen, self._database, self._executor = chosen, database, executor
        self._engines: list[Engine] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for engine in self._engines:
            engine.close()

    def tried(self, batch: Sequence[Pair], state: _State, reporter: Reporter) -> list[Tried]:
        """Return what came of a batch."""
        path, adapter = self._chosen.path, self._chosen.adapter
        fmt = adapter.prompt_format(path) if adapter else PromptFormat(STYLES["compact"], 2, 2048, chat_template(path))
        if not self._engines:
            reporter.say(f"Loading {path.name}" + (f" and the adapter of {adapter.folder}" if adapter else ""))
            context = fmt.max_schema_tokens + fmt.own_tokens + MAX_TOKENS
            kind = choose_engine("auto", path, models=2 if adapter else 1)
            self._engines.append(open_engine(kind, path, context=context))
            if adapter:
                self._engines.append(open_engine(kind, *adapter.files(path), context=context))
        shots = adapter.shots() if adapter else ()
        trip = RoundTrip(self._engines[0], self._engines[-1], fmt, self._database, self._executor, shots)
        accepted = len(state.accepted)

        def progress(answers: int) -> None:
            reporter.progress("accepted", accepted, state.wanted, f"{answers} answers of this batch")

        progress(0)
        return trip.tried(batch, progress)


class _Journal:
    """What the model made of each statement, a line each, behind a first line with the hash of the settings.

    `seconds` is what the batches took that were found in it.
    """

    def __init__(self, path: Path, key: str, reporter: Reporter) -> None:
        self._path = path
        lines, torn = read_appended(path)
        if torn:
            reporter.say(f"{path.name}: the last line was torn; its batch is done again.")
        if lines and lines[0].get("settings") != key:
            raise DataError(
                f"{path}: expected the journal of the same database, number of questions, seed and model, found one of "
                "others. Choose another --out, or remove this file to begin anew."
            )
        self._lines = {line["sql"]: line for line in lines[1:]}
        self.seconds = 0.0
        text = [json.dumps({"settings": key}), *(json.dumps(line, ensure_ascii=False) for line in lines[1:])]
        write_text(path, "\n".join(text) + "\n")

    def known(self, batch: Sequence[Pair]) -> list[Tried] | None:
        """Return what came of the batch, None if not all of it is known: it is then done again as a whole."""
        found = [self._lines.get(pair.sql) for pair in batch]
        if None in found:
            return None
        lines = [line for line in found if line is not None]
        self.seconds += sum(line["seconds"] for line in lines)
        return [Tried(line["reworded"], tuple(line["right"])) for line in lines]

    def add(self, batch: Sequence[Pair], tried: Sequence[Tried], seconds: float) -> None:
        """Append what came of a batch, and sync; `seconds` is what it took."""
        share = round(seconds / max(1, len(batch)), 3)
        lines = [
            {"sql": pair.sql, "rule": pair.wordings[0], "reworded": one.reworded, "right": one.right, "seconds": share}
            for pair, one in zip(batch, tried, strict=True)
        ]
        append_lines(self._path, [json.dumps(line, ensure_ascii=False) for line in lines])


def _write_questions(path: Path, database: Path, questions: Sequence[Question]) -> None:
    """Write questions as `prepare` reads them; the database is a path, relative to the file where that is short."""
    reference = os.path.relpath(database.resolve(), path.resolve().parent)
    lines = [
        {
            "id": one.id,
            "database": f"./{reference}" if "/" not in reference else reference,
            "question": one.text,
            "sql": one.golds[0],
            "hardness": one.hardness,
            "category": one.category,
        }
        for one in questions
    ]
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
