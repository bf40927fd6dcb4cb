"""What the training and prediction benchmarks share: packaged questions as prompts, memory, and facts of the machine.

Not covered: anything that is measured (see `training.py` and `prediction.py`).
"""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlwright.datasets import Dataset, package_path, read_spider
from sqlwright.errors import SQLWrightError
from sqlwright.models import threads
from sqlwright.models.tokenizer import chat_template, load_tokenizer
from sqlwright.models.verify import find_model
from sqlwright.prompts import STYLES, TARGETS, PromptFormat, build_prompts
from sqlwright.recipe import PromptSettings
from sqlwright.records import Prompt, Question


class OfDatabase(Protocol):
    """A question or prompt: it belongs to a database."""

    @property
    def database(self) -> str: ...


T = TypeVar("T", bound=OfDatabase)

# Quiet, offline, and no warning about forked tokenizers: the same for every measured process.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore",
    **threads.ENVIRONMENT,
}


def in_own_process(script: str, measured: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return what `script --measure MEASURED` writes as JSON; a fresh interpreter, so that its peak memory is its own.

    `options` are handed on by name, except those that are None.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        command = [sys.executable, script, "--measure", measured, "--json", str(out)]
        for name, value in options.items():
            if value is not None:
                command += ["--" + name.replace("_", "-"), str(value)]
        print(f"{measured} ...", file=sys.stderr, flush=True)
        done = subprocess.run(command, env=ENVIRONMENT | os.environ, stdout=sys.stderr, check=False)
        if done.returncode:
            raise SystemExit(f"{measured} failed with exit code {done.returncode}; its messages are above.")
        result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return result


def require_model(name: str) -> None:
    """Say what to do about a missing model before anything runs."""
    try:
        find_model(name)
    except SQLWrightError as error:
        raise SystemExit(str(error)) from None


def die_with_children() -> None:
    """Turn SIGTERM into an exit that ends the measured process too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def quickstart(name: str) -> Dataset:
    """Return the packaged questions of `train` or `evaluate`."""
    return read_spider([package_path(f"quickstart/{name}.json")], package_path("quickstart/database"))


def draw_blocks(members: Sequence[T], size: Callable[[T], int], count: int, block: int, seed: int) -> list[T]:
    """Return `count` members, `block` from one database after another, so that few questions still fill their groups.

    Where not every database gets a block, they are taken evenly from small to large schemas (`size`), so that few
    databases have about the mean schema of all. Which questions a block holds is drawn by the seed.
    """
    draw = random.Random(seed)
    by_database: dict[str, list[T]] = defaultdict(list)
    for member in members:
        by_database[member.database].append(member)
    pools = [draw.sample(pool, len(pool)) for pool in sorted(by_database.values(), key=lambda pool: size(pool[0]))]
    chosen: list[T] = []
    while len(chosen) < count and pools:
        wanted = min(len(pools), -(-(count - len(chosen)) // block))
        for pool in [pools[(2 * i + 1) * len(pools) // (2 * wanted)] for i in range(wanted)]:
            take = min(block, count - len(chosen))
            chosen += pool[:take]
            del pool[:take]
        pools = [pool for pool in pools if pool]
    return chosen


def write_prompts(
    path: Path, dataset: Dataset, questions: Sequence[Question], target: bool = False
) -> tuple[list[Prompt], Any]:
    """Return the prompts of the questions in the default style, and the tokenizer of the model at `path`."""
    tokenizer = load_tokenizer(path)
    settings = PromptSettings()
    fmt = PromptFormat(STYLES[settings.style], settings.sample_values, settings.max_schema_tokens, chat_template(path))

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return build_prompts(questions, dataset.databases, fmt, count, TARGETS["plain"] if target else None), tokenizer


def machine(packages: Sequence[str]) -> dict[str, str]:
    """Return what a reader needs to judge the numbers: processor, cores, memory, load and versions."""
    facts = {"processor": _processor(), "cores": str(len(os.sched_getaffinity(0)))}
    facts["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    facts["load before"] = f"{os.getloadavg()[0]:.1f}"
    facts["python"] = platform.python_version()
    for package in packages:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = "absent"
    return facts


def facts_line(facts: dict[str, str]) -> str:
    """Return the facts on one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def forget_peak() -> None:
    """Make `peak_memory_mb` count from now on, where the kernel allows it (Linux); loading a model has its own peak."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_mb() -> float:
    """Return the largest memory since `forget_peak` in MB: the GPU's if there is one, else this process's own."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def _processor() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
