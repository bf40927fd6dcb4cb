"""Packs of more than 4,096 tokens: nothing as large as a mask of all their positions ever exists."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from random_models import random_model  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from sqlwright.models import attention  # noqa: E402
from sqlwright.models.architectures import use_shared_prefix_attention  # noqa: E402
from sqlwright.training.loss import pack_loss  # noqa: E402
from sqlwright.training.packing import Encoded, Pack, pack  # noqa: E402

PREFIX, BRANCHES = 4000, 5


def long_pack(prefix: int = PREFIX) -> Pack:
    group = [Encoded(str(n), "db", (5, 9, 7, 3) * (prefix // 4), (8 + n,) * 40, 20) for n in range(BRANCHES)]
    return pack([group])


class Sizes(TorchDispatchMode):
    """Keeps the largest number of elements of a tensor, and of a square of positions in one."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.square = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else (found,):
            if isinstance(one, torch.Tensor):
                self.most = max(self.most, one.untyped_storage().nbytes() // one.element_size())
                largest = sorted(one.shape)[-2:]
                self.square = max(self.square, largest[0] if len(largest) == 2 else 0)
        return found


def passed(kind: str, device: str = "cpu", dtype: str = "float32") -> Sizes:
    """Return what a pass there and back makes; the layers' attention weights learn."""
    model = random_model(kind, dtype).to(device).requires_grad_(False)
    use_shared_prefix_attention(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_("attention" in name or "attn" in name)
    batch = long_pack().to(device)
    with Sizes() as sizes:
        pack_loss(model, batch).backward()
    return sizes


def check(sizes: Sizes) -> None:
    whole = PREFIX + BRANCHES * 40
    assert whole > 4096
    assert 100_000 < sizes.most < whole**2
    assert sizes.square < PREFIX


# Without masks; with a window; with soft caps and windows; with ALiBi.
@pytest.mark.parametrize("kind", ["llama", "mistral with a window", "gemma2", "bloom"])
def test_no_square_of_all_positions_exists(kind: str) -> None:
    check(passed(kind))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "mistral with a window", "gemma2", "bloom"])
def test_no_square_of_all_positions_exists_on_a_gpu(kind: str, dtype: str) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    # The plain kernel would make the scores of all pairs inside itself, where nothing sees them.
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
        check(passed(kind, "cuda", dtype))
    assert torch.cuda.max_memory_allocated() - before < 600e6


@pytest.mark.parametrize(
    "kind", ["mistral with a window", "qwen2 with windows", "gemma2", "bloom", "falcon with alibi"]
)
def test_blocks_of_rows_come_to_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for at_once in (attention._SCORES_AT_ONCE, 1):  # a prefix of 100 in one block, and in seven
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
        model = random_model(kind, "float64")
        use_shared_prefix_attention(model)
        loss = pack_loss(model, long_pack(100))
        loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        found.append((loss.detach(), *gradients))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
