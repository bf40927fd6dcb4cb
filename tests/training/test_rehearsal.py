"""The rehearsal: from what two short models take to what a plan takes in a whole one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from random_models import random_model  # noqa: E402

from sqlwright.recipe import TrainSettings  # noqa: E402
from sqlwright.training import rehearsal  # noqa: E402
from sqlwright.training.packing import Encoded  # noqa: E402
from sqlwright.training.rehearsal import Pace, rehearse  # noqa: E402
from sqlwright.training.trainer import Plan, make_plan  # noqa: E402

needs("peft")


@pytest.fixture
def plan(make_questions: Callable[..., list[list[Encoded]]]) -> Plan:
    groups = make_questions([(40, [(4, 6)] * 4), (60, [(4, 6)] * 4)])
    settings = TrainSettings(questions_per_step=4, questions_per_sequence=4)
    return make_plan([question for group in groups for question in group], [], settings, 0)


def test_a_plan_takes_its_tokens_through_all_layers_its_targets_and_its_steps(plan: Plan) -> None:
    assert (plan.tokens, len(plan.steps)) == (180, 2)
    pace = Pace(layer=2.0, below=0.5, target=10.0, weight=0.25)
    # Of the last layer half is counted; 48 learned tokens; 2 steps of 8 weights.
    assert pace.seconds(plan, 5, 8, TrainSettings()) == 2.0 * 4.5 * 180 + 10.0 * 48 + 0.25 * 8 * 2
    assert pace.seconds(plan, 5, 8, TrainSettings(layers=2)) == (2.0 * 1.5 + 0.5 * 3) * 180 + 480 + 4


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_layers_are_the_difference_of_two_models_and_one(
    layers: int, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a layer takes 3 s there and back and 1 s there alone, the head 5 s and a weight 0.1 s."""

    def short(_config: Any, count: int, settings: TrainSettings, *_: Any) -> rehearsal._Short:
        learning = min(settings.layers or count, count)
        return rehearsal._Short(lambda: 5.0 + 3.0 * (learning - 1) + 1.5 + 1.0 * (count - learning), lambda: 0.8, 8)

    monkeypatch.setattr(rehearsal, "_short", short)
    monkeypatch.setattr(rehearsal, "_seconds", lambda works, _: [work() for work in works])
    pace = rehearse(None, TrainSettings(layers=layers), plan, "cpu", torch.float32)
    tokens, targets = 60 + 4 * 10, 4 * 6  # the longer one of the two passes
    assert pace.layer * tokens == pytest.approx(3.0)
    assert pace.target * targets == pytest.approx(5.0)
    assert pace.weight == 0.1
    assert pace.below * tokens == pytest.approx(1.0 if layers else 0.0)


@pytest.mark.parametrize("kind", ["lora", "dora", "freeze", "full"])
def test_every_kind_is_rehearsed(kind: str, plan: Plan) -> None:
    config = random_model("qwen2").config
    before = torch.random.get_rng_state()
    pace = rehearse(config, TrainSettings(kind=kind, rank=2, layers=2), plan, "cpu", torch.float32)
    assert torch.equal(torch.random.get_rng_state(), before), "what training draws is not moved"
    assert config.num_hidden_layers == 3
    assert 0 < pace.seconds(plan, 3, 1000, TrainSettings()) < 60
