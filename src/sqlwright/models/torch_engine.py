"""The torch engine: many questions of many databases side by side, on a CPU or a GPU.

Every schema of a wave is read once, with its questions packed behind it; then all questions of the wave are decoded
together, each seeing the keys of its own schema, which exist once. A wave of dozens of questions reads the weights
once per token, so it pays off for whole question files; for single questions the GGUF engine needs a quarter of the
memory. The weights are those of the GGUF file, dequantised, with the adapter's merged into them.
"""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import torch

from sqlwright.errors import ModelError
from sqlwright.models.architectures import use_shared_prefix_attention
from sqlwright.models.attention import Group, hidden_states
from sqlwright.models.constraint import Constraint, Grammars
from sqlwright.models.device import choose_device, choose_dtype, choose_threads, keep_freed_memory
from sqlwright.models.gguf import STOP, Answer
from sqlwright.models.head import Head
from sqlwright.models.memory import WaveMemory
from sqlwright.models.rope import rope_theta_of
from sqlwright.models.tokenizer import load_tokenizer, token_ids
from sqlwright.models.weights import load_model, merge_adapter

# Packed tokens that are read at once; bounds the memory of a pass.
TOKENS_AT_ONCE = 4096
# Rows of a decoding step, at most: more are multiplied as they are when prompts are read.
FEW_ROWS = 96
# Tokens at an answer's end that may hold a stop.
_TAIL = 12
# What ends an answer beside the tokenizer's own end token, in the families that SQLWright reads.
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>", "▁<EOT>", "<|fim_pad|>")


