"""The GGUF engine with the tiny model: shared prefixes, groups, limits, and what is refused."""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xllamacpp")

from sqlwright.errors import ModelError
from sqlwright.models import prompt_cache
from sqlwright.models.gguf import STOP, GgufEngine
from sqlwright.models.prompt_cache import PromptCache

PREFIX = "<|im_start|>user\nCREATE TABLE singer (id INTEGER, name TEXT, country TEXT, age INTEGER);\n\n"
OTHER = "<|im_start|>user\nCREATE TABLE city (id INTEGER, name TEXT, area REAL);\n\n"
QUESTIONS = (
    "How many singers are there?",
    "Which countries do the singers come from?",
    "Name the oldest singer.",
    "How old is the youngest singer from France, and what is the singer called?",
)
SUFFIXES = [f"Question: {text}<|im_end|>\n<|im_start|>assistant\n" for text in QUESTIONS]


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[GgufEngine]:
    with GgufEngine(tiny_model, context=256, parallel=4) as started:
        yield started


def test_a_group_is_answered_the_same_again_whatever_was_asked_before(engine: GgufEngine) -> None:
    first = engine.answer(PREFIX, SUFFIXES, 24)
    engine.answer(OTHER, SUFFIXES[:1], 8)
    engine.answer(PREFIX, SUFFIXES[2:], 8)
    again = engine.answer(PREFIX, SUFFIXES, 24)
    assert [answer.tokens for answer in again] == [answer.tokens for answer in first]
    assert [answer.log_probabilities for answer in again] == [answer.log_probabilities for answer in first]


def test_answers_of_a_group_are_those_asked_alone(engine: GgufEngine) -> None:
    group = engine.answer(PREFIX, SUFFIXES, 24)
    alone = [engine.answer(PREFIX, [suffix], 24)[0] for suffix in SUFFIXES]
    # Sums in another order can tip a close choice: one of four may differ, from some token on.
    assert sum(a.tokens == b.tokens for a, b in zip(group, alone, strict=True)) >= 3
    for a, b in zip(group, alone, strict=True):
        assert a.tokens[0] == b.tokens[0]
        assert a.log_probabilities[0] == pytest.approx(b.log_probabilities[0], abs=0.05)


def test_a_prefix_is_decoded_once(engine: GgufEngine) -> None:
    long = PREFIX + "Some facts about singers: " + "they sing, " * 50

    def cpu_seconds(prefix: str) -> float:  # of all threads, the engine's too: other load on the machine counts little
        started = time.process_time()
        engine.answer(prefix, ["ok"], 1)
        return time.process_time() - started

    engine.answer(OTHER, ["ok"], 1)
    first, again = cpu_seconds(long), min(cpu_seconds(long) for _ in range(3))
    assert again < first / 3


def test_the_order_of_answers_is_that_of_the_suffixes(engine: GgufEngine) -> None:
    there = engine.answer(PREFIX, SUFFIXES, 12)
    back = engine.answer(PREFIX, SUFFIXES[::-1], 12)[::-1]
    assert sum(a.text == b.text for a, b in zip(there, back, strict=True)) >= 3
    assert len({answer.text for answer in there}) > 1


def test_answers_are_drawn_by_the_seed(engine: GgufEngine) -> None:
    def draw(temperature: float, seed: int) -> str:
        return engine.answer(PREFIX, SUFFIXES[:1], 12, temperature=temperature, seed=seed)[0].text

    greedy = engine.answer(PREFIX, SUFFIXES[:1], 12)[0].text
    assert draw(0.0, 7) == greedy
    drawn = [draw(1.5, seed) for seed in (1, 2, 3)]
    assert len({*drawn, greedy}) > 2
    assert draw(1.5, 2) == drawn[1]
    assert "(" not in engine.answer(PREFIX, SUFFIXES[:1], 12, stop=("(",))[0].text


def test_an_answer_counts_what_it_decoded(engine: GgufEngine) -> None:
    for answer in engine.answer(PREFIX, SUFFIXES, 16):
        assert 0 < len(answer.tokens) <= 16
        assert len(answer.log_probabilities) == len(answer.tokens)
        assert all(log <= 0 for log in answer.log_probabilities)
        mean = sum(answer.log_probabilities) / len(answer.tokens)
        assert answer.log_probability == pytest.approx(mean)
        assert answer.ended or len(answer.tokens) == 16 or any(stop.strip() in answer.text + ";" for stop in STOP)
        assert answer.seconds > 0


