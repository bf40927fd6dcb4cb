"""Progress on stderr: a bar on a terminal, else a plain line every ten seconds.

Time left comes from the speed of the recent half of the work, so that it follows slow databases, and it never
counts what an earlier process did. Until two points are known it is left out rather than guessed.

Not covered: results, which go to stdout (see `sqlwright.cli.tables`).
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple, TextIO

from sqlwright.cli.tables import safe

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from sqlwright.runs.reporter import Action

LINE_EVERY = 10.0
"""Seconds between two progress lines where stderr is no terminal."""

_WORDS = {"run": "", "continue": "continues", "redo": "once more", "up to date": "up to date"}
_SHORTEST_WINDOW = 30.0
_BARS = "▁▂▃▄▅▆▇█"


def say(text: str) -> None:
    """Print a message on stderr that can't act on a terminal."""
    print(safe(text, keep_lines=True), file=sys.stderr, flush=True)


@contextmanager
def continuing() -> Iterator[TerminalReporter]:
    """Yield a reporter for work that goes on when its command is given again, which is said when it is stopped."""
    reporter = TerminalReporter()
    try:
        yield reporter
    except (KeyboardInterrupt, SystemExit):
        reporter.say("What is done is kept: the same command continues.")
        raise
    finally:
        reporter.finish()


class Pace:
    """How fast work goes on and how long the rest takes.

    `start(done)` sets the point from which to measure. `update` takes the count so far; the clock is a parameter,
    so that tests need no waiting.
    """

    def __init__(self, now: float) -> None:
        self.began = now
        self._points: deque[tuple[float, int]] = deque()
        self._provisional = False

    def start(self, now: float, done: int = 0, *, provisional: bool = False) -> None:
        """Measure from `done` pieces at the time `now` on; `provisional`: only until two later points are known."""
        self.began = now
        self._points.clear()
        self._points.append((now, done))
        self._provisional = provisional

    def update(self, now: float, done: int) -> None:
        """Take note that `done` pieces are finished."""
        if self._points and done < self._points[-1][1]:
            self.start(now, done)
            return
        self._points.append((now, done))
        if self._provisional and len(self._points) > 2 and now > self._points[1][0]:
            self._points.popleft()  # the first stretch held loading and warming up
            self._provisional = False
        window = max(_SHORTEST_WINDOW, (now - self.began) / 2)
        while len(self._points) > 2 and self._points[1][0] <= now - window:
            self._points.popleft()
        if len(self._points) > 1000:  # thousands of calls a second: every other point is enough
            self._points = deque([*list(self._points)[:-1:2], self._points[-1]])

    @property
    def rate(self) -> float | None:
        """Pieces per second over the recent past, None until it is known."""
        points = tuple(self._points)  # the bar's thread reads while the work's thread writes
        if len(points) < 2:
            return None
        (first, before), (last, done) = points[0], points[-1]
        return (done - before) / (last - first) if last > first and done > before else None

    def left(self, now: float, done: int, total: int) -> float | None:
        """Return the seconds that the rest takes from `now` on at this rate, None until it is known."""
        rate, points = self.rate, tuple(self._points)
        return max(0.0, max(0, total - done) / rate - (now - points[-1][0])) if rate and points else None


class _State(NamedTuple):
    label: str
    done: int
    total: int
    note: str
    unit: str


