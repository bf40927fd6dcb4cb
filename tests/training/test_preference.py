"""Preference on packs: the plain formulas on separate sequences, and loops that do what they are for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from torch.nn.functional import logsigmoid  # noqa: E402

from sqlwright.models.architectures import use_shared_prefix_attention  # noqa: E402
from sqlwright.recipe import PreferSettings, TrainSettings  # noqa: E402
from sqlwright.training.kinds import open_learner  # noqa: E402
from sqlwright.training.lora import trainable, use_fast_lora  # noqa: E402
from sqlwright.training.loss import pack_loss, score_targets, token_logs  # noqa: E402
from sqlwright.training.packing import Encoded, pack  # noqa: E402
from sqlwright.training.preference import (  # noqa: E402
    CLIP,
    Pair,
    advantages,
    answered,
    branch_sums,
    deal_pairs,
    dpo_loss,
    grpo_loss,
)
from sqlwright.training.preference_loop import Hand, Tried, train_dpo, train_grpo  # noqa: E402

needs("peft")

Groups = list[list[Encoded]]
SHAPE = [(25, [(5, 6), (4, 7), (3, 2)]), (11, [(3, 9)]), (40, [(8, 5), (2, 12)])]
TRAIN = TrainSettings(rank=4, questions_per_step=4, questions_per_sequence=3, tokens_per_batch=128, checkpoint_every=1)


def make_pairs(groups: Groups) -> list[Pair]:
    """Return a pair per question, right: its target; wrong: the target backwards, and a token more."""
    pairs = []
    for one in (one for group in groups for one in group):
        target = one.branch[one.loss_start :]
        right, wrong = answered(one, target, f"{one.id} right"), answered(one, (*target[::-1], 7), f"{one.id} wrong")
        pairs.append(Pair(right, wrong))
    return pairs


def lora(model: Any, seed: int) -> Any:
    """Return the model with PEFT's LoRA on all linear layers, both matrices random."""
    from peft import LoraConfig, get_peft_model

    from sqlwright.training.targets import target_modules

    config = LoraConfig(r=4, lora_alpha=8, target_modules=target_modules(model, "all-linear"), task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.1)
    return wrapped


def plain_log(model: Any, one: Encoded) -> Any:
    """Return the log-probability of an answer by transformers' own attention on a sequence of its own."""
    ids = torch.tensor([[*one.prefix, *one.branch]])
    first = len(one.prefix) + one.loss_start
    logs = model(input_ids=ids, use_cache=False).logits[0, first - 1 : -1].float().log_softmax(-1)
    return logs.gather(1, ids[0, first:, None]).sum()


def gradients(model: Any) -> Any:
    return torch.cat([weight.grad.flatten() for _, weight in sorted(trainable(model).items())])


def test_token_logs_are_those_that_are_scored_and_learned(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups]
) -> None:
    model, batch = lora(make_model("qwen2"), 1), pack(make_questions(SHAPE))
    use_fast_lora(model)
    use_shared_prefix_attention(model.get_base_model())
    logs = token_logs(model, batch)
    torch.testing.assert_close(logs, score_targets(model, batch).log_probabilities, rtol=1e-5, atol=1e-5)
    (-logs.sum()).backward()
    found = gradients(model)
    model.zero_grad()
    pack_loss(model, batch).backward()
    assert (found - gradients(model)).norm() < 1e-5 * found.norm()


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_dpo_on_packs_is_the_plain_formula_on_separate_sequences(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], kind: str
) -> None:
    pairs, beta = make_pairs(make_questions(SHAPE)), 0.3
    theirs, reference = lora(make_model(kind), 1), lora(make_model(kind), 2)
    ours, before = copy.deepcopy(theirs), copy.deepcopy(reference)
    expected = torch.tensor(0.0)
    for pair in pairs:
        with torch.no_grad():
            right, wrong = plain_log(reference, pair.right), plain_log(reference, pair.wrong)
        margin = plain_log(theirs, pair.right) - right - (plain_log(theirs, pair.wrong) - wrong)
        expected = expected - logsigmoid(beta * margin)
    expected.backward()
    for model in (ours, before):
        use_fast_lora(model)
        use_shared_prefix_attention(model.get_base_model())
    (groups,) = deal_pairs(pairs, 2, 99, 200, seed=5)
    batch = pack(groups)
    with torch.no_grad():
        known = branch_sums(token_logs(before, batch), batch)
    sums = branch_sums(token_logs(ours, batch), batch)
    loss, _ = dpo_loss(sums[0::2], sums[1::2], known[0::2], known[1::2], beta)
    loss.sum().backward()
    assert len(loss) == len(pairs)
    assert loss.sum().item() == pytest.approx(expected.item(), rel=1e-5)
    assert (gradients(ours) - gradients(theirs)).norm() < 1e-4 * gradients(theirs).norm()


