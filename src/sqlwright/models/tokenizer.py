"""The tokenizer of a GGUF file, through transformers, kept beside the file so that it is converted only once."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sqlwright.models.folder import folder_chat_template, load_folder_tokenizer
from sqlwright.models.gguf_file import read_header
from sqlwright.prompts import ChatTemplate, pieces


def load_tokenizer(path: Path) -> Any:
    """Return the tokenizer of a folder, or of a GGUF file: the first call converts it (15 s), later ones read a copy.

    The copy is a folder `NAME.tokenizer-KEY` beside the file, or in the temporary folder where that can't be written;
    KEY depends on the vocabulary, so another file of the same name never meets it.
    """
    if path.is_dir():
        return load_folder_tokenizer(path)
    from transformers import AutoTokenizer

    header = read_header(path)
    digest = hashlib.sha256("\n".join(header.metadata.get("tokenizer.ggml.tokens", [])).encode())
    digest.update("\n".join(header.metadata.get("tokenizer.ggml.merges", [])).encode())
    name = f"{path.stem}.tokenizer-{digest.hexdigest()[:12]}"
    for folder in (path.parent / name, Path(tempfile.gettempdir()) / f"sqlwright-{name}"):
        if (folder / "tokenizer.json").is_file():
            return AutoTokenizer.from_pretrained(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    for folder in (path.parent, Path(tempfile.gettempdir())):
        target = folder / (name if folder == path.parent else f"sqlwright-{name}")
        try:
            aside = Path(tempfile.mkdtemp(dir=folder))
        except OSError:
            continue
        tokenizer.save_pretrained(str(aside))
        with contextlib.suppress(OSError):  # another process was faster
            aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        break
    return tokenizer


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a prompt's text; what a user wrote gives no special tokens (see `prompts.chat`)."""
    return [token for piece in pieces(text) for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]


def chat_template(path: Path) -> ChatTemplate:
    """Return the chat template of the GGUF file or folder with its special tokens; needs no transformers.

    A file without one gets the plain ChatML form, which most open models know.
    """
    if path.is_dir():
        return folder_chat_template(path, _CHATML)
    metadata = read_header(path).metadata
    tokens = metadata.get("tokenizer.ggml.tokens", [])

    def token(key: str) -> str:
        number = metadata.get(f"tokenizer.ggml.{key}_token_id")
        return tokens[number] if number is not None and number < len(tokens) else ""

    kinds = metadata.get("tokenizer.ggml.token_type", [])
    special = tuple(text for text, kind in zip(tokens, kinds, strict=False) if kind in _SPECIAL)
    return ChatTemplate(metadata.get("tokenizer.chat_template") or _CHATML, token("bos"), token("eos"), special)


# Token types in GGUF: control tokens, and those that a model's maker added by hand (`<tool_call>`).
_SPECIAL = (3, 4)
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
