"""An adapter's folder: PEFT's files, `adapter.gguf`, and `prompt.json` with all that its prompts depend on.

What was trained by a kind that no adapter can hold (`dora`, `freeze`, `full`) is `model.gguf` in such a folder. Where
the base is a folder of transformers, there are PEFT's files alone.

Prompts with solved questions need `shots.jsonl` beside it, the questions to choose from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError
from sqlwright.models.tokenizer import chat_template
from sqlwright.prompts import STYLES, PromptFormat, Shot
from sqlwright.records import read_records, write_records

SHOTS = "shots.jsonl"
LORA, WHOLE, PEFT = "adapter.gguf", "model.gguf", "adapter_model.safetensors"
FOLDERS = ("preferred", "adapter")
"""Where a run keeps adapters: the one that learned on from its own answers, if there is one, before the one it was."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on disk: its weights, the base they were trained on (name and SHA-256), and its prompt settings.

    `weights` is a GGUF file, or PEFT's where the base is a folder of transformers; `whole` says that
    they are a model of their own, not what is added to the base.
    """

    folder: Path
    weights: Path
    base: str
    base_hash: str
    style: str
    sample_values: int
    max_schema_tokens: int
    few_shot: int = 0
    matched_values: int = 0
    whole: bool = False

    @property
    def answers_from(self) -> list[Path]:
        """The files that its answers depend on; its card, and how sure it is of them, say something about them only."""
        beside = (self.folder / name for name in ("prompt.json", "adapter_config.json", SHOTS))
        return [self.weights, *(path for path in beside if path.is_file())]

    def files(self, base: Path) -> tuple[Path, Path | None]:
        """Return the model and the adapter that an engine opens, for the base model's file."""
        return (self.weights, None) if self.whole else (base, self.weights)

    def prompt_format(self, model: Path) -> PromptFormat:
        """Return the prompt format it was trained with, for the base model's file."""
        return PromptFormat(
            STYLES[self.style],
            self.sample_values,
            self.max_schema_tokens,
            chat_template(model),
            self.few_shot,
            self.matched_values,
        )

    @property
    def prompt_settings(self) -> dict[str, Any]:
        """The settings of its prompts, by their names in a recipe's [prompt]."""
        names = ("style", "sample_values", "max_schema_tokens", "few_shot", "matched_values")
        return {name: getattr(self, name) for name in names}

    def differences(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the prompt settings that `settings` gives otherwise, each as the adapter's line of a recipe."""
        own = self.prompt_settings
        return [f"{name} = {json.dumps(own[name])}" for name in own if settings.get(name, own[name]) != own[name]]

    def shots(self) -> list[Shot]:
        """Return the solved questions that its prompts choose from; raise `ModelError` where they are missing."""
        if not self.few_shot:
            return []
        path = self.folder / SHOTS
        if not path.is_file():
            raise ModelError(f"{path}: expected the solved questions that this adapter's prompts show, found no file.")
        return list(read_records(path, Shot))


def write_prompt_settings(folder: Path, settings: Mapping[str, Any], base: str, base_hash: str) -> None:
    """Write `prompt.json` into an adapter's folder: the recipe's prompt settings, and the base they belong to."""
    values = {**settings, "base": base, "base_sha256": base_hash}
    (folder / "prompt.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def write_shots(folder: Path, shots: Sequence[Shot]) -> None:
    """Write the solved questions that prompts choose from into an adapter's folder, if there are any."""
    if shots:
        write_records(folder / SHOTS, shots)


def newest_adapter(runs: Path, base_hash: str) -> Adapter | None:
    """Return the newest adapter for the base among the runs in the folder, None if there is none."""
    found = []
    for settings in [path for name in FOLDERS for path in runs.glob(f"*/{name}/prompt.json")]:
        try:
            adapter = read_adapter(settings.parent)
        except ModelError:
            continue
        if adapter.base_hash == base_hash:
            found.append((adapter.weights.stat().st_mtime, adapter))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def shipped_adapter(base_hash: str | None) -> Adapter | None:
    """Return the adapter that SQLWright ships for the base, None if it ships none; without a base, the one it has."""
    folder = Path(str(files("sqlwright"))) / "data" / "adapter"
    if not (folder / LORA).is_file():
        return None
    adapter = read_adapter(folder)
    return adapter if base_hash in (None, adapter.base_hash) else None


def read_adapter(path: Path) -> Adapter:
    """Return the adapter at `path`: an adapter's folder, or a run's or export's folder that holds one.

    Raises `ModelError` where there is none, or it was not written by SQLWright.
    """
    for folder in (path, *(path / name for name in FOLDERS)):
        settings = folder / "prompt.json"
        found = [folder / name for name in (LORA, WHOLE, PEFT) if (folder / name).is_file()]
        if found and settings.is_file():
            break
    else:
        raise ModelError(
            f"{path}: expected an adapter (a folder with prompt.json and adapter.gguf or model.gguf) or a finished "
            "run, found neither."
        )
    try:
        values = json.loads(settings.read_text(encoding="utf-8"))
        if values["style"] not in STYLES:
            raise ValueError(f"no prompt style is called {values['style']!r}")
        return Adapter(
            folder,
            found[0],
            str(values["base"]),
            str(values["base_sha256"]),
            str(values["style"]),
            int(values["sample_values"]),
            int(values["max_schema_tokens"]),
            int(values.get("few_shot", 0)),
            int(values.get("matched_values", 0)),
            found[0].name == WHOLE,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{settings}: expected the prompt settings of an adapter, found {error!r}.") from None
