"""What belongs between two texts, by a model that knows infilling: of its own, or by an adapter trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlwright.models.engines import Engine
from sqlwright.prompts import ChatTemplate
from sqlwright.prompts.infilling import Order, gap_text


def infill(
    engine: Engine, chat: ChatTemplate, before: str, behind: str, max_tokens: int = 128, order: Order = "psm"
) -> str:
    """Return the text that belongs between `before` and `behind`, greedily decoded.

    `chat` is the model's (`models.tokenizer.chat_template`): its special tokens say how the gap is marked.
    """
    return next(infill_all(engine, chat, [(before, behind)], max_tokens, order))


def infill_all(
    engine: Engine,
    chat: ChatTemplate,
    gaps: Sequence[tuple[str, str]],
    max_tokens: int = 128,
    order: Order = "psm",
) -> Iterator[str]:
    """Yield what belongs in each of the gaps, (text before, text behind), in order."""
    asked = [gap_text(before, behind, chat, order) for before, behind in gaps]
    for start in range(0, len(asked), engine.parallel):
        part = asked[start : start + engine.parallel]
        found = engine.answer_wave(
            [(part[0][0], [suffix for _, suffix in part])], max_tokens, stop=(), progress=lambda _: None
        )
        yield from (answer.text for answer in found[0])
