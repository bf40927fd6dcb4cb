"""Intervals against resampling and published values; reports; paired tests."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.errors import DataError
from sqlwright.evaluation.statistics import mcnemar, paired_difference, report, score
from sqlwright.records import Report, Score, Verdict

flag_lists = st.lists(st.booleans(), max_size=60)


def flags(right: int, wrong: int) -> list[bool]:
    return [True] * right + [False] * wrong


def test_nothing_scored_is_nothing_known() -> None:
    assert score([]) == Score(0, 0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(("right", "wrong"), [(7, 3), (480, 554), (1, 99), (900, 100)])
def test_interval_equals_resampling(right: int, wrong: int) -> None:
    data, rng = flags(right, wrong), random.Random(5)
    resamples = 2000
    means = sorted(sum(rng.choices(data, k=len(data))) / len(data) for _ in range(resamples))
    found = score(data)
    tolerance = 2 / len(data) + 0.004
    assert found.low == pytest.approx(means[int(0.025 * resamples)], abs=tolerance)
    assert found.high == pytest.approx(means[int(0.975 * resamples)], abs=tolerance)


def test_all_right_is_wilsons_interval() -> None:
    # 10 of 10: the published Wilson interval is 0.7225 to 1
    found = score(flags(10, 0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.7225, abs=1e-4)
    mirrored = score(flags(0, 10))
    assert (mirrored.value, mirrored.low) == (0.0, 0.0)
    assert mirrored.high == pytest.approx(1 - found.low)


@given(flag_lists)
def test_interval_holds_the_value_and_mirrors(data: list[bool]) -> None:
    found, mirrored = score(data), score([not flag for flag in data])
    assert 0 <= found.low <= found.value <= found.high <= 1
    if data:
        assert found.low < found.high or len(data) == 1
        assert mirrored.low == pytest.approx(1 - found.high)


def test_large_sets_are_cheap() -> None:
    found = score(flags(300_000, 700_000))
    assert (found.low, found.high) == (pytest.approx(0.2991, abs=1e-4), pytest.approx(0.3009, abs=1e-4))


def test_mcnemar_against_hand_worked_binomials() -> None:
    # 3 won, 0 lost: 2 * (1/8); 6 won, 1 lost: 2 * (1 + 7)/128
    assert mcnemar(flags(0, 3), flags(3, 0)) == (3, 0, 0.25)
    a = [False] * 6 + [True] + [True, False]
    b = [True] * 6 + [False] + [True, False]
    assert mcnemar(a, b) == (6, 1, 0.125)
    assert mcnemar(b, a) == (1, 6, 0.125)
    assert mcnemar(a, a) == (0, 0, 1.0)
    assert mcnemar([], []) == (0, 0, 1.0)


def test_mcnemar_survives_thousands_of_pairs() -> None:
    assert mcnemar(flags(0, 3000), flags(3000, 0)).p == pytest.approx(0.0, abs=1e-300)


def test_paired_difference_equals_resampling() -> None:
    rng = random.Random(3)
    a = [rng.random() < 0.5 for _ in range(400)]
    b = [x if rng.random() < 0.7 else rng.random() < 0.7 for x in a]
    steps = [int(y) - int(x) for x, y in zip(a, b, strict=True)]
    means = sorted(sum(rng.choices(steps, k=400)) / 400 for _ in range(3000))
    found = paired_difference(a, b)
    assert found.difference == pytest.approx(sum(steps) / 400)
    assert found.low == pytest.approx(means[75], abs=0.008)
    assert found.high == pytest.approx(means[2925], abs=0.008)


@given(flag_lists.flatmap(lambda a: st.tuples(st.just(a), st.lists(st.booleans(), min_size=len(a), max_size=len(a)))))
def test_paired_difference_is_antisymmetric(pair: tuple[list[bool], list[bool]]) -> None:
    a, b = pair
    forth, back = paired_difference(a, b), paired_difference(b, a)
    assert -1 <= forth.low <= forth.difference <= forth.high <= 1
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.low == pytest.approx(-back.high)


def test_no_discordant_pair_is_no_proof_of_equality() -> None:
    found = paired_difference(flags(5, 5), flags(5, 5))
    assert found.difference == 0
    assert found.low == -found.high < -0.1


def test_different_lengths_are_an_error() -> None:
    with pytest.raises(DataError, match="found 1 and 2"):
        mcnemar([True], [True, False])


def verdict(id: str, correct: bool, hardness: str | None = None, metric: str = "ex", **more: str) -> Verdict:
    return Verdict(id, metric, correct, hardness=hardness, **more)  # type: ignore[arg-type]


def test_report_breaks_down_in_the_order_of_hardness() -> None:
    verdicts = [
        verdict("1", True, "extra", database="b"),
        verdict("2", False, "easy", database="a", reason="wrong_rows"),
        verdict("3", False, "easy", database="a"),
        verdict("3", True, "easy", metric="em"),
    ]
    found = report(verdicts, "ex", expected=5, notes=["one database is a stand-in"])
    assert (found.overall.correct, found.overall.total, found.expected, found.partial) == (1, 3, 5, True)
    assert list(found.by) == ["hardness", "database"]
    assert list(found.by["hardness"]) == ["easy", "extra"]
    assert list(found.by["database"]) == ["a", "b"]
    assert found.by["database"]["b"].value == 1.0
    assert found.reasons == {"wrong_rows": 1, "wrong": 1}
    assert found.notes == ("one database is a stand-in",)
    assert Report.from_dict({"id": "x", "metric": "ex", "overall": found.overall, "expected": 3}).metric == "ex"
    assert found.id == report(verdicts, "ex", expected=5).id != report(verdicts, "em").id


def test_report_refuses_contradictions() -> None:
    with pytest.raises(DataError, match="several for 1"):
        report([verdict("1", True), verdict("1", False)], "ex")
    with pytest.raises(DataError, match="at most 1 verdicts, found 2"):
        report([verdict("1", True), verdict("2", False)], "ex", expected=1)
