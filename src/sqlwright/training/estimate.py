"""What training costs before it runs: operations, memory and disk, from the header of the base model and the settings.

`bench/estimates.py` holds it against what runs then use. Not covered: GPUs have other overheads; several devices.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlwright.errors import ModelError
from sqlwright.models.folder import tensor_shapes
from sqlwright.models.gguf_file import GgufHeader, read_header
from sqlwright.recipe import TrainSettings
from sqlwright.training.packing import Encoded, Load

# torch, transformers and what they load, the vocabulary, and what the allocator keeps.
_PROCESS = 4.8e8
# What glibc's allocator takes for activations, gaps and all, as a multiple of what is kept (`keep_freed_memory`):
# measured with LoRA (1.6; DoRA 1.9), and where weights learn.
_GAPS, _GAPS_OWN = 1.6, 1.3
# Rows of logits at once, and how many matrices of that size exist (see `loss.HeadLoss`).
_HEAD_ROWS, _HEAD_COPIES = 256, 3
# AdamW: a gradient and two moments beside each weight that learns.
_STATE = 12
# An estimate may be off by this share: only what surely doesn't fit is refused.
_DOUBT = 0.75
# Fewer tokens at once are no use: every pass reads all weights.
_LEAST_TOKENS = 128


class Widths(NamedTuple):
    """The bytes of a number outside the layers and of an activation, and those of a weight in a layer."""

    number: float = 4.0
    weight: float = 4.0
    gaps: bool = True
    """Whether freed memory is kept with gaps in it (`keep_freed_memory`); GPUs have an allocator of their own."""


FLOATS = Widths()
"""Float32 throughout."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a Llama-like model that decide cost: parameters of the layers and of the head, and widths."""

    layer_parameters: int
    head_parameters: int
    embedding_parameters: int
    layers: int
    hidden: int
    inner: int
    keys: int

    @classmethod
    def of(cls, header: GgufHeader) -> Sizes:
        """Return the sizes that the header of a model file gives."""
        counts = {name: math.prod(place.shape) for name, place in header.tensors.items()}
        embedding = counts.get("token_embd.weight", 0)
        hidden = int(header.setting("embedding_length"))
        heads = int(header.setting("attention.head_count", 1))
        return cls(
            layer_parameters=sum(count for name, count in counts.items() if name.startswith("blk.")),
            head_parameters=counts.get("output.weight", embedding),
            embedding_parameters=embedding + counts.get("output.weight", 0),
            layers=int(header.setting("block_count")),
            hidden=hidden,
            inner=int(header.setting("feed_forward_length")),
            keys=hidden // heads * int(header.setting("attention.head_count_kv", heads)),
        )

    @classmethod
    def of_model(cls, path: Path) -> Sizes:
        """Return the sizes of a GGUF file or of a folder of transformers, from headers alone."""
        return cls.of_folder(path) if path.is_dir() else cls.of(read_header(path))

    @classmethod
    def of_folder(cls, folder: Path) -> Sizes:
        """Return the sizes that the weights of a folder of transformers have; keys as wide as states."""
        shapes = tensor_shapes(folder)
        inside = {name: match[1] for name in shapes if (match := re.search(r"\.(\d+)\.", name))}
        embedding = max((shape for name, shape in shapes.items() if name not in inside), key=math.prod)
        head = shapes.get("lm_head.weight")
        return cls(
            layer_parameters=sum(math.prod(shapes[name]) for name in inside),
            head_parameters=math.prod(head or embedding),
            embedding_parameters=math.prod(embedding) + (math.prod(head) if head else 0),
            layers=len(set(inside.values())),
            hidden=embedding[-1],
            inner=max(max(shapes[name]) for name in inside),
            keys=embedding[-1],
        )

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layer_parameters + self.embedding_parameters

    def forward_flops(self, tokens: float) -> float:
        """Return the operations of reading `tokens` tokens, without the head."""
        return 2.0 * self.layer_parameters * tokens

    def training_flops(self, tokens: int, learned: int, settings: TrainSettings) -> float:
        """Return the operations of training on `tokens` tokens, of which `learned` have a loss.

        Forward, gradients of activations from the first layer that learns, gradients of the weights that learn; the
        head for learned tokens only.
        """
        own = settings.kind in ("freeze", "full")
        share = self._share(settings)
        layers = 2.0 * (1 + share * (2 if own else 1)) * self.layer_parameters * tokens
        return layers + (6.0 if settings.kind == "full" else 4.0) * self.head_parameters * learned

    def learning(self, settings: TrainSettings) -> float:
        """Return how many weights learn."""
        if settings.kind == "full":
            return self.parameters
        if settings.kind == "freeze":
            return self._share(settings) * self.layer_parameters
        # q and o are square, k and v lead to fewer outputs, gate, up and down lead to and from the inner width.
        attention = 2 * 2 * self.hidden + 2 * (self.hidden + self.keys)
        mlp = 3 * (self.hidden + self.inner)
        named = sum(map(self._ends, settings.targets.split(",")))
        sums = {"attention": attention, "mlp": mlp, "all-linear": attention + mlp}.get(settings.targets, named)
        return settings.rank * self._share(settings) * self.layers * sums

    def training_bytes(self, settings: TrainSettings, load: Load, widths: Widths = FLOATS) -> float:
        """Return the bytes that training takes where passes have such a load, the process itself included."""
        tokens, keys = self._bytes_per(settings, widths)
        return self._standing_bytes(settings, widths) + tokens * load.tokens + keys * load.keys

    def tokens_within(self, settings: TrainSettings, memory: float, keys: float, widths: Widths = FLOATS) -> int:
        """Return how many tokens may pass at once in so many bytes, with so many keys seen per token; 0 where none."""
        per_token, per_key = self._bytes_per(settings, widths)
        return max(0, int((memory - self._standing_bytes(settings, widths)) / (per_token + keys * per_key)))

    def _bytes_per(self, settings: TrainSettings, widths: Widths) -> tuple[float, float]:
        """Return what is kept per token of a pass, and per key that a branch sees."""
        keys = 2.0 * self.keys
        # Inputs of norms and linear layers, q, k, v and what attention gives; gate, its bend, up, and their product.
        kept = 9.0 * self.hidden + 4 * self.inner
        if settings.kind in ("freeze", "full"):  # what a norm has divided, for the gradient of its weight
            kept += 2 * self.hidden
        if settings.kind == "dora":  # PEFT's own arithmetic: outputs twice more
            kept += 2 * (3 * self.hidden + 2 * self.keys + 2 * self.inner)
        layers = self._share(settings) * self.layers
        if settings.activation_checkpointing:  # all of one layer, the inputs of the others
            return widths.number * (kept + (layers - 1) * self.hidden), widths.number * keys
        gaps = _GAPS_OWN if settings.kind in ("freeze", "full") else _GAPS
        width = widths.number * layers * (gaps if widths.gaps else 1)
        return width * kept, width * keys

    def _standing_bytes(self, settings: TrainSettings, widths: Widths) -> float:
        """Return what doesn't depend on passes: the process, weights, gradients and moments, a part of the logits."""
        weights = widths.number * self.embedding_parameters + widths.weight * self.layer_parameters
        if settings.kind == "dora":  # a copy of the weights
            weights += widths.number * self._share(settings) * self.layer_parameters
        own = settings.kind in ("freeze", "full")
        state = (_STATE if own else _STATE + 4) * self.learning(settings)
        head = 4.0 * _HEAD_COPIES * _HEAD_ROWS * self.head_parameters / self.hidden
        head += 4.0 * self.head_parameters if settings.kind == "full" else 0.0
        return weights + state + head + _PROCESS

    def rehearsal_bytes(self, settings: TrainSettings, width: float) -> float:
        """Return the bytes of up to three models of two layers with the head, gradients and moments included."""
        two = self.embedding_parameters + 2 * self.layer_parameters / self.layers
        models = 3 if settings.layers else 2
        return models * two * (width + (_STATE if settings.kind in ("freeze", "full") else 0))

    def forward_share(self, settings: TrainSettings) -> float:
        """Return the share of a layer's work that is its way there: a half, or a third where its weights learn."""
        return 1 / 3 if settings.kind in ("freeze", "full") else 1 / 2

    def checkpoint_bytes(self, settings: TrainSettings) -> float:
        """Return the bytes of a checkpoint: the weights that learn, and two moments each."""
        return _STATE * self.learning(settings)

    def disk_bytes(self, settings: TrainSettings) -> float:
        """Return the bytes that checkpoints (two and the one being written) and the result take on disk."""
        learning = self.learning(settings)
        whole = settings.kind in ("dora", "freeze", "full")
        result = 2.0 * self.parameters if whole else 4.0 * learning
        # The result: the adapter, its export, and one of them being written.
        return 3 * self.checkpoint_bytes(settings) + 3 * result

    def _ends(self, name: str) -> int:
        """Return inputs and outputs of a linear layer by what architectures call it; one beyond these is an MLP's."""
        fused = name in ("c_attn", "W_pack", "query_key_value", "qkv_proj")
        outputs = self.hidden * (name in ("q_proj", "o_proj", "dense") or fused)
        outputs += self.keys * (2 if fused else name in ("k_proj", "v_proj"))
        return self.hidden + (outputs or self.inner)

    def _share(self, settings: TrainSettings) -> float:
        """Return the share of the layers that learn."""
        return min(settings.layers or self.layers, self.layers) / self.layers


