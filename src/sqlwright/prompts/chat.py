"""The model's own chat template: turns an instruction and a user message into the text the model was tuned on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlwright.errors import ModelError

# A private-use character: no schema and no question holds it, and it survives every template unchanged.
_SPLIT = "\ue000"
# Stands inside what would be a special token in the text of a user; tokenizers are given the parts around it.
_GUARD = "\ue001"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A Jinja chat template with the special tokens it may name; `special` are all that the vocabulary has."""

    template: str
    bos: str = ""
    eos: str = ""
    special: tuple[str, ...] = ()

    def guarded(self, text: str) -> str:
        """Return text of a user or of the data so that nothing in it becomes a special token (see `pieces`)."""
        text = text.replace(_SPLIT, "").replace(_GUARD, "")
        # Within one sign there is nothing to part, and runs of spaces are no danger.
        known = [re.escape(token) for token in self.special if len(token) > 1 and token.strip()]
        return re.sub(rf"(?=(?:{'|'.join(known)}))(.)", rf"\1{_GUARD}", text, flags=re.DOTALL) if known else text

    def split(self, instruction: str, shared: str, own: str, turns: Sequence[tuple[str, str]] = ()) -> tuple[str, str]:
        """Return (prefix, suffix) whose concatenation is the prompt up to where the answer begins.

        The user message is `shared` followed by `own`; the prefix ends where `own` begins. `turns` are messages of
        the user with their answers that come before. All are guarded: only the template's own text has special
        tokens. Raises `ModelError` where the template can't be rendered or
        doesn't keep the message whole.
        """
        shared, own = self.guarded(shared), self.guarded(own)
        said = [(self.guarded(asked), self.guarded(answer)) for asked, answer in turns]
        text = self._render(instruction, shared + _SPLIT + own, said)
        prefix, found, suffix = text.partition(_SPLIT)
        if not found or shared.strip() not in prefix or own.strip() not in suffix:
            raise ModelError(
                "The model's chat template doesn't repeat the user's message; its prompts can't be shared."
            )
        return prefix, suffix

    def _render(self, instruction: str, message: str, turns: Sequence[tuple[str, str]]) -> str:
        from jinja2 import TemplateError

        messages = []
        for asked, answer in turns:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        messages.append({"role": "user", "content": message})
        try:
            return self._fill([{"role": "system", "content": instruction}, *messages])
        except TemplateError:
            # Some templates (Mistral's, Gemma's) have no system role: the instruction leads the user's message.
            first = {"role": "user", "content": f"{instruction}\n\n{messages[0]['content']}"}
            try:
                return self._fill([first, *messages[1:]])
            except TemplateError as error:
                raise ModelError(f"The model's chat template can't be rendered: {error}.") from None

    def _fill(self, messages: list[dict[str, str]]) -> str:
        compiled = _compile(self.template)
        rendered = compiled.render(
            messages=messages, add_generation_prompt=True, bos_token=self.bos, eos_token=self.eos, tools=None
        )
        return str(rendered)


def pieces(text: str) -> list[str]:
    """Return the parts of a prompt's text that are tokenised apart; joined, they are the text for a reader."""
    return [piece for piece in text.split(_GUARD) if piece]


@lru_cache(maxsize=8)
def _compile(template: str) -> Any:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template)