def test_a_pair_is_never_torn_apart(make_questions: Callable[..., Groups]) -> None:
    pairs = make_pairs(make_questions([(20, [(3, 4)] * 7), (9, [(3, 5)] * 5)]))
    steps = deal_pairs(pairs, 3, 4, 90, seed=1)
    seen = []
    for group in (group for step in steps for group in step):
        assert len(group) <= 6 and len({one.prefix for one in group}) == 1
        for right, wrong in zip(group[0::2], group[1::2], strict=True):
            seen.append(Pair(right, wrong))
    assert sorted(seen, key=repr) == sorted(pairs, key=repr)
    assert deal_pairs(pairs, 3, 4, 90, seed=2) != steps


def test_advantages() -> None:
    assert advantages([1.0, 0.0, 0.0, 1.0]) == pytest.approx([1, -1, -1, 1])
    found = advantages([0.1, 0.2, 0.6])
    assert found is not None and sum(found) == pytest.approx(0) and found == sorted(found)
    assert advantages([0.4] * 5) is None


def test_grpo_gains_are_clipped_where_they_would_go_on_and_only_there() -> None:
    drawn = torch.zeros(4)
    now = torch.tensor([1.5, 0.5, 1.5, 0.5]).log().requires_grad_()
    loss, apart = grpo_loss(now, drawn, None, torch.tensor([2.0, 2.0, -2.0, -2.0]), 0.0)
    assert loss.tolist() == pytest.approx([-2 * (1 + CLIP), -1.0, 3.0, 2 * (1 - CLIP)])
    loss.sum().backward()
    assert now.grad is not None and now.grad.tolist() == pytest.approx([0, -1.0, 3.0, 0])
    assert apart.tolist() == [0] * 4


def test_grpo_holds_the_model_to_the_reference() -> None:
    now = torch.tensor([-1.0, -2.0], requires_grad=True)
    loss, apart = grpo_loss(now, now.detach(), torch.tensor([-1.0, -1.0]), torch.zeros(2), 0.5)
    assert apart.tolist() == pytest.approx([0.0, 2.718281828 - 2])
    loss.sum().backward()
    assert now.grad is not None and now.grad.tolist() == pytest.approx([0.0, 0.5 * (1 - 2.718281828)])


def hand(folder: Path, **settings: Any) -> Hand:
    return Hand(PreferSettings(learning_rate=0.01, **settings), TRAIN, 0, folder)


def test_dpo_makes_right_answers_likelier_than_wrong_ones(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], tmp_path: Path
) -> None:
    pairs = make_pairs(make_questions([(20, [(3, 4)] * 7), (9, [(3, 5)] * 5)]))
    result = train_dpo(open_learner(make_model("qwen2"), TRAIN, 0, None), pairs, hand(tmp_path, epochs=3))
    assert result.lines[0]["loss"] == pytest.approx(0.6931, abs=1e-3), "both are as the reference has them"
    assert result.lines[-1]["right_first"] == 1.0 and result.lines[-1]["loss"] < 0.45
    assert result.lines[-1]["right_loss"] < 0.7 * result.lines[0]["right_loss"], "and right ones likelier than before"
    assert result.steps == len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 9


class Stopped(Exception):
    pass


