"""Learning from judged answers: the loops of DPO and GRPO, with checkpoints that continue as if nothing had happened.

There is one model: its LoRA matrices learn, and the reference is the same model with the matrices that it began with.
Not covered: rejection sampling, which is plain fine-tuning on other targets (`trainer.train`).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sqlwright.recipe import SAME_STEPS, PreferSettings, TrainSettings
from sqlwright.training import checkpoint
from sqlwright.training.lora import trainable
from sqlwright.training.loss import token_logs
from sqlwright.training.optimizer import move
from sqlwright.training.packing import Encoded, Pack, deal_groups, deal_packs
from sqlwright.training.preference import (
    Pair,
    advantages,
    branch_of_rows,
    branch_sums,
    deal_pairs,
    dpo_loss,
    grpo_loss,
)
from sqlwright.training.stopper import Stopper

UPDATES = 2
"""Optimizer steps on the answers of one round of GRPO: drawing them costs more than learning from them."""
ANCHOR = 1.0
"""What the likelihood of right answers weighs beside their preference; without it both kinds become unlikely."""
_WARM = 0.1


@dataclass(frozen=True, slots=True)
class Tried:
    """An answer with its prompt, as it was drawn, and its reward."""

    answer: Encoded
    reward: float


@dataclass(frozen=True, slots=True)
class PreferResult:
    """What a loop came to: the model, and a line of metrics per step. `seconds` counts all sessions."""

    model: Any
    steps: int
    seconds: float
    lines: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hand:
    """What both loops are given: the settings, a seed, a folder for checkpoints and metrics, and who is told."""

    prefer: PreferSettings
    train: TrainSettings
    seed: int
    folder: Path
    progress: Callable[[int, int, str], None] = lambda *_: None
    say: Callable[[str], None] = lambda _: None


def train_dpo(policy: Any, pairs: Sequence[Pair], hand: Hand) -> PreferResult:
    """Return the policy after all passes over the pairs.

    The loss of a pair is DPO's and `ANCHOR` times the loss per token of its right answer (Pang et al. 2024, Iterative
    Reasoning Preference Optimization): margins alone also grow while right answers become less likely, only more
    slowly than wrong ones, and what is drawn then is neither.

    Continues from the newest checkpoint in the folder. Ctrl-C and SIGTERM finish the step, write a checkpoint and
    raise. Raises `RecipeError` where the loss is no longer finite.
    """
    settings = hand.train
    steps: list[list[list[Encoded]]] = []
    for epoch in range(math.ceil(hand.prefer.epochs)):
        dealt = deal_pairs(
            pairs,
            settings.sharing,
            settings.questions_per_step,
            settings.tokens_per_batch,
            hand.seed * 100_003 + epoch,
        )
        steps += dealt[: math.ceil(min(1.0, hand.prefer.epochs - epoch) * len(dealt))]
    run = _Run(policy, hand, len(steps), steps)
    run.restore()

    def step() -> dict[str, float]:
        groups = steps[run.step]
        answers = [answer for group in groups for answer in group]
        count = len(answers) // 2
        found = {"loss": 0.0, "margin": 0.0, "right_first": 0.0, "right_loss": 0.0}
        place = 0
        packs = [batch.to(run.device) for batch in deal_packs(groups, settings.tokens_per_batch)]
        with _with_weights(run.weights, run.beginning):
            before = [branch_sums(logs, batch) for logs, batch in zip(_logs(policy, packs), packs, strict=True)]
        for batch, known in zip(packs, before, strict=True):
            sums = branch_sums(token_logs(policy, batch), batch)
            own = answers[place : place + batch.questions]
            place += batch.questions
            loss, margin = dpo_loss(sums[0::2], sums[1::2], known[0::2], known[1::2], hand.prefer.beta)
            right = -sums[0::2] / sums.new_tensor([one.targets for one in own[0::2]])
            ((loss + ANCHOR * right).sum() / count).backward()  # type: ignore[no-untyped-call]
            told = {"loss": loss, "margin": margin, "right_first": margin > 0, "right_loss": right}
            for name, values in told.items():
                found[name] += values.sum().item() / count
        return found | {"gradient_norm": run.update(found["loss"]), "pairs": count}

    return run.loop(step, "loss", settings.checkpoint_every)


def train_grpo(
    policy: Any, rounds: int, draw: Callable[[int], Sequence[Sequence[Tried]]], hand: Hand, key: str = ""
) -> PreferResult:
    """Return the policy after so many rounds, each with new answers from `draw(round)`: a group per question.

    Groups whose answers all have the same reward say nothing and are left out. `key` names what rounds are about:
    a checkpoint of other questions is not used. For the rest see `train_dpo`.
    """
    run = _Run(policy, hand, rounds, key)
    run.restore()
    tokens = hand.train.tokens_per_batch

    def step() -> dict[str, float]:
        groups = draw(run.step)
        policy.train()
        gains, kept = _gains(groups)
        rewards = [one.reward for group in groups for one in group]
        found = {"reward": sum(rewards) / max(1, len(rewards)), "groups": len(groups), "groups_learned": kept}
        found |= {"loss": 0.0, "divergence": 0.0, "gradient_norm": 0.0}
        if not gains:
            return found
        dealt = deal_groups([one for one, _ in gains.values()], len(gains), tokens, hand.seed + run.step)
        answers = [answer for group in dealt for answer in group]
        packs = [batch.to(run.device) for batch in deal_packs(dealt, tokens)]
        drawn: list[torch.Tensor] = []
        before: list[torch.Tensor] | None = None
        if hand.prefer.beta:
            with _with_weights(run.weights, run.beginning):
                before = _logs(policy, packs)
        for _ in range(UPDATES):
            told = {"loss": 0.0, "divergence": 0.0}
            place, count = 0, sum(len(batch.labels) for batch in packs)
            for number, batch in enumerate(packs):
                own = [gains[answer.id][1] for answer in answers[place : place + batch.questions]]
                place += batch.questions
                gain = torch.tensor(own, device=run.device)[branch_of_rows(batch)]
                known = before[number] if before else None
                now = token_logs(policy, batch)
                if len(drawn) == number:  # in the first update the model is as it was when it drew
                    drawn.append(now.detach())
                loss, apart = grpo_loss(now, drawn[number], known, gain, hand.prefer.beta)
                (loss.sum() / count).backward()  # type: ignore[no-untyped-call]
                told["loss"] += loss.sum().item() / count
                told["divergence"] += apart.sum().item() / count
            told["gradient_norm"] = run.update(told["loss"])
        return found | told

    return run.loop(step, "reward", 1)  # a round takes as long as many steps


def _gains(groups: Sequence[Sequence[Tried]]) -> tuple[dict[str, tuple[Encoded, float]], int]:
    """Return answer and advantage by the answer's id, of groups whose rewards differ, and how many such groups."""
    gains: dict[str, tuple[Encoded, float]] = {}
    kept = 0
    for group in groups:
        found = advantages([one.reward for one in group])
        if found:
            kept += 1
            gains |= {one.answer.id: (one.answer, gain) for one, gain in zip(group, found, strict=True)}
    return gains, kept


