"""Which model and adapter a command works with: from what a user typed to files that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlwright.errors import ModelError
from sqlwright.models.adapter import Adapter, newest_adapter, read_adapter, shipped_adapter
from sqlwright.models.verify import find_model, model_hash

DEFAULT_MODEL = "qwen2.5-coder-0.5b-instruct"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A base model, as it was named and as a file, and the adapter that fine-tunes it, if any."""

    name: str
    path: Path
    adapter: Adapter | None


def choose_model(model: str | None, adapter: str | None, runs: Path) -> Chosen:
    """Return the model and adapter meant.

    `model` is a catalogue name or a GGUF file; `adapter` the folder of an adapter or of a finished run, or `none`.
    Without `model`, the adapter's own base is taken; without `adapter`, the newest one for the model in `runs`, or
    else the one that SQLWright ships for it.

    Raises:
        ModelError: the model or adapter is missing, or they don't belong together.
    """
    found = read_adapter(Path(adapter)) if adapter and adapter != "none" else None
    name = model or (found.base if found else DEFAULT_MODEL)
    path = Path(name) if Path(name).is_file() else find_model(name)
    if found and model_hash(path) != found.base_hash:
        raise ModelError(
            f"{found.folder}: this adapter was trained on {found.base} (SHA-256 {found.base_hash[:12]}…), "
            f"but {path.name} has {model_hash(path)[:12]}…. Give its own base with --model, or another adapter."
        )
    if not adapter:
        base_hash = model_hash(path)
        found = newest_adapter(runs, base_hash) or shipped_adapter(base_hash)
    return Chosen(name, path, found)
