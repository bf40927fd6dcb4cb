"""Each kind of fine-tuning: what learns, what stays, where it goes on from, and what it comes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from sqlwright.errors import RecipeError  # noqa: E402
from sqlwright.recipe import TrainSettings  # noqa: E402
from sqlwright.training.kinds import PLAIN, WHOLE, make_trainable, result_weights  # noqa: E402
from sqlwright.training.lora import trainable  # noqa: E402
from sqlwright.training.packing import Encoded  # noqa: E402
from sqlwright.training.trainer import make_plan, mean_loss, train  # noqa: E402

needs("peft")

from peft.tuners.lora import Linear  # noqa: E402

KINDS = ("lora", "rslora", "dora", "qlora", "freeze", "full")
SETTINGS = TrainSettings(
    learning_rate=0.01, epochs=4, rank=4, questions_per_step=6, questions_per_sequence=3, tokens_per_batch=256
)


@pytest.fixture
def questions(make_questions: Callable[..., list[list[Encoded]]]) -> list[Encoded]:
    groups = make_questions([(12, [(3, 4)] * 6), (20, [(4, 5)] * 6)])
    return [question for group in groups for question in group]


def settings(**changes: Any) -> TrainSettings:
    return SETTINGS.model_copy(update=changes)


def learned(model: Any, questions: list[Encoded], folder: Path, chosen: TrainSettings) -> Any:
    folder.mkdir()
    return train(model, make_plan(questions, [], chosen, 0), chosen, seed=0, folder=folder)


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])  # with a tied head and with one of its own
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_what_it_comes_to_answers_alike(
    kind: str, architecture: str, make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    chosen = settings(kind=kind)
    result = learned(make_model(architecture), questions, tmp_path / "run", chosen)
    assert sum(result.losses[-2:]) < 0.9 * sum(result.losses[:2])
    if kind not in WHOLE:
        return
    held = make_plan(questions, [], chosen, 0).steps[0]
    from_training = mean_loss(result.model, held, 256)
    again = make_model(architecture)
    weights = result_weights(result.model, kind)
    assert set(weights) <= set(dict(again.named_parameters()))
    again.load_state_dict(weights, strict=False)
    from sqlwright.models.architectures import use_shared_prefix_attention

    use_shared_prefix_attention(again)
    assert mean_loss(again, held, 256) == pytest.approx(from_training, rel=1e-5)


def test_freeze_changes_the_last_layers_and_full_everything(
    make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    def changed(kind: str, layers: int) -> set[str]:
        before = make_model("qwen2")
        result = learned(
            make_model("qwen2"), questions, tmp_path / f"{kind}{layers}", settings(kind=kind, layers=layers)
        )
        after = dict(result.model.named_parameters())
        return {name for name, weight in before.named_parameters() if not torch.equal(weight, after[name])}

    every = set(dict(make_model("qwen2").named_parameters()))
    inner = {name for name in every if ".layers." in name}
    # A key's bias adds the same to all scores of a query.
    bias = {name for name in every if "k_proj.bias" in name}
    assert changed("freeze", 1) | bias == {name for name in inner if ".layers.2." in name} | bias
    assert changed("freeze", 0) | bias == inner | bias
    assert changed("full", 0) | bias == every


def test_gradients_of_all_weights_are_those_of_plain_sequences(
    make_model: Callable[..., Any], questions: list[Encoded]
) -> None:
    from sqlwright.training.loss import pack_loss
    from sqlwright.training.packing import pack

    for architecture in ("qwen2", "llama"):
        packed = make_trainable(make_model(architecture), settings(kind="full"), 0)
        plain = make_model(architecture).requires_grad_(True)
        for question in questions[:3]:
            ids = torch.tensor([[*question.prefix, *question.branch]])
            labels = ids.clone()
            labels[:, : len(question.prefix) + question.loss_start] = -100
            count = int((labels != -100).sum())
            (plain(input_ids=ids, labels=labels).loss * count).backward()
        from sqlwright.models.architectures import use_shared_prefix_attention

        use_shared_prefix_attention(packed)
        pack_loss(packed, pack([questions[:3]])).backward()
        for name, weight in plain.named_parameters():
            torch.testing.assert_close(dict(packed.named_parameters())[name].grad, weight.grad, rtol=1e-4, atol=1e-5)


def test_rslora_is_scaled_by_the_root_of_the_rank(make_model: Callable[..., Any]) -> None:
    model = make_trainable(make_model("llama"), settings(kind="rslora", rank=4, alpha=8.0), 0)
    assert {module.scaling["default"] for module in model.modules() if isinstance(module, Linear)} == {8.0 / 2}


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_from_an_adapter(
    kind: str, make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    gguf = write_adapter(make_model("llama"), questions, tmp_path, "rslora" if kind == "rslora" else "lora")
    expected = tmp_path / "loss.json"
    from sqlwright.models.architectures import use_shared_prefix_attention

    # A higher rank and another scale begin alike.
    for rank, alpha in ((SETTINGS.rank, SETTINGS.alpha), (8, 5.0)):
        model = make_trainable(make_model("llama"), settings(kind=kind, rank=rank, alpha=alpha), 0, gguf)
        use_shared_prefix_attention(model)
        held = make_plan(questions, [], SETTINGS, 0).steps[0]
        assert mean_loss(model, held, 256) == pytest.approx(json.loads(expected.read_text()), rel=1e-4)
        assert all(weight.dtype == torch.float32 for weight in trainable(model).values())
    if kind not in WHOLE:
        with pytest.raises(RecipeError, match="rank = 4"):
            make_trainable(make_model("llama"), settings(kind=kind, rank=2), 0, gguf)


def write_adapter(model: Any, questions: list[Encoded], folder: Path, kind: str) -> Path:
    """Return a GGUF adapter trained on the questions; its loss on the first step is in `loss.json`."""
    import gguf
    import numpy as np

    from sqlwright.models.weights import LAYER_NAMES, permute_rotary

    result = learned(model, questions, folder / "first", settings(kind=kind))
    held = make_plan(questions, [], SETTINGS, 0).steps[0]
    (folder / "loss.json").write_text(json.dumps(mean_loss(result.model, held, 256)))
    writer = gguf.GGUFWriter(str(folder / "adapter.gguf"), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    scale = next(module.scaling["default"] for module in result.model.modules() if isinstance(module, Linear))
    writer.add_float32("adapter.lora.alpha", scale * SETTINGS.rank)
    short = {name: own for own, name in LAYER_NAMES.items()}
    for name, weight in trainable(result.model).items():
        _, _, _, _, layer, *module, side, _, _ = name.split(".")
        values = weight.detach().numpy()
        if side == "lora_B" and module[-1] in ("q_proj", "k_proj"):
            values = permute_rotary(values, 4 if module[-1] == "q_proj" else 2)
        target = f"blk.{layer}.{short['.'.join(module)]}.weight.{side.lower()}"
        writer.add_tensor(target, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "adapter.gguf"


def test_every_kind_is_known() -> None:
    from typing import get_args

    from sqlwright.recipe import KindName

    assert set(get_args(KindName)) == set(KINDS)
    assert set(PLAIN) < set(WHOLE) < set(KINDS)
