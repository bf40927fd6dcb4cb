from __future__ import annotations

import math

import pytest

from sqlwright.records import Score
from sqlwright.runs.report_charts import HOVER_POINTS, LossPoint, groups, href, loss_chart, speed_chart


def share(correct: int, total: int) -> Score:
    return Score(correct, total, correct / total, 0.1, 0.9)


def test_hardness_keeps_its_order_and_others_come_with_most_wrong_first() -> None:
    scores = {"extra": share(1, 10), "easy": share(9, 10), "odd": share(1, 2), "medium": share(5, 10)}
    assert [g.name for g in groups("hardness", [("a", "after", scores)])] == [
        "easy",
        "medium",
        "extra",
        "odd",
    ]
    rows = groups("database", [("a", "after", scores)])
    assert [(g.name, g.wrong) for g in rows] == [("extra", 9), ("medium", 5), ("easy", 1), ("odd", 1)]


def test_a_group_missing_in_one_set_still_has_both_bars() -> None:
    rows = groups("database", [("b", "before", {"x": share(1, 2)}), ("a", "after", {"y": share(1, 2)})])
    assert [(g.name, [b.percent for b in g.bars]) for g in rows] == [
        ("y", ["–", "50.0"]),
        ("x", ["50.0", "–"]),
    ]


def test_links_survive_any_name() -> None:
    assert href(database="a&b=c #\ud800") == "#database=a%26b%3Dc+%23%3F"


def test_no_finite_loss_means_no_chart() -> None:
    assert loss_chart([]) is None
    assert loss_chart([LossPoint(1, 1, math.nan), LossPoint(2, 2, None)]) is None


@pytest.mark.parametrize("loss", [0.0, 1e-9, 3.7, 1e12, -2.0])
def test_a_single_point_is_a_dot_in_the_plot(loss: float) -> None:
    chart = loss_chart([LossPoint(5, 80, loss)])
    assert chart is not None and len(chart.dots) == 1
    x, y, _ = chart.dots[0]
    assert x == 50 and 0 <= y <= 100


def test_the_axis_encloses_all_values_and_a_long_curve_is_thinned() -> None:
    points = [LossPoint(s, s * 8, 2.3 / s + 0.01, 3.0 / s if s % 100 == 0 else None) for s in range(1, 20_001)]
    chart = loss_chart(points)
    assert chart is not None
    for line in chart.lines:
        spots = [tuple(map(float, spot.split(","))) for spot in line.points.split()]
        assert 0 < len(spots) <= HOVER_POINTS
        assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in spots)
    assert [line.kind for line in chart.lines] == ["raw", "after", "validation"]
    assert [y for y, _ in chart.y_ticks] == sorted((y for y, _ in chart.y_ticks), reverse=True)
    assert len(chart.hover) <= HOVER_POINTS and chart.hover[-1]["step"] == "20,000"
    validated = [p for p in chart.hover if "validation loss" in dict(p["values"])]
    assert len(validated) == 100 and validated[0]["step"] != chart.hover[0]["step"] == "1"
    assert chart.hover[-1]["values"] == [
        ("questions seen", "160,000"),
        ("training loss", "0.0101"),
        ("validation loss", "0.0001"),
    ]


@pytest.mark.parametrize("last", [2, 7, 12, 13, 60, 124, 1300])
def test_the_ticks_of_steps_stand_where_they_say(last: int) -> None:
    chart = loss_chart([LossPoint(s, s, 1.0 / (s + 1)) for s in range(last + 1)])
    assert chart is not None
    places = {round(int(text.replace(",", "")) / last * 100, 2): x for x, text in chart.x_ticks}
    assert 2 <= len(places) <= 7
    assert all(said == pytest.approx(x, abs=0.02) for said, x in places.items())


def test_a_short_curve_is_drawn_as_it_is() -> None:
    chart = loss_chart([LossPoint(s, s, 1 / s) for s in range(1, 11)])
    assert chart is not None
    assert [line.name for line in chart.lines] == ["training"]
    first, last = chart.lines[0].points.split()[0], chart.lines[0].points.split()[-1]
    assert first.startswith("0,") and last.startswith("1000,")
    assert chart.summary == "Training loss from 1.000 to 0.100, over 10 steps."


def test_speed_is_drawn_from_nothing_up_and_only_where_it_was_logged() -> None:
    assert speed_chart([LossPoint(s, s, 1.0) for s in range(5)]) is None
    assert speed_chart([LossPoint(1, 4, 1.0, questions_per_second=2.0)]) is None
    points = [LossPoint(s, s, None, questions_per_second=4.0 if s == 3 else 2.0) for s in range(1, 11)]
    chart = speed_chart([*points, LossPoint(11, 11, None, 0.5), LossPoint(12, 12, 1.0, questions_per_second=math.nan)])
    assert chart is not None
    assert chart.y_ticks[0] == (100, "0") and chart.y_ticks[-1] == (0, "4")
    (line,) = chart.lines
    assert line.points.split()[0] == "0,500" and line.points.split()[2].endswith(",0")
    assert chart.summary == "2.00 questions per second in the middle of 10 steps, 2.00 at the slowest."
