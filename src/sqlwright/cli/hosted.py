"""`sqlwright hosted export | check | costs | upload | start | poll | cancel`: fine-tuning at a hosted service.

`upload` is the only command of SQLWright that sends data away, and says so before it does.

Not covered: the work itself (see `sqlwright.runs.hosted`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from sqlwright.cli.options import RUNS, Json, Overrides, RecipeFile, Runs
from sqlwright.cli.tables import aligned, print_json, safe
from sqlwright.cli.terminal import say
from sqlwright.errors import RecipeError

if TYPE_CHECKING:
    from sqlwright.export.hosted_jobs import Job
    from sqlwright.runs.run import Run

app = App(name="hosted", help="Fine-tuning at a service with an API in the style of OpenAI's: files, costs, jobs.")

BaseUrl = Annotated[
    str, Parameter(name="--base-url", metavar="URL", help="The service; else OPENAI_BASE_URL, else OpenAI's own.")
]


@app.command
def export(recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, json: Json = False) -> int:
    """Write a recipe's training questions as chat lines, in its prompt style, into RUN/hosted/. Nothing is sent."""
    from sqlwright import pipeline
    from sqlwright.cli.terminal import TerminalReporter
    from sqlwright.recipe_file import read_recipe
    from sqlwright.runs import hosted

    pipeline.run(read_recipe(recipe, set or ()), recipe, runs, TerminalReporter(), only="prepare")
    with _run_of(recipe, set, runs) as run:
        written = hosted.export_chat(run)
        files = {part: str(hosted.chat_file(run, part)) for part in written}
    if json:
        print_json({part: {"file": files[part], "lines": lines} for part, lines in written.items()})
    else:
        for part, lines in written.items():
            print(f"{files[part]}: {lines:,} lines")
    return 0


@app.command
def check(recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, json: Json = False) -> int:
    """Check the chat files, count their tokens, and say what a pass costs; exit code 1 if a file would be refused."""
    from sqlwright.runs import hosted

    with _run_of(recipe, set, runs) as run:
        found = hosted.check(run)
    keys = ("lines", "tokens", "answer_tokens", "longest")
    if json:
        files = {
            part: {"file": str(one.path)} | {key: getattr(one, key) for key in keys}
            for part, one in found.files.items()
        }
        cost = {
            "model": found.model,
            "epochs": found.epochs,
            "dollars_per_epoch": round(found.dollars_per_epoch, 4),
            "dollars": round(found.dollars_per_epoch * found.epochs, 4),
            "prices_as_of": found.prices.as_of,
        }
        counted = {"tokenizer": found.counter.name, "note": found.counter.note}
        print_json({"ok": not found.problems, "problems": found.problems, "files": files} | cost | counted)
        return 1 if found.problems else 0
    rows = [("file", *(key.replace("_", " ") for key in keys))]
    rows += [(one.path.name, *(f"{getattr(one, key):,}" for key in keys)) for one in found.files.values()]
    print("\n".join(aligned(rows, (False, True, True, True, True))))
    print(
        f"{found.model}: ${found.dollars_per_epoch:,.2f} per pass, ${found.dollars_per_epoch * found.epochs:,.2f} for "
        f"{found.epochs} (prices as of {found.prices.as_of}; tokens by {found.counter.name})"
    )
    if found.counter.note:
        say(found.counter.note)
    for problem in found.problems[:20]:
        print(safe(problem))
    if len(found.problems) > 20:
        print(f"… and {len(found.problems) - 20} more")
    return 1 if found.problems else 0


@app.command
def costs(
    recipe: RecipeFile,
    /,
    *,
    gpu: Annotated[str | None, Parameter(metavar="NAME")] = None,
    gpu_hours: Annotated[list[str] | None, Parameter(metavar="NAME=HOURS")] = None,
    set: Overrides = None,
    runs: Runs = RUNS,
    json: Json = False,
) -> int:
    """Set hosted fine-tuning beside LoRA on a rented GPU, by measured tokens and hours and the price table.

    Args:
        gpu: The GPU of the price table that this run was trained on.
        gpu_hours: Hours that such a training took on a GPU elsewhere; may be given several times.
    """
    from sqlwright.runs import hosted

    with _run_of(recipe, set, runs) as run:
        checked, rows = hosted.costs(run, dict(_hours(text) for text in gpu_hours or ()), gpu)
    if json:
        table = [dataclasses.asdict(row) for row in rows]
        print_json({"prices_as_of": checked.prices.as_of, "tokenizer": checked.counter.name, "ways": table})
        return 0
    cells = [("way to train", "tokens", "hours", "$ training", "$ per 1,000 questions", "")]
    for row in rows:
        hours = "" if row.hours is None else f"{row.hours:.3f}"
        training, use = ("?" if value is None else f"{value:,.2f}" for value in (row.training, row.questions))
        cells.append((row.way, "" if row.tokens is None else f"{row.tokens:,}", hours, training, use, row.note))
    print("\n".join(aligned(cells, (False, True, True, True, True, False))))
    print(f"Prices as of {checked.prices.as_of}; hosted tokens by {checked.counter.name}.")
    if checked.counter.note:
        say(checked.counter.note)
    return 0