@torch.no_grad()
def _logs(policy: Any, packs: Sequence[Pack]) -> list[torch.Tensor]:
    return [token_logs(policy, batch) for batch in packs]


@contextmanager
def _with_weights(weights: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Have the values of `others` in the place of the weights for a while."""
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(others[name])
        yield
        for name, weight in weights.items():
            weight.copy_(kept[name])


class _Run:
    """The state of a loop between steps."""

    def __init__(self, policy: Any, hand: Hand, total: int, key: Any) -> None:
        self.policy, self.hand, self.total = policy, hand, total
        self.weights = trainable(policy)
        self.beginning = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.device = next(iter(self.weights.values())).device
        self.optimizer = torch.optim.AdamW(
            list(self.weights.values()), lr=hand.prefer.learning_rate, weight_decay=hand.train.weight_decay
        )
        settings = [
            hand.prefer.model_dump(mode="json"),
            hand.train.model_dump(mode="json", exclude={"interpolation", *SAME_STEPS}),
            hand.seed,
            total,
        ]
        self.name = hashlib.sha256(f"{json.dumps(settings)}{key!r}".encode()).hexdigest()[:16]
        self.step, self.seconds = 0, 0.0
        self.lines: list[dict[str, Any]] = []

    def restore(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        self.hand.folder.mkdir(parents=True, exist_ok=True)
        state = checkpoint.newest(self.hand.folder / "checkpoints", self.name, self.hand.say)
        path = self.hand.folder / "metrics.jsonl"
        if state:
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(state.weights[name])
            self.optimizer.load_state_dict(state.optimizer)
            self.step, self.seconds = state.step, state.seconds
            lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()[: state.step]]
            self.lines = lines
            self.hand.say(f"Continuing after step {self.step} of {self.total}.")
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")

    def loop(self, take: Callable[[], dict[str, float]], note: str, every: int) -> PreferResult:
        """Take all steps that are left, with a checkpoint after so many; `note` is the value that is shown.

        The weights end `train.interpolation` of the way from their beginning to the last step, as in `trainer.train`.
        """
        with Stopper() as stopper:
            while self.step < self.total:
                started = time.perf_counter()
                self.policy.train()
                values = take()
                self.step += 1
                self.seconds += time.perf_counter() - started
                line = {"step": self.step, "seconds": round(self.seconds, 3), **values}
                self.lines.append(line)
                with (self.hand.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                if self.step % every == 0 or self.step == self.total or stopper.asked:
                    self._save()
                self.hand.progress(self.step, self.total, f"{note} {line[note]:.3f}")
                if stopper.asked and self.step < self.total:
                    self.hand.say(f"Stopped after step {self.step} of {self.total}; the checkpoint is written.")
                    stopper.leave()
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(torch.lerp(self.beginning[name], weight, self.hand.train.interpolation))
        return PreferResult(self.policy, self.step, self.seconds, self.lines)

    def update(self, loss: float) -> float:
        """Move the weights along their gradients, and return the norm that these had."""
        return move(
            self.optimizer,
            loss=loss,
            rate=self._rate(),
            max_norm=self.hand.train.max_gradient_norm,
            step=self.step + 1,
            setting="prefer.learning_rate",
        )

    def _rate(self) -> float:
        """Return the learning rate of the next step: up over the first tenth, then straight down."""
        warm = math.ceil(_WARM * self.total)
        return self.hand.prefer.learning_rate * min((self.step + 1) / (warm + 1), 1 - self.step / self.total)

    def _save(self) -> None:
        weights = {name: weight.detach().cpu() for name, weight in self.weights.items()}
        state = checkpoint.Checkpoint(
            self.step, self.name, self.step, self.seconds, weights, self.optimizer.state_dict()
        )
        checkpoint.save(self.hand.folder / "checkpoints", state)
