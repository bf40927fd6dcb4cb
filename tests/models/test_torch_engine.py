"""The torch engine: what it decodes side by side is what transformers decodes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import needs

torch = pytest.importorskip("torch")

from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.export.gguf_adapter import write_gguf_adapter  # noqa: E402
from sqlwright.models.tokenizer import load_tokenizer, token_ids  # noqa: E402
from sqlwright.models.torch_engine import TorchEngine, _multiply_few_rows_faster  # noqa: E402
from sqlwright.models.weights import load_model  # noqa: E402
from sqlwright.training.lora import add_lora, trainable  # noqa: E402

needs("peft")

SCHEMAS = (
    "CREATE TABLE singer (id INTEGER, name TEXT, age INTEGER);\n",
    "CREATE TABLE city (name TEXT, people INTEGER);\nCREATE TABLE river (name TEXT, city TEXT, length REAL);\n",
    "",
)
QUESTIONS = (
    "How many singers are there? SELECT",
    "The oldest of all:",
    "Names of the singers that are older than thirty, and how old they are: SELECT name",
)
WAVE = [(SCHEMAS[0], QUESTIONS), (SCHEMAS[1], QUESTIONS[:2]), (SCHEMAS[2], QUESTIONS[2:])]


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[TorchEngine]:
    with TorchEngine(tiny_model, parallel=8, device="cpu", dtype="float32") as opened:
        yield opened


def alone(model: Any, tokenizer: Any, prefix: str, suffix: str, count: int) -> tuple[list[int], list[float]]:
    """Return the greedy tokens behind one prompt and their log-probabilities, by transformers' own loop."""
    ids = torch.tensor([token_ids(tokenizer, prefix) + token_ids(tokenizer, suffix)])
    reply = model.generate(
        ids,
        max_new_tokens=count,
        do_sample=False,
        use_cache=True,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=tokenizer.eos_token_id,
        attention_mask=torch.ones_like(ids),
    )
    tokens = reply.sequences[0, ids.shape[1] :].tolist()
    logs = [float(step[0].log_softmax(-1)[token]) for step, token in zip(reply.logits, tokens, strict=True)]
    return tokens, logs


def test_a_wave_has_the_answers_of_questions_alone(engine: TorchEngine, tiny_model: Path) -> None:
    model, tokenizer = load_model(tiny_model, torch.float32), load_tokenizer(tiny_model)
    found = engine.answer_wave(WAVE, 16, stop=())
    assert [len(answers) for answers in found] == [3, 2, 1]
    for (prefix, suffixes), answers in zip(WAVE, found, strict=True):
        for suffix, answer in zip(suffixes, answers, strict=True):
            tokens, logs = alone(model, tokenizer, prefix, suffix, 16)
            assert list(answer.tokens) == tokens
            assert answer.log_probabilities == pytest.approx(logs, abs=1e-3)
            assert answer.ended == (tokens[-1] == tokenizer.eos_token_id)


def test_answers_end_at_a_stop_and_the_others_go_on(engine: TorchEngine) -> None:
    whole = [answer.text for answers in engine.answer_wave(WAVE, 12, stop=()) for answer in answers]
    stop = whole[0][3:6]
    cut = [answer.text for answers in engine.answer_wave(WAVE, 12, stop=(stop,)) for answer in answers]
    assert cut == [text.partition(stop)[0] for text in whole]
    assert 0 < sum(one == text for one, text in zip(cut, whole, strict=True)) < len(whole), "some end, some go on"


def test_one_prefix(engine: TorchEngine) -> None:
    found = engine.answer(SCHEMAS[0], QUESTIONS, 8)
    assert [answer.text for answer in found] == [one.text for one in engine.answer_wave(WAVE[:1], 8)[0]]
    assert engine.answer(SCHEMAS[0], [], 8) == []
    assert engine.count_tokens("<|im_start|>") == 1
    with pytest.raises(ValueError, match="at most 8 suffixes at once, found 9"):
        engine.answer(SCHEMAS[0], ["a"] * 9, 8)
    with pytest.raises(ModelError, match="found an empty text"):
        engine.answer(SCHEMAS[0], [""], 8)


