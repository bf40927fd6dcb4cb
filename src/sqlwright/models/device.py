"""What torch runs on: device, number format, threads, memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from sqlwright.errors import ModelError

# Options of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def choose_device(wanted: str) -> str:
    """Return `cuda` or `cpu`; raise `ModelError` where a GPU is asked for and there is none."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError('model.device = "cuda": expected an NVIDIA GPU, found none. Use "auto" or "cpu".')
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def choose_dtype(wanted: str, device: str) -> torch.dtype:
    """Return the number format of the frozen weights.

    `auto` takes bfloat16 where the hardware multiplies it (GPUs, CPUs with AVX512-BF16 or AMX), else float32: a CPU
    without those instructions was measured four times slower in bfloat16 (15 against 59 GFLOP/s on two cores).
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    return torch.bfloat16 if device == "cuda" or _cpu_multiplies_bfloat16() else torch.float32


def choose_threads(wanted: int) -> int:
    """Return the number of CPU threads: `wanted`, or as many as this process may run on, if that is 0."""
    return wanted or len(os.sched_getaffinity(0))


def keep_freed_memory(little: bool = False) -> None:
    """Let the C library keep what is freed for the next tensors, where it is glibc; elsewhere nothing happens.

    By default it gives activations back to the system after every pass and has their pages zeroed again: on two cores
    a training step took 13.5 s (best of three; 16.2 in the mean) and 12.8 s (13.1) with this. What is kept has gaps
    that aligned tensors don't fit into: a third more than what is in use, and with activation checkpointing nearly as
    much again. With `little`, memory counts for more than time, and large tensors are given back.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_THRESHOLD, (2 if little else 32) << 20)  # 32 MiB is the largest there is


def free_memory(device: Any) -> float:
    """Return the bytes that can still be taken: of the GPU, or of this machine; infinity where it doesn't say."""
    if torch.device(device).type == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024.0
    return math.inf


def peak_memory_mb(device: Any) -> float:
    """Return the largest memory so far in MB: of the GPU's allocator, or of this process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def _cpu_multiplies_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
