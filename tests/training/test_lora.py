"""LoRA: our forward and backward give PEFT's numbers; the adapter folder is PEFT's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from sqlwright.training.lora import add_lora, read_lora, trainable, use_fast_lora  # noqa: E402

needs("peft")

ATTENTION, MLP = ["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]


def layers(bias: bool, dtype: Any) -> Any:
    """Return a PEFT model around one linear layer of 24 to 40 with random LoRA matrices."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Linear(24, 40, bias=bias)).to(dtype)
    model = get_peft_model(inner, LoraConfig(r=5, lora_alpha=8, target_modules=["0"]))
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_()
    return model


def results(model: Any, x: Any, needs_gradient: bool) -> list[Any]:
    x = x.clone().requires_grad_(needs_gradient)
    y = model(x)
    (y.double() ** 2).sum().backward()
    return [y.detach(), *([x.grad] if needs_gradient else []), *(weight.grad for weight in trainable(model).values())]


@pytest.mark.parametrize("shape", [(7, 24), (1, 9, 24), (2, 3, 4, 24)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("needs_gradient", [True, False], ids=["inner", "first"])
def test_forward_and_backward_are_pefts(shape: tuple[int, ...], bias: bool, needs_gradient: bool) -> None:
    ours, theirs = layers(bias, torch.float64), layers(bias, torch.float64)
    use_fast_lora(ours)
    x = torch.randn(shape, dtype=torch.float64)
    expected = results(theirs, x, needs_gradient)
    for mine, wanted in zip(results(ours, x, needs_gradient), expected, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-10, atol=1e-10)


def test_bfloat16_weights_with_float32_matrices() -> None:
    ours, theirs = layers(True, torch.bfloat16), layers(True, torch.bfloat16)
    use_fast_lora(ours)
    assert {weight.dtype for weight in trainable(ours).values()} == {torch.float32}
    x = torch.randn(50, 24, dtype=torch.bfloat16)
    for mine, wanted in zip(results(ours, x, True), results(theirs, x, True), strict=True):
        assert mine.dtype == wanted.dtype
        assert (mine - wanted).float().norm() < 0.02 * wanted.float().norm()


def test_gradients_by_finite_differences() -> None:
    from sqlwright.training.lora import LoraLinear

    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 5, dtype=torch.float64).requires_grad_(False)
    x, a, b = (torch.randn(shape, dtype=torch.float64) for shape in ((3, 6), (2, 6), (5, 2)))
    learned = (x.requires_grad_(), layer, a.requires_grad_(), b.requires_grad_(), 1.7)
    assert torch.autograd.gradcheck(LoraLinear.apply, learned)


@pytest.mark.parametrize(("targets", "count"), [("all-linear", 7), ("attention", 4), ("mlp", 3)])
def test_targets_and_a_fresh_adapter_that_changes_nothing(
    make_model: Callable[..., Any], targets: str, count: int
) -> None:
    ids = torch.arange(9)[None]
    with torch.no_grad():
        before = make_model("qwen2")(ids).logits
        model = add_lora(make_model("qwen2"), 4, 8.0, targets, seed=1)
        assert torch.equal(model(input_ids=ids).logits, before)
    weights = trainable(model)
    assert len(weights) == 2 * count * 3
    names = ATTENTION + MLP if targets == "all-linear" else ATTENTION if targets == "attention" else MLP
    assert all(any(target in name for target in names) for name in weights)


def test_the_seed_draws_the_matrices_and_nothing_else(make_model: Callable[..., Any]) -> None:
    one, same, other = (trainable(add_lora(make_model("llama"), 4, 8.0, "mlp", seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    model = make_model("llama")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    add_lora(model, 4, 8.0, "mlp", seed=1)
    assert torch.equal(torch.rand(1), expected), "random numbers of others go on as if nothing had been drawn"


def test_an_adapter_written_by_peft_is_read_back(make_model: Callable[..., Any], tmp_path: Path) -> None:
    model = add_lora(make_model("llama"), 4, 8.0, "all-linear", seed=1)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_(0, 0.1)
        ids = torch.arange(9)[None]
        expected = model(input_ids=ids).logits
        model.save_pretrained(str(tmp_path))
        assert not list(tmp_path.glob("*.bin")), "nothing that could hold code"
        again = read_lora(make_model("llama"), tmp_path)
        assert trainable(again) == {}
        torch.testing.assert_close(again(input_ids=ids).logits, expected)


def test_only_the_last_layers(make_model: Callable[..., Any]) -> None:
    model = add_lora(make_model("qwen2"), 4, 8.0, "all-linear", seed=1, layers=1)
    last = model.config.num_hidden_layers - 1
    assert {name.split(".layers.")[1].split(".")[0] for name in trainable(model)} == {str(last)}
    with_all = trainable(add_lora(make_model("qwen2"), 4, 8.0, "all-linear", seed=1, layers=99))
    assert len(with_all) == (last + 1) * len(trainable(model))