def test_drawn_answers_depend_on_the_seed_and_the_place(engine: TorchEngine) -> None:
    def drawn(temperature: float, seed: int) -> list[str]:
        answers = engine.answer(SCHEMAS[0], QUESTIONS[:1] * 4, 6, temperature=temperature, seed=seed)
        return [answer.text for answer in answers]

    assert drawn(1.0, 1) == drawn(1.0, 1) != drawn(1.0, 2)
    assert len(set(drawn(1.0, 1))) > 1
    assert set(drawn(1e-4, 1)) == set(drawn(0.0, 1))


def test_several_answers_to_a_suffix(engine: TorchEngine) -> None:
    found = engine.sample_wave([(SCHEMAS[0], QUESTIONS[:2]), (SCHEMAS[1], QUESTIONS[2:])], 10, 2, 1.5, seed=3)
    assert [[len(answers) for answers in own] for own in found] == [[2, 2], [2]]
    greedy = engine.answer_wave([(SCHEMAS[0], QUESTIONS[:2]), (SCHEMAS[1], QUESTIONS[2:])], 10)
    assert [[answers[0].tokens for answers in own] for own in found] == [[one.tokens for one in own] for own in greedy]
    assert any(answers[0].tokens != answers[1].tokens for own in found for answers in own)


def test_prompts_longer_than_a_pass_are_read_in_several(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = engine.answer_wave(WAVE, 6)
    monkeypatch.setattr("sqlwright.models.torch_engine.TOKENS_AT_ONCE", 16)
    again = engine.answer_wave(WAVE, 6)
    assert [[one.tokens for one in own] for own in again] == [[one.tokens for one in own] for own in expected]


def test_an_adapter_is_served_as_it_was_trained(tiny_model: Path, tmp_path: Path) -> None:
    trained = add_lora(load_model(tiny_model, torch.float32), 4, 8.0, "all-linear", seed=1)
    with torch.no_grad():
        for weight in trainable(trained).values():
            weight.normal_(0, 0.03)
    trained.save_pretrained(str(tmp_path), save_embedding_layers=False)
    write_gguf_adapter(tmp_path, tiny_model, tmp_path / "adapter.gguf")
    tokenizer = load_tokenizer(tiny_model)
    with TorchEngine(tiny_model, tmp_path / "adapter.gguf", parallel=4, device="cpu", dtype="float32") as adapted:
        answers = adapted.answer(SCHEMAS[0], QUESTIONS, 12, stop=())
    for suffix, answer in zip(QUESTIONS, answers, strict=True):
        assert list(answer.tokens) == alone(trained, tokenizer, SCHEMAS[0], suffix, 12)[0]


@pytest.mark.parametrize("rows", [1, 2, 7, 96, 97])
def test_products_of_few_rows(rows: int) -> None:
    torch.manual_seed(0)
    plain, thin = (torch.nn.Linear(12, 5) for _ in range(2))
    thin.load_state_dict(plain.state_dict())
    _multiply_few_rows_faster(torch.nn.Sequential(thin))
    x = torch.randn(1, rows, 12)
    torch.testing.assert_close(thin(x), plain(x))


def test_an_engine_around_a_model_draws_without_the_greedy_answer(engine: TorchEngine) -> None:
    around = TorchEngine.around(engine._causal, engine._tokenizer, parallel=8)
    wave = [(SCHEMAS[0], QUESTIONS[:2])]
    drawn = around.sample_wave(wave, 6, 2, 1.0, greedy=False)
    both = engine.sample_wave(wave, 6, 2, 1.0)
    for (first, second), (greedy, other) in zip(drawn[0], both[0], strict=True):
        assert second.tokens == other.tokens, "drawn by the same seed and number"
        assert first.tokens != greedy.tokens
