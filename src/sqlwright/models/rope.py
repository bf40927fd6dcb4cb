"""The base period of rotary positions: a larger one lets a model read longer contexts once it is tuned to it.

Code Llama's long-context tuning raises it from 10,000 to 1,000,000 (Rozière et al. 2023, section 2.4). An adapter that
was trained so remembers it, and engines that open the adapter set it; the base alone keeps its own. Packs restart
positions at the end of each schema whatever the period is. Not covered: YaRN and other scalings by the length at hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError
from sqlwright.models.gguf_file import read_header

KEY = "sqlwright.rope.freq_base"
"""Where a GGUF adapter keeps the period it was trained with."""


def set_rope_theta(model: Any, theta: float) -> None:
    """Give a transformers model the base period `theta`; raise `ModelError` where it has no rotary positions."""
    settings = getattr(model.config, "rope_parameters", None)
    if not isinstance(settings, dict) or "rope_theta" not in settings or settings.get("rope_type") != "default":
        raise ModelError(
            f"model.rope_theta: expected a model with one rotary embedding of the default type, found "
            f"{model.config.model_type} with {settings}."
        )
    settings["rope_theta"] = theta
    for module in list(model.modules()):
        for name, child in module.named_children():
            if hasattr(child, "inv_freq"):
                setattr(module, name, type(child)(config=model.config).to(child.inv_freq.device))


def rope_theta_of(adapter: Path | None) -> float:
    """Return the base period that an adapter's file was trained with, 0 where it is the base's own."""
    if adapter is None:
        return 0.0
    if adapter.suffix == ".gguf":
        return float(read_header(adapter).metadata.get(KEY, 0.0))
    beside = adapter.with_name("prompt.json")
    try:
        return float(json.loads(beside.read_text(encoding="utf-8")).get("rope_theta", 0.0)) if beside.is_file() else 0.0
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{beside}: expected the prompt settings of an adapter, found {error!r}.") from None