def draw_with(policy: Any, questions: Sequence[Encoded], wanted: int, seed: int) -> list[list[Tried]]:
    """Return four drawn answers of three tokens to each question; the reward is the share of the wanted token."""
    source = torch.Generator().manual_seed(seed)
    groups = []
    for one in questions:
        group = []
        for number in range(4):
            tokens: list[int] = []
            for _ in range(3):
                probes = [answered(one, (*tokens, token), str(token)) for token in (3, 4, 5, 6)]
                with torch.no_grad():
                    shares = token_logs(policy, pack([probes])).view(4, -1)[:, -1].softmax(-1)
                tokens.append(3 + int(torch.multinomial(shares, 1, generator=source)))
            reward = tokens.count(wanted) / 3
            group.append(Tried(answered(one, tokens, f"{one.id} {number}"), reward))
        groups.append(group)
    return groups


def test_grpo_raises_the_reward(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], tmp_path: Path
) -> None:
    questions = [one for group in make_questions([(12, [(3, 1)] * 2)]) for one in group]
    policy = open_learner(make_model("qwen2"), TRAIN, 0, None)
    result = train_grpo(policy, 10, lambda number: draw_with(policy, questions, 5, number), hand(tmp_path, beta=0.02))
    rewards = [line["reward"] for line in result.lines]
    assert sum(rewards[-3:]) / 3 > 0.8 > 0.5 > sum(rewards[:2]) / 2
    assert max(line["divergence"] for line in result.lines) > 0


def test_grpo_learns_nothing_where_all_answers_are_alike(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], tmp_path: Path
) -> None:
    (questions,) = make_questions([(12, [(3, 2)] * 2)])
    policy = open_learner(make_model("qwen2"), TRAIN, 0, None)
    before = {name: weight.detach().clone() for name, weight in trainable(policy).items()}
    groups = [
        [Tried(answered(one, (3, number), f"{one.id} {number}"), 0.5) for number in range(3)] for one in questions
    ]
    result = train_grpo(policy, 1, lambda _: groups, hand(tmp_path))
    assert (result.lines[0]["groups"], result.lines[0]["groups_learned"]) == (2, 0)
    assert all(torch.equal(before[name], weight) for name, weight in trainable(policy).items())


def test_matrices_end_between_the_first_and_the_last_step(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], tmp_path: Path
) -> None:
    pairs = make_pairs(make_questions([(20, [(3, 4)] * 4)]))

    def learn(share: float) -> dict[str, torch.Tensor]:
        own = hand(tmp_path / str(share), epochs=2)
        own = replace(own, train=own.train.model_copy(update={"interpolation": share}))
        policy = open_learner(make_model("llama"), TRAIN, 0, None)
        return {name: weight.detach() for name, weight in trainable(train_dpo(policy, pairs, own).model).items()}

    start = trainable(open_learner(make_model("llama"), TRAIN, 0, None))
    whole, half = learn(1.0), learn(0.5)
    assert any(not torch.equal(whole[name], start[name]) for name in whole)
    for name in whole:
        torch.testing.assert_close(half[name], (start[name].detach() + whole[name]) / 2)


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_a_loop_that_was_stopped_ends_with_the_same_matrices(
    make_model: Callable[..., Any], make_questions: Callable[..., Groups], tmp_path: Path, method: str
) -> None:
    groups = make_questions([(20, [(3, 4)] * 5), (9, [(3, 5)] * 4)])
    drawn = [
        [Tried(answered(one, one.branch[one.loss_start :][:n], f"{one.id} {n}"), n % 3 / 2) for n in range(1, 4)]
        for group in groups
        for one in group
    ]

    def learn(folder: Path, stop: int) -> Any:
        def progress(done: int, _total: int, _note: str) -> None:
            if done == stop:
                raise Stopped

        policy = open_learner(make_model("llama"), TRAIN, 0, None)
        own = replace(hand(folder, epochs=2), progress=progress)
        if method == "dpo":
            return train_dpo(policy, make_pairs(groups), own)
        return train_grpo(policy, 4, lambda number: drawn[number::4], own)

    whole = learn(tmp_path / "whole", 0)
    for stop in (1, 3):
        with pytest.raises(Stopped):
            learn(tmp_path / "stopped", stop)
    again = learn(tmp_path / "stopped", 0)
    ours, theirs = trainable(again.model), trainable(whole.model)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert any(weight.abs().sum() > 0 for name, weight in ours.items() if "lora_B" in name)

    def read(folder: Path) -> list[dict[str, Any]]:
        lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]

    assert read(tmp_path / "stopped") == read(tmp_path / "whole")
