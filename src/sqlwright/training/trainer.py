"""The training loop on packed questions, with checkpoints that continue to the very same weights."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from sqlwright.errors import RecipeError
from sqlwright.models.device import peak_memory_mb
from sqlwright.recipe import SAME_STEPS, Phase, TrainSettings
from sqlwright.training import checkpoint
from sqlwright.training.kinds import WHOLE, open_learner, result_weights
from sqlwright.training.lora import trainable
from sqlwright.training.loss import pack_loss
from sqlwright.training.optimizer import move
from sqlwright.training.packing import (
    Encoded,
    Load,
    Pack,
    deal_groups,
    deal_packs,
    deal_passes,
    deal_steps,
    group_size,
)
from sqlwright.training.ranks import Ranks
from sqlwright.training.shards import Weights, put, put_state, share_out, whole, whole_state
from sqlwright.training.stopper import Stopper

Progress = Callable[[int, int, str, Sequence[float]], None]
_ALONE = Ranks()


@dataclass(frozen=True, slots=True)
class Plan:
    """All optimizer steps of a training run, each a list of groups; `name` is a hash of everything in it.

    `phases` has the number of steps and the peak learning rate of each phase.
    """

    steps: tuple[tuple[list[Encoded], ...], ...]
    validation: tuple[list[Encoded], ...]
    name: str
    phases: tuple[tuple[int, float], ...]

    @property
    def questions(self) -> int:
        """Questions over all steps, with repetition."""
        return sum(len(group) for step in self.steps for group in step)

    @property
    def tokens(self) -> int:
        """Tokens that pass through the model over all steps, prefixes counted once per group."""
        return sum(group_size(group) for step in self.steps for group in step)

    def largest_pass(self, tokens: int) -> Load:
        """Return the most tokens and the most keys of a pass through the model, where `tokens` bounds them."""
        loads = [Load.of(one) for step in self.steps for one in deal_passes(step, tokens)]
        return Load(max((one.tokens for one in loads), default=0), max((one.keys for one in loads), default=0))

    def phase_of(self, step: int) -> tuple[int, int, float]:
        """Return the first step of the phase that a step belongs to, the one behind its last, and its peak rate."""
        ends = list(itertools.accumulate(count for count, _ in self.phases))
        number = next(number for number, end in enumerate(ends) if step < end)
        count, rate = self.phases[number]
        return ends[number] - count, ends[number], rate

    def phases_done(self, step: int) -> int:
        """Return how many phases end with exactly so many steps taken: their number, or 0 in the middle of one."""
        ends = list(itertools.accumulate(count for count, _ in self.phases))
        return ends.index(step) + 1 if step in ends else 0


@dataclass(slots=True)
class TrainResult:
    """What a training run came to. `seconds` counts all sessions; losses are per target token, natural log.

    `weights` are those that differ from the base's, for a kind that comes to weights.
    """

    model: Any
    weights: Weights
    steps: int
    questions: int
    seconds: float
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)


def make_plan(
    questions: Sequence[Encoded],
    validation: Sequence[Encoded],
    settings: TrainSettings,
    seed: int,
    hardness: Mapping[str, str | None] = MappingProxyType({}),
) -> Plan:
    """Return the steps of all passes; every pass draws anew which questions share a sequence.

    `hardness` is that of the questions by their ids, for the phases of a curriculum. Raises `RecipeError` where a phase
    has no questions.
    """
    steps: list[list[list[Encoded]]] = []
    phases: list[tuple[int, float]] = []
    size, tokens = settings.sharing, settings.tokens_per_batch
    passes = 0
    for number, phase in enumerate(settings.phases or (Phase(),), 1):
        own = [q for q in questions if not phase.hardness or hardness.get(q.id) in phase.hardness]
        if questions and not own:
            raise RecipeError(
                f"train.phases: expected {' or '.join(phase.hardness)} questions for phase {number}, found none."
            )
        begin = len(steps)
        epochs = settings.epochs if phase.epochs is None else phase.epochs
        for epoch in range(math.ceil(epochs)):
            dealt = deal_steps(deal_groups(own, size, tokens, seed * 100_003 + passes), settings.questions_per_step)
            passes += 1
            share = min(1.0, epochs - epoch)
            steps += dealt[: math.ceil(share * len(dealt))]
        phases.append((len(steps) - begin, phase.learning_rate or settings.learning_rate))
    held_out = deal_groups(validation, size, tokens, seed) if validation else []
    given = settings.model_dump(
        mode="json", exclude={"interpolation", *SAME_STEPS}
    )  # the former matters after the last
    digest = hashlib.sha256(json.dumps([given, seed]).encode())
    for group in [group for step in steps for group in step] + held_out:
        digest.update(repr([(question.prefix, question.branch) for question in group]).encode())
    return Plan(tuple(map(tuple, steps)), tuple(held_out), digest.hexdigest()[:16], tuple(phases))


def train(
    model: Any,
    plan: Plan,
    settings: TrainSettings,
    *,
    seed: int,
    folder: Path,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
    start: Path | None = None,
    after_phase: Callable[[int, Any, Weights], None] = lambda *_: None,
    ranks: Ranks = _ALONE,
    track: Callable[[dict[str, Any]], None] = lambda _: None,
    device: str = "cpu",
) -> TrainResult:
    """Return the model trained over all steps of the plan, as `settings.kind` has it.

    Training goes on from `start`, a GGUF adapter, where one is given; with `settings.interpolation` below 1 the weights
    end so far between their beginning and the last step (WiSE-FT, arXiv 2109.01903). Continues from the newest
    checkpoint in `folder/checkpoints`; `folder/metrics.jsonl` gets a line per step and `track` the same; `after_phase`
    gets the number of each phase but the last, the model as it then is, and its `weights` as in the result. With
    several `ranks`, each takes its share of every step, and the first one writes; the layers are shared out over their
    devices of the kind `device`, if the ranks say so. The result is the same, bit for bit on the CPU, however often the
    process was stopped in between. Ctrl-C and SIGTERM finish the step, write a checkpoint and raise `KeyboardInterrupt`
    or `SystemExit(143)`. Raises `RecipeError` where the loss is no longer finite, or `start` has matrices that
    the settings leave no room for.
    """
    wrapped = open_learner(model, settings, seed, start)
    if ranks.sharding:
        share_out(wrapped, device, drop=ranks.sharding == "layers")
    run = _Run(wrapped, plan, settings, folder, say, ranks, track)
    run.restore()
    ranks.wait()  # nobody reads a checkpoint that another one has just written
    total = plan.questions
    with Stopper() as stopper:
        if run.step == 0 and plan.validation:
            run.validate()
        while run.step < len(plan.steps):
            metrics = run.take_step(lambda: stopper.asked is not None)
            if progress:
                progress(run.questions, total, f"loss {metrics['loss']:.3f}", run.losses)
            last = run.step == len(plan.steps)
            due = settings.validate_every and run.step % settings.validate_every == 0
            if plan.validation and due and not last:
                run.validate()
            phase = 0 if last else plan.phases_done(run.step)
            if phase:
                weights = run.result()
                if ranks.leads:
                    after_phase(phase, wrapped, weights)
            if last or phase or run.stopping or run.step % settings.checkpoint_every == 0:
                run.save()
            if run.stopping and not last:
                say(f"Stopped after step {run.step} of {len(plan.steps)}; the checkpoint is written.")
                stopper.leave()
    run.finish()
    held_out = [line["validation_loss"] for line in run.lines if "validation_loss" in line]
    return TrainResult(wrapped, run.result(), run.step, run.questions, run.seconds, run.losses, held_out)


def mean_loss(model: Any, groups: Sequence[list[Encoded]], tokens: int) -> float:
    """Return the loss per target token over the groups, without gradients."""
    device = next(model.parameters()).device
    total = 0.0
    count = 0
    with torch.no_grad():
        for batch in deal_packs(groups, tokens):
            total += float(pack_loss(model, batch.to(device)))
            count += len(batch.labels)
    return total / max(count, 1)


class _Run:
    """The state of a training run between steps."""

    def __init__(
        self,
        model: Any,
        plan: Plan,
        settings: TrainSettings,
        folder: Path,
        say: Callable[[str], None],
        ranks: Ranks,
        track: Callable[[dict[str, Any]], None],
    ) -> None:
        self.model, self.plan, self.settings, self.folder, self.say = model, plan, settings, folder, say
        self.ranks, self.track = ranks, track
        self.stopping = False
        self.weights = trainable(model)
        self.device = next(iter(self.weights.values())).device
        self.optimizer = torch.optim.AdamW(
            list(self.weights.values()),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            foreach=False if ranks.sharding else None,  # shares and whole weights don't go together
        )
        kept = self.weights if settings.interpolation < 1 else {}
        self.beginning = {name: weight.detach().clone() for name, weight in kept.items()}
        self.step = self.questions = 0
        self.seconds = 0.0
        self.lines: list[dict[str, Any]] = []

    @property
    def losses(self) -> list[float]:
        """The training loss of every step so far."""
        return [line["loss"] for line in self.lines if "loss" in line]

    def restore(self) -> None:
        """Go on from the newest checkpoint, if there is one; metrics after it are dropped."""
        state = checkpoint.newest(self.folder / "checkpoints", self.plan.name, self.say)
        path = self.folder / "metrics.jsonl"
        if state:
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(put(state.weights[name], weight))
            put_state(self.optimizer, state.optimizer)
            self.step, self.questions, self.seconds = state.step, state.questions, state.seconds
            # The validation at the end comes anew, as what it measures is made after the last checkpoint.
            end = len(self.plan.steps)
            lines = [line for line in _read_lines(path) if line["step"] <= state.step]
            self.lines = [line for line in lines if "loss" in line or line["step"] < end]
            self.say(f"Continuing training after step {self.step} of {len(self.plan.steps)}.")
        if self.ranks.leads:
            path.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")

    def take_step(self, asked: Callable[[], bool]) -> dict[str, Any]:
        """Train on the next step's questions and return its metrics (also appended to the file).

        `asked` says whether this rank was asked to stop; all of them stop behind the step if any was.
        """
        started = time.perf_counter()
        rate = self._rate()
        step = self.plan.steps[self.step]
        packs = self._packs(step)
        targets = sum(question.targets for group in step for question in group)
        tokens = sum(map(group_size, step))
        questions = sum(map(len, step))
        self.model.train()
        total = 0.0
        for batch, counts in packs:
            loss = pack_loss(self.model, batch.to(self.device)) * counts
            # Normalised over the whole step: the same gradient, however the step is cut into packs.
            (loss / targets).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        total, stop = self.ranks.add_up(self.weights.values(), total, float(asked()))
        self.stopping = stop > 0
        norm = move(
            self.optimizer,
            loss=total,
            rate=rate,
            max_norm=self.settings.max_gradient_norm,
            step=self.step + 1,
            setting="train.learning_rate",
        )
        seconds = time.perf_counter() - started
        self.step += 1
        self.questions += questions
        self.seconds += seconds
        return self._log(
            loss=total / targets,
            learning_rate=rate,
            gradient_norm=norm,
            questions_per_second=questions / seconds,
            tokens_per_second=tokens / seconds,
            peak_memory_mb=peak_memory_mb(self.device),
        )

    def _packs(self, step: Sequence[list[Encoded]]) -> list[tuple[Pack, float]]:
        """Return this rank's packs of a step, and by what their losses count.

        Where layers are shared out, all ranks have to compute them as often: those with fewer packs repeat one for 0.
        """
        tokens = self.settings.tokens_per_batch
        if not self.ranks.sharding:
            return [(batch, 1.0) for batch in deal_packs(self.ranks.deal(step), tokens)]
        every = [deal_packs(groups, tokens) for groups in self.ranks.deal_all(step)]
        own = every[self.ranks.rank]
        spare = (own or deal_packs(step[:1], tokens))[-1:]
        return [(batch, 1.0) for batch in own] + (max(map(len, every)) - len(own)) * [(spare[0], 0.0)]

    def result(self) -> Weights:
        """Return the weights that differ from the base's, for a kind that comes to weights; asked by all ranks."""
        asked = self.settings.kind in WHOLE and (self.ranks.leads or self.ranks.sharding)
        return result_weights(self.model, self.settings.kind) if asked else {}

    def finish(self) -> None:
        """Interpolate between the weights of the beginning and the end, and log the validation loss of the result."""
        with torch.no_grad():
            for name, weight in self.beginning.items():
                self.weights[name].copy_(torch.lerp(weight, self.weights[name], self.settings.interpolation))
        if self.plan.validation:
            self.validate()

    def validate(self) -> None:
        """Log the loss on the held-out training databases; the first rank's work, unless layers are shared out."""
        if not self.ranks.leads and not self.ranks.sharding:
            return
        self.model.eval()
        loss = mean_loss(self.model, self.plan.validation, self.settings.tokens_per_batch)
        self._log(validation_loss=loss)

    def save(self) -> None:
        """Write a checkpoint of the current step; the first rank's work, once it has all shares."""
        if not self.ranks.leads and not self.ranks.sharding:
            return
        weights = {name: whole(weight) for name, weight in self.weights.items()}
        moments = whole_state(self.optimizer)
        if not self.ranks.leads:
            return
        state = checkpoint.Checkpoint(self.step, self.plan.name, self.questions, self.seconds, weights, moments)
        checkpoint.save(self.folder / "checkpoints", state)

    def _rate(self) -> float:
        """Return the learning rate of the next step: in each phase a warm-up, then a cosine down to `final_rate`."""
        start, end, rate = self.plan.phase_of(self.step)
        steps, step = end - start, self.step - start
        warm = round(self.settings.warmup * steps)
        if step < warm:
            return rate * (step + 1) / (warm + 1)
        passed = (step - warm) / max(1, steps - warm - 1)
        low = self.settings.final_rate
        return rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, passed))))

    def _log(self, **values: float) -> dict[str, Any]:
        line = {"step": self.step, "questions": self.questions, "seconds": round(self.seconds, 3), **values}
        self.lines.append(line)
        if not self.ranks.leads:
            return line
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.track(line)
        return line


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the metrics lines; a torn last line (the process was killed while writing) is dropped."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
