"""Bases by their name on the Hugging Face hub: `OWNER/NAME`, or `OWNER/NAME@REVISION` for a branch, tag or commit.

huggingface_hub fetches weights (safetensors alone), configuration and tokenizer into its own cache (`HF_HOME`), where
other programs may have put them already; what is there needs no network. It is then a folder like any other
(`models.folder`). `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` are huggingface_hub's.

Not covered: weights as pickles and code of the model's own, both of which run what a stranger wrote.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sqlwright.errors import ModelError
from sqlwright.models.folder import is_model_folder
from sqlwright.models.published import PUBLISHED

_NAME = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?")
SMALL = ("*.json", "*.model", "*.txt", "*.jinja")
"""Configuration and tokenizer."""
WHOLE = ("*.safetensors", *SMALL)
# Folders hold other forms of the same weights, as does Mistral's consolidated file.
_LEFT_OUT = ("*/*", "consolidated*")


def is_hub_name(text: str) -> bool:
    """Return whether `text` can be a model's name on the hub; a file or folder that is there comes first."""
    return bool(_NAME.fullmatch(text)) and not text.endswith(".gguf")


def find_snapshot(name: str) -> Path | None:
    """Return the folder of a model in the hub's cache, None where not all of it is there; asks no network."""
    from huggingface_hub import snapshot_download

    try:
        found = Path(_download(snapshot_download, name, WHOLE, local_files_only=True))
    except OSError:  # what huggingface_hub raises for what isn't there
        return None
    whole = is_model_folder(found) and all((found / file).is_file() for file in _shards(found))
    return found if whole else None


def fetch_snapshot(name: str, patterns: tuple[str, ...] = WHOLE) -> Path:
    """Return the folder of a model, fetched from the hub as far as it isn't in the cache.

    Its configuration comes first: what can't be trained on is refused before its weights are fetched. Raises
    `ModelError` where the hub can't be reached or doesn't give the model, and for what `require_supported` refuses.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        config = Path(_download(snapshot_download, name, ("config.json",))) / "config.json"
        require_supported(name, _config(config, name))
        folder = Path(_download(snapshot_download, name, patterns))
    except GatedRepoError as error:
        raise ModelError(_GATED.format(name=name, code=_status(error), repository=_parts(name)[0])) from None
    except RepositoryNotFoundError as error:
        raise ModelError(_ABSENT.format(name=name, code=_status(error))) from None
    except (OSError, HFValidationError) as error:
        raise ModelError(_UNREACHABLE.format(name=name, error=_first_line(error))) from None
    if patterns == WHOLE and not is_model_folder(folder):
        raise ModelError(_PICKLES.format(name=name))
    return folder


def require_supported(name: str, config: dict[str, Any]) -> None:
    """Raise `ModelError` for a model whose code isn't in transformers, and so is its own or nowhere."""
    from transformers import CONFIG_MAPPING

    kind = str(config.get("model_type", ""))
    if kind in CONFIG_MAPPING:
        return
    known = PUBLISHED.get(_parts(name)[0])
    advice = f"Take {known.instead}." if known and known.instead else "Take a model of another architecture."
    found = "code of its own, which isn't run" if "auto_map" in config else f"the architecture `{kind}`"
    raise ModelError(f"{name}: expected a model whose code is in transformers, found {found}. {advice}")


_UNREACHABLE = (
    "{name}: expected it in the hub's cache or on the hub, found neither: {error} Fetch it where there is a network "
    "(`sqlwright models pull {name}`) and set HF_HOME to the cache that it went to, or set model.base to its folder."
)
_GATED = (
    "{name}: expected leave to fetch it, found a model that asks for consent (HTTP {code}). Give yours on "
    "https://huggingface.co/{repository} and set HF_TOKEN to a token of that account."
)
_ABSENT = (
    "{name}: expected a model of that name on the hub, found none (HTTP {code}), and no such file or folder here. "
    "Check the name; for a private model set HF_TOKEN."
)
_PICKLES = (
    "{name}: expected weights as *.safetensors, found none; pickles aren't read, as they run code. Take a model that "
    "has them, or convert it with transformers' save_pretrained and set model.base to the folder."
)


def _parts(name: str) -> tuple[str, str | None]:
    """Return repository and revision."""
    match = _NAME.fullmatch(name)
    assert match, name
    return match[1], match[2]


def _download(download: Any, name: str, patterns: tuple[str, ...], **more: Any) -> str:
    repository, revision = _parts(name)
    found: str = download(
        repository, revision=revision, allow_patterns=list(patterns), ignore_patterns=list(_LEFT_OUT), **more
    )
    return found


def _shards(folder: Path) -> set[str]:
    """Return the files that a model's index names; one that was cut off has fewer."""
    index = folder / "model.safetensors.index.json"
    return set(_config(index, index.name)["weight_map"].values()) if index.is_file() else set()


def _config(path: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: expected {path.name} with the model's settings, found {error}.") from None
    return found


def _status(error: Any) -> int:
    return int(error.response.status_code)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
