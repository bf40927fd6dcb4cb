"""A run in hand: the recipe, its folder, and what several stages need to know about the model and the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sqlwright.databases import Schema
from sqlwright.datasets import resolve_path
from sqlwright.errors import DataError, ModelError, RecipeError
from sqlwright.models.adapter import Adapter, read_adapter, shipped_adapter
from sqlwright.models.folder import ONLY_TORCH, is_model_folder
from sqlwright.models.gguf_file import GgufHeader, read_header
from sqlwright.models.outline import write_outline
from sqlwright.models.rope import rope_theta_of
from sqlwright.models.snapshot import fetch_snapshot, find_snapshot, is_hub_name
from sqlwright.models.tokenizer import chat_template
from sqlwright.models.verify import find_model, model_hash
from sqlwright.prompts import STYLES, TARGETS, PromptFormat, Shot, make_shots
from sqlwright.recipe import PromptSettings, Recipe
from sqlwright.records import Question, read_records
from sqlwright.runs.folder import RunFolder, hash_path, hash_values
from sqlwright.runs.reporter import Reporter

NO_ADAPTER = ("none", "")
"""What `model.adapter` says where there is none; the empty text stands in older runs."""


@dataclass
class Run:
    """Everything a stage is given. Model facts are read when they are first asked for."""

    recipe: Recipe
    recipe_path: Path
    folder: RunFolder
    reporter: Reporter
    outlines: Path | None = None
    """Where a base on the hub is outlined, if the run is only planned; else its weights are fetched."""
    model_note: str = ""
    """What a planned run says of a base that isn't on this machine."""
    adapter_note: str = field(default="", init=False)
    """What was decided where `model.adapter` is `auto`, if that isn't plain from the recipe."""

    def __post_init__(self) -> None:
        self.recipe = self._with_adapter()

    def _with_adapter(self) -> Recipe:
        """Return the recipe with `auto` decided, and with an adapter's prompts where [prompt] leaves them open."""
        recipe, wanted = self.recipe, self.recipe.model.adapter
        automatic = wanted == "auto"
        if automatic:
            wanted = "none" if self.learns else "shipped"
        found = self._candidate(wanted)
        given = recipe.prompt.model_dump(include=recipe.prompt.model_fields_set)
        if automatic:
            others = found.differences(given) if found else []
            wanted = "shipped" if found and not others else "none"
            if others:
                self.adapter_note = (
                    "The base model answers alone: the adapter that ships has other prompts than this recipe. To have "
                    f'it, set in [prompt] {", ".join(others)}; to be rid of this line, model.adapter = "none".'
                )
            elif found:
                self.adapter_note = 'The adapter that ships answers; model.adapter = "none" takes the base alone.'
        if found and wanted != "none":
            prompt = PromptSettings.model_validate(found.prompt_settings | given)
            recipe = recipe.model_copy(update={"prompt": prompt})
        return recipe.model_copy(update={"model": recipe.model.model_copy(update={"adapter": wanted})})

    def _candidate(self, wanted: str) -> Adapter | None:
        """Return the adapter meant, None where there is none; whether it fits the base is `adapter`'s to say."""
        if wanted in NO_ADAPTER:
            return None
        if wanted != "shipped":
            with suppress(ModelError):  # said where it is needed
                return read_adapter(self.resolve(wanted))
            return None
        base = self.resolve(self.recipe.model.base)
        found = shipped_adapter(model_hash(base) if base.is_file() else None)
        return found if base.is_file() or (found and found.base == self.recipe.model.base) else None

    @property
    def trains(self) -> bool:
        """Whether the recipe asks for training on questions and their golds."""
        return bool(self.recipe.data.train) and self.recipe.train.epochs > 0

    @property
    def learns(self) -> bool:
        """Whether the recipe asks for training of any kind."""
        return self.trains or bool(self.recipe.prefer.method)

    def resolve(self, text: str) -> Path:
        """Return the path that the recipe's `text` means, relative to the recipe."""
        return resolve_path(text, self.recipe_path.resolve().parent)

    @cached_property
    def model_path(self) -> Path:
        """The base model's GGUF file, or its folder; a name on the hub is fetched if it isn't in the hub's cache.

        Raises `ModelError` (with the command that pulls it) where it is missing, or is a folder and a GGUF is needed.
        """
        base = self.recipe.model.base
        local = self.resolve(base)
        if local.is_file() or is_model_folder(local):
            found = local
        else:
            found = self._from_hub(base) if is_hub_name(base) else find_model(base)
        if found.is_dir() and self.recipe.export.merged:
            raise ModelError(ONLY_TORCH.format(path=found, what="export.merged"))
        return found

    def _from_hub(self, base: str) -> Path:
        found = find_snapshot(base)
        if found:
            return found
        if self.outlines:
            target = self.outlines / base.replace("/", "--")
            self.model_note = write_outline(base, target)
            return target
        self.reporter.say(f"Fetching {base} from the model hub.")
        return fetch_snapshot(base)

    @cached_property
    def model_hash(self) -> str:
        """SHA-256 of the base model; from the record beside the file, if size and time still fit."""
        return model_hash(self.model_path)

    @cached_property
    def model_header(self) -> GgufHeader:
        """The header of the base model, which must be a GGUF file."""
        return read_header(self.model_path)

    @cached_property
    def adapter(self) -> Adapter | None:
        """The adapter that the recipe starts from, None where it starts from the base alone.

        Raises:
            ModelError: there is none, or it belongs to another base.
            RecipeError: its prompts are others than the recipe's.
        """
        wanted = self.recipe.model.adapter
        if wanted in NO_ADAPTER:
            return None
        found = shipped_adapter(self.model_hash) if wanted == "shipped" else read_adapter(self.resolve(wanted))
        if found is None:
            raise ModelError(
                f"model.adapter: expected a base that SQLWright ships an adapter for, found {self.recipe.model.base}."
            )
        if found.whole:
            raise RecipeError(
                f"model.adapter: expected an adapter, found a model of its own. Set model.base to {found.weights} "
                "instead, and [prompt] as in the prompt.json beside it."
            )
        if found.base_hash != self.model_hash:
            raise ModelError(
                f"model.adapter: {found.folder} was trained on {found.base} (SHA-256 {found.base_hash[:12]}…), the "
                f"recipe's base {self.recipe.model.base} has {self.model_hash[:12]}…. Set model.base to its own."
            )
        theta = rope_theta_of(found.weights)
        if theta != self.recipe.model.rope_theta:
            raise RecipeError(f"model.adapter: it was trained with model.rope_theta = {theta:g}. Set the same.")
        lines = found.differences(self.recipe.prompt.model_dump())
        if lines:
            raise RecipeError(
                "model.adapter: expected the prompts it was trained with. Set in [prompt]: " + ", ".join(lines)
            )
        return found

    @property
    def adapter_inputs(self) -> dict[str, str]:
        """The hash of the adapter that the recipe starts from, as an input of the stages that use it."""
        if not self.adapter:
            return {}
        return {"model.adapter": hash_values(*(hash_path(path) for path in self.adapter.answers_from))}

    @cached_property
    def format(self) -> PromptFormat:
        """How the recipe writes prompts for this model."""
        prompt = self.recipe.prompt
        return PromptFormat(
            STYLES[prompt.style],
            prompt.sample_values,
            prompt.max_schema_tokens,
            chat_template(self.model_path),
            prompt.few_shot,
            prompt.matched_values,
        )

    @property
    def target(self) -> Callable[[str, Schema], str]:
        """How the recipe writes what is learned."""
        return TARGETS[self.recipe.train.target]

    @cached_property
    def shots(self) -> list[Shot]:
        """The training questions that prompts may show as solved; none unless the recipe asks for them."""
        if not self.recipe.prompt.few_shot:
            return []
        if self.adapter and not self.recipe.data.train:
            return self.adapter.shots()
        found = make_shots(self.questions("train"), self.databases, self.target)
        if not found:
            raise DataError("prompt.few_shot: expected training questions to choose from (data.train), found none.")
        return found

    @property
    def value_indexes(self) -> Path:
        """The folder of the indexes of values, which can be deleted at any time."""
        return self.folder.path / "values"

    @property
    def prompt_inputs(self) -> dict[str, str]:
        """All that prompts depend on beside the databases, by name, as inputs of the stages that write them."""
        settings = self.recipe.prompt.model_dump(mode="json")
        values = {
            f"prompt.{key}": json.dumps(value)
            for key, value in settings.items()
            # A run that was made before these settings existed stays up to date while they are off.
            if value or key not in ("few_shot", "matched_values")
        }
        return values | ({"train questions": hash_path(self.part("train"))} if settings["few_shot"] else {})

    @property
    def databases(self) -> dict[str, Path]:
        """Database files by name, as `prepare` found them."""
        found = json.loads((self.folder.path / "databases.json").read_text(encoding="utf-8"))
        return {name: Path(path) for name, path in found.items()}

    @property
    def database_inputs(self) -> dict[str, str]:
        """The hash of the databases that `prepare` found, as an input of the stages that read them."""
        found = self.folder.facts("prepare").get("databases")
        return {"databases": str(found)} if found else {}

    def questions(self, part: str) -> list[Question]:
        """Return the questions of a part: `train`, `validation` or `evaluate`."""
        return list(read_records(self.part(part), Question))

    def part(self, part: str) -> Path:
        """Return the file of a part; the evaluation questions are plain `questions.jsonl`."""
        return self.folder.questions if part == "evaluate" else self.folder.path / f"questions.{part}.jsonl"
