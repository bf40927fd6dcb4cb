"""Comparing two runs: hand-worked counts, and two published systems on Spider dev."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sqlwright.errors import DataError
from sqlwright.evaluation.comparison import compare
from sqlwright.records import Hardness, Verdict


def verdicts(flags: str, metric: str = "ex", hardness: Hardness | None = None) -> list[Verdict]:
    """Return a verdict for each character: + right, - wrong, blank none."""
    return [Verdict(str(i), metric, flag == "+", hardness=hardness) for i, flag in enumerate(flags) if flag != " "]


def test_hand_worked_comparison() -> None:
    first, second = verdicts("++--- +"), verdicts("+-+++- ", hardness="easy")
    found = compare(first, second, "ex", ("base", "tuned"))
    assert (found.scores[0].correct, found.scores[1].correct, found.scores[0].total) == (2, 4, 5)
    assert found.difference.difference == pytest.approx(0.4)
    assert found.difference.low < 0 < found.difference.high
    assert found.test == (3, 1, 0.625)
    assert (found.won, found.lost) == (("2", "3", "4"), ("1",))
    assert (found.only_first, found.only_second) == (1, 1)
    assert [(part.group, part.won, part.lost, part.total) for part in found.groups] == [("easy", 3, 1, 5)]
    assert found.table().splitlines() == [
        "ex on 5 questions that both answered",
        "  base   0.4000  (0.0000 to 0.8000)",
        "  tuned  0.8000  (0.4000 to 1.0000)",
        "  tuned less base: +0.4000 (-0.4000 to +1.0000)",
        "  tuned won 3, lost 1; McNemar p = 0.625 (not significant)",
        "  hardness easy: +0.4000 (-0.4000 to +1.0000), won 3, lost 1 of 5",
        "  won: 2, 3, 4",
        "  lost: 1",
        "  left out: 1 questions that only base answered",
        "  left out: 1 questions that only tuned answered",
    ]
    document = json.loads(found.to_json())
    assert document["test"] == {"won": 3, "lost": 1, "p": 0.625}
    assert document["groups"][0]["difference"]["difference"] == pytest.approx(0.4)


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="found no id that both have"):
        compare(verdicts("+ "), verdicts(" +"), "ex")
    with pytest.raises(DataError, match="second: expected verdicts of the metric 'ex', found em"):
        compare(verdicts("+"), verdicts("+", metric="em"), "ex")
    with pytest.raises(DataError, match="first: expected one verdict per question, found several for 0"):
        compare(verdicts("+") * 2, verdicts("+"), "ex")


def published(root: Path, system: str) -> list[Verdict]:
    with (root / f"{system}.official.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    found = []
    for place, row in enumerate(rows):
        for metric in ("ex", "em"):
            hardness: Any = row["hardness"]
            found.append(Verdict(str(place), metric, row[metric] == "1", hardness=hardness))
    return found


def test_two_published_systems(parity_root: Path) -> None:
    small, large = published(parity_root, "codes-1b"), published(parity_root, "dail-gpt4")
    found = compare(small, large, "ex", ("codes-1b", "dail-gpt4"))
    assert (round(found.scores[0].value, 4), round(found.scores[1].value, 4)) == (0.7814, 0.8337)
    assert found.difference.difference == pytest.approx(0.0522, abs=1e-4)
    assert found.test.won - found.test.lost == 54
    assert found.test.p < 0.001
    assert found.difference.low > 0
    assert [part.group for part in found.groups] == ["easy", "medium", "hard", "extra"]
    assert "(significant)" in found.table()
    # by exact match the smaller system is ahead, but not beyond doubt
    em = compare(small, large, "em")
    assert em.difference.difference < 0
    assert em.difference.high > 0
