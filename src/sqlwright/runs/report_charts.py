"""The geometry of the report's charts: bars with intervals by group, and the curves of loss and speed.

Everything here is plain numbers and strings, in percent of the drawing area, so that the page can stretch the
charts to any width; the template turns them into SVG. Values that are not finite are left out, never drawn.

Not covered: colours and fonts (the style sheet), and what happens under the pointer (the script).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlwright.records import HARDNESS, Score

Place = Callable[[float, float], tuple[float, float]]
Ticks = tuple[tuple[float, str], ...]

HOVER_POINTS = 600
"""Most points of the loss curve that are drawn; a wider screen could not show more."""

_SMOOTH_FROM = 60


@dataclass(frozen=True, slots=True)
class LossPoint:
    """One logged step of training; `loss` and `validation_loss` are means per token in nats."""

    step: int
    questions_seen: int
    loss: float | None
    validation_loss: float | None = None
    learning_rate: float | None = None
    questions_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its interval, in percent of the width; `series` is "before" or "after"."""

    label: str
    series: str
    value: float
    low: float
    high: float
    correct: int
    total: int

    @property
    def percent(self) -> str:
        """The value as it is printed, "83.4"; an en dash where nothing was scored."""
        return f"{self.value:.1f}" if self.total else "–"

    @property
    def interval(self) -> str:
        """The 95 % interval as it is printed, "81.0–85.5"; empty where nothing was scored."""
        return f"{self.low:.1f}–{self.high:.1f}" if self.total else ""


@dataclass(frozen=True, slots=True)
class Group:
    """One row of a bar chart: a name, a link to its questions, and a bar per set of predictions."""

    name: str
    href: str
    bars: tuple[Bar, ...]

    @property
    def total(self) -> int:
        """How many questions the group has, in the last set of predictions."""
        return self.bars[-1].total if self.bars else 0

    @property
    def wrong(self) -> int:
        """How many of them are wrong in the last set of predictions."""
        return self.bars[-1].total - self.bars[-1].correct if self.bars else 0


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline in a square of 1000 × 1000 units; `name` is its legend."""

    name: str
    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class CurveChart:
    """A value by step: lines, dots (in percent), axis ticks as (percent, text), and the values to hover."""

    lines: tuple[Line, ...]
    dots: tuple[tuple[float, float, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    summary: str
    hover: list[dict[str, Any]] = field(default_factory=list)


def href(**filters: str) -> str:
    """Return the fragment that shows the questions with these filters in the report's table."""
    return "#" + urlencode({key: str(value) for key, value in filters.items()}, errors="replace")


def bar(label: str, series: str, score: Score) -> Bar:
    """Return the bar of a score; a value that is not finite is drawn as 0."""
    return Bar(
        label,
        series,
        _percent(score.value),
        _percent(score.low),
        _percent(score.high),
        score.correct,
        score.total,
    )


def groups(key: str, sets: Sequence[tuple[str, str, Mapping[str, Score]]]) -> list[Group]:
    """Return the rows of a bar chart, from (label, series, scores by group) per set of predictions.

    Hardness goes from easy to extra; other groups come with the most wrong answers first, as that is where
    most can be gained.
    """
    names = dict.fromkeys(name for _, _, scores in sets for name in scores)
    nothing = Score(0, 0, 0.0, 0.0, 0.0)
    rows = [
        Group(
            str(name),
            href(**{key: name, "outcome": "all"}),
            tuple(bar(label, series, scores.get(name, nothing)) for label, series, scores in sets),
        )
        for name in names
    ]
    if key == "hardness":
        rank: dict[str, int] = {name: place for place, name in enumerate(HARDNESS)}
        return sorted(rows, key=lambda row: (rank.get(row.name, len(rank)), row.name))
    return sorted(rows, key=lambda row: (-row.wrong, -row.total, row.name))


def loss_chart(losses: Sequence[LossPoint]) -> CurveChart | None:
    """Return the loss curve, or None where no finite loss was logged."""
    training = _values(losses, lambda point: point.loss)
    validation = _values(losses, lambda point: point.validation_loss)
    if not training and not validation:
        return None
    place, x_ticks, y_ticks = _frame((*training, *validation))
    lines = [*_curve("training", training, place), _line("validation", "validation", validation, place)]
    dots = [(*place(step, value), "validation") for step, value in _thin(validation, 60)]
    if len(training) == 1:
        dots.append((*place(*training[0]), "after"))
    return CurveChart(
        lines=tuple(line for line in lines if line.points),
        dots=tuple(dots),
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        summary=_summary(training, validation),
        hover=[_hover(point, place) for point in _worth_showing(losses)],
    )


def speed_chart(losses: Sequence[LossPoint]) -> CurveChart | None:
    """Return the curve of trained questions per second, from 0 up; None where no two steps logged it."""
    values = _values(losses, lambda point: point.questions_per_second)
    if len(values) < 2:
        return None
    place, x_ticks, y_ticks = _frame(values, least=0.0)
    speeds = sorted(value for _, value in values)
    return CurveChart(
        lines=tuple(_curve("questions per second", values, place)),
        dots=(),
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        summary=f"{speeds[len(speeds) // 2]:.2f} questions per second in the middle of {len(values):,} steps, "
        f"{speeds[0]:.2f} at the slowest.",
    )