def test_tokens_are_those_of_training(engine: GgufEngine, tiny_model: Path) -> None:
    pytest.importorskip("transformers")
    from sqlwright.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tiny_model)
    texts = [
        PREFIX,
        OTHER,
        *SUFFIXES,
        "größe 'it''s' 1234567 \n\n\t SELECT",
        "書く ≥ 3.14e-5 🙂",
        "<|im_end|>",
        "a\r\nb",
    ]
    for text in texts:
        assert engine.count_tokens(text) == len(tokenizer(text, add_special_tokens=False)["input_ids"]), text
    assert engine.count_tokens("") == 0
    assert engine.count_tokens("<|im_start|>") == 1


def test_torch_agrees_on_every_token(engine: GgufEngine, tiny_model: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("peft")
    from sqlwright.models.architectures import use_shared_prefix_attention
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.models.weights import load_model
    from sqlwright.records import Prompt
    from sqlwright.training.loss import score_targets
    from sqlwright.training.packing import Encoded, encode, pack

    answers = engine.answer(PREFIX, SUFFIXES, 16)
    prompts = [Prompt(str(i), "db", PREFIX, suffix) for i, suffix in enumerate(SUFFIXES)]
    asked = encode(prompts, load_tokenizer(tiny_model), 2)
    filled = [
        Encoded(one.id, "db", one.prefix, (*one.branch, *answer.tokens), one.loss_start)
        for one, answer in zip(asked, answers, strict=True)
    ]
    model = load_model(tiny_model, torch.float32)
    use_shared_prefix_attention(model)
    scored = score_targets(model, pack([filled]))
    assert scored.likeliest.float().mean() > 0.9
    logs = torch.tensor([log for answer in answers for log in answer.log_probabilities])
    assert (scored.log_probabilities - logs).abs().mean() < 0.05


def test_no_suffix_and_too_many(engine: GgufEngine) -> None:
    assert engine.answer(PREFIX, [], 8) == []
    with pytest.raises(ValueError, match="at most 4 suffixes at once, found 5"):
        engine.answer(PREFIX, ["a"] * 5, 8)


def test_a_prompt_longer_than_the_context_is_an_error_and_the_engine_goes_on(engine: GgufEngine) -> None:
    expected = engine.answer(PREFIX, SUFFIXES[:1], 8)[0].text
    with pytest.raises(ModelError, match="refused"):
        engine.answer(PREFIX * 20, SUFFIXES[:1], 8)
    with pytest.raises(ModelError, match="refused"):
        engine.answer(PREFIX, ["word " * 400], 8)
    assert engine.answer(PREFIX, SUFFIXES[:1], 8)[0].text == expected


def test_the_port_needs_the_key(engine: GgufEngine) -> None:
    host, _, port = engine._address.partition(":")
    assert host == "127.0.0.1"
    body = json.dumps({"prompt": "a", "n_predict": 1})
    for key in ("", "Bearer wrong"):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        for path in ("/completion", "/slots/0?action=save"):
            connection.request("POST", path, body, {"Content-Type": "application/json", "Authorization": key})
            response = connection.getresponse()
            response.read()
            assert response.status == 401
        connection.close()


def test_closing_frees_memory_port_and_scratch_folder(tiny_model: Path) -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    with GgufEngine(tiny_model, context=128) as warm:
        warm.answer("a", ["b"], 1)
    before = resident()
    for _ in range(3):
        with GgufEngine(tiny_model, context=128) as started:
            started.answer("a", ["b"], 1)
            folder, address = started._folder, started._address
            assert folder.is_dir()
    assert not folder.exists()
    assert resident() - before < 150e6, "three more models would take 300 MB"
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    with pytest.raises(OSError):
        connection.request("GET", "/health")
    with pytest.raises(ModelError, match="stopped answering"):
        started.answer("a", ["b"], 1)


def test_files_that_are_no_model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="No such file"):
        GgufEngine(tmp_path / "absent.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("SELECT 1;" * 10, encoding="utf-8")
    with pytest.raises(ModelError, match="expected a GGUF file"):
        GgufEngine(text)
    cut = tmp_path / "cut.gguf"
    with tiny_model.open("rb") as file:
        cut.write_bytes(file.read(20_000_000))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))  # other tests have engines of their own at the same time
    with pytest.raises(ModelError, match="could not load it"):
        GgufEngine(cut)
    assert not list(scratch.iterdir())


