"""How threads wait for each other: OpenMP reads this once, when torch or llama.cpp is loaded.

Not covered: how many threads there are; OpenMP libraries other than GNU's, which read the policy only.
"""

from __future__ import annotations

import os

# Some 10 µs. Threads that sleep at once are woken too late for llama.cpp's small steps (half the speed), threads that
# spin on cost five times the speed where another process wants their core.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}


def let_threads_wait() -> None:
    """Have threads spin for a moment and then sleep while they wait; what the user has set is left."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
