"""A base without its weights: all that `--plan` needs of a model on the hub that isn't on this machine.

An outline is a model's folder (`models.folder`) whose safetensors file ends behind its header: names and shapes, no
numbers. Of models in `PUBLISHED` it is made without a network, and text is then cut into pieces of about the length
that tokens have, since their tokenizers aren't here; of any other model configuration and tokenizer are fetched, a few
megabytes, and the tokens are its own.

Not covered: loading one; it ends as a damaged file.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlwright.models.published import PUBLISHED
from sqlwright.models.snapshot import SMALL, fetch_snapshot

# Up to eight letters with the blank before them, digits, signs, blanks. In prompts for 120 questions of
# Spider there were .86 to 1.07 of them to a token of SmolLM2 (a vocabulary of 49,152), 1.10 to 1.23 to one of Qwen2.5
# (151,936).
_PIECE = r" ?[A-Za-z]{1,8}|\d| ?[^\sA-Za-z\d]{1,2}|\s+"
_END = "</s>"


def write_outline(name: str, target: Path) -> str:
    """Write the outline of the hub's model `name` to the folder `target`, and return how far it can be trusted.

    Raises `ModelError` where nothing is known of the model and the hub doesn't give its configuration.
    """
    target.mkdir(parents=True)
    known = PUBLISHED.get(name.partition("@")[0])
    if known:
        config = dict(known.config)
        _write_tokenizer(target)
        # Without the architecture, whose own tokenizer would be taken.
        (target / "config.json").write_text("{}", encoding="utf-8")
        note = (
            f"{name} is not on this machine: its shapes are the published ones, and its tokens are counted as pieces "
            "of usual length, which may be a fifth off."
        )
    else:
        small = fetch_snapshot(name, SMALL)
        for path in small.iterdir():
            shutil.copyfile(path, target / path.name)
        config = json.loads((target / "config.json").read_text(encoding="utf-8"))
        note = f"{name} is not on this machine: its weights are fetched when it is trained."
    if known and known.instead:
        note += f" It can't be trained here, as its code is its own; {known.instead} can."
    _write_header(target / "model.safetensors", _shapes(config))
    return note


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's weights by name; no memory is taken."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = str(config["model_type"])
    with torch.device("meta"):
        rest = {key: value for key, value in config.items() if key != "model_type"}
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **rest))
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}


def _write_header(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    header = {name: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def _write_tokenizer(folder: Path) -> None:
    """Write a tokenizer whose tokens are pieces of text of usual length, all of them unknown."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel(vocab={"?": 0, _END: 1}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), "isolated")
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?", eos_token=_END).save_pretrained(str(folder))
