"""The look of `sqlwright VERB --help`: plain text in two columns, the same on a terminal, in a file and in a pipe."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_WIDEST, _LABEL = 100, 26


class PlainHelp:
    """Prints usage, description and panels; the parser calls it with its consoles, which aren't needed."""

    def __init__(self) -> None:
        self._width = max(60, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns))

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel: its title, then a line or more for every entry."""
        if not panel.entries:
            return
        print(_words(panel.title) or "Options")
        for entry in panel.entries:
            label, text = _label(entry), _text(entry)
            lines = textwrap.wrap(text, self._width - _LABEL - 2) or [""]
            if len(label) > _LABEL - 4:
                print(f"  {label}")
            else:
                print(f"  {label.ljust(_LABEL - 2)}{lines.pop(0)}".rstrip())
            for line in lines:
                print(" " * _LABEL + line)
        print()

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print how the verb is called; options that must be given are named."""
        text = _words(usage).removeprefix("Usage:").strip()
        print("\n".join(textwrap.wrap(f"Usage: {text}", self._width, subsequent_indent="       ")) + "\n")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Print what the verb does."""
        if text := _words(description):
            print("\n".join(textwrap.wrap(text, self._width)) + "\n")


def _label(entry: HelpEntry) -> str:
    """Return the entry's name as it is typed, with the shape of its value."""
    if entry.positional_label:
        return entry.positional_label if entry.required else f"[{entry.positional_label}]"
    names = ", ".join((*entry.positive_names, *entry.positive_shorts))
    return f"{names} {entry.metavar}".removesuffix("...") if entry.metavar else names


def _text(entry: HelpEntry) -> str:
    parts = [_words(entry.description)]
    if entry.choices:
        parts.append(f"One of: {', '.join(entry.choices)}.")
    if entry.default not in (None, "", "False"):
        parts.append(f"(default: {entry.default})")
    if entry.required:
        parts.append("(required)")
    return " ".join(filter(None, parts))


def _words(text: Any) -> str:
    """Return what the parser hands over (text, or a renderable that knows its plain text) as words."""
    found = getattr(text, "plain", None)
    if found is None and hasattr(text, "__rich_console__"):
        from rich.console import Console

        console = Console(width=10_000, no_color=True, force_terminal=False, highlight=False)
        with console.capture() as capture:
            console.print(text, end="")
        found = capture.get()
    return re.sub(r"\s+", " ", str(text if found is None else found) if text else "").strip()
