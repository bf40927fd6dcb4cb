"""QLoRA on bitsandbytes' weights: the gradients of the weights that they stand for, and an adapter that learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_folders import make_folder
from needs import needs

torch = pytest.importorskip("torch")
needs("bitsandbytes")
needs("peft")

from sqlwright.models.architectures import use_shared_prefix_attention  # noqa: E402
from sqlwright.models.folder import load_folder  # noqa: E402
from sqlwright.models.quantised import BYTES, dense_weight  # noqa: E402
from sqlwright.recipe import TrainSettings  # noqa: E402
from sqlwright.training.lora import add_lora, trainable  # noqa: E402
from sqlwright.training.loss import pack_loss  # noqa: E402
from sqlwright.training.packing import Encoded, deal_packs  # noqa: E402
from sqlwright.training.trainer import make_plan, train  # noqa: E402

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, CUDA])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("folders") / "tiny", "qwen2")


@pytest.fixture
def groups(make_questions: Callable[..., list[list[Encoded]]]) -> list[list[Encoded]]:
    return make_questions([(12, [(3, 4)] * 6), (20, [(4, 5)] * 6)])


def adapted(model: Any) -> Any:
    """Return the model with LoRA matrices, of which none is zero."""
    use_shared_prefix_attention(model)
    found = add_lora(model, 4, 8.0, "all-linear", seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in trainable(found).values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bits", [4, 8])
def test_gradients_are_those_of_the_dequantised_weights(
    bits: int, device: str, folder: Path, groups: list[list[Encoded]]
) -> None:
    quantised = load_folder(folder, torch.float32, device, bits)
    plain = load_folder(folder, torch.float32, device)
    kind = {4: "Linear4bit", 8: "Linear8bitLt"}[bits]
    layers = {name: module for name, module in quantised.named_modules() if type(module).__name__ == kind}
    assert len(layers) == 3 * 7, "all linear layers of three layers, and not the head"
    with torch.no_grad():
        for name, layer in layers.items():
            own = plain.get_submodule(name).weight
            dense = dense_weight(layer, torch.float32)
            assert 0 < float((dense - own).norm() / own.norm()) < {4: 0.15, 8: 0.02}[bits]
            own.copy_(dense)
    found, expected = adapted(quantised), adapted(plain)
    (batch,) = deal_packs(groups, 512)
    losses = [pack_loss(model, batch.to(device)) for model in (found, expected)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    for name, weight in trainable(expected).items():
        torch.testing.assert_close(trainable(found)[name].grad, weight.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 8])
def test_an_adapter_learns_on_them(bits: int, folder: Path, groups: list[list[Encoded]], tmp_path: Path) -> None:
    settings = TrainSettings(
        kind="qlora", learning_rate=0.01, epochs=4, rank=4, questions_per_step=6, questions_per_sequence=3
    )
    plan = make_plan([question for group in groups for question in group], [], settings, 0)
    model = load_folder(folder, torch.float32, "cpu", bits)
    result = train(model, plan, settings, seed=0, folder=tmp_path)
    assert sum(result.losses[-2:]) < 0.9 * sum(result.losses[:2])
    result.model.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_the_bytes_of_a_weight() -> None:
    assert {4: pytest.approx(0.5 + 1 / 64 + 4 / (64 * 256)), 8: 1.0} == BYTES
