"""What hosted fine-tuning costs, beside LoRA on a rented GPU: tokens and hours that were measured, by a price table.

The table is a TOML file: dollars per million tokens for each hosted model, dollars per hour for each GPU, and as of
when. Nothing is looked up anywhere.

Not covered: storage, taxes, minimum charges, the hours of people.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sqlwright.errors import DataError

QUESTIONS = 1000
"""Costs of use are given for so many questions."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelPrice(_Entry):
    """A hosted model: dollars per million tokens, tokens per line at most, and tiktoken's name of its tokenizer."""

    training: Annotated[float, Field(ge=0)]
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    context: Annotated[int, Field(ge=1)] = 65536
    encoding: str = "o200k_base"


class GpuPrice(_Entry):
    """A rented GPU: dollars per hour."""

    hour: Annotated[float, Field(ge=0)]


class PriceTable(_Entry):
    """Prices by the names of models and GPUs, and as of when."""

    as_of: str
    model: dict[str, ModelPrice]
    gpu: dict[str, GpuPrice] = {}

    def price_of(self, model: str, where: str) -> ModelPrice:
        """Return the price of a model; raise `DataError` with those there are."""
        if model not in self.model:
            raise DataError(
                f"{where}: expected a price for {model!r}, found those of {', '.join(self.model)}. "
                "Add a table for it to a copy of the price table (hosted.prices)."
            )
        return self.model[model]


@dataclass(frozen=True, slots=True)
class Counter:
    """How tokens are counted, and a note for the reader where it is not the model's own way."""

    count: Callable[[str], int]
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What a run measured: tokens trained on (packed, all passes), seconds of training, seconds per question."""

    tokens: int
    seconds: float
    seconds_per_question: float | None
    device: str


@dataclass(frozen=True, slots=True)
class CostRow:
    """A way to train: dollars to train once, and to answer a thousand questions; None where nobody measured it."""

    way: str
    tokens: int | None
    hours: float | None
    training: float | None
    questions: float | None
    note: str = ""


def read_prices(path: Path) -> PriceTable:
    """Return the price table of a TOML file; raise `DataError` with everything that is wrong in it."""
    try:
        return PriceTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: expected a price table in TOML, found {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a price table in TOML, found {error}.") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise DataError(f"{path}: expected as_of, [model.NAME] and [gpu.NAME] with their prices; {wrong}.") from None


def choose_counter(encoding: str, base: str, count_base: Callable[[str], int]) -> Counter:
    """Return tiktoken's counter for the encoding, or the base model's where tiktoken or its file can't be had."""
    try:
        import tiktoken

        known = tiktoken.get_encoding(encoding)
    except ImportError:
        why = "tiktoken is not installed (the extra `hosted` brings it)"
    except ValueError:
        why = f"tiktoken knows no encoding {encoding!r}"
    except OSError as error:  # it fetches its files when first asked; requests' errors are of this kind
        why = f"tiktoken can't get its file for {encoding} ({type(error).__name__})"
    else:
        return Counter(lambda text: len(known.encode(text, disallowed_special=())), f"{encoding} (tiktoken)")
    return Counter(count_base, base, f"Counted with the tokenizer of {base}, since {why}: the bill will differ.")


def training_cost(tokens: int, price: ModelPrice) -> float:
    """Return dollars for one pass over so many tokens."""
    return tokens * price.training / 1e6


def cost_table(
    prices: PriceTable,
    *,
    lines: int,
    tokens: int,
    answer_tokens: int,
    epochs: int,
    local: LocalRun | None,
    gpu_hours: dict[str, float],
) -> list[CostRow]:
    """Return the ways to train, each with what it costs.

    Args:
        prices: the price table.
        lines: lines of the training file.
        tokens: its tokens, one pass.
        answer_tokens: those of the assistant.
        epochs: passes of the hosted job.
        local: what the run measured on this machine, None before it has trained.
        gpu_hours: hours of training that were measured on a GPU, by its name in the price table.
    """
    rows = []
    asked, answered = (tokens - answer_tokens) / max(lines, 1), answer_tokens / max(lines, 1)
    for name, price in prices.model.items():
        use = (asked * price.input + answered * price.output) * QUESTIONS / 1e6
        rows.append(CostRow(name, tokens * epochs, None, epochs * training_cost(tokens, price), use, "data leaves"))
    if local:
        hours = local.seconds / 3600
        rows.append(CostRow(f"LoRA here ({local.device})", local.tokens, hours, 0.0, 0.0, "your own machine"))
    for name, price_of_gpu in prices.gpu.items():
        measured = gpu_hours.get(name)
        dollars = None if measured is None else measured * price_of_gpu.hour
        use_cost = None
        if measured is not None and local and local.device == "cuda" and local.seconds_per_question is not None:
            use_cost = local.seconds_per_question * QUESTIONS / 3600 * price_of_gpu.hour
        note = "" if measured is not None else "not measured: train there, or give its hours"
        trained = local.tokens if local and measured is not None else None
        rows.append(CostRow(f"LoRA on a rented {name}", trained, measured, dollars, use_cost, note))
    return rows


def unknown_gpus(prices: PriceTable, names: Sequence[str]) -> None:
    """Raise `DataError` if a GPU has no price."""
    for name in names:
        if name not in prices.gpu:
            raise DataError(f"Expected a GPU of the price table ({', '.join(prices.gpu) or 'none'}), found {name!r}.")
