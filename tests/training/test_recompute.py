"""Activation checkpointing: less is kept for the gradients, and they stay what they were, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from needs import needs
from random_models import KINDS, random_model

torch = pytest.importorskip("torch")

from test_kinds import KINDS as WAYS  # noqa: E402

from sqlwright.recipe import TrainSettings  # noqa: E402
from sqlwright.training.kinds import open_learner  # noqa: E402
from sqlwright.training.lora import trainable  # noqa: E402
from sqlwright.training.loss import pack_loss  # noqa: E402
from sqlwright.training.packing import pack  # noqa: E402
from sqlwright.training.trainer import make_plan, train  # noqa: E402

needs("peft")

SHAPE = [(25, [(5, 6), (4, 7)]), (11, [(3, 9)]), (40, [(8, 5), (2, 12), (6, 6)])]


def passed(architecture: str, questions: Any, **settings: Any) -> tuple[float, dict[str, Any], int]:
    """Return the loss of a pack, the gradients of what learns, and the bytes that were kept for these."""
    model = open_learner(random_model(architecture), TrainSettings(rank=4, **settings), 0)
    model.train()
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.add_(torch.randn_like(weight), alpha=0.05)
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = pack_loss(model, pack(questions(SHAPE)))
    bytes_ = sum(kept.values())
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in trainable(model).items()}, bytes_


def check(architecture: str, questions: Any, **settings: Any) -> None:
    loss, gradients, kept = passed(architecture, questions, activation_checkpointing=True, **settings)
    expected_loss, expected, whole = passed(architecture, questions, **settings)
    assert loss == expected_loss
    assert gradients.keys() == expected.keys()
    for name, wanted in expected.items():
        assert torch.equal(gradients[name], wanted), name
    assert kept < 0.5 * whole


@pytest.mark.parametrize("architecture", {name: kind for kind, (name, _) in reversed(KINDS.items())}.values())
def test_every_architecture(architecture: str, make_questions: Any) -> None:
    check(architecture, make_questions)


@pytest.mark.parametrize("kind", WAYS)
def test_every_kind(kind: str, make_questions: Any) -> None:
    check("qwen2", make_questions, kind=kind)


def test_a_run_goes_on_with_it(make_questions: Any, tmp_path: Path) -> None:
    """A run that was begun without it has the same steps with it, and its checkpoints serve."""
    questions = [question for group in make_questions(SHAPE) for question in group]
    plain, saving = (
        TrainSettings(rank=4, learning_rate=0.01, questions_per_step=3, activation_checkpointing=chosen)
        for chosen in (False, True)
    )
    plan = make_plan(questions, [], saving, 0)
    assert plan == make_plan(questions, [], plain, 0)
    (tmp_path / "whole").mkdir()
    whole = train(random_model("llama"), plan, plain, seed=0, folder=tmp_path / "whole")
    result = train(random_model("llama"), plan, saving, seed=0, folder=tmp_path)
    assert result.losses == whole.losses
    assert all(torch.equal(weight, trainable(whole.model)[name]) for name, weight in trainable(result.model).items())