class TorchEngine:
    """A loaded model, with an adapter (its file) or without; a context manager.

    `parallel` is how many suffixes are decoded side by side, whatever their prefixes. Raises `ModelError` where a
    file is missing or damaged, the adapter doesn't fit, or there is no such device.
    """

    def __init__(
        self,
        model: Path,
        adapter: Path | None = None,
        *,
        parallel: int = 96,
        device: str = "auto",
        dtype: str = "auto",
        threads: int = 0,
    ) -> None:
        torch.set_num_threads(choose_threads(threads))
        keep_freed_memory()
        self.model, self.adapter, self.parallel = model, adapter, parallel
        self.device = choose_device(device)
        self._tokenizer = load_tokenizer(model)
        self._causal = load_model(model, torch.float32, rope_theta=rope_theta_of(adapter))
        if adapter:
            merge_adapter(self._causal, adapter)
        self._causal = self._causal.to(self.device, choose_dtype(dtype, self.device))
        use_shared_prefix_attention(self._causal)
        self._head = Head.of(self._causal)
        if self.device == "cpu":
            _multiply_few_rows_faster(self._causal)
        self._grammars: Grammars | None = None
        self._ends = _end_ids(self._tokenizer)

    @classmethod
    def around(cls, model: Any, tokenizer: Any, parallel: int = 96) -> Self:
        """Return an engine that answers with a transformers model as it stands: one that learns in between, say.

        It must already run packs (`use_shared_prefix_attention`).
        """
        engine = cls.__new__(cls)
        engine.parallel, engine.device = parallel, str(model.device)
        engine._causal, engine._tokenizer, engine._ends = model, tokenizer, _end_ids(tokenizer)
        engine._head, engine._grammars = Head.of(model), None
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the model."""
        self._causal = None
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`, special tokens such as `<|im_end|>` counted as one."""
        return len(token_ids(self._tokenizer, text))

    def answer(
        self,
        prefix: str,
        suffixes: Sequence[str],
        max_tokens: int,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = STOP,
        grammar: str = "",
    ) -> list[Answer]:
        """Return the answers to `prefix` + suffix, in order; see `answer_wave`."""
        wave = [(prefix, suffixes)]
        return self.answer_wave(wave, max_tokens, temperature=temperature, seed=seed, stop=stop, grammars=[grammar])[0]

    @torch.inference_mode()
    def answer_wave(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = STOP,
        grammars: Sequence[str] = (),
        progress: Callable[[int], None] = lambda _: None,
    ) -> list[list[Answer]]:
        """Return the answers to each prefix with each of its suffixes, in order; at most `parallel` suffixes in all.

        They are greedy, or drawn at a `temperature` above 0 by the `seed`, each suffix by itself. `grammars` has one
        for the answers to each prefix (see `sql.grammar`), an empty text for none. `progress` gets the number of
        answers that are whole.
        """
        found = self._answers(wave, max_tokens, [temperature], seed, stop, grammars, progress)
        return [[one[0] for one in own] for own in found]

    @torch.inference_mode()
    def sample_wave(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        samples: int,
        temperature: float,
        seed: int = 0,
        stop: Sequence[str] = STOP,
        *,
        greedy: bool = True,
        grammars: Sequence[str] = (),
    ) -> list[list[list[Answer]]]:
        """Return `samples` answers to each suffix of each prefix: the greedy one if it is asked for, then drawn ones.

        A suffix is read once for all its answers; at most `parallel` answers in all.
        """
        temperatures = [0.0] * greedy + [temperature] * (samples - greedy)
        return self._answers(wave, max_tokens, temperatures, seed, stop, grammars)

    def _answers(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        temperatures: Sequence[float],
        seed: int,
        stop: Sequence[str],
        grammars: Sequence[str],
        progress: Callable[[int], None] = lambda _: None,
    ) -> list[list[list[Answer]]]:
        """Return per prefix and suffix an answer per temperature."""
        count = sum(len(suffixes) for _, suffixes in wave)
        if count * len(temperatures) > self.parallel:
            raise ValueError(f"at most {self.parallel} suffixes at once, found {count * len(temperatures)}")
        answers: list[list[list[Answer]]] = [[[] for _ in suffixes] for _, suffixes in wave]
        if not count:
            return answers
        started = perf_counter()
        read, memory, states = self._read(wave)
        rows = [replace(row, sample=i, tokens=[], logs=[]) for row in read for i in range(len(temperatures))]
        if len(rows) > len(read):
            copies = torch.arange(len(read), device=self.device).repeat_interleave(len(temperatures))
            states = states.index_select(0, copies)
            memory.keep(copies)
        for row in rows:
            row.held = self._held(grammars[row.place[0]] if grammars else "")
        self._decode(rows, memory, states, max_tokens, _Draw(temperatures, seed, self.device), tuple(stop), progress)
        seconds = (perf_counter() - started) / len(rows)
        for row in rows:
            ended = bool(row.tokens) and row.tokens[-1] in self._ends
            text = self._text(row.tokens[:-1] if ended else row.tokens)
            cut = min((at for one in stop if (at := text.find(one)) >= 0), default=len(text))
            found = Answer(text[:cut], tuple(row.tokens), tuple(row.logs), ended, seconds)
            answers[row.place[0]][row.place[1]].append(found)
        return answers

    def _read(self, wave: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[_Row], WaveMemory, torch.Tensor]:
        """Return the wave's rows, the keys and values of all that was read, and the rows' last states [N, D]."""
        packs: list[list[tuple[list[int], list[_Row]]]] = []
        used = 0
        for number, (prefix, suffixes) in enumerate(wave):
            shared = token_ids(self._tokenizer, prefix)
            rows = [_Row((number, i), token_ids(self._tokenizer, text)) for i, text in enumerate(suffixes)]
            if any(not row.suffix for row in rows):
                raise ModelError("Expected a question behind the schema, found an empty text.")
            # From short to long: attention pads neighbours to the same length.
            rows.sort(key=lambda row: len(row.suffix))
            size = len(shared) + sum(len(row.suffix) for row in rows)
            if not packs or used + size > TOKENS_AT_ONCE:
                packs.append([])
                used = 0
            used += size
            if rows:
                packs[-1].append((shared, rows))
        memory = WaveMemory()
        states = [self._read_pack(pack, memory) for pack in packs if pack]
        memory.close_reading()
        return [row for pack in packs for _, rows in pack for row in rows], memory, torch.cat(states)

    def _read_pack(self, pack: list[tuple[list[int], list[_Row]]], memory: WaveMemory) -> torch.Tensor:
        ids: list[int] = []
        positions: list[int] = []
        last: list[int] = []
        groups = []
        for shared, rows in pack:
            groups.append(Group(len(ids), len(shared), tuple(len(row.suffix) for row in rows)))
            ids += shared
            positions += range(len(shared))
            for row in rows:
                ids += row.suffix
                row.position = len(shared) + len(row.suffix)
                positions += range(len(shared), row.position)
                last.append(len(ids) - 1)
        return self._pass(ids, positions, torch.tensor(last, device=self.device), groups, memory)

    def _pass(
        self, ids: list[int], positions: list[int], rows: torch.Tensor, groups: Sequence[Group], memory: WaveMemory
    ) -> torch.Tensor:
        body = self._causal.base_model
        tokens, places = (torch.tensor([values], device=self.device) for values in (ids, positions))
        return hidden_states(body, tokens, places, rows, groups, memory)

    def _decode(
        self,
        rows: Sequence[_Row],
        memory: WaveMemory,
        states: torch.Tensor,
        max_tokens: int,
        draw: _Draw,
        stop: tuple[str, ...],
        progress: Callable[[int], None],
    ) -> None:
        """Add tokens to all rows until each has ended or has `max_tokens`."""
        live = list(rows)
        for step in range(max_tokens):
            tokens, logs = draw(self._head.logits(states), live, step)
            going = []
            for place, (row, token, log) in enumerate(zip(live, tokens, logs, strict=True)):
                row.tokens.append(token)
                row.logs.append(log)
                tail = self._text(row.tokens[-_TAIL:])
                if token not in self._ends and not any(one in tail for one in stop):
                    going.append(place)
            if not going or step == max_tokens - 1:
                return
            if len(going) < len(live):
                live = [live[place] for place in going]
                progress(len(rows) - len(live))
                memory.keep(torch.tensor(going, device=self.device))
            memory.make_room()
            ids, positions = [row.tokens[-1] for row in live], [row.position + step for row in live]
            states = self._pass(ids, positions, torch.arange(len(live), device=self.device), (), memory)

    def _held(self, grammar: str) -> Constraint | None:
        """Return what holds an answer to the grammar, None where there is none."""
        if not grammar:
            return None
        if self._grammars is None:
            self._grammars = Grammars(self._tokenizer, self._ends)
        return self._grammars.start(grammar)

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text


