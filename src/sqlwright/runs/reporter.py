"""How long work tells the user where it stands; the command line draws it, tests collect it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

Action = Literal["run", "continue", "redo", "up to date"]


class Reporter(Protocol):
    """Receives the progress of a run."""

    def stage(self, name: str, action: Action, why: str = "") -> None:
        """A stage begins (`run`, `continue`, `redo`) or is skipped (`up to date`); `why` is one sentence."""

    def progress(
        self, label: str, done: int, total: int, note: str = "", curve: Sequence[float] = (), unit: str = ""
    ) -> None:
        """`done` of `total` questions (or what `unit` says) are done; `note` is a short value such as the loss.

        `curve` has the values of all steps so far, for a reader who watches.
        """

    def say(self, text: str) -> None:
        """A message that should stay on the screen."""

    def finish(self) -> None:
        """Everything is done; clear what is being drawn."""


class Silent:
    """A reporter that says nothing."""

    def stage(self, name: str, action: Action, why: str = "") -> None:
        """Ignore."""

    def progress(
        self, label: str, done: int, total: int, note: str = "", curve: Sequence[float] = (), unit: str = ""
    ) -> None:
        """Ignore."""

    def say(self, text: str) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
