"""`sqlwright models list | pull NAME | verify NAME | blend ADAPTER …`: base models and adapters on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from sqlwright.cli.options import Json
from sqlwright.cli.tables import aligned, print_json

app = App(name="models", help="The base models on this machine: list, pull, verify; adapters: blend.")


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


@app.command
def blend(
    *adapters: str,
    to: Path,
    weights: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (),
    megabytes: float = 0,
    rank: int = 0,
    format: str = "f32",
    json: Json = False,
) -> int:
    """Blend adapters of one base into one, part of the way from one to another, and cut it to a size.

    Args:
        adapters: Folders of adapters or runs; `shipped` is the one that ships with SQLWright.
        to: A new folder for the blended adapter.
        weights: How much of each adapter's update comes in, in their order; equal parts of 1 if not given.
        megabytes: At most so many million bytes of matrices, the largest singular values first; 0 keeps all.
        rank: At most so many singular values of each matrix, the largest; 0 keeps all.
        format: How values are stored: f32, or q8_0 in about a quarter of the room.
    """
    from sqlwright.datasets import package_path
    from sqlwright.errors import RecipeError
    from sqlwright.models.adapter import read_adapter
    from sqlwright.models.blend import blend as blended

    if not adapters or (weights and len(weights) != len(adapters)) or megabytes < 0 or rank < 0:
        raise RecipeError(
            f"Expected adapters, a weight for each, a size and a rank of at least 0, found {len(adapters)} adapters, "
            f"{len(weights)} weights, {megabytes} megabytes, rank {rank}."
        )
    shares = weights or (1 / len(adapters),) * len(adapters)
    read = [read_adapter(package_path("adapter") if name == "shipped" else Path(name)) for name in adapters]
    found = blended(list(zip(read, shares, strict=True)), to, megabytes, format, rank)
    if json:
        keys = ("bytes", "smallest_rank", "largest_rank", "kept")
        print_json({"folder": str(to)} | {key: getattr(found, key) for key in keys})
    else:
        print(
            f"{to}: {found.bytes / 1e6:.1f} MB, ranks {found.smallest_rank} to {found.largest_rank}, "
            f"{found.kept:.1%} of the update's squared norm"
        )
    return 0


def _doing(name: str, source: str) -> str:
    return f"checking {name}" if source == "checking" else f"pulling {name} ({source})"