class TerminalReporter:
    """Draws the progress of a run on stderr; `unit` is "bytes" for downloads, else what is counted."""

    def __init__(self, unit: str = "questions", stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._unit = unit
        self._live = self._stream.isatty()
        self._stage = ""
        self._continues = False
        self._label: str | None = None
        self._pace = Pace(time.monotonic())
        self._printed = time.monotonic()
        self._last: _State | None = None
        self._unfinished = False
        self._curve: Sequence[float] = ()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def stage(self, name: str, action: Action, why: str = "") -> None:
        """Say that a stage begins or is skipped."""
        self._close_bar()
        self._stage, self._label, self._last = name, None, None
        self._continues = action == "continue"
        self._pace = Pace(time.monotonic())
        self._printed = time.monotonic()
        self.say(": ".join(part for part in (f"{name} {_WORDS[action]}".rstrip(), why) if part))

    def progress(
        self, label: str, done: int, total: int, note: str = "", curve: Sequence[float] = (), unit: str = ""
    ) -> None:
        """Draw that `done` of `total` are done, and on a terminal the values of `curve` as a line of bars."""
        self._curve = curve
        now = time.monotonic()
        if label != self._label:
            self._close_bar()
            if self._label is not None:
                self._pace = Pace(now)
            # What an earlier process did says nothing about speed; a first step of a fresh stage does.
            fresh = self._label is None and bool(self._stage) and not self._continues
            self._label = label
            if fresh and done:
                self._pace.start(self._pace.began, provisional=True)
            else:
                self._pace.start(now, done)
        self._pace.update(now, done)
        self._last = _State(label, done, total, note, unit or self._unit)
        if self._live:
            self._draw(self._last)
        else:
            ended = done >= total and self._unfinished
            if ended or (done < total and now - self._printed >= LINE_EVERY):
                self._print(f"{label} {self.describe(self._last, now)}")
                self._printed = now
                self._unfinished = done < total

    def say(self, text: str) -> None:
        """Print a message that stays."""
        text = safe(text, keep_lines=True)  # names of tables and databases come from strangers
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._print(text)

    def finish(self) -> None:
        """Clear what is being drawn."""
        self._close_bar()

    @property
    def reached(self) -> tuple[int, int] | None:
        """How many of how many were done at the last call, None before the first."""
        return (self._last.done, self._last.total) if self._last else None

    def describe(self, state: _State, now: float) -> str:
        """Return "48/240 questions, 1.1/s, 2:54 left, loss 0.71" for a point of progress, at the time `now`."""
        byte = self._unit == "bytes"
        count = (
            f"{state.done / 1e6:,.0f}/{state.total / 1e6:,.0f} MB"
            if byte
            else f"{state.done:,}/{state.total:,} {state.unit}"
        )
        parts = [count]
        rate = self._pace.rate
        if rate:
            parts.append(f"{rate / 1e6:,.1f} MB/s" if byte else f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        left = self._pace.left(now, state.done, state.total)
        if left is not None and state.done < state.total:
            parts.append(f"{duration(left)} left")
        if state.note:
            parts.append(safe(state.note))
        return ", ".join(parts)

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _draw(self, state: _State) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
            from rich.text import Text

            class Words(ProgressColumn):
                """Count, speed and times, made anew at every refresh: they go on between two steps."""

                def render(column, task: Task) -> Text:
                    now = time.monotonic()
                    elapsed = duration(now - self._pace.began)
                    words = f"{self.describe(self._last, now)}, {elapsed} so far" if self._last else ""
                    return Text(f"{words} {sparkline(self._curve)}".rstrip())

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                Words(),
                console=Console(file=self._stream),
                refresh_per_second=4,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(safe(state.label), total=state.total)
        if self._task is not None:
            self._bar.update(self._task, completed=state.done, total=state.total)

    def _close_bar(self) -> None:
        """Take the bar away; where it was worth reading, one line stays."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
            if self._last and self._stage:
                now = time.monotonic()
                self._print(f"{self._last.label} {self.describe(self._last, now)}, {duration(now - self._pace.began)}")
        self._unfinished = False


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """Return the finite values as bars "█▆▃▂▁", each the mean of its share of the curve; empty for fewer than two."""
    kept = [value for value in values if math.isfinite(value)]
    if len(kept) < 2:
        return ""
    count = min(width, len(kept))
    means = [fmean(kept[n * len(kept) // count : (n + 1) * len(kept) // count]) for n in range(count)]
    low, high = min(means), max(means)
    last = len(_BARS) - 1
    return "".join(_BARS[round(last * (mean - low) / (high - low)) if high > low else last // 2] for mean in means)


def duration(seconds: float) -> str:
    """Return seconds as "2:54", from an hour on "1:02:54", from a day on "2 d 3 h"."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
