"""What training runs on."""

from __future__ import annotations

import os
import signal

import pytest

torch = pytest.importorskip("torch")

from sqlwright.errors import ModelError  # noqa: E402
from sqlwright.training.device import (  # noqa: E402
    Stopper,
    choose_device,
    choose_dtype,
    choose_threads,
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


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_the_first_signal_is_noted_and_the_second_leaves(number: int, raised: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with Stopper() as stopper:
        os.kill(os.getpid(), number)
        assert stopper.asked == number
        with pytest.raises(raised):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
