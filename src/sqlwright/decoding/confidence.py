"""How sure an answer is: from the probabilities of its tokens, what came of its query, and the question's words.

A small model writes SQL for any question; where the schema can't answer it, it takes a column that is there. What
gives it away is seldom its own certainty alone: the question has words that neither the schema nor the data nor other
questions know. A logistic regression weighs these signals; `bench/ladder.py` fits it on databases that were not
trained on, and it is kept beside the adapter whose answers it is about.

Not covered: wrong answers that look right in every way; questions in other languages, whose words are all unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlwright.databases import Outcome, Schema
from sqlwright.datasets import package_path
from sqlwright.decoding.repair import telling
from sqlwright.errors import ModelError
from sqlwright.prompts.words import STOP, name_words, stem, words
from sqlwright.sql.lexer import lex

FILE = "confidence.json"
SIGNALS = ("mean log-probability", "least log-probability", "failed", "says nothing", "repaired", "unknown", "share")
"""What is weighed, in this order: see `signals`."""
VOTED = (*SIGNALS, "votes")
"""What is weighed of an answer that others voted on."""
_MOST_UNKNOWN = 4
_LEAST_LOG = -8.0
_SHORTEST_PART = 4


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic regression: the bias, and a weight for each signal."""

    bias: float
    weights: tuple[float, ...]

    def of(self, found: Sequence[float]) -> float:
        """Return the probability (0 to 1) that an answer with these signals is right."""
        total = self.bias + sum(weight * value for weight, value in zip(self.weights, found, strict=True))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@dataclass(frozen=True, slots=True)
class Confidence:
    """What weighs the signals of greedy answers (`alone`) and of the winners of votes (`voted`).

    An answer whose probability is below `threshold` is called a guess; for a greedy one below `vote_below` others are
    drawn to vote. `fitted_on` says on what it was fitted, for a reader.
    """

    alone: Weights
    voted: Weights
    threshold: float
    vote_below: float
    fitted_on: str = ""

    def of(self, found: Sequence[float]) -> float:
        """Return the probability (0 to 1) that an answer with these signals is right."""
        return (self.voted if len(found) == len(VOTED) else self.alone).of(found)


def signals(
    logs: Sequence[float],
    sql: str,
    outcome: Outcome,
    repaired: bool,
    question: str,
    schema: Schema,
    votes: float | None = None,
) -> tuple[float, ...]:
    """Return the values of `SIGNALS` for an answer, or those of `VOTED` if it won with a share of `votes` (0 to 1).

    `logs` are the log-probabilities of the greedy answer's tokens (natural log) as it was written; `sql` and `outcome`
    are what became of it, after repair and vote; `repaired` says whether no answer was written so.
    """
    unknown, count = unknown_words(question, schema, sql)
    return (
        sum(logs) / len(logs) if logs else _LEAST_LOG,
        max(_LEAST_LOG, min(logs, default=_LEAST_LOG)),
        float(not outcome.ok),
        float(outcome.ok and not telling(outcome)),
        float(repaired),
        float(min(_MOST_UNKNOWN, len(unknown))),
        len(unknown) / max(1, count),
        *(() if votes is None else (votes,)),
    )


def unknown_words(question: str, schema: Schema, sql: str = "") -> tuple[list[str], int]:
    """Return the question's words that say something and are known from nowhere, and how many say something.

    Known are words of tables, columns and their notes, of texts in `sql`, and words that questions have whatever the
    database. Names in `sql` count for nothing: an alias can say anything.
    """
    texts = [text for kind, text in lex(sql) if kind == "string"]
    known = _schema_words(schema) | {stem(word) for text in texts for word in name_words(text)}
    said = {stem(word): word for word in words(question) if word not in STOP and not word[0].isdigit()}
    return [word for stemmed, word in said.items() if not _is_known(stemmed, known)], len(said)


def read_confidence(folder: Path) -> Confidence | None:
    """Return the confidence model beside an adapter, None if there is none; raise `ModelError` if it is damaged."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Confidence(
            read_weights(values["alone"], SIGNALS),
            read_weights(values["voted"], VOTED),
            float(values["threshold"]),
            float(values["vote_below"]),
            str(values.get("fitted_on", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: expected the weights of a confidence model, found {error!r}.") from None


def write_confidence(folder: Path, fitted: Confidence) -> None:
    """Write the confidence model beside an adapter."""
    values = asdict(fitted)
    for name, kinds in (("alone", SIGNALS), ("voted", VOTED)):
        values[name]["weights"] = dict(zip(kinds, values[name]["weights"], strict=True))
    (folder / FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_weights(values: Mapping[str, Any], kinds: Sequence[str]) -> Weights:
    """Return the weights that a file holds; raise `ValueError` where they are for other signals than `kinds`."""
    if tuple(values["weights"]) != tuple(kinds):
        raise ValueError(f"expected weights for {', '.join(kinds)}, found {', '.join(values['weights'])}")
    return Weights(float(values["bias"]), tuple(float(weight) for weight in values["weights"].values()))


def _schema_words(schema: Schema) -> set[str]:
    found: set[str] = set()
    for table in (*schema.tables, *schema.views):
        texts = [table.name, table.description]
        texts += [text for column in table.columns for text in (column.name, column.description)]
        found |= {stem(word) for text in texts for word in name_words(text)}
    return found


def _is_known(word: str, known: Iterable[str]) -> bool:
    """Return whether a word is known as it stands or as part of a longer one (`birth` in `birthdate`)."""
    if word in known or word in _common():
        return True
    return any(min(len(word), len(other)) >= _SHORTEST_PART and (word in other or other in word) for other in known)


@cache
def _common() -> frozenset[str]:
    """Return the stems of words that questions have whatever the database."""
    lines = package_path("confidence/common_words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
