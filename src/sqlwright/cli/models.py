"""`sqlwright models list | pull NAME | verify NAME`: the base models on this machine."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from sqlwright.cli.options import Json
from sqlwright.cli.tables import aligned, print_json

app = App(name="models", help="The base models on this machine: list, pull, verify.")


@app.command(name="list")
def list_models(*, json: Json = False) -> int:
    """List the models SQLWright knows and whether they are on this machine."""
    from sqlwright.cli.doctor import model_states
    from sqlwright.models.verify import models_folder

    states = model_states()
    if json:
        print_json({"folder": str(models_folder()), "models": [state._asdict() for state in states]})
        return 0
    rows = [("name", "size", "licence", "on this machine", "what it is")]
    rows += [(s.name, f"{s.bytes / 1e6:,.0f} MB", s.licence, s.state, s.title) for s in states]
    print("\n".join(aligned(rows, (False, True, False, False, False))))
    print(f"\nModels lie in {models_folder()} (SQLWRIGHT_MODELS chooses another folder).")
    return 0


@app.command
def pull(name: str, /, *, json: Json = False) -> int:
    """Download a model, or the rest of it, and check its SHA-256; of a model of the hub, into the hub's own cache.

    Args:
        name: The model's name in `sqlwright models list`, or OWNER/NAME on the model hub.
    """
    from sqlwright.models.snapshot import fetch_snapshot, is_hub_name

    path = fetch_snapshot(name) if is_hub_name(name) else _pull_catalogued(name)
    if json:
        print_json({"name": name, "path": str(path)})
    else:
        print(path)
    return 0


def _pull_catalogued(name: str) -> Path:
    from sqlwright.cli.terminal import TerminalReporter
    from sqlwright.models.download import pull

    reporter = TerminalReporter(unit="bytes")
    try:
        return pull(name, progress=lambda done, total, source: reporter.progress(_doing(name, source), done, total))
    finally:
        reporter.finish()


@app.command
def verify(name: str, /, *, json: Json = False) -> int:
    """Hash all bytes of a model and compare; exit code 1 if they are not the right ones.

    Args:
        name: The model's name, or the path of a file.
    """
    from sqlwright.cli.terminal import TerminalReporter
    from sqlwright.models.verify import verify as check

    reporter = TerminalReporter(unit="bytes")
    try:
        found = check(name, progress=lambda done, total: reporter.progress(_doing(name, "checking"), done, total))
    finally:
        reporter.finish()
    if json:
        keys = ("path", "bytes", "sha256", "expected", "correct")
        print_json({key: getattr(found, key) for key in keys} | {"path": str(found.path)})
    elif found.correct:
        print(f"{found.path}: right, {found.bytes:,} bytes, SHA-256 {found.sha256}")
    elif found.correct is None:
        print(f"{found.path}: {found.bytes:,} bytes, SHA-256 {found.sha256}; no hash is known to compare it with")
    else:
        print(
            f"{found.path}: wrong. Expected SHA-256 {found.expected}, found {found.sha256} "
            f"({found.bytes:,} bytes). Replace it with: sqlwright models pull {name}"
        )
    return 1 if found.correct is False else 0


def _doing(name: str, source: str) -> str:
    return f"checking {name}" if source == "checking" else f"pulling {name} ({source})"