def test_a_model_is_no_adapter(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="expected a LoRA adapter for a llama model, found a llama model"):
        GgufEngine(tiny_model, tiny_model)


def test_an_engine_that_was_never_asked_closes_at_once(tiny_model: Path) -> None:
    for _ in range(5):
        GgufEngine(tiny_model, context=64).close()


def test_several_answers_to_a_suffix(engine: GgufEngine) -> None:
    wave = [(PREFIX, SUFFIXES[:2]), (OTHER, SUFFIXES[2:3])]
    found = engine.sample_wave(wave, 12, 4, 1.5, seed=5)
    assert [[len(answers) for answers in own] for own in found] == [[4, 4], [4]]
    for (prefix, suffixes), own in zip(wave, found, strict=True):
        for suffix, answers in zip(suffixes, own, strict=True):
            assert answers[0].text == engine.answer(prefix, [suffix], 12)[0].text
            assert len({answer.text for answer in answers}) > 2, "drawn answers differ from one another"
    assert engine.sample_wave(wave[1:], 12, 4, 1.5, seed=5)[0][0][1].text == found[1][0][1].text
    with pytest.raises(ValueError, match="at most 4 drawn answers at once, found 5"):
        engine.sample_wave(wave, 12, 6, 1.0)


def test_a_prefix_is_kept_for_later_processes(tiny_model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompts"
    with GgufEngine(tiny_model, context=256, cache=cache) as engine:
        first = engine.answer(PREFIX, SUFFIXES[:1], 12)
    (state,) = cache.iterdir()
    assert cache.stat().st_mode & 0o077 == 0
    whole = state.read_bytes()
    with GgufEngine(tiny_model, context=256, cache=cache) as engine:
        sent = _paths_sent(engine)
        assert engine.answer(PREFIX, SUFFIXES[:1], 12)[0].tokens == first[0].tokens
        assert sent.count("/completion") == 1, "only the question is read"
        engine.answer(OTHER, SUFFIXES[:1], 1)
    before = set(cache.iterdir())
    assert len(before) == 2
    with GgufEngine(tiny_model, context=256, parallel=3, cache=cache) as engine:
        assert engine.answer(PREFIX, SUFFIXES[:1], 12)[0].tokens == first[0].tokens
    assert len(list(cache.iterdir())) == 3
    (other,) = {*cache.iterdir()} - before
    other.write_bytes(whole)  # whole, but of an engine with other slots
    with GgufEngine(tiny_model, context=256, parallel=3, cache=cache) as engine:
        assert engine.answer(PREFIX, SUFFIXES[:1], 12)[0].tokens == first[0].tokens
    state.write_bytes(whole[:1000])
    with GgufEngine(tiny_model, context=256, cache=cache) as engine:
        assert engine.answer(PREFIX, SUFFIXES[:1], 12)[0].tokens == first[0].tokens
    assert state.read_bytes() == whole, "a damaged state is made again"


def _paths_sent(engine: GgufEngine) -> list[str]:
    sent: list[str] = []
    post = engine._post

    def counting(path: str, body: dict[str, Any]) -> Any:
        sent.append(path)
        return post(path, body)

    engine._post = counting  # type: ignore[method-assign]
    return sent


def test_the_oldest_states_make_room(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "MOST_BYTES", 2 * (32 + 10))
    cache = PromptCache(tmp_path / "prompts", tiny_model, None, "")
    source = tmp_path / "state"
    source.write_bytes(b"0123456789")
    for number in range(3):
        cache.keep([number], source)
        os.utime(cache.path([number]), (number, number))
    assert [cache.path([number]).is_file() for number in range(3)] == [False, True, True]
    assert cache.fetch([1], tmp_path / "fetched")
    assert not cache.fetch([0], tmp_path / "fetched")
