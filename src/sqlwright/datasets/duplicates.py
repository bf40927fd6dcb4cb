"""Questions that stand in a data set twice, word for word or nearly so.

A repeat is the same question about the same database with the same SQL: the second one teaches nothing and is left out
of training. Questions that are merely similar, and equal questions with different SQL, are found and reported, never
left out: "the highest price" and "the lowest price" look alike to any measure of texts.

Not covered: questions that mean the same in other words; Spider words every question twice, on purpose.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlwright.datasets.dataset import Dataset, Dropped
from sqlwright.records import Question
from sqlwright.sql.normalise import normalise

SIMILAR = 0.85
"""Questions are similar if they share at least this part (0..1) of the groups of three letters in either."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions that are similar: their places in the list of questions, and their Jaccard likeness (0..1)."""

    first: int
    second: int
    likeness: float


def normal_text(text: str) -> str:
    """Return the words of a question without case, punctuation and spacing; the text itself if it has no words."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", plain)) or plain.strip()


def asked(question: Question) -> tuple[str, ...]:
    """Return what is asked, earlier turns included: equal for two questions that ask the same."""
    return (*(normal_text(text) for text, _ in question.history), normal_text(question.text))


def drop_repeats(dataset: Dataset) -> Dataset:
    """Return the dataset without repeats; each is in `dropped` with the place of the first one.

    A repeat has the same database, text, earlier turns, evidence and golds, case and spacing aside.
    """
    kept, repeats = [], []
    earlier: dict[tuple[object, ...], list[Question]] = defaultdict(list)
    for question in dataset.questions:
        alike = earlier[question.database, asked(question), normal_text(question.evidence)]
        golds = spelt_alike(question) if alike else frozenset()
        known = next((one for one in alike if spelt_alike(one) == golds), None)
        if known is None:
            alike.append(question)
            kept.append(question)
        else:
            reason = f"repeated question: {known.source} has the same question and SQL"
            repeats.append(Dropped(question.source, reason, question.text))
    return replace(dataset, questions=tuple(kept), dropped=(*dataset.dropped, *repeats))


def spelt_alike(question: Question) -> frozenset[str]:
    """Return the golds in one spelling, case aside; those of a question about no database are no SQL and stay."""
    return frozenset(normalise(gold).lower() if question.database else gold for gold in question.golds)


def similar_questions(questions: Sequence[Question], least: float = SIMILAR) -> list[Pair]:
    """Return all pairs of questions about one database, with the same history, whose likeness is at least `least`.

    The search is exact and cheap: two sets of a likeness must share one of their rarest members, so that only those
    are looked up (prefix filter; Chaudhuri et al. 2006, Bayardo et al. 2007).
    """
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        if question.database:
            groups[question.database, *asked(question)[:-1]].append(number)
    pairs = []
    for members in groups.values():
        pairs += _similar_sets({number: _letters(questions[number].text) for number in members}, least)
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _letters(text: str) -> frozenset[str]:
    """Return the groups of three letters in a text, its ends marked by spaces."""
    padded = f" {normal_text(text)} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def _similar_sets(sets: dict[int, frozenset[str]], least: float) -> list[Pair]:
    """Return the pairs of sets with at least that Jaccard likeness."""
    counts = Counter(member for own in sets.values() for member in own)
    by_member: dict[str, list[int]] = defaultdict(list)
    pairs = []
    for number, own in sorted(sets.items(), key=lambda entry: (len(entry[1]), entry[0])):
        shared = math.ceil(least * len(own) - 1e-9)  # with a set as small as this or smaller, and never fewer
        rarest = sorted(own, key=lambda member: (counts[member], member))[: len(own) - shared + 1]
        for other in {candidate for member in rarest for candidate in by_member[member]}:
            overlap = len(own & sets[other]) if len(sets[other]) >= shared else 0
            likeness = overlap / (len(own) + len(sets[other]) - overlap)
            if likeness >= least:
                pairs.append(Pair(min(number, other), max(number, other), likeness))
        for member in rarest:
            by_member[member].append(number)
    return pairs
