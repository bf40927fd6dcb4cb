"""The heart of training: a pack has the loss and the gradients of separate sequences, one per question.

The other side is transformers' and PEFT's own code on plain sequences `P Bi` with its own attention and loss.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from torch.nn.functional import cross_entropy  # noqa: E402

from sqlwright.models.architectures import use_shared_prefix_attention  # noqa: E402
from sqlwright.training.lora import use_fast_lora  # noqa: E402
from sqlwright.training.loss import pack_loss, score_targets  # noqa: E402
from sqlwright.training.packing import Encoded, deal_packs, pack  # noqa: E402
from sqlwright.training.targets import target_modules  # noqa: E402

needs("peft")

Groups = list[list[Encoded]]
SHAPES = {
    "one schema, branches of different lengths": [(30, [(7, 9), (3, 25), (12, 4), (1, 1)])],
    "one question": [(20, [(6, 8)])],
    "several schemas": [(25, [(5, 6), (4, 7)]), (11, [(3, 9)]), (40, [(8, 5), (2, 12), (6, 6)])],
    "schema longer than its branches and the limit": [(150, [(4, 6), (5, 9)]), (9, [(2, 3)])],
    "a prefix of one token": [(1, [(4, 6), (5, 9)])],
}


def lora(model: Any) -> Any:
    """Return the model with PEFT's LoRA on all linear layers, both matrices random."""
    from peft import LoraConfig, get_peft_model

    names = target_modules(model, "all-linear")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=names, task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.1)
    return wrapped


def separate(model: Any, groups: Groups) -> tuple[float, dict[str, Any]]:
    """Return the summed loss and gradients of one plain sequence per question, by transformers' own attention."""
    total = 0.0
    for question in (question for group in groups for question in group):
        ids = torch.tensor([[*question.prefix, *question.branch]])
        first = len(question.prefix) + question.loss_start
        logits = model(input_ids=ids, use_cache=False).logits[0, first - 1 : -1].float()
        loss = cross_entropy(logits, ids[0, first:], reduction="sum")
        loss.backward()
        total += loss.item()
    return total, gradients(model)


def packed(model: Any, groups: Groups, tokens: int = 128) -> tuple[float, dict[str, Any]]:
    """Return the summed loss and gradients of the packs."""
    use_shared_prefix_attention(model.get_base_model() if hasattr(model, "get_base_model") else model)
    total = 0.0
    for batch in deal_packs(groups, tokens):
        loss = pack_loss(model, batch)
        loss.backward()
        total += loss.item()
    return total, gradients(model)


def gradients(model: Any) -> dict[str, Any]:
    return {name: weight.grad.double() for name, weight in model.named_parameters() if weight.grad is not None}


def norm(tensors: Any) -> float:
    return float(torch.stack([tensor.norm() for tensor in tensors]).norm())


def global_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    assert ours.keys() == theirs.keys()
    return norm([ours[name] - theirs[name] for name in theirs]) / norm(theirs.values())


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_lora_gradients_of_a_pack_are_those_of_separate_sequences(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], kind: str, shape: Any
) -> None:
    groups = make_questions(shape)
    ours, theirs = lora(make_model(kind)), lora(make_model(kind))
    use_fast_lora(ours)
    loss, grads = packed(ours, groups)
    expected_loss, expected = separate(theirs, groups)
    assert len(grads) == 2 * 7 * 3
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert global_difference(grads, expected) < 1e-5


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_every_parameter_has_the_same_gradient_in_float64(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], kind: str, shape: Any
) -> None:
    groups = make_questions(shape, seed=3)
    ours, theirs = (make_model(kind, "float64") for _ in range(2))
    for model in (ours, theirs):
        # The frozen head has no gradient in a pack; where it is tied, the embedding would have only half of its own.
        model.get_input_embeddings().weight.requires_grad_(kind == "llama")
        model.get_output_embeddings().weight.requires_grad_(False)
    loss, grads = packed(ours, groups)
    expected_loss, expected = separate(theirs, groups)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert grads.keys() == expected.keys()
    # A key's bias moves all scores of a query alike, so softmax takes it out: its true gradient is zero.
    whole = norm(expected.values())
    for name, wanted in expected.items():
        if name.endswith("k_proj.bias"):
            assert (grads[name] - wanted).norm() < 1e-6 * whole, name
        else:
            assert (grads[name] - wanted).norm() < 1e-5 * wanted.norm(), name


def test_how_questions_are_cut_into_packs_does_not_matter(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups]
) -> None:
    groups = make_questions([*SHAPES["several schemas"], *SHAPES["one question"]])
    models = [lora(make_model("qwen2")) for _ in range(3)]
    (loss, grads), *others = [
        packed(model, groups, tokens) for model, tokens in zip(models, (1, 90, 9999), strict=True)
    ]
    for other_loss, other in others:
        assert other_loss == pytest.approx(loss, rel=1e-6)
        assert global_difference(other, grads) < 1e-5


def test_a_wrong_attention_would_be_found(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups]
) -> None:
    groups = make_questions(SHAPES["several schemas"])
    model = make_model("llama")
    model.requires_grad_(False)
    use_shared_prefix_attention(model)
    batch = pack(groups)
    right = float(pack_loss(model, batch))
    shifted = copy.copy(batch.position_ids)
    shifted[0, len(groups[0][0].prefix) :] += 1
    object.__setattr__(batch, "position_ids", shifted)
    assert abs(float(pack_loss(model, batch)) - right) > 1e-3 * right


def test_questions_do_not_see_each_other(make_model: Callable[..., Any], make_questions: Callable[..., Groups]) -> None:
    model = make_model("qwen2")
    use_shared_prefix_attention(model)
    groups = make_questions(SHAPES["several schemas"])
    other = make_questions(SHAPES["several schemas"], seed=9)
    # All is exchanged but the first schema and its first question.
    mixed = [[groups[0][0], Encoded("x", "db0", groups[0][0].prefix, other[0][1].branch, 4)], *other[1:]]
    before, after = (score_targets(model, pack(which)).log_probabilities for which in (groups, mixed))
    first = groups[0][0].targets
    torch.testing.assert_close(after[:first], before[:first], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(after[first:], before[first:], atol=1e-3)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_scores_are_those_of_plain_sequences(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], kind: str
) -> None:
    groups = make_questions(SHAPES["several schemas"])
    model = make_model(kind)
    logs, best = [], []
    with torch.no_grad():
        for question in (question for group in groups for question in group):
            ids = torch.tensor([[*question.prefix, *question.branch]])
            first = len(question.prefix) + question.loss_start
            scores = model(input_ids=ids).logits[0, first - 1 : -1].log_softmax(-1)
            logs.append(scores.gather(1, ids[0, first:, None])[:, 0])
            best.append(scores.argmax(-1) == ids[0, first:])
    use_shared_prefix_attention(model)
    scored = score_targets(model, pack(groups))
    torch.testing.assert_close(scored.log_probabilities, torch.cat(logs), rtol=1e-4, atol=1e-4)
    assert torch.equal(scored.likeliest, torch.cat(best))


def test_the_last_layer_computes_only_the_rows_that_are_read(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups]
) -> None:
    model = make_model("qwen2")
    seen: dict[str, int] = {}
    for name, layer in (("first", model.model.layers[0]), ("last", model.model.layers[-1])):
        layer.mlp.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out.shape[1]}))
    use_shared_prefix_attention(model)
    pack_loss(model, pack(make_questions(SHAPES["one question"])))
    assert seen == {"first": 34, "last": 8}
