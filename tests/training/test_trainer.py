"""The training loop: the plan, the schedule, the metrics, what it learns, and what it does when the loss explodes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from sqlwright.errors import RecipeError  # noqa: E402
from sqlwright.recipe import Phase, TrainSettings  # noqa: E402
from sqlwright.training.lora import add_lora, trainable  # noqa: E402
from sqlwright.training.packing import Encoded  # noqa: E402
from sqlwright.training.trainer import Plan, make_plan, mean_loss, train  # noqa: E402

needs("peft")

SETTINGS = TrainSettings(
    learning_rate=0.01, rank=4, questions_per_step=4, questions_per_sequence=3, tokens_per_batch=128, checkpoint_every=2
)


@pytest.fixture
def questions(make_questions: Callable[..., list[list[Encoded]]]) -> list[Encoded]:
    groups = make_questions([(12, [(3, 4)] * 7), (20, [(4, 5)] * 8), (6, [(2, 3)] * 9)])
    return [question for group in groups for question in group]


@pytest.fixture
def held_out(make_questions: Callable[..., list[list[Encoded]]]) -> list[Encoded]:
    ((*own,),) = make_questions([(10, [(3, 4)] * 4)], seed=8)
    return own


def settings(**changes: Any) -> TrainSettings:
    return SETTINGS.model_copy(update=changes)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(result: Any) -> dict[str, Any]:
    return {name: weight.detach().clone() for name, weight in trainable(result.model).items()}


def counted(plan: Plan) -> Counter[str]:
    return Counter(question.id for step in plan.steps for group in step for question in group)


def test_every_epoch_has_every_question_once_in_another_order(questions: list[Encoded]) -> None:
    one, two = (make_plan(questions, [], settings(epochs=epochs), seed=0) for epochs in (1, 2))
    assert set(counted(one).values()) == {1}
    assert len(counted(one)) == len(questions) == one.questions
    assert set(counted(two).values()) == {2}
    assert two.steps[: len(one.steps)] == one.steps
    assert two.steps[len(one.steps) :] != one.steps
    assert make_plan(questions, [], settings(epochs=2), seed=0) == two
    assert make_plan(questions, [], settings(epochs=2), seed=1).steps != two.steps


def test_every_epoch_has_other_questions_share_a_sequence(questions: list[Encoded]) -> None:
    plan = make_plan(questions, [], settings(epochs=2), seed=0)
    groups = [frozenset(question.id for question in group) for step in plan.steps for group in step]
    half = len(groups) // 2
    first, second = set(groups[:half]), set(groups[half:])
    assert len(first) == len(second) == half
    assert len(first & second) < 0.5 * half, "most questions stand with others"


def test_half_an_epoch_is_half_the_steps(questions: list[Encoded]) -> None:
    whole = make_plan(questions, [], settings(epochs=1), seed=0)
    half = make_plan(questions, [], settings(epochs=0.5), seed=0)
    assert len(half.steps) == math.ceil(len(whole.steps) / 2)
    assert len(make_plan(questions, [], settings(epochs=1.5), seed=0).steps) >= 1.4 * len(whole.steps)
    assert make_plan(questions, [], settings(epochs=0), seed=0).steps == ()


def test_the_plans_name_depends_on_all_that_matters(questions: list[Encoded], held_out: list[Encoded]) -> None:
    changed = [dataclasses.replace(questions[0], branch=(*questions[0].branch[:-1], 3)), *questions[1:]]
    names = [
        make_plan(questions, [], SETTINGS, 0).name,
        make_plan(changed, [], SETTINGS, 0).name,
        make_plan(questions, held_out, SETTINGS, 0).name,
        make_plan(questions, [], settings(learning_rate=0.02), 0).name,
        make_plan(questions, [], SETTINGS, 1).name,
    ]
    assert len(set(names)) == len(names)


def test_it_learns_the_targets(
    make_model: Callable[..., Any], questions: list[Encoded], held_out: list[Encoded], tmp_path: Path
) -> None:
    chosen = settings(epochs=6, learning_rate=0.03, weight_decay=0.01)
    plan = make_plan(questions, held_out, chosen, 0)
    reports: list[tuple[int, int, str]] = []
    result = train(
        make_model("qwen2"), plan, chosen, seed=0, folder=tmp_path, progress=lambda *args: reports.append(args)
    )
    assert result.steps == len(plan.steps) == len(result.losses)
    assert sum(result.losses[-3:]) < 0.9 * sum(result.losses[:3])
    assert reports[-1][:2] == (plan.questions, plan.questions)
    assert len(result.validation_losses) == 2, "at the start and at the end"
    assert result.losses == [line["loss"] for line in lines(tmp_path) if "loss" in line]
    final = mean_loss(result.model, plan.validation, 128)
    assert result.validation_losses[-1] == pytest.approx(final, rel=1e-6)
    for line in lines(tmp_path):
        if "loss" in line:
            assert line["questions_per_second"] > 0
            assert line["tokens_per_second"] > line["questions_per_second"]
            assert line["peak_memory_mb"] > 50


def test_the_frozen_weights_stay(make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path) -> None:
    model = make_model("llama")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    result = train(model, make_plan(questions, [], SETTINGS, 0), SETTINGS, seed=0, folder=tmp_path)
    assert any(weight.abs().sum() > 0 for name, weight in weights(result).items() if "lora_B" in name)
    after = result.model.unload().state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_validation_at_its_steps(
    make_model: Callable[..., Any], questions: list[Encoded], held_out: list[Encoded], tmp_path: Path
) -> None:
    chosen = settings(validate_every=2)
    plan = make_plan(questions, held_out, chosen, 0)
    train(make_model("llama"), plan, chosen, seed=0, folder=tmp_path)
    steps = [line["step"] for line in lines(tmp_path) if "validation_loss" in line]
    assert steps == sorted({0, *range(2, len(plan.steps) + 1, 2), len(plan.steps)})


def test_the_rate_warms_up_and_falls_along_a_cosine(
    make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    chosen = settings(epochs=2, warmup=0.25, final_rate=0.1)
    plan = make_plan(questions, [], chosen, 0)
    train(make_model("llama"), plan, chosen, seed=0, folder=tmp_path)
    rates = [line["learning_rate"] / 0.01 for line in lines(tmp_path)]
    warm = round(0.25 * len(rates))
    assert rates[:warm] == pytest.approx([(step + 1) / (warm + 1) for step in range(warm)])
    assert rates[warm] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    middle = warm + (len(rates) - 1 - warm) / 2
    mirrored = [rates[math.floor(middle)], rates[math.ceil(middle)]]
    assert sum(mirrored) / 2 == pytest.approx(0.55), "the cosine's middle lies half-way between peak and end"


def test_phases_take_their_questions_for_their_passes_at_their_rates(
    make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    hardness = {q.id: ("easy", "medium", "hard", "extra")[i % 4] for i, q in enumerate(questions)}
    phases = (
        Phase(hardness=("easy", "medium"), epochs=2, learning_rate=0.02),
        Phase(hardness=("hard", "extra")),
    )
    chosen = settings(epochs=1, warmup=0.25, phases=phases)
    plan = make_plan(questions, [], chosen, 0, hardness)
    (first, _), (second, _) = plan.phases
    seen = [
        Counter(hardness[q.id] for step in part for group in step for q in group)
        for part in (plan.steps[:first], plan.steps[first:])
    ]
    each = Counter(hardness.values())
    assert seen[0] == {name: 2 * each[name] for name in ("easy", "medium")}
    assert seen[1] == {name: each[name] for name in ("hard", "extra")}
    kept: dict[int, tuple[int, dict[str, Any]]] = {}

    def after_phase(number: int, model: Any, _weights: Any) -> None:
        kept[number] = len(lines(tmp_path)), {name: w.detach().clone() for name, w in trainable(model).items()}

    result = train(make_model("qwen2"), plan, chosen, seed=0, folder=tmp_path, after_phase=after_phase)
    assert list(kept) == [1] and kept[1][0] == first
    assert any(not torch.equal(weight, weights(result)[name]) for name, weight in kept[1][1].items())
    rates = [line["learning_rate"] for line in lines(tmp_path)]
    assert max(rates[:first]) == pytest.approx(0.02) and rates[first - 1] == pytest.approx(0.002)
    assert max(rates[first:]) == pytest.approx(0.01) and rates[first] < 0.01 and len(rates) == first + second
    with pytest.raises(RecipeError, match="expected hard questions for phase 1, found none"):
        make_plan(questions, [], settings(phases=(Phase(hardness=("hard",)),)), 0, dict.fromkeys(hardness, "easy"))


def test_a_constant_rate(make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path) -> None:
    chosen = settings(warmup=0, final_rate=1)
    train(make_model("llama"), make_plan(questions, [], chosen, 0), chosen, seed=0, folder=tmp_path)
    assert {line["learning_rate"] for line in lines(tmp_path)} == {0.01}


def test_packs_of_any_size_learn_the_same(
    make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    plan = make_plan(questions, [], SETTINGS, 0)
    results = []
    for tokens in (128, 4096):
        chosen = settings(tokens_per_batch=tokens)
        results.append(train(make_model("llama"), plan, chosen, seed=0, folder=_new(tmp_path / str(tokens))).losses)
    assert results[0] == pytest.approx(results[1], rel=1e-4)


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_spoilt(
    make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    model = make_model("llama")
    model.lm_head.weight.data[3] = float("inf")
    with pytest.raises(RecipeError, match=r"Step 1: expected a finite loss.*Lower train\.learning_rate"):
        train(model, make_plan(questions, [], SETTINGS, 0), SETTINGS, seed=0, folder=tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_a_finished_run_does_nothing_more(
    make_model: Callable[..., Any], questions: list[Encoded], tmp_path: Path
) -> None:
    plan = make_plan(questions, [], SETTINGS, 0)
    first = train(make_model("llama"), plan, SETTINGS, seed=0, folder=tmp_path)
    said: list[str] = []
    again = train(make_model("llama"), plan, SETTINGS, seed=0, folder=tmp_path, say=said.append)
    assert again.losses == first.losses
    assert all(torch.equal(weight, weights(first)[name]) for name, weight in weights(again).items())
    assert said == [f"Continuing training after step {len(plan.steps)} of {len(plan.steps)}."]


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_weights_end_between_their_beginning_and_the_last_step(
    share: float, make_model: Callable[..., Any], questions: list[Encoded], held_out: list[Encoded], tmp_path: Path
) -> None:
    chosen = settings(interpolation=share)
    plan = make_plan(questions, held_out, chosen, 0)
    assert plan.name == make_plan(questions, held_out, SETTINGS, 0).name, "its checkpoints serve for any share"
    ended = weights(train(make_model("qwen2"), plan, SETTINGS, seed=0, folder=_new(tmp_path / "whole")))
    model = add_lora(make_model("qwen2"), SETTINGS.rank, SETTINGS.alpha, "all-linear", 0)
    began = {name: weight.detach().clone() for name, weight in trainable(model).items()}
    folder = _new(tmp_path / "share")
    result = train(make_model("qwen2"), plan, chosen, seed=0, folder=folder)
    for name, weight in weights(result).items():
        assert torch.allclose(weight, began[name] + share * (ended[name] - began[name]), atol=1e-6), name
    assert result.validation_losses[-1] == pytest.approx(mean_loss(result.model, plan.validation, 128), rel=1e-6)
    again = train(make_model("qwen2"), plan, chosen, seed=0, folder=folder)
    assert all(torch.equal(weight, weights(result)[name]) for name, weight in weights(again).items())
    assert again.validation_losses == result.validation_losses


def test_a_damaged_newest_checkpoint_and_torn_metrics_lead_to_the_same_weights(
    make_model: Callable[..., Any], questions: list[Encoded], held_out: list[Encoded], tmp_path: Path
) -> None:
    plan = make_plan(questions, held_out, SETTINGS, 0)
    undisturbed = train(make_model("qwen2"), plan, SETTINGS, seed=0, folder=_new(tmp_path / "a"))
    folder = _new(tmp_path / "b")
    train(make_model("qwen2"), plan, SETTINGS, seed=0, folder=folder)
    newest = max((folder / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:3000])
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 99, "lo')
    said: list[str] = []
    result = train(make_model("qwen2"), plan, SETTINGS, seed=0, folder=folder, say=said.append)
    assert any("going back to the one before" in text for text in said)
    assert all(torch.equal(weight, weights(undisturbed)[name]) for name, weight in weights(result).items())
    assert result.losses == undisturbed.losses
    assert result.validation_losses == undisturbed.validation_losses


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
