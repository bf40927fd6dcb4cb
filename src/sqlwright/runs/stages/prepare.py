"""Stage `prepare`: question files and databases in, clean questions out, with what was left out and why."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits
from sqlwright.databases.notes import ENDING
from sqlwright.databases.published import is_published
from sqlwright.datasets import READERS, Dataset, Dropped, find_root, split_by_database
from sqlwright.datasets.duplicates import drop_repeats
from sqlwright.datasets.golds import check_golds, with_category, with_hardness
from sqlwright.datasets.locate import SUFFIXES
from sqlwright.datasets.mixture import QuestionFile, question_files, read_mixture, weigh
from sqlwright.datasets.synthesis import seldom_pairs, synthesise
from sqlwright.datasets.variants import vary
from sqlwright.datasets.wikisql import companions
from sqlwright.errors import DatabaseError, DataError, RecipeError
from sqlwright.recipe import VALIDATION
from sqlwright.records import Question, stable_id, write_records
from sqlwright.runs.cleaning import check_parts
from sqlwright.runs.folder import hash_path, hash_values, write_text
from sqlwright.runs.run import Run

# Databases up to this size in all are hashed whole; larger ones by name, size and time.
HASHED_BYTES = 1 << 30


def inputs(run: Run) -> dict[str, str]:
    """Return the data settings, the seed, and the contents of question files and databases."""
    data = run.recipe.data
    learned, asked = train_files(run), evaluation_files(run)
    files = [file.path for file in (*learned, *asked)]
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: expected a question file (data.train, data.evaluate), found no such file.")
    if not data.train and not data.evaluate:
        raise DataError(f"{run.recipe_path}: expected question files in data.train or data.evaluate, found none.")
    settings = data.model_dump(mode="json")
    # A run that was made before there were weights stays up to date while there are none.
    values = {f"data.{key}": json.dumps(value) for key, value in settings.items() if value or key != "weights"}
    values["seed"] = str(run.recipe.seed)
    files += [beside for file in (*learned, *asked) if file.format == "wikisql" for beside in companions(file.path)]
    values["question files"] = hash_values([hash_path(file) for file in files])
    values["databases"] = _hash_databases(_roots(run))
    return values


def execute(run: Run, _going_on: bool) -> dict[str, Any]:
    """Write the questions of each part, `databases.json`, `dropped.json` and `cleaning.json`; return counts.

    Raises:
        DataError: a part without usable questions, or a leak between the parts that the recipe doesn't accept.
    """
    data, folder = run.recipe.data, run.folder
    train, weights = _read(run, "train", train_files(run))
    evaluate, _ = _read(run, "evaluate", evaluation_files(run))
    databases = train.databases | evaluate.databases
    learned, held_out, asked = divide(run, train.questions, evaluate.questions)
    overlap = sorted(({q.database for q in learned} & {q.database for q in asked}) - {""})
    if overlap:
        run.reporter.say(
            f"Note: {len(overlap)} databases are both trained on and evaluated ({', '.join(overlap[:5])}): "
            "the score says nothing about databases the model has not seen."
        )
    dropped = _write_dropped(run, [*train.dropped, *evaluate.dropped])
    own = [] if data.evaluate == VALIDATION else held_out
    cleaned = check_parts(run, [*learned, *own], asked, databases)
    named = {q.database for q in learned} - {""}
    learned = weigh(learned, weights, run.recipe.seed)
    pairs = _make_pairs(run, sorted(named), databases)
    learned = [*learned, *pairs]
    learned, made = _vary(run, learned, databases)
    databases |= made
    for part, questions in (("train", learned), ("validation", held_out), ("evaluate", asked)):
        write_records(run.part(part), questions)
    write_text(
        folder.path / "databases.json", json.dumps({name: str(path) for name, path in databases.items()}, indent=1)
    )
    _link_databases(folder.path / "databases", databases)
    tables = run.resolve(data.tables) if data.tables else evaluate.tables or train.tables
    return {
        "train": len(learned),
        "validation": len(held_out),
        "evaluate": len(asked),
        "train databases": len(named),
        "evaluate databases": len({q.database for q in asked} - {""}),
        "made pairs": len(pairs),
        "variants": len(made),
        "dropped": dropped,
        **cleaned,
        "tables": str(tables or ""),
        "databases": folder.manifest["stages"]["prepare"]["inputs"]["databases"],
    }


def train_files(run: Run) -> list[QuestionFile]:
    """Return the question files to learn from; raise `RecipeError` where there are other weights than files."""
    data = run.recipe.data
    if data.weights and len(data.weights) != len(data.train):
        raise RecipeError(
            f"data.weights: expected one for each of the {len(data.train)} files of data.train, found "
            f"{len(data.weights)}."
        )
    return question_files(data.train, data.format, list(READERS), run.resolve, data.weights)


def evaluation_files(run: Run) -> list[QuestionFile]:
    """Return the evaluation part's own question files: none where it is the held-out training databases."""
    data = run.recipe.data
    names = () if data.evaluate == VALIDATION else data.evaluate
    return question_files(names, data.format, list(READERS), run.resolve, ())


