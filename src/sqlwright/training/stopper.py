"""Being asked to stop: Ctrl-C and SIGTERM wait until the work in hand is done and saved."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class Stopper:
    """Catches Ctrl-C and SIGTERM while work is in hand, so that it can be finished and saved.

    A second Ctrl-C stops at once. Outside the main thread, where signals can't be caught, it does nothing.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:
            pass
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            self.leave()
        self.asked = number

    def leave(self) -> None:
        """Raise what the signal would have raised: `KeyboardInterrupt`, or `SystemExit` with 143."""
        if self.asked == signal.SIGTERM:
            raise SystemExit(143)
        raise KeyboardInterrupt
