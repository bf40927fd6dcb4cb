"""The GGUF engine: llama.cpp inside this process, through xllamacpp, or the user's own build of its server.

The schema prefix is decoded once and copied into every slot; then several questions are decoded side by side behind
it. xllamacpp offers slots and token ids through its own HTTP handler only, so requests go over the loopback
interface, to a port that the engine picks and behind a key that nobody else knows; a server of the user's own is asked
the same through a socket (see `llama_server`).

Results depend on the model, the adapter and the group of suffixes, not on what was asked before.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlwright.errors import ModelError
from sqlwright.models.gguf_file import read_header
from sqlwright.models.llama_server import PROGRAM, LlamaServer, build_of, own_program
from sqlwright.models.prompt_cache import PromptCache
from sqlwright.models.rope import rope_theta_of
from sqlwright.models.threads import let_threads_wait
from sqlwright.prompts import pieces

# An answer ends with the statement, or where a code fence closes behind it.
STOP = (";\n", "\n```\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote behind a prompt.

    `tokens` are the ids of `text`, with the end token if the model gave one (`ended`). `log_probabilities` (natural
    log) has one value per token of `tokens`. `seconds` is the wall time of the whole group over its size.
    """

    text: str
    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    ended: bool
    seconds: float

    @property
    def log_probability(self) -> float | None:
        """Mean log-probability per token, None for an empty answer."""
        values = self.log_probabilities
        return sum(values) / len(values) if values else None


