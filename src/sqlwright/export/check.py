"""Does what is exported answer as what was trained? The greedy answers of both are held together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlwright.decoding import prompt_groups
from sqlwright.errors import ModelError
from sqlwright.models.gguf import Answer, GgufEngine
from sqlwright.models.rope import rope_theta_of
from sqlwright.records import Prompt

# Share of prompts that must agree (18 of 20), and how far mean log-probabilities may lie apart.
AGREEMENT = 0.9
TOLERANCE = 0.05
_SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True)
class Agreement:
    """Prompts whose greedy answers agree, and the mean log-probability per token (natural log) of both models."""

    prompts: int
    agree: int
    trained_log_probability: float
    exported_log_probability: float

    @property
    def difference(self) -> float:
        """Absolute difference of the mean log-probabilities."""
        return abs(self.trained_log_probability - self.exported_log_probability)

    @property
    def good(self) -> bool:
        """Whether what is exported may be used."""
        return self.agree >= AGREEMENT * self.prompts and self.difference <= TOLERANCE

    def require(self) -> None:
        """Raise `ModelError` unless the engines agree well enough."""
        if not self.good:
            raise ModelError(
                f"What is exported doesn't answer as what was trained: expected at least {AGREEMENT:.0%} of "
                f"{self.prompts} greedy answers to agree and mean log-probabilities within {TOLERANCE}, found "
                f"{self.agree} that agree and {self.difference:.3f}. The export is not kept."
            )


def compare_engines(
    prompts: Sequence[Prompt],
    *,
    base: Path,
    adapter: Path | None,
    gguf_adapter: Path | None,
    max_tokens: int,
    context: int,
    threads: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Agreement:
    """Return how well the GGUF engine with `gguf_adapter` agrees with torch with the PEFT `adapter` (None: the base).

    The GGUF engine answers each prompt; torch reads prompt and answer in one packed pass. Its greedy answer is the
    same exactly if its likeliest token is the next one at every position of the answer, the end included.
    """
    import torch

    from sqlwright.models.architectures import use_shared_prefix_attention
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.models.weights import load_model
    from sqlwright.training.lora import read_lora

    total = 2 * len(prompts)
    groups = prompt_groups(prompts, _SIDE_BY_SIDE)
    with GgufEngine(base, gguf_adapter, context=context, parallel=_SIDE_BY_SIDE, threads=threads) as engine:
        answers = _answers(engine, groups, max_tokens, lambda done: progress(done, total))
    tokenizer = load_tokenizer(base)
    model = load_model(base, torch.float32, rope_theta=rope_theta_of(gguf_adapter))
    use_shared_prefix_attention(model)
    model = read_lora(model, adapter) if adapter else model
    agree = 0
    torch_logs: list[float] = []
    done = 0
    for group in groups:
        own = answers[done : done + len(group)]
        for scores in _scores(model, tokenizer, group, own):
            agree += all(best for _, best in scores)
            torch_logs += [log for log, _ in scores]
        done += len(group)
        progress(len(prompts) + done, total)
    gguf_logs = [log for answer in answers for log in answer.log_probabilities]
    return Agreement(
        len(prompts), agree, sum(torch_logs) / max(1, len(torch_logs)), sum(gguf_logs) / max(1, len(gguf_logs))
    )


def compare_merged(
    prompts: Sequence[Prompt],
    *,
    base: Path,
    adapter: Path | None,
    merged: Path,
    max_tokens: int,
    context: int,
    threads: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Agreement:
    """Return how well the GGUF engine with `merged` agrees with itself with `base` and a GGUF `adapter`, if any."""
    total = 2 * len(prompts)
    groups = prompt_groups(prompts, _SIDE_BY_SIDE)
    found: list[list[Answer]] = []
    for model, lora in ((base, adapter), (merged, None)):
        with GgufEngine(model, lora, context=context, parallel=_SIDE_BY_SIDE, threads=threads) as engine:
            report = partial(_report, progress, len(found) * len(prompts), total)
            found.append(_answers(engine, groups, max_tokens, report))
    agree = sum(one.tokens == other.tokens for one, other in zip(*found, strict=True))
    means = [
        sum(log for answer in answers for log in answer.log_probabilities) / max(1, sum(len(a.tokens) for a in answers))
        for answers in found
    ]
    return Agreement(len(prompts), agree, *means)


def _report(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _answers(
    engine: GgufEngine, groups: Sequence[Sequence[Prompt]], max_tokens: int, progress: Callable[[int], None]
) -> list[Answer]:
    """Return the greedy answers to groups of prompts that share a prefix."""
    answers: list[Answer] = []
    for group in groups:
        answers += engine.answer(group[0].prefix, [prompt.suffix for prompt in group], max_tokens)
        progress(len(answers))
    return answers


def _scores(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], answers: Sequence[Answer]
) -> list[list[tuple[float, bool]]]:
    """Return, per answer and token, torch's log-probability and whether it is torch's likeliest token."""
    from sqlwright.training.loss import score_targets
    from sqlwright.training.packing import Encoded, encode, pack

    asked = encode(prompts, tokenizer, tokenizer.eos_token_id)
    filled = [
        Encoded(one.id, one.database, one.prefix, (*one.branch[: one.loss_start], *answer.tokens), one.loss_start)
        for one, answer in zip(asked, answers, strict=True)
    ]
    scored = score_targets(model, pack([filled]))
    pairs = list(zip(scored.log_probabilities.tolist(), scored.likeliest.tolist(), strict=True))
    split, start = [], 0
    for one in filled:
        split.append(pairs[start : start + one.targets])
        start += one.targets
    return split
