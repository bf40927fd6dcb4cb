"""Every architecture that is said to run packs gives the loss and the gradients of separate sequences; others don't."""

from __future__ import annotations

from typing import Any

import pytest
from needs import needs
from random_models import KINDS, random_model

torch = pytest.importorskip("torch")

from test_equivalence import (  # noqa: E402
    SHAPES,
    Groups,
    global_difference,
    lora,
    packed,
    separate,
)

from sqlwright.errors import ModelError, RecipeError  # noqa: E402
from sqlwright.models.architectures import EXACT, use_shared_prefix_attention  # noqa: E402
from sqlwright.models.rope import set_rope_theta  # noqa: E402
from sqlwright.training.lora import add_lora, trainable, use_fast_lora  # noqa: E402
from sqlwright.training.targets import target_modules  # noqa: E402

needs("peft")

LLAMA = (["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"])
FUSED = (["dense", "query_key_value"], ["dense_4h_to_h", "dense_h_to_4h"])
LINEAR = {
    "qwen2": LLAMA,
    "internlm as llama": LLAMA,
    "starcoder": (["c_attn", "attn.c_proj"], ["c_fc", "mlp.c_proj"]),
    "starcoder2": (LLAMA[0], ["c_fc", "c_proj"]),
    "phi": (["q_proj", "k_proj", "v_proj", "dense"], ["fc1", "fc2"]),
    "phi3": (["qkv_proj", "o_proj"], ["gate_up_proj", "down_proj"]),
    "falcon": FUSED,
    "bloom": FUSED,
    "glm": (LLAMA[0], ["gate_up_proj", "down_proj"]),
}


def test_all_that_are_said_to_be_exact_are_tested() -> None:
    assert {name for name, _ in KINDS.values()} == set(EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_lora_gradients_in_training_are_those_of_separate_sequences(make_questions: Any, kind: str) -> None:
    groups: Groups = make_questions(SHAPES["several schemas"])
    ours, theirs = lora(random_model(kind)), lora(random_model(kind))
    use_fast_lora(ours)
    expected_loss, expected = separate(theirs, groups)
    ours.train()
    loss, grads = packed(ours, groups)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert global_difference(grads, expected) < 2e-5


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_the_layers_has_the_same_gradient_in_float64(make_questions: Any, kind: str) -> None:
    groups: Groups = make_questions(SHAPES["schema longer than its branches and the limit"], seed=3)
    ours, theirs = (random_model(kind, "float64") for _ in range(2))
    for model in (ours, theirs):
        model.requires_grad_(False)
        for name, weight in model.named_parameters():
            weight.requires_grad_(".layers." in name or ".h." in name)
    expected_loss, expected = separate(theirs, groups)
    loss, grads = packed(ours, groups)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    # Some rotary embeddings and scores are computed in float32 whatever the model's format.
    assert global_difference(grads, expected) < 1e-5


@pytest.mark.parametrize("kind", ["llama", "qwen2", "phi", "falcon", "glm"])
def test_packs_with_another_rotary_period(make_questions: Any, kind: str) -> None:
    groups = make_questions(SHAPES["several schemas"])
    models = [random_model(kind) for _ in range(3)]
    before, _ = separate(lora(models[2]), groups)
    for model in models[:2]:
        set_rope_theta(model, 50.0)
    expected_loss, expected = separate(lora(models[0]), groups)
    loss, grads = packed(lora(models[1]), groups)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert global_difference(grads, expected) < 2e-5
    assert abs(before - loss) > 1e-3 * loss, "another period is another model"


@pytest.mark.parametrize("kind", LINEAR)
def test_targets_are_found_by_name(kind: str) -> None:
    attention, mlp = LINEAR[kind]
    model = random_model(kind)
    assert sorted(target_modules(model, "attention")) == sorted(attention)
    assert sorted(target_modules(model, "mlp")) == sorted(mlp)
    # Both together need no longer names than tell them from the head.
    whole = target_modules(model, "all-linear")
    assert {name.split(".")[-1] for name in whole} == {name.split(".")[-1] for name in attention + mlp}
    adapted = trainable(add_lora(model, 2, 4.0, "all-linear", seed=0, layers=1))
    assert len(adapted) == 2 * len(attention + mlp), "the same number as there are linear layers"
    assert not any("lm_head" in name for name in adapted)


def tiny(name: str, **settings: Any) -> Any:
    """Return a random model of an architecture that isn't among those tested."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **sizes, **special, **settings)).eval()
    with torch.no_grad():
        for place, weight in model.named_parameters():
            if "norm" not in place:
                weight.normal_(0, 0.2)
    return model


def test_another_architecture_is_tried_and_runs_if_it_is_exact(make_questions: Any) -> None:
    groups: Groups = make_questions(SHAPES["several schemas"])
    ours, theirs = (lora(tiny("olmo", intermediate_size=48)) for _ in range(2))
    expected_loss, expected = separate(theirs, groups)
    loss, grads = packed(ours, groups)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert global_difference(grads, expected) < 2e-5


def test_an_architecture_that_differs_is_refused() -> None:
    # Granite divides its logits by a setting of its own, which nothing here knows.
    with pytest.raises(ModelError, match=r"`granite` was tried, found answers that differ by .* llama, mistral"):
        use_shared_prefix_attention(tiny("granite", intermediate_size=48, logits_scaling=7.0))


def test_targets_can_be_named() -> None:
    assert target_modules(random_model("codellama"), "q_proj,v_proj") == ["q_proj", "v_proj"]
    assert target_modules(random_model("starcoder"), "c_attn") == ["c_attn"]
    assert target_modules(random_model("starcoder"), "mlp.c_proj") == ["mlp.c_proj"]
    with pytest.raises(RecipeError, match=r"'q_proj,w_proj' in a llama model, found mlp\.down_proj, .*q_proj"):
        target_modules(random_model("llama"), "q_proj,w_proj")


def test_an_architecture_without_linear_layers_in_that_part_is_refused() -> None:
    with pytest.raises(RecipeError, match="'mlp' in a gpt2 model, found no linear layers"):
        target_modules(tiny("gpt2"), "mlp")
