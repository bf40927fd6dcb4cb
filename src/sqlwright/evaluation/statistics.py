"""Shares with intervals, reports with breakdowns, and tests for two paired sets of answers.

The intervals are percentile intervals of the bootstrap over questions. No resampling takes place: the mean of
n right/wrong answers resampled with replacement is Binomial(n, p)/n, so that the bootstrap's limit of
endlessly many resamples is computed as it is. It needs no seed and gives the same digits every time.

Where every answer is right, or every one wrong, each resample is the same and the bootstrap would claim an
interval of no width. There Wilson's score interval is given instead.

Not covered: intervals that respect the clustering of questions by database; corrections for many comparisons.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlwright.errors import DataError
from sqlwright.records import HARDNESS, Report, Score, Verdict, stable_id

TAIL = 0.025
"""Probability left out on each side: intervals cover 95 %."""

_Z = 1.959963984540054
_NEGLIGIBLE = 1e-15
_LEVELS = {name: place for place, name in enumerate([*HARDNESS, "simple", "moderate", "challenging"])}


class McNemar(NamedTuple):
    """Discordant pairs of two paired sets of answers, and the exact two-sided probability of such a split."""

    won: int
    lost: int
    p: float


class Difference(NamedTuple):
    """A difference of two shares with its 95 % interval, all within -1..1."""

    difference: float
    low: float
    high: float


def score(flags: Sequence[bool]) -> Score:
    """Return the share of true flags with its 95 % interval.

    The interval is the exact percentile bootstrap over questions; Wilson's interval where all flags agree.
    Without any flag the share is 0 and the interval is 0..1: nothing is known.
    """
    total, correct = len(flags), sum(map(bool, flags))
    if total == 0:
        return Score(0, 0, 0.0, 0.0, 1.0)
    if correct in (0, total):
        low, high = _wilson(correct, total)
    else:
        low, high = (count / total for count in _quantiles(_binomial(total, correct / total)))
    return Score(correct, total, correct / total, low, high)


def report(
    verdicts: Sequence[Verdict],
    metric: str,
    expected: int | None = None,
    *,
    id: str = "",
    notes: Sequence[str] = (),
) -> Report:
    """Return the report of one metric: overall, by hardness, category and database, and reasons.

    Args:
        verdicts: verdicts of any metrics; those of other metrics are left out.
        metric: the metric to report.
        expected: how many questions there were; by default as many as there are verdicts.
        id: the report's id; by default it is derived from the metric and the verdicts.
        notes: sentences to print with the report (which database is a stand-in, which switch was on).

    Raises:
        DataError: a question has two verdicts of this metric, or more were scored than expected.
    """
    chosen = [verdict for verdict in verdicts if verdict.metric == metric]
    twice = [name for name, count in Counter(verdict.id for verdict in chosen).items() if count > 1]
    if twice:
        raise DataError(
            f"{metric}: expected one verdict per question, found several for {', '.join(twice[:3])}; keep one per id."
        )
    if expected is None:
        expected = len(chosen)
    if expected < len(chosen):
        raise DataError(
            f"report of {metric}: expected at most {expected} verdicts, found {len(chosen)}. "
            "Check that the verdicts belong to these questions."
        )
    fingerprint = stable_id(metric, *(f"{verdict.id}={verdict.correct}" for verdict in chosen))
    return Report(
        id=id or fingerprint,
        metric=metric,
        overall=score([verdict.correct for verdict in chosen]),
        expected=expected,
        by={name: groups for name in ("hardness", "category", "database") if (groups := _groups(chosen, name))},
        reasons=dict(Counter(v.reason or "wrong" for v in chosen if not v.correct).most_common()),
        notes=tuple(notes),
    )


def group_order(name: str) -> tuple[int, str]:
    """Return a sort key for names of groups: Spider's and BIRD's levels from easy to hard, then by name."""
    return _LEVELS.get(name, len(_LEVELS)), name


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> McNemar:
    """Return how many questions `b` won and lost against `a`, with McNemar's exact two-sided probability.

    Won: `b` is right and `a` wrong. The probability is binomial: how often a fair coin splits won + lost
    throws at least as unevenly. Without discordant pairs it is 1. Raises `DataError` on different lengths.
    """
    won, lost = _discordant(a, b)
    throws, rarer = won + lost, min(won, lost)
    below = sum(math.comb(throws, count) for count in range(rarer + 1))
    return McNemar(won, lost, min(1.0, 2 * below / 2**throws))


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> Difference:
    """Return the share of `b` less the share of `a`, with the exact percentile bootstrap over questions.

    A resample of n pairs holds D ~ Binomial(n, (won + lost)/n) discordant ones, of which
    W ~ Binomial(D, won/(won + lost)) are won: its difference is (2W - D)/n, whose distribution is summed up.
    Where all pairs are tied, won or lost, Wilson's bound of a rate of 0 gives the width.
    Raises `DataError` on different lengths.
    """
    won, lost = _discordant(a, b)
    total = len(a)
    if total == 0:
        return Difference(0.0, -1.0, 1.0)
    difference = (won - lost) / total
    if won == total or lost == total or won + lost == 0:
        unseen = _wilson(0, total)[1]
        reach = unseen if won + lost == 0 else 2 * unseen
        return Difference(difference, max(-1.0, difference - reach), min(1.0, difference + reach))
    mass: dict[int, float] = {}
    for discordant, weight in _binomial(total, (won + lost) / total):
        for gained, share in _binomial(discordant, won / (won + lost)):
            step = 2 * gained - discordant
            mass[step] = mass.get(step, 0.0) + weight * share
    low, high = _quantiles(sorted(mass.items()))
    return Difference(difference, low / total, high / total)


def _groups(verdicts: Sequence[Verdict], name: str) -> dict[str, Score]:
    """Return the score of each group, from easy to hard where the names tell, else by name."""
    flags: dict[str, list[bool]] = {}
    for verdict in verdicts:
        if key := getattr(verdict, name):
            flags.setdefault(key, []).append(verdict.correct)
    return {key: score(flags[key]) for key in sorted(flags, key=group_order)}


def _discordant(a: Sequence[bool], b: Sequence[bool]) -> tuple[int, int]:
    if len(a) != len(b):
        raise DataError(
            f"paired comparison: expected as many answers on both sides, found {len(a)} and {len(b)}. "
            "Compare the same questions in the same order."
        )
    won = sum(1 for x, y in zip(a, b, strict=True) if y and not x)
    lost = sum(1 for x, y in zip(a, b, strict=True) if x and not y)
    return won, lost


def _binomial(n: int, p: float) -> Iterator[tuple[int, float]]:
    """Yield (count, probability) of Binomial(n, p) in ascending order, without negligible ones."""
    if n == 0 or p in (0.0, 1.0):
        yield (n if p == 1.0 else 0), 1.0
        return
    spread = math.sqrt(n * p * (1 - p))
    first = max(0, math.floor(n * p - 9 * spread - 9))
    last = min(n, math.ceil(n * p + 9 * spread + 9))
    odds = p / (1 - p)
    choose = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
    weight = math.exp(choose + first * math.log(p) + (n - first) * math.log1p(-p))
    for count in range(first, last + 1):
        if weight > _NEGLIGIBLE:
            yield count, weight
        weight *= (n - count) / (count + 1) * odds


def _quantiles(mass: Iterator[tuple[int, float]] | Sequence[tuple[int, float]]) -> tuple[int, int]:
    """Return the 2.5 % and 97.5 % quantiles of a distribution given as ascending (value, probability)."""
    low: int | None = None
    high, below = 0, 0.0
    for value, weight in mass:
        high, below = value, below + weight
        if low is None and below >= TAIL:
            low = value
        if below >= 1 - TAIL:
            break
    return (high if low is None else low), high


def _wilson(correct: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval (Wilson 1927) of `correct` out of `total` > 0."""
    p, squared = correct / total, _Z * _Z / total
    centre = p + squared / 2
    reach = _Z * math.sqrt((p * (1 - p) + squared / 4) / total)
    # clamped at the ends: there the formula is exact and rounding must not say 0.9999999
    low = 0.0 if correct == 0 else (centre - reach) / (1 + squared)
    high = 1.0 if correct == total else (centre + reach) / (1 + squared)
    return low, high