class GgufEngine:
    """A loaded GGUF model, with an adapter or without; a context manager.

    `context` is the longest prompt and answer in tokens, `parallel` how many are decoded side by side; prefixes that
    were read are kept in the folder `cache` for later processes (see `models.prompt_cache`). Raises `ModelError` where
    the file or the engine is missing, the adapter doesn't fit, or memory doesn't suffice.
    """

    def __init__(
        self,
        model: Path,
        adapter: Path | None = None,
        *,
        context: int = 2048,
        parallel: int = 1,
        threads: int = 0,
        cache: Path | None = None,
    ) -> None:
        self.model, self.adapter, self.parallel = model, adapter, parallel
        self._check_adapter()
        let_threads_wait()
        program = own_program()
        build = build_of(program) if program else _wheel()
        self._cache = PromptCache(cache, model, adapter, f"{build} {context} {parallel}") if cache else None
        self._folder = Path(tempfile.mkdtemp(prefix="sqlwright-slots-"))
        self._prefix: str | None = None
        self._prefix_tokens: list[int] = []
        self._key = secrets.token_urlsafe(24)
        self._connect: Callable[[], http.client.HTTPConnection]
        try:
            self._server = self._start_own(program, context, threads) if program else self._start(context, threads)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self.context = context

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the model and the scratch folder."""
        if isinstance(self._server, LlamaServer):
            self._server.close()
        self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`, special tokens such as `<|im_end|>` counted as one."""
        return len(self._tokens(text))

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
        """Return the answers to `prefix` + suffix, in order; at most `parallel` suffixes.

        They are greedy, or drawn at a `temperature` above 0 by the `seed`: equal suffixes of one call are drawn alike.
        They are held to the `grammar`, if there is one (see `sql.grammar`).
        """
        if not suffixes:
            return []
        if len(suffixes) > self.parallel:
            raise ValueError(f"at most {self.parallel} suffixes at once, found {len(suffixes)}")
        self._load_prefix(prefix)
        for slot in range(len(suffixes)):
            self._post(f"/slots/{slot}?action=restore", {"filename": "prefix"})
        started = time.perf_counter()
        replies = self._complete(suffixes, max_tokens, temperature, seed, stop, grammar)
        seconds = (time.perf_counter() - started) / len(suffixes)
        return [self._answer(one, seconds) for one in replies]

    def sample_wave(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        samples: int,
        temperature: float,
        seed: int = 0,
        stop: Sequence[str] = STOP,
        grammars: Sequence[str] = (),
    ) -> list[list[list[Answer]]]:
        """Return `samples` answers to each suffix of each prefix: the greedy one, then drawn ones, side by side.

        A suffix is read once for all its answers; at most `parallel` drawn ones. `grammars` as in `answer_wave`.
        """
        answers: list[list[list[Answer]]] = []
        for (prefix, suffixes), grammar in zip(wave, grammars or [""] * len(wave), strict=True):
            answers.append([])
            for suffix in suffixes:
                started = time.perf_counter()
                found = self.answer(prefix, [suffix], max_tokens, stop=stop, grammar=grammar)
                found += self.draw(suffix, max_tokens, samples - 1, temperature, seed, stop, grammar)
                seconds = (time.perf_counter() - started) / samples
                answers[-1].append([replace(one, seconds=seconds) for one in found])
        return answers

    def draw(
        self,
        suffix: str,
        max_tokens: int,
        count: int,
        temperature: float,
        seed: int = 0,
        stop: Sequence[str] = STOP,
        grammar: str = "",
    ) -> list[Answer]:
        """Return `count` drawn answers to the prefix that was asked last with the suffix, decoded side by side.

        A suffix that has just been answered isn't read again. At most `parallel` answers.
        """
        if count > self.parallel:
            raise ValueError(f"at most {self.parallel} drawn answers at once, found {count}")
        if not count:
            return []
        started = time.perf_counter()
        replies = self._complete([suffix], max_tokens, temperature, seed, stop, grammar, count)
        seconds = (time.perf_counter() - started) / count
        return [self._answer(one, seconds) for one in replies]

    def _complete(
        self,
        suffixes: Sequence[str],
        max_tokens: int,
        temperature: float,
        seed: int,
        stop: Sequence[str],
        grammar: str = "",
        copies: int = 1,
    ) -> list[dict[str, Any]]:
        """Return the server's replies behind the loaded prefix, `copies` to each suffix."""
        request = {
            # Prefix and suffix are tokenised apart, as in training: "\n\n" before a word is one token or two.
            "prompt": [[*self._prefix_tokens, *pieces(suffix)] for suffix in suffixes],
            "n_predict": max_tokens,
            "n_cmpl": copies,
            "temperature": temperature,
            "seed": seed,
            "n_probs": 1,
            "stop": list(stop),
            "cache_prompt": True,
            "return_tokens": True,
        }
        reply = self._post("/completion", request | ({"grammar": grammar} if grammar else {}))
        return sorted(reply if isinstance(reply, list) else [reply], key=lambda one: int(one["index"]))

    def answer_wave(
        self,
        wave: Sequence[tuple[str, Sequence[str]]],
        max_tokens: int,
        *,
        stop: Sequence[str] = STOP,
        grammars: Sequence[str] = (),
        progress: Callable[[int], None] = lambda _: None,
    ) -> list[list[Answer]]:
        """Return the greedy answers to each prefix with each of its suffixes, one prefix after the other.

        `grammars` has one for the answers to each prefix (see `sql.grammar`), an empty text for none.
        """
        answers = []
        for (prefix, suffixes), grammar in zip(wave, grammars or [""] * len(wave), strict=True):
            answers.append(self.answer(prefix, suffixes, max_tokens, stop=stop, grammar=grammar))
            progress(sum(map(len, answers)))
        return answers

    def _answer(self, reply: dict[str, Any], seconds: float) -> Answer:
        parts = reply.get("completion_probabilities", [])
        tokens = [part["id"] for part in parts]
        logs = [min(0.0, float(part["logprob"])) for part in parts]
        return Answer(reply["content"], tuple(tokens), tuple(logs), reply.get("stop_type") == "eos", seconds)

    def _load_prefix(self, prefix: str) -> None:
        """Decode the prefix into a slot and keep its state in a file, unless that is what the file holds already."""
        if self._prefix == prefix:
            return
        self._prefix = None
        self._prefix_tokens = self._tokens(prefix)
        if self._cache and self._cache.fetch(self._prefix_tokens, self._folder / "prefix"):
            try:
                self._post("/slots/0?action=restore", {"filename": "prefix"})
                self._prefix = prefix
                return
            except ModelError:  # of a build that writes it otherwise: it is read and kept anew
                pass
        # One token is decoded behind it: llama.cpp always does. It is not in the prompt and so never reused.
        request = {"prompt": self._prefix_tokens, "n_predict": 1, "temperature": 0, "id_slot": 0, "cache_prompt": False}
        self._post("/completion", request)
        self._post("/slots/0?action=save", {"filename": "prefix"})
        if self._cache:
            self._cache.keep(self._prefix_tokens, self._folder / "prefix")
        self._prefix = prefix

    def _tokens(self, text: str) -> list[int]:
        """Return the ids of a prompt's text; what a user wrote gives no special tokens (see `prompts.chat`)."""
        tokens: list[int] = []
        for piece in pieces(text):
            tokens += self._post("/tokenize", {"content": piece, "add_special": False, "parse_special": True})["tokens"]
        return tokens

    def _start_own(self, program: Path, context: int, threads: int) -> LlamaServer:
        count = str(threads or len(os.sched_getaffinity(0)))
        options = ["-c", str(context * self.parallel), "-np", str(self.parallel), "--no-kv-unified"]
        options += ["-t", count, "-tb", count, "--slot-save-path", f"{self._folder}{os.sep}", "--slots"]
        options += ["--cache-ram", "0", "--no-warmup", "--fit", "off"]
        if self.adapter:
            theta = rope_theta_of(self.adapter)
            options += ["--lora", str(self.adapter), *(["--rope-freq-base", str(theta)] if theta else [])]
        server = LlamaServer(program, self.model, options, self._folder)
        self._connect = server.connect
        return server

    def _start(self, context: int, threads: int) -> Any:
        import xllamacpp

        threads = threads or len(os.sched_getaffinity(0))
        params = xllamacpp.CommonParams()
        params.model.path = str(self.model)
        params.n_ctx = context * self.parallel
        params.n_parallel = self.parallel
        params.kv_unified = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.slot_save_path = f"{self._folder}{os.sep}"
        params.endpoint_slots = True
        params.api_keys = [self._key]
        params.cache_ram_mib = 0
        params.warmup = False
        params.fit_params = False
        params.verbosity = -1
        if self.adapter:
            params.rope_freq_base = rope_theta_of(self.adapter)  # 0: the model's own
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path, lora.scale = str(self.adapter), 1.0
            params.lora_adapters = [lora]
        try:
            server = xllamacpp.Server(params)
        except Exception as error:
            raise ModelError(f"{self.model}: llama.cpp could not load it ({error}). Is the file whole?") from None
        self._address = urllib.parse.urlsplit(server.listening_address).netloc
        self._connect = lambda: http.client.HTTPConnection(self._address, timeout=3600)
        # Answered by the loop that decodes: a server that is freed before its loop has begun never ends.
        self._request("GET", "/slots")
        return server

    def _check_adapter(self) -> None:
        """Refuse an adapter of another architecture before llama.cpp crashes on it."""
        base = read_header(self.model)
        if not self.adapter:
            return
        header = read_header(self.adapter)
        if header.metadata.get("general.type") != "adapter" or header.architecture != base.architecture:
            kind = header.metadata.get("general.type", "model")
            raise ModelError(
                f"{self.adapter}: expected a LoRA adapter for a {base.architecture} model, "
                f"found a {header.architecture} {kind}."
            )
        for name, place in header.tensors.items():
            target = base.tensors.get(name.removesuffix(".lora_a").removesuffix(".lora_b"))
            side = 1 if name.endswith(".lora_a") else 0
            if target is None or place.shape[side] != target.shape[side]:
                raise ModelError(
                    f"{self.adapter}: its tensor {name} doesn't fit {self.model.name}; it was trained on another base."
                )

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("POST", path, json.dumps(body))

    def _request(self, method: str, path: str, body: str | None = None) -> Any:
        connection = self._connect()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ModelError(f"The GGUF engine stopped answering: {error!r}.") from None
        finally:
            connection.close()
        if response.status != 200:
            try:
                message = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                message = text[:200]
            if "llguidance is not enabled" in message:
                message += f". This llama-server was built without it: set {PROGRAM}=xllamacpp to answer by a grammar"
            raise ModelError(f"The GGUF engine refused {path}: {message}")
        return json.loads(text)


def _wheel() -> str:
    """Return the version of xllamacpp; raise `ModelError` where it isn't installed or can't be loaded."""
    try:
        import xllamacpp  # noqa: F401

        return version("xllamacpp")
    except ImportError as error:
        raise ModelError(
            f"Expected the GGUF engine xllamacpp, found none ({error}). In SQLWright's checkout: "
            f"`pip install '.[gguf]'`; or name your own llama-server in {PROGRAM}."
        ) from None
