"""A model as transformers keeps it: a folder with `config.json`, `*.safetensors` and a fast tokenizer.

It is trained and answers question files in torch; llama.cpp reads GGUF files only. Nothing is fetched, and no code that
lies in such a folder is run. Not covered: weights in other formats (pickles run code), tokenizers without
`tokenizer.json`.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlwright.errors import ModelError
from sqlwright.models.quantised import quantisation

if TYPE_CHECKING:
    import torch

    from sqlwright.prompts import ChatTemplate

_HEADER_LIMIT = 1 << 28
ONLY_TORCH = (
    "{path}: expected a GGUF file for {what}, found a folder of transformers, which torch alone reads. Convert the "
    "base with llama.cpp's convert_hf_to_gguf.py and set model.base to that file."
)


def is_model_folder(path: Path) -> bool:
    """Return whether `path` is a folder that holds a model."""
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def model_files(folder: Path) -> list[Path]:
    """Return the files that the model depends on, by name: weights, configuration, tokenizer."""
    endings = {".safetensors", ".json", ".model", ".txt", ".jinja"}
    return sorted(path for path in folder.iterdir() if path.suffix in endings and path.is_file())


def load_folder(folder: Path, dtype: torch.dtype, device: str = "cpu", bits: int = 0) -> Any:
    """Return the folder's causal language model, frozen, in evaluation mode on `device`.

    With `bits` (4 or 8) the weights of its layers are quantised while they are read (`models.quantised`). Raises
    `ModelError` where the folder holds no such model, or one whose code isn't in transformers.
    """
    from transformers import AutoModelForCausalLM

    _require(folder)
    # Quantised weights are placed as they are read; they can't be moved.
    more = {"quantization_config": quantisation(bits, dtype), "device_map": {"": device}} if bits else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False, **more
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(f"{folder}: expected a causal language model of transformers, found: {error}") from None
    model.requires_grad_(False)
    return (model if bits else model.to(device)).eval()


def load_config(folder: Path) -> Any:
    """Return the configuration of the folder's model; raise `ModelError` where it can't be read."""
    from transformers import AutoConfig

    _require(folder)
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: expected the configuration of a model of transformers, found: {error}") from None


def load_folder_tokenizer(folder: Path) -> Any:
    """Return the folder's tokenizer; raise `ModelError` where it can't be read."""
    from transformers import AutoTokenizer

    _require(folder)
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{folder}: expected a tokenizer of transformers, found: {error}") from None


def folder_chat_template(folder: Path, default: str) -> ChatTemplate:
    """Return the folder's chat template with its special tokens, `default` where it has none; needs no transformers."""
    from sqlwright.prompts import ChatTemplate

    _require(folder)
    settings = _json(folder / "tokenizer_config.json")
    added = _json(folder / "tokenizer.json").get("added_tokens", [])
    beside = folder / "chat_template.jinja"
    template = beside.read_text(encoding="utf-8") if beside.is_file() else settings.get("chat_template")
    if isinstance(template, list):  # several by name
        template = next((one["template"] for one in template if one.get("name") == "default"), None)

    def text(key: str) -> str:
        token = settings.get(key) or ""
        return str(token.get("content", "")) if isinstance(token, dict) else str(token)

    special = tuple(str(token["content"]) for token in added)
    return ChatTemplate(template or default, text("bos_token"), text("eos_token"), special)


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the folder's weights by name, from the files' headers alone."""
    _require(folder)
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > _HEADER_LIMIT:
                    raise ValueError("a header that long")
                header = json.loads(file.read(length))
            shapes |= {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}
        except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: expected a whole safetensors file, found one that is damaged: {error}") from None
    return shapes


def read_peft_matrices(model: Any, path: Path) -> tuple[float, dict[str, tuple[Any, Any]]]:
    """Return alpha of PEFT's LoRA file for `model`, and A [rank, in] and B [out, rank] by the weight's name.

    Raises `ModelError` where the adapter is of another kind or doesn't fit the model.
    """
    from safetensors.torch import load_file

    config = _json(path.with_name("adapter_config.json"))
    tensors = load_file(str(path))
    # What layers are for, which quantised weights don't show by their shapes.
    shapes = {
        f"{name}.weight": (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if hasattr(module, "in_features")
    }
    if config.get("peft_type") != "LORA" or config.get("use_dora"):
        raise ModelError(f"{path}: expected plain LoRA, found {config.get('peft_type')} with other options.")
    matrices = {}
    for name, a in tensors.items():
        own, found, _ = name.removeprefix("base_model.model.").partition(".lora_A.")
        b = tensors.get(name.replace(".lora_A.", ".lora_B.")) if found else None
        if not found:
            continue
        if b is None or shapes.get(f"{own}.weight") != (len(b), a.shape[1]):
            raise ModelError(f"{path}: its tensor {name} doesn't fit the model; it was trained on another base.")
        matrices[f"{own}.weight"] = a, b
    scale = math.sqrt(config["r"]) if config.get("use_rslora") else 1.0
    return float(config["lora_alpha"]) * scale, matrices


def _require(folder: Path) -> None:
    if not is_model_folder(folder):
        raise ModelError(f"{folder}: expected a model's folder (config.json and *.safetensors), found no such files.")
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(
            f"{folder}: expected a fast tokenizer (tokenizer.json), found none. Write it with "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."
        )


def _json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, an empty one where there is no file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected JSON, found {error}.") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(values).__name__}.")
    return values
