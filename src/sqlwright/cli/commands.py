"""The verbs, and the page that `sqlwright --help` prints.

The page is made here and not by the parser, whose import alone takes longer than the page may.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple


class Command(NamedTuple):
    """A verb: its name, what to type after it, what it does, and where it is (`module:attribute`)."""

    name: str
    usage: str
    help: str
    target: str


GROUPS: dict[str, tuple[Command, ...]] = {
    "Fine-tune a model": (
        Command("run", "RECIPE.toml", "Do all stages; the same command again continues.", "run:run"),
        Command("prepare", "RECIPE.toml", "Only read the questions and databases.", "run:prepare"),
        Command("train", "RECIPE.toml", "Only fine-tune.", "run:train"),
        Command("predict", "RECIPE.toml", "Only write SQL for the evaluation questions.", "run:predict"),
        Command("evaluate", "RECIPE.toml", "Only score the predictions.", "run:evaluate"),
        Command("export", "RECIPE.toml", "Only write the adapter as GGUF.", "run:export"),
    ),
    "Make data": (
        Command("synthesize", "DB [--no-model]", "Questions with SQL from a database alone.", "synthesize:synthesize"),
        Command(
            "self-instruct",
            "sql | python --out DIR",
            "Let a model set problems, and keep the solutions that pass.",
            "self_instruct:self_instruct",
        ),
    ),
    "Fine-tune elsewhere": (
        Command("hosted", "export | check | costs | upload | start ...", "At a hosted service.", "hosted:app"),
    ),
    "Use it": (
        Command("ask", '"QUESTION" --database FILE', "Answer a question from a database.", "ask:ask"),
        Command("describe", "DATABASE", "Write first notes for a database, from its data.", "describe:describe"),
    ),
    "Score any system": (
        Command(
            "score", "--benchmark NAME --gold FILE --predictions FILE", "Score a file of predictions.", "score:score"
        ),
        Command(
            "translate",
            "--gold FILE --databases DIR --to ENGINE",
            "Golds for other engines, where the results are the same.",
            "translate:translate",
        ),
    ),
    "Look after things": (
        Command(
            "models",
            "list | pull NAME | verify NAME | blend ADAPTER ...",
            "The base models on this machine, and adapters blended into one.",
            "models:app",
        ),
        Command("runs", "list | show RUN | compare A B", "Runs that were made, and two of them compared.", "runs:app"),
        Command(
            "recipe", "list | copy NAME | check FILE | explain KEY", "Recipes, and what a setting means.", "recipe:app"
        ),
        Command("doctor", "", "What this machine has, what is missing, and how to get it.", "doctor:doctor"),
    ),
}
"""All verbs by what they are for, in the order of the help page."""


def first_page(words: list[str]) -> int:
    """Print the version or the page of help, and return the exit code; 2 where no verb was given."""
    from sqlwright import __version__

    text = f"sqlwright {__version__}" if words == ["--version"] else _page(__version__)
    try:
        print(text, file=sys.stdout if words else sys.stderr, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if words else 2


def _page(version: str) -> str:
    lines = [
        f"SQLWright {version}: a workshop for text-to-SQL models, all on your own machine.",
        "",
        "Usage: sqlwright COMMAND ...        sqlwright COMMAND --help",
    ]
    for title, commands in GROUPS.items():
        lines += ["", title]
        for command in commands:
            start = f"  {command.name} {command.usage}".rstrip()
            lines.append(f"{start.ljust(24)}  {command.help}" if len(start) <= 24 else start)
            if len(start) > 24:
                lines.append(" " * 26 + command.help)
    lines += [
        "",
        "Start here",
        "  sqlwright doctor",
        "  sqlwright models pull qwen2.5-coder-0.5b-instruct",
        "  sqlwright run recipes/quickstart.toml",
        "",
        "Results go to stdout, progress to stderr; --json prints one JSON document. No data leaves the",
        "machine, but by `hosted upload`. Exit codes: 0 ok, 1 the answer is no, 2 usage or recipe, 3 bad",
        "input data, 4 database or query refused or failed, 5 model or hardware missing, 6 partial",
        "result, 7 run in use elsewhere.",
    ]
    return "\n".join(lines)