def divide(
    run: Run, train: Sequence[Question], evaluate: Sequence[Question]
) -> tuple[Sequence[Question], Sequence[Question], Sequence[Question]]:
    """Return the questions to learn from, those for the validation loss, and those that are asked."""
    data, seed = run.recipe.data, run.recipe.seed
    learned: Sequence[Question] = draw_questions(train, data.max_train, seed)
    held_out: Sequence[Question] = ()
    if learned and data.validation_databases:
        learned, held_out = split_by_database(learned, data.validation_databases, seed)
    if data.evaluate == VALIDATION and not held_out:
        raise DataError(
            f"{run.recipe_path}: data.evaluate asks the validation databases; expected data.train and at least one of "
            f"data.validation_databases, found {len(train)} training questions and {data.validation_databases}."
        )
    asked = held_out if data.evaluate == VALIDATION else evaluate
    return learned, draw_questions(held_out, data.max_validation, seed), draw_questions(asked, data.max_evaluate, seed)


def _make_pairs(run: Run, names: Sequence[str], databases: Mapping[str, Path]) -> list[Question]:
    """Return the pairs that rules make of the training databases, first what annotators seldom ask for.

    Those of which none can be made have none.
    """
    pairs: list[Question] = []
    count, seed = run.recipe.data.made_pairs, run.recipe.seed
    for done, name in enumerate(names if count else (), 1):
        with suppress(DatabaseError):
            made = seldom_pairs(databases[name], count, seed)
            if len(made) < count:
                made += synthesise(databases[name], count - len(made), seed, wordings=1)
            pairs += [dataclasses.replace(one, id=stable_id(name, one.id), database=name) for one in made]
        run.reporter.progress("make", done * count, len(names) * count, unit="pairs")
    if count:
        run.reporter.say(f"{len(pairs):,} pairs were made of {len(names)} databases.")
    return pairs


def _vary(
    run: Run, learned: Sequence[Question], databases: Mapping[str, Path]
) -> tuple[Sequence[Question], dict[str, Path]]:
    """Return the questions with some of them about variants of their databases, and the variants' files by name."""
    share, folder = run.recipe.data.variants, run.folder.path / "variants"
    shutil.rmtree(folder, ignore_errors=True)
    if not share:
        return learned, {}
    settings = run.recipe.evaluate
    with Executor(settings.workers, Limits(seconds=settings.seconds)) as executor:
        found = vary(
            learned,
            databases,
            folder.absolute(),
            executor,
            share=share,
            seed=run.recipe.seed,
            progress=lambda done, total: run.reporter.progress("variants", done, total),
        )
    run.reporter.say(
        f"{found.varied:,} of {len(learned):,} training questions are asked of {len(found.databases)} variants."
    )
    return found.questions, found.databases


