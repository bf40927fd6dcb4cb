"""What torch runs on."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")

from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.models.device import (  # noqa: E402
    choose_device,
    choose_dtype,
    choose_threads,
    free_memory,
    keep_freed_memory,
    peak_memory_mb,
)


def test_the_device_that_is_there() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="expected an NVIDIA GPU"):
        choose_device("cuda")


def test_formats_and_threads() -> None:
    assert choose_dtype("float32", "cuda") == torch.float32
    assert choose_dtype("bfloat16", "cpu") == torch.bfloat16
    assert choose_dtype("auto", "cuda") == torch.bfloat16
    assert choose_dtype("auto", "cpu") in (torch.float32, torch.bfloat16)
    assert choose_threads(3) == 3
    assert choose_threads(0) == len(os.sched_getaffinity(0))
    assert peak_memory_mb("cpu") > 50
    assert free_memory("cpu") > 1e8


def test_keeping_freed_memory_changes_no_result() -> None:
    before = torch.arange(1 << 20).sum()
    keep_freed_memory()
    keep_freed_memory()
    assert torch.arange(1 << 20).sum() == before
