"""Two sets of verdicts on the same questions compared: which is better, by how much, and where.

Pairing matters: two runs answer the same questions, so their difference is known far better than the
overlap of their intervals suggests. Only questions that both have verdicts for are compared; the others are
counted.

Not covered: more than two runs, and whether the difference holds for other databases than these.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlwright.errors import DataError
from sqlwright.evaluation.statistics import Difference, McNemar, group_order, mcnemar, paired_difference, score
from sqlwright.records import Score, Verdict

SIGNIFICANT = 0.05
"""Probability below which `table()` calls a difference significant."""

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """A paired difference within one group of questions (a hardness, a category or a database)."""

    breakdown: str
    group: str
    total: int
    won: int
    lost: int
    difference: Difference


@dataclass(frozen=True, slots=True)
class RunComparison:
    """What the second set of verdicts gains over the first on the questions they share.

    `won` and `lost` hold the ids of questions that only the second, or only the first, gets right.
    """

    metric: str
    names: tuple[str, str]
    scores: tuple[Score, Score]
    difference: Difference
    test: McNemar
    won: tuple[str, ...]
    lost: tuple[str, ...]
    groups: tuple[GroupDifference, ...]
    only_first: int
    only_second: int

    def table(self) -> str:
        """Return the comparison as lines of text."""
        first, second = self.names
        width = max(map(len, self.names))
        lines = [f"{self.metric} on {self.scores[0].total:,} questions that both answered"]
        lines += [
            f"  {name.ljust(width)}  {found.value:.4f}  ({found.low:.4f} to {found.high:.4f})"
            for name, found in zip(self.names, self.scores, strict=True)
        ]
        verdict = "significant" if self.test.p < SIGNIFICANT else "not significant"
        lines += [
            f"  {second} less {first}: {_signed(self.difference)}",
            f"  {second} won {self.test.won}, lost {self.test.lost}; McNemar p = {self.test.p:.4g} ({verdict})",
        ]
        lines += [
            f"  {part.breakdown} {part.group}: {_signed(part.difference)}, won {part.won}, lost {part.lost} "
            f"of {part.total}"
            for part in self.groups
        ]
        for word, ids in (("won", self.won), ("lost", self.lost)):
            if ids:
                more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
                lines.append(f"  {word}: {', '.join(ids[:_SHOWN])}{more}")
        for name, count in zip(self.names, (self.only_first, self.only_second), strict=True):
            if count:
                lines.append(f"  left out: {count} questions that only {name} answered")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the comparison as one JSON document."""
        document = dataclasses.asdict(self)
        document["difference"] = self.difference._asdict()
        document["test"] = self.test._asdict()
        for entry, part in zip(document["groups"], self.groups, strict=True):
            entry["difference"] = part.difference._asdict()
        return json.dumps(document, ensure_ascii=False)


def compare(
    first: Sequence[Verdict],
    second: Sequence[Verdict],
    metric: str,
    names: tuple[str, str] = ("first", "second"),
) -> RunComparison:
    """Return what `second` gains over `first` in one metric, with a 95 % interval and McNemar's exact test.

    Args:
        first: verdicts of the run to compare with; those of other metrics are left out.
        second: verdicts of the run that may be better.
        metric: the metric compared.
        names: what to call the two.

    Raises:
        DataError: a side has no verdicts of the metric, two for one question, or none is shared.
    """
    a, b = _by_id(first, metric, names[0]), _by_id(second, metric, names[1])
    shared = [id for id in a if id in b]
    if not shared:
        raise DataError(
            f"comparison of {names[0]} and {names[1]}: expected verdicts on the same questions, "
            "found no id that both have. Compare runs on the same question file."
        )
    pairs = [(a[id], b[id]) for id in shared]
    left, right = [x.correct for x, _ in pairs], [y.correct for _, y in pairs]
    return RunComparison(
        metric=metric,
        names=names,
        scores=(score(left), score(right)),
        difference=paired_difference(left, right),
        test=mcnemar(left, right),
        won=tuple(y.id for x, y in pairs if y.correct and not x.correct),
        lost=tuple(y.id for x, y in pairs if x.correct and not y.correct),
        groups=tuple(part for name in ("hardness", "category") for part in _groups(pairs, name)),
        only_first=len(a) - len(shared),
        only_second=len(b) - len(shared),
    )


def _by_id(verdicts: Sequence[Verdict], metric: str, name: str) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for verdict in verdicts:
        if verdict.metric != metric:
            continue
        if verdict.id in found:
            raise DataError(f"{name}: expected one verdict per question, found several for {verdict.id}.")
        found[verdict.id] = verdict
    if not found:
        known = ", ".join(sorted({verdict.metric for verdict in verdicts})) or "no verdicts at all"
        raise DataError(f"{name}: expected verdicts of the metric {metric!r}, found {known}.")
    return found


def _groups(pairs: Sequence[tuple[Verdict, Verdict]], breakdown: str) -> list[GroupDifference]:
    """Return the differences within each group that the first run's verdicts name."""
    members: dict[str, list[tuple[bool, bool]]] = {}
    for x, y in pairs:
        if group := getattr(x, breakdown) or getattr(y, breakdown):
            members.setdefault(group, []).append((x.correct, y.correct))
    parts = []
    for group in sorted(members, key=group_order):
        left, right = [x for x, _ in members[group]], [y for _, y in members[group]]
        test = mcnemar(left, right)
        difference = paired_difference(left, right)
        parts.append(GroupDifference(breakdown, group, len(left), test.won, test.lost, difference))
    return parts


def _signed(found: Difference) -> str:
    return f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