def _write_dropped(run: Run, dropped: Sequence[Dropped]) -> int:
    """Write `dropped.json`, say the first twenty, and return how many there are."""
    file = run.folder.path / "dropped.json"
    write_text(file, json.dumps([dataclasses.asdict(item) for item in dropped], indent=1))
    for item in dropped[:20]:
        run.reporter.say(f"{item.where}: left out: {item.reason}")
    if len(dropped) > 20:
        run.reporter.say(f"… and {len(dropped) - 20} more, listed in {file}")
    return len(dropped)


def outputs(run: Run) -> list[Path]:
    """Return the files that the stage writes."""
    return [*(run.part(part) for part in ("train", "validation", "evaluate")), run.folder.path / "databases.json"]


def _read(run: Run, part: str, files: Sequence[QuestionFile]) -> tuple[Dataset, dict[str, float]]:
    """Return the questions of one part whose golds run, with hardness and category; and weights other than 1 by id."""
    if not files:
        return Dataset((), {}, (), None), {}
    dataset, weights = read_mixture(files, READERS, run.resolve(run.recipe.data.databases))
    settings = run.recipe.evaluate
    with Executor(settings.workers, Limits(seconds=settings.seconds)) as executor:
        dataset = check_golds(
            dataset, executor, lambda done, total: run.reporter.progress(f"{part} golds", done, total)
        )
    if part == "train":  # an evaluation file is a given measure and stays as it is
        dataset = drop_repeats(dataset)
    dataset = with_category(with_hardness(dataset))
    run.reporter.say(f"{part}: {dataset.summary()}")
    if not dataset.questions:
        first = f" The first was left out: {dataset.dropped[0].reason}." if dataset.dropped else ""
        names = ", ".join(str(file.path) for file in files)
        raise DataError(f"{names}: expected questions for data.{part}, found none that can be used.{first}")
    return dataset, weights


def draw_questions(questions: Sequence[Question], most: int, seed: int) -> Sequence[Question]:
    """Return at most `most` questions drawn by the seed, in their order; all if `most` is 0."""
    if not most or len(questions) <= most:
        return questions
    chosen = set(random.Random(seed).sample(range(len(questions)), most))
    return [question for index, question in enumerate(questions) if index in chosen]


def _link_databases(folder: Path, databases: dict[str, Path]) -> None:
    """Make `folder/NAME/` for each database, as the official scorers expect, out of links."""
    folder.mkdir(exist_ok=True)
    for name, path in databases.items():
        link = folder / name
        if link.is_symlink():
            link.unlink()
        if path.parent.name == name and path.name == f"{name}.sqlite":
            link.symlink_to(path.resolve().parent)
        else:
            link.mkdir(exist_ok=True)
            inner = link / f"{name}.sqlite"
            inner.unlink(missing_ok=True)
            inner.symlink_to(path.resolve())


def _roots(run: Run) -> list[Path]:
    """Return the folders of databases of both parts, as the readers find them."""
    data = run.recipe.data
    root = run.resolve(data.databases)
    parts = ([file.path for file in files] for files in (train_files(run), evaluation_files(run)))
    return list(dict.fromkeys(find_root(files, root) or root for files in parts if files))


def _hash_databases(roots: Sequence[Path]) -> str:
    """Return the hash of the databases and of the notes beside them, which stand in prompts too."""
    found = [
        (root, path)
        for root in roots
        for path in root.rglob("*")
        if path.name.endswith((*SUFFIXES, ENDING)) or is_published(path)
    ]
    files = sorted((str(path.relative_to(root)), path) for root, path in found)
    if sum(path.stat().st_size for _, path in files) <= HASHED_BYTES:
        return hash_values([[name, hash_path(path)] for name, path in files])
    return hash_values([[name, path.stat().st_size, path.stat().st_mtime_ns] for name, path in files])