@app.command
def upload(
    recipe: RecipeFile,
    /,
    *,
    base_url: BaseUrl = "",
    set: Overrides = None,
    runs: Runs = RUNS,
    json: Json = False,
) -> int:
    """Send the chat files to the service: questions, SQL and schemas with sample values LEAVE this machine."""
    from sqlwright.export.hosted_jobs import HostedClient
    from sqlwright.runs import hosted

    with _run_of(recipe, set, runs) as run:
        sent = hosted.upload(run, HostedClient(base_url), say)
    if json:
        print_json(sent)
    else:
        print("\n".join(f"{part}: {identity}" for part, identity in sent.items()))
    return 0


@app.command
def start(
    recipe: RecipeFile,
    /,
    *,
    again: Annotated[bool, Parameter(help="Start another job though there is one.")] = False,
    base_url: BaseUrl = "",
    set: Overrides = None,
    runs: Runs = RUNS,
    json: Json = False,
) -> int:
    """Start fine-tuning on the files that were sent. This costs money; the same command again starts nothing."""
    from sqlwright.export.hosted_jobs import HostedClient
    from sqlwright.runs import hosted

    with _run_of(recipe, set, runs) as run:
        return _shown(hosted.start(run, HostedClient(base_url), again=again), json)


@app.command
def poll(
    recipe: RecipeFile,
    /,
    *,
    once: Annotated[bool, Parameter(help="Look once instead of waiting for the end.")] = False,
    every: Annotated[float, Parameter(metavar="SECONDS", help="Seconds between two looks.")] = 30.0,
    base_url: BaseUrl = "",
    set: Overrides = None,
    runs: Runs = RUNS,
    json: Json = False,
) -> int:
    """Follow the job to its end and name the model it made; exit code 1 if it failed or was cancelled."""
    from sqlwright.export.hosted_jobs import HostedClient
    from sqlwright.runs import hosted

    if every <= 0:
        raise RecipeError(f"--every: expected seconds above 0, found {every:g}.")
    with _run_of(recipe, set, runs) as run:
        return _shown(hosted.poll(run, HostedClient(base_url), None if once else every, say), json)


@app.command
def cancel(
    recipe: RecipeFile,
    /,
    *,
    base_url: BaseUrl = "",
    set: Overrides = None,
    runs: Runs = RUNS,
    json: Json = False,
) -> int:
    """Cancel the job; one that has ended stays as it is."""
    from sqlwright.export.hosted_jobs import HostedClient
    from sqlwright.runs import hosted

    with _run_of(recipe, set, runs) as run:
        _shown(hosted.cancel(run, HostedClient(base_url)), json)
    return 0


@contextlib.contextmanager
def _run_of(path: Path, overrides: list[str] | None, runs: Path) -> Iterator[Run]:
    """Yield the recipe's run, held for this process."""
    from sqlwright.cli.terminal import TerminalReporter
    from sqlwright.recipe_file import read_recipe
    from sqlwright.runs.folder import RunFolder
    from sqlwright.runs.run import Run

    recipe = read_recipe(path, overrides or ())
    folder = RunFolder(runs / recipe.name)
    with folder.locked():
        yield Run(recipe, path, folder, TerminalReporter())


def _hours(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    with contextlib.suppress(ValueError):
        if name and 0 <= (hours := float(value)) < float("inf"):
            return name, hours
    raise RecipeError(f"--gpu-hours: expected NAME=HOURS such as h100=0.25, found {text!r}.")


def _shown(job: Job, as_json: bool) -> int:
    """Print the job and return the exit code: 1 if it will never make a model."""
    if as_json:
        print_json(dataclasses.asdict(job))
    else:
        made = f", model {job.fine_tuned_model}" if job.fine_tuned_model else ""
        tokens = f", {job.trained_tokens:,} tokens trained" if job.trained_tokens else ""
        print(safe(f"{job.id}: {job.status}{made}{tokens}"))
        if job.error:
            say(job.error)
    return 1 if job.status in ("failed", "cancelled") else 0