def fit_tokens(
    sizes: Sizes, settings: TrainSettings, questions: Sequence[Encoded], memory: float, widths: Widths = FLOATS
) -> int:
    """Return `train.tokens_per_batch` for so many bytes of memory, of which estimates may be off by their doubt.

    How many keys a token comes with is that of the mean schema with as many mean branches as may share it. Where even
    little doesn't fit, `require_room` says so.
    """
    prefix = sum(len(one.prefix) for one in questions) / len(questions)
    branch = sum(len(one.branch) for one in questions) / len(questions)
    keys = settings.sharing * (prefix + branch) / (prefix + settings.sharing * branch)
    return max(_LEAST_TOKENS, sizes.tokens_within(settings, _DOUBT * memory, keys, widths))


def require_room(
    sizes: Sizes, settings: TrainSettings, load: Load, widths: Widths = FLOATS, *, memory: float, disk: float
) -> None:
    """Raise `ModelError` unless training fits into so many bytes of memory and disk, the doubt of estimates granted."""
    wanted = sizes.training_bytes(settings, load, widths)
    if wanted * _DOUBT > memory:
        raise ModelError(
            f"train: expected about {wanted / 1e9:.1f} GB of memory, found {memory / 1e9:.1f} GB free. Lower "
            "train.tokens_per_batch or train.layers, set train.activation_checkpointing, take a kind that learns less, "
            "or end other programs."
        )
    files = sizes.disk_bytes(settings)
    if files * _DOUBT > disk:
        raise ModelError(
            f"train: expected about {files / 1e9:.1f} GB of disk for checkpoints and the result, found "
            f"{disk / 1e9:.1f} GB free. Make room, or put the runs elsewhere with --runs."
        )
