"""Being asked to stop while work is in hand."""

from __future__ import annotations

import os
import signal

import pytest

from sqlwright.training.stopper import Stopper


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_the_first_signal_is_noted_and_the_second_leaves(number: int, raised: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with Stopper() as stopper:
        os.kill(os.getpid(), number)
        assert stopper.asked == number
        with pytest.raises(raised):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
