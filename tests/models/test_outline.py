"""Published models without their weights: shapes that come to the published sizes, and a stand-in for the tokens."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from needs import needs

pytest.importorskip("torch")

from sqlwright.errors import ModelError
from sqlwright.models.folder import is_model_folder, tensor_shapes
from sqlwright.models.outline import write_outline
from sqlwright.models.published import PUBLISHED
from sqlwright.models.snapshot import require_supported
from sqlwright.models.tokenizer import load_tokenizer

needs("transformers")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shapes_come_to_the_published_parameters(name: str, tmp_path: Path) -> None:
    note = write_outline(name, tmp_path / "outline")
    assert is_model_folder(tmp_path / "outline")
    shapes = tensor_shapes(tmp_path / "outline")
    assert sum(map(math.prod, shapes.values())) == PUBLISHED[name].parameters
    assert note.startswith(f"{name} is not on this machine")
    assert ("It can't be trained here" in note) == bool(PUBLISHED[name].instead)


def test_the_tokens_are_pieces_of_usual_length(tmp_path: Path) -> None:
    write_outline("bigcode/starcoder", tmp_path / "outline")
    tokenizer = load_tokenizer(tmp_path / "outline")
    # SELECT, COUNT, (*, ), FROM, concert, _, singer, WHERE, age, >, a blank, 5, 6
    assert len(tokenizer("SELECT COUNT(*) FROM concert_singer WHERE age > 56")["input_ids"]) == 14
    assert tokenizer.eos_token_id is not None


def test_a_model_whose_code_is_its_own_names_another() -> None:
    with pytest.raises(ModelError, match=r"code of its own, which isn't run\. Take Qwen/Qwen2\.5-7B-Instruct\."):
        require_supported("Qwen/Qwen-7B-Chat", {"model_type": "qwen", "auto_map": {}})
