"""Progress on stderr: what is said, when, and how much time is left; on a terminal and elsewhere."""

from __future__ import annotations

import io
import math
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from sqlwright.cli import terminal
from sqlwright.cli.terminal import Pace, TerminalReporter, duration, sparkline


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hand = Clock()
    monkeypatch.setattr(terminal, "time", hand)
    return hand


def test_time_left_is_right_at_a_steady_pace() -> None:
    pace = Pace(0.0)
    pace.start(0.0)
    for second in range(1, 100):
        pace.update(float(second), 2 * second)
        assert pace.rate == pytest.approx(2.0)
        assert pace.left(second, 2 * second, 400) == pytest.approx(200 - second)


def test_time_left_follows_a_slower_pace() -> None:
    pace = Pace(0.0)
    pace.start(0.0)
    for second in range(1, 61):
        pace.update(float(second), 10 * second)
    for second in range(61, 181):
        pace.update(float(second), 600 + second - 60)
    assert pace.rate == pytest.approx(1.0, rel=0.05)


def test_what_was_done_before_says_nothing_about_speed() -> None:
    pace = Pace(0.0)
    pace.start(5.0, 900)
    pace.update(5.0, 900)
    assert pace.rate is None
    assert pace.left(5.0, 900, 1000) is None
    pace.update(15.0, 910)
    assert pace.left(15.0, 910, 1000) == pytest.approx(90.0)
    assert pace.left(20.0, 910, 1000) == pytest.approx(85.0)
    assert pace.left(500.0, 910, 1000) == 0.0


def test_loading_counts_only_until_the_pace_is_known() -> None:
    pace = Pace(0.0)
    pace.start(0.0, provisional=True)
    pace.update(60.0, 10)
    assert pace.rate == pytest.approx(10 / 60)
    pace.update(65.0, 20)
    assert pace.rate == pytest.approx(2.0)


def test_a_count_that_goes_back_starts_again() -> None:
    pace = Pace(0.0)
    pace.start(0.0)
    pace.update(1.0, 50)
    pace.update(2.0, 3)
    assert pace.rate is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (174, "2:54"), (3774, "1:02:54"), (59.6, "1:00"), (100_000, "1 d 3 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_lines_elsewhere_come_every_ten_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    reporter = TerminalReporter(stream=stream)
    reporter.stage("train", "run")
    for step in range(1, 41):
        clock.now += 5
        reporter.progress("train", 6 * step, 240, f"loss {1 / step:.2f}")
    reporter.finish()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "train"
    assert lines[1] == "train 12/240 questions, 1.2/s, 3:10 left, loss 0.50"
    assert len(lines) == 21
    assert lines[-1] == "train 240/240 questions, 1.2/s, loss 0.03"


def test_quick_work_elsewhere_says_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    reporter = TerminalReporter(stream=stream)
    for done in range(1, 101):
        clock.now += 0.01
        reporter.progress("score", done, 100)
    reporter.finish()
    assert stream.getvalue() == ""
    assert reporter.reached == (100, 100)


def test_going_on_says_no_time_before_it_is_known(clock: Clock) -> None:
    stream = io.StringIO()
    reporter = TerminalReporter(stream=stream)
    reporter.stage("train", "continue", "it was interrupted")
    clock.now += 20
    reporter.progress("train", 120, 240)
    clock.now += 12
    reporter.progress("train", 132, 240)
    assert stream.getvalue().splitlines() == [
        "train continues: it was interrupted",
        "train 120/240 questions",
        "train 132/240 questions, 1/s, 1:48 left",
    ]


def test_bytes_are_shown_as_megabytes(clock: Clock) -> None:
    stream = io.StringIO()
    reporter = TerminalReporter(unit="bytes", stream=stream)
    reporter.progress("pulling m (hub)", 0, 491_400_064)
    clock.now += 10
    reporter.progress("pulling m (hub)", 50_000_000, 491_400_064)
    assert stream.getvalue() == "pulling m (hub) 50/491 MB, 5.0 MB/s, 1:28 left\n"


BAR = """
import sys, time
from sqlwright.cli.terminal import TerminalReporter
reporter = TerminalReporter()
reporter.stage("predict", "run")
for done in range(0, 61, 20):
    reporter.progress("predict", done, 60)
    time.sleep(0.3)
reporter.say("a message that stays [bold]as it is[/bold]")
reporter.finish()
"""


def on_a_terminal(code: str, **variables: str) -> str:
    """Return what a program writes to a terminal of 90 columns that is all its streams."""
    leader, follower = pty.openpty()
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "90", "LINES": "24"} | variables
    process = subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    seen = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:  # Linux's way of saying that the other end was closed
            break
        if not block:
            break
        seen += block
    os.close(leader)
    assert process.wait(timeout=20) == 0
    return seen.decode()


def test_the_bar_on_a_terminal() -> None:
    seen = on_a_terminal(BAR)
    assert "━" in seen
    assert "40/60 questions" in seen
    assert "left" in seen
    assert "so far" in seen
    assert "a message that stays [bold]as it is[/bold]" in seen
    assert "\x1b[" in seen


def test_the_loss_is_drawn_on_a_terminal_and_nowhere_else() -> None:
    code = BAR.replace(
        '"predict", done, 60)', '"train", done, 60, "loss 0.10", [4.0, 3.0, 2.0, 1.0][: done // 20 + 1])'
    )
    assert code != BAR
    seen = on_a_terminal(code)
    assert "█▅▁" in seen and "█▆▃▁" in seen
    stream = io.StringIO()
    reporter = TerminalReporter(stream=stream)
    reporter.progress("train", 1, 4, "loss 0.50", [4.0, 0.5])
    reporter.finish()
    assert "█" not in stream.getvalue()


def test_a_sparkline_keeps_the_shape_of_any_curve() -> None:
    assert sparkline([]) == sparkline([1.0]) == sparkline([math.nan, 1.0]) == ""
    assert sparkline([1.0, 1.0]) == "▄▄"
    assert sparkline([float(n) for n in range(8)]) == "▁▂▃▄▅▆▇█"
    long = sparkline([1000.0 - n for n in range(1000)])
    assert len(long) == 16 and long[0] == "█" and long[-1] == "▁"


def test_no_color_is_honoured() -> None:
    seen = on_a_terminal(BAR, NO_COLOR="1")
    assert "40/60 questions" in seen
    assert not any(f"\x1b[{colour}" in seen for colour in ("3", "38", "1;3", "9"))


ROWS = """
from sqlwright.cli.tables import print_rows
print_rows({columns!r}, {rows!r})
"""


def test_a_table_on_a_terminal() -> None:
    seen = on_a_terminal(ROWS.format(columns=["name", "n"], rows=[("pen", 1), (None, 22)]))
    assert [line.split() for line in seen.splitlines() if "pen" in line or "22" in line] == [
        ["pen", "1"],
        ["\x1b[2mNULL\x1b[0m", "22"],
    ]


def test_many_columns_become_records_on_a_terminal() -> None:
    seen = on_a_terminal(ROWS.format(columns=[f"c{n}" for n in range(12)], rows=[tuple(range(12))]))
    assert seen.splitlines()[:3] == ["row 1", "  c0   0", "  c1   1"]


def test_an_odd_stream_is_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        reporter = TerminalReporter(stream=file)
        reporter.say("hello")
        reporter.finish()
    assert (tmp_path / "log").read_text() == "hello\n"