@dataclass(slots=True)
class _Row:
    """One answer: the suffix's place in the wave, its tokens, the position behind them, and what was decoded.

    `held` is where it stands in its grammar, None where it has none.
    """

    place: tuple[int, int]
    suffix: list[int]
    position: int = 0
    sample: int = 0
    tokens: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    held: Constraint | None = None


class _Draw:
    """Chooses the next token of every row: the likeliest, or one drawn at the temperature of its sample."""

    def __init__(self, temperatures: Sequence[float], seed: int, device: str) -> None:
        self.temperatures, self.seed, self.device = temperatures, seed, device

    def __call__(self, logits: torch.Tensor, rows: Sequence[_Row], step: int) -> tuple[list[int], list[float]]:
        """Return a token and its log-probability (natural log, at temperature 1) per row of logits [N, V].

        A token that a row's grammar forbids is chosen anew among those that it allows.
        """
        logits = logits.float()
        logs = logits - logits.logsumexp(-1, keepdim=True)
        tokens = logs.argmax(-1)
        for place, row in enumerate(rows):
            if self.temperatures[row.sample]:
                tokens[place] = self._drawn(logs[place], row, step, 0)
        for place, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
            if row.held:
                if not row.held.allows(token):
                    allowed = row.held.masked(logs[place])
                    drawn = self.temperatures[row.sample]
                    tokens[place] = self._drawn(allowed, row, step, 1) if drawn else allowed.argmax()
                row.held.take(int(tokens[place]))
        return tokens.tolist(), logs.gather(1, tokens[:, None])[:, 0].tolist()

    def _drawn(self, logs: torch.Tensor, row: _Row, step: int, again: int) -> torch.Tensor:
        """Return a token drawn from log-probabilities [V] at the temperature of the row's sample."""
        source = random.Random(repr((self.seed, row.place, row.sample, step, *([again] if again else []))))
        shares = (logs / self.temperatures[row.sample]).softmax(-1).cumsum(-1)
        return torch.searchsorted(shares, shares[-1] * source.random()).clamp_max(len(shares) - 1)


def _end_ids(tokenizer: Any) -> set[int]:
    """Return the tokens that end an answer."""
    vocabulary = tokenizer.get_vocab()
    return {tokenizer.eos_token_id} | {vocabulary[name] for name in _ENDS if name in vocabulary}


def _multiply_few_rows_faster(model: Any) -> None:
    """Give linear layers the product that is faster on CPUs for the few rows of a decoding step.

    `W xᵀ` was measured 1.2 to 1.6 times as fast as `x Wᵀ` for 6 to 60 rows (MKL on AVX2, 896 × 4,864 in float32).
    """
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.forward = types.MethodType(_linear, module)  # type: ignore[method-assign]


def _linear(self: Any, x: torch.Tensor) -> torch.Tensor:
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) == 1 or len(rows) > FEW_ROWS:
        return torch.nn.functional.linear(x, self.weight, self.bias)
    y: torch.Tensor = (self.weight @ rows.T).T
    y = y if self.bias is None else y + self.bias
    return y.view(*x.shape[:-1], len(self.weight))
