"""Estimates from the header alone: they grow with what learns, and what surely doesn't fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")

from sqlwright.errors import ModelError
from sqlwright.models.gguf_file import read_header
from sqlwright.recipe import TrainSettings
from sqlwright.training.estimate import Sizes, Widths, fit_tokens, require_room
from sqlwright.training.packing import Encoded, Load


@pytest.fixture(scope="module")
def sizes(tiny_model: Path) -> Sizes:
    return Sizes.of(read_header(tiny_model))


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**changes)


def test_the_sizes_of_the_tiny_model(sizes: Sizes) -> None:
    assert (sizes.layers, sizes.hidden, sizes.inner, sizes.keys) == (30, 576, 1536, 192)
    assert sizes.parameters == pytest.approx(134.5e6, rel=0.01)
    assert sizes.head_parameters == 49152 * 576
    assert sizes.forward_flops(10) == 20 * sizes.layer_parameters


@pytest.mark.parametrize("targets", ["all-linear", "attention", "mlp"])
@pytest.mark.parametrize("layers", [0, 3])
def test_weights_that_learn_are_counted_as_peft_counts_them(
    targets: str, layers: int, sizes: Sizes, tiny_model: Path
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("peft")
    from sqlwright.models.weights import load_model
    from sqlwright.training.kinds import make_trainable
    from sqlwright.training.lora import trainable

    chosen = settings(rank=4, targets=targets, layers=layers)
    model = make_trainable(load_model(tiny_model, torch.float32), chosen, 0)
    assert sizes.learning(chosen) == sum(weight.numel() for weight in trainable(model).values())


LOAD = Load(2048, 9000)


def test_more_that_learns_costs_more(sizes: Sizes) -> None:
    ladders = (
        [settings(layers=4), settings(), settings(kind="full")],
        [settings(rank=8), settings(rank=16)],
        [settings(kind="freeze", layers=10), settings(kind="freeze"), settings(kind="full")],
        [settings(activation_checkpointing=True), settings()],
    )
    for ladder in ladders:
        bytes_ = [sizes.training_bytes(one, LOAD) for one in ladder]
        assert bytes_ == sorted(bytes_) and len(set(bytes_)) == len(ladder)
    for ladder in ladders[:3]:
        for cost in (sizes.learning, sizes.disk_bytes):
            found = [cost(one) for one in ladder]
            assert found == sorted(found) and len(set(found)) == len(ladder)
    flops = [sizes.training_flops(1000, 100, one) for one in ladders[0]]
    assert flops == sorted(flops) and len(set(flops)) == 3
    assert sizes.training_flops(10, 0, settings()) == 2 * sizes.forward_flops(10)
    assert sizes.training_flops(10, 0, settings(kind="full")) == 3 * sizes.forward_flops(10)


def test_more_that_passes_takes_more_and_bfloat16_half(sizes: Sizes) -> None:
    loads = [Load(1024, 4000), Load(2048, 4000), Load(2048, 9000)]
    bytes_ = [sizes.training_bytes(settings(), load) for load in loads]
    assert bytes_ == sorted(bytes_) and len(set(bytes_)) == 3
    assert sizes.training_bytes(settings(), LOAD, Widths(2.0, 2.0)) < 0.7 * sizes.training_bytes(settings(), LOAD)


def question(prefix: int, branch: int) -> Encoded:
    return Encoded("q", "db", (1,) * prefix, (2,) * branch, 1)


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("memory", [5e9, 12e9])
def test_tokens_fill_the_memory_at_hand_but_for_the_doubt(kind: str, memory: float, sizes: Sizes) -> None:
    chosen = settings(kind=kind)
    questions = [question(600, 60), question(200, 40)]
    tokens = fit_tokens(sizes, chosen, questions, memory)
    group = Load.of([[question(400, 50)] * 12])
    load = Load(tokens, round(tokens * group.keys / group.tokens))
    assert sizes.training_bytes(chosen, load) == pytest.approx(0.75 * memory, rel=0.01)
    assert fit_tokens(sizes, chosen, questions, memory / 2) < tokens
    assert fit_tokens(sizes, chosen.model_copy(update={"activation_checkpointing": True}), questions, memory) > tokens
    assert fit_tokens(sizes, chosen, questions, 1e8) == 128


def test_what_surely_does_not_fit_is_refused(sizes: Sizes) -> None:
    chosen = settings(kind="full")
    memory, disk = sizes.training_bytes(chosen, LOAD), sizes.disk_bytes(chosen)
    require_room(sizes, chosen, LOAD, memory=0.8 * memory, disk=0.8 * disk)
    with pytest.raises(ModelError, match=r"expected about [\d.]+ GB of memory, found [\d.]+ GB free. Lower"):
        require_room(sizes, chosen, LOAD, memory=0.7 * memory, disk=disk)
    with pytest.raises(ModelError, match=r"expected about [\d.]+ GB of disk for checkpoints.*--runs"):
        require_room(sizes, chosen, LOAD, memory=memory, disk=0.7 * disk)
