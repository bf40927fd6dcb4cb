"""Prompts for infilling: the text before and behind a gap, told apart by special tokens, and what belongs in between.

PSM is prefix, suffix, middle; SPM is suffix, prefix, middle, in the form that may be trained together with PSM:
`PRE SUF suffix MID prefix`. Only the middle and the end token are learned: that is what is asked for and scored, and
what stands around the gap keeps as the base model has it. Bavarian et al. learn all tokens, as they train from scratch.

Source: Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle"; Rozière et al. 2023, "Code
Llama". Not covered: suffixes that begin inside a token of the prefix (token healing), Llama's tokenizer setting a blank
before the text behind a special token.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from sqlwright.datasets.infilling import MARK, TASK
from sqlwright.prompts.chat import ChatTemplate
from sqlwright.records import Prompt, Question

Order = Literal["psm", "spm"]


@dataclass(frozen=True, slots=True)
class Marks:
    """The texts of the tokens before prefix, suffix and middle; `begins` says whether a begin token leads them."""

    prefix: str
    suffix: str
    middle: str
    begins: bool = False


KNOWN = (
    Marks("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, CodeGemma
    Marks("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, StarCoder2
    Marks("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    Marks("▁<PRE>", "▁<SUF>", "▁<MID>", begins=True),  # Code Llama
    Marks("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", begins=True),  # DeepSeek-Coder
)
"""The marks of model families that were trained on infilling."""

_AS_TEXT = Marks("<PRE>", "<SUF>", "<MID>")


def find_marks(chat: ChatTemplate) -> Marks:
    """Return the model's own marks; else three special tokens that its chat doesn't use; else marks as plain text.

    No token is added: a new one would need rows of the embedding and the head, which adapters leave as they are. A
    token that exists and means nothing to the model is as good, and training gives it its meaning.
    """
    for marks in KNOWN:
        if {marks.prefix, marks.suffix, marks.middle} <= set(chat.special):
            return marks
    free = [token for token in chat.special if token not in chat.template and token not in (chat.bos, chat.eos)]
    free = [token for token in free if token.strip() and not any(word in token for word in ("pad", "unk", "endoftext"))]
    return Marks(free[0], free[1], free[2]) if len(free) >= 3 else _AS_TEXT


def is_gap(question: Question) -> bool:
    """Return whether the question asks what belongs in a gap."""
    return not question.database and question.evidence == TASK and MARK in question.text


def gap_text(before: str, behind: str, chat: ChatTemplate, order: Order = "psm") -> tuple[str, str]:
    """Return (prefix, suffix) of the prompt for the gap between two texts; all gaps of a model share the prefix."""
    marks = find_marks(chat)
    before, behind = chat.guarded(before), chat.guarded(behind)
    first = (chat.bos if marks.begins else "") + marks.prefix
    if order == "psm":
        return first, before + marks.suffix + behind + marks.middle
    return first, marks.suffix + behind + marks.middle + before


def gap_prompt(question: Question, chat: ChatTemplate, *, learned: bool) -> Prompt:
    """Return the prompt of a gap; if it is `learned`, with its gold, and one half of all in either order.

    Which half depends on the question's id alone. Without a gold to learn, the order is PSM.
    """
    before, _, behind = question.text.partition(MARK)
    odd = hashlib.sha256(question.id.encode()).digest()[0] % 2
    order: Order = "spm" if learned and odd else "psm"
    prefix, suffix = gap_text(before, behind, chat, order)
    target = chat.guarded(question.golds[0]) if learned and question.golds else ""
    return Prompt(question.id, "", prefix, suffix, target=target, style=f"infilling {order}")