def _values(losses: Sequence[LossPoint], of: Callable[[LossPoint], float | None]) -> list[tuple[int, float]]:
    """Return (step, value) of the points that have a finite one."""
    found = [(point.step, of(point)) for point in losses if _finite(point.step)]
    return [(step, value) for step, value in found if value is not None and _finite(value)]


def _frame(values: Sequence[tuple[int, float]], least: float | None = None) -> tuple[Place, Ticks, Ticks]:
    """Return where a point lies (in percent), and the ticks of both axes; `least` is on the axis in any case."""
    steps = [float(step) for step, _ in values]
    x_low, x_high = min(steps), max(steps)
    ticks = _ticks([*(float(value) for _, value in values), *([] if least is None else [least])])
    y_low, y_high = ticks[0], ticks[-1]

    def place(step: float, value: float) -> tuple[float, float]:
        x = 50.0 if x_high == x_low else 100 * (step - x_low) / (x_high - x_low)
        return round(x, 2), round(100 * (y_high - value) / (y_high - y_low), 2)

    x_ticks = tuple((place(x, y_low)[0], f"{x:,.0f}") for x in _steps(x_low, x_high))
    return place, x_ticks, tuple((place(x_low, y)[1], f"{y:.4g}") for y in ticks)


def _curve(name: str, values: Sequence[tuple[int, float]], place: Place) -> list[Line]:
    """Return the line of the values; of many, every value thinly and their running mean."""
    smooth = _smooth(values)
    if smooth is None:
        return [_line(name, "after", values, place)]
    window, means = smooth
    return [
        _line(f"{name}, every step", "raw", values, place),
        _line(f"{name}, mean of {window} steps", "after", means, place),
    ]


def _line(name: str, kind: str, values: Sequence[tuple[float, float]], place: Any) -> Line:
    spots = [place(step, value) for step, value in _thin(list(values), HOVER_POINTS)]
    return Line(name, kind, " ".join(f"{10 * x:.4g},{10 * y:.4g}" for x, y in spots))


def _hover(point: LossPoint, place: Any) -> dict[str, Any]:
    """Return what the page shows when the pointer is over a step; numbers as they are printed."""
    values: dict[str, Any] = {"x": place(point.step, 0.0)[0], "step": f"{point.step:,}"}
    named = {
        "questions seen": (point.questions_seen, ",.0f"),
        "training loss": (point.loss, ".4f"),
        "validation loss": (point.validation_loss, ".4f"),
        "learning rate": (point.learning_rate, ".2e"),
        "questions/s": (point.questions_per_second, ".2f"),
    }
    values["values"] = [
        (name, format(value, form)) for name, (value, form) in named.items() if value is not None and _finite(value)
    ]
    return values


def _worth_showing(losses: Sequence[LossPoint]) -> list[LossPoint]:
    """Return the points to hover over, in order: all, or an even choice and those with validation."""
    points = [point for point in losses if _finite(point.step)]
    if len(points) <= HOVER_POINTS:
        return points
    validated = _thin([i for i, point in enumerate(points) if point.validation_loss is not None], 100)
    kept = {*validated, *_thin(list(range(len(points))), HOVER_POINTS - 100)}
    return [points[index] for index in sorted(kept)]


def _summary(training: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]]) -> str:
    parts = [
        f"{name} loss from {values[0][1]:.3f} to {values[-1][1]:.3f}"
        for name, values in (("Training", training), ("validation", validation))
        if values
    ]
    return ", ".join(parts) + f", over {max(s for s, _ in (*training, *validation)):,} steps."


def _smooth(values: Sequence[tuple[int, float]]) -> tuple[int, list[tuple[int, float]]] | None:
    """Return (window, centred running means), or None where there are too few values to need them."""
    if len(values) < _SMOOTH_FROM:
        return None
    reach = max(2, len(values) // 50)
    sums = [0.0]
    for _, value in values:
        sums.append(sums[-1] + value)
    means = []
    for index, (step, _) in enumerate(values):
        # the window shrinks at the ends, on both sides alike, so that no mean leans to one side
        side = min(reach, index, len(values) - 1 - index)
        means.append((step, (sums[index + side + 1] - sums[index - side]) / (2 * side + 1)))
    return 2 * reach + 1, means


def _ticks(values: Iterable[float]) -> list[float]:
    """Return about five round numbers whose first and last enclose the values."""
    kept = list(values)
    low, high = min(kept), max(kept)
    if high <= low:
        low, high = low - max(abs(low) * 0.1, 1e-6), high + max(abs(high) * 0.1, 1e-6)
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [index * step for index in range(first, last + 1)]


def _steps(low: float, high: float) -> list[float]:
    """Return round step numbers within low..high."""
    if high <= low:
        return [low]
    step = max(1.0, _round_step((high - low) / 5))
    step = step if step.is_integer() else 2 * step  # 2.5
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _round_step(rough: float) -> float:
    unit = 10.0 ** math.floor(math.log10(rough))
    return next((factor * unit for factor in (1, 2, 2.5, 5) if factor * unit >= rough), 10 * unit)


def _thin(values: list[Any], most: int) -> list[Any]:
    """Return at most `most` of the values, evenly spread, the last one always among them."""
    if len(values) <= most:
        return values
    return [values[round(index * (len(values) - 1) / (most - 1))] for index in range(most)]


def _percent(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2) if _finite(share) else 0.0


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
