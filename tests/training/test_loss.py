"""The head's loss in chunks is cross-entropy, with its gradient."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import cross_entropy  # noqa: E402

from sqlwright.models.head import Head  # noqa: E402
from sqlwright.training.loss import ROWS_AT_ONCE, HeadLoss  # noqa: E402


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE])
def test_loss_and_gradient_are_those_of_cross_entropy(rows: int) -> None:
    torch.manual_seed(rows)
    hidden, weight = torch.randn(rows, 16, requires_grad=True), torch.randn(70, 16)
    labels = torch.randint(0, 70, (rows,))
    loss = HeadLoss.apply(hidden, weight, labels)
    (loss / 3).backward()
    other = hidden.detach().clone().requires_grad_()
    expected = cross_entropy(other @ weight.T, labels, reduction="sum")
    (expected / 3).backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden.grad, other.grad, rtol=1e-5, atol=1e-6)


def test_a_head_that_learns_has_the_gradient_of_cross_entropy() -> None:
    torch.manual_seed(0)
    rows = 2 * ROWS_AT_ONCE + 3
    labels = torch.randint(0, 70, (rows,))
    for hidden_learns in (True, False):
        hidden, weight = torch.randn(rows, 16, requires_grad=hidden_learns), torch.randn(70, 16, requires_grad=True)
        (HeadLoss.apply(hidden, weight, labels) / 3).backward()
        other = weight.detach().clone().requires_grad_()
        (cross_entropy(hidden.detach() @ other.T, labels, reduction="sum") / 3).backward()
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-5, atol=1e-5)
        assert (hidden.grad is not None) == hidden_learns


def test_large_logits_stay_finite() -> None:
    hidden, weight = torch.full((2, 4), 300.0, requires_grad=True), torch.randn(9, 4)
    loss = HeadLoss.apply(hidden, weight, torch.tensor([0, 8]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(hidden.grad).all()


def test_without_gradients_nothing_is_kept() -> None:
    with torch.no_grad():
        loss = HeadLoss.apply(torch.randn(5, 4), torch.randn(9, 4), torch.arange(5))
    assert loss.grad_fn is None
    assert float(HeadLoss.apply(torch.randn(0, 4), torch.randn(9, 4), torch.empty(0, dtype=torch.long))) == 0.0


def test_bfloat16_is_summed_in_float32() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(400, 16).bfloat16(), torch.randn(70, 16).bfloat16()
    labels = torch.randint(0, 70, (400,))
    loss = HeadLoss.apply(hidden, weight, labels)
    assert loss.dtype == torch.float32
    expected = cross_entropy((hidden @ weight.T).float(), labels, reduction="sum")
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_a_head_with_a_bias_and_a_soft_cap() -> None:
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(30, 16, requires_grad=True), torch.randn(70, 16), torch.randn(70)
    labels = torch.randint(0, 70, (30,))
    loss = HeadLoss.apply(hidden, weight, labels, Head(weight, bias, 2.0))
    loss.backward()
    other = hidden.detach().clone().requires_grad_()
    expected = cross_entropy(torch.tanh((other @ weight.T + bias) / 2) * 2, labels, reduction="sum")
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden.grad, other.grad, rtol=1e-5, atol=1e-6)
