from __future__ import annotations

import re

import pytest

from sqlwright.errors import ModelError
from sqlwright.models.catalogue import CATALOGUE, find_entry
from sqlwright.models.download import pull
from sqlwright.models.verify import find_model, local_path, verify


def test_entries_are_complete_and_their_parts_add_up() -> None:
    assert set(CATALOGUE) == {"qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct"}
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert sum(part.bytes for part in entry.wheels) == entry.bytes
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert entry.file.endswith(".gguf")
    assert len({entry.file for entry in CATALOGUE.values()}) == len(CATALOGUE)


def test_an_unknown_name_gives_the_nearest() -> None:
    assert find_entry("Qwen2.5-Coder-0.5B-Instruct").architecture == "qwen2"
    for call in (find_entry, pull, local_path, find_model, verify):
        with pytest.raises(ModelError, match="Did you mean 'smollm2-135m-instruct'"):
            call("smolm2-135m")  # type: ignore[operator]


@pytest.mark.model
def test_the_models_on_this_machine_are_right() -> None:
    for name in CATALOGUE:
        if local_path(name) is None:
            pytest.skip(f"{name} is not on this machine")
        assert verify(name).correct is True
