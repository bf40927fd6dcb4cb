"""`sqlwright doctor`: what this machine has, what is missing, and the command that gets it.

Not covered: whether a model fits the memory at hand for a given recipe; `sqlwright run --plan` says that.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

from sqlwright.cli.options import Json
from sqlwright.cli.tables import aligned, print_json

_PACKAGES = {"xllamacpp": "gguf", "torch": "train", "transformers": "train", "peft": "train", "gguf": "train"}
"""Optional packages by the extra of SQLWright that brings them."""

_USES = {"gguf": "predict and ask", "train": "fine-tune"}


class Check(NamedTuple):
    """One thing looked at: what was found, whether it is as it should be (None: good to know), and its cure."""

    name: str
    found: str
    good: bool | None
    cure: str = ""


class ModelState(NamedTuple):
    """A model of the catalogue: `state` is "yes", "no", "partly" or "damaged"; `bytes` is the whole file."""

    name: str
    title: str
    licence: str
    bytes: int
    state: str
    path: str


def doctor(*, json: Json = False) -> int:
    """Tell what this machine has and what is missing; exit code 1 if something needed is missing."""
    checks = _checks()
    missing = [check for check in checks if check.good is False]
    if json:
        print_json({"ok": not missing, "checks": [check._asdict() for check in checks]})
        return 1 if missing else 0
    marks = {True: "ok", False: "missing", None: ""}
    rows = [(check.name, marks[check.good], check.found) for check in checks]
    print("\n".join(aligned(rows, (False, False, False))))
    if missing:
        print("\nWhat to do:")
        for cure in dict.fromkeys(check.cure for check in missing):
            print(f"  {cure}")
    else:
        print("\nEverything is here. Next: sqlwright run recipes/quickstart.toml")
    return 1 if missing else 0


def model_states() -> list[ModelState]:
    """Return the catalogue with the state of each model on this machine."""
    from sqlwright.errors import ModelError
    from sqlwright.models.catalogue import CATALOGUE
    from sqlwright.models.verify import local_path, models_folder

    states = []
    for entry in CATALOGUE.values():
        path = models_folder() / entry.file
        try:
            state = "yes" if local_path(entry.name) else "no"
        except ModelError:
            state = "damaged"
        if state == "no" and path.with_name(path.name + ".partial").is_file():
            state = "partly"
        states.append(ModelState(entry.name, entry.title, entry.licence, entry.bytes, state, str(path)))
    return states


def _checks() -> list[Check]:
    from sqlwright import __version__
    from sqlwright.models.verify import models_folder

    checks = [
        Check("sqlwright", __version__, None),
        Check("python", f"{sys.version.split()[0]} at {sys.executable}", sys.version_info >= (3, 11)),
        Check("system", sys.platform, None),
        Check("CPU cores", str(_cores()), None),
        Check("memory", _memory(), None),
        Check("GPU", _gpu(), None),
    ]
    for package, extra in _PACKAGES.items():
        version = _version(package)
        cure = f"pip install '.[{extra}]'      # {_USES[extra]}"
        checks.append(Check(package, version or f"not installed: needed to {_USES[extra]}", version is not None, cure))
    checks.append(_server())
    folder = models_folder()
    checks.append(Check("model folder", f"{folder}, {_free(folder) / 1e9:,.1f} GB free", None))
    checks += [_model_check(state) for state in model_states()]
    return checks


def _server() -> Check:
    from sqlwright.errors import ModelError
    from sqlwright.models.llama_server import PROGRAM, own_program

    try:
        found = own_program()
    except ModelError as error:
        return Check("llama-server", str(error), False, f"unset {PROGRAM}      # or give it the right path")
    return Check("llama-server", str(found or "none, xllamacpp answers; `make llama-server` builds a faster one"), None)


def _model_check(state: ModelState) -> Check:
    from sqlwright.recipe import ModelSettings

    words = {"yes": "here, SHA-256 right", "no": "not here", "partly": "partly here", "damaged": "damaged"}
    cure = f"sqlwright models pull {state.name}      # {state.bytes / 1e6:,.0f} MB"
    # only the model that recipes use by default is needed; another one that isn't here isn't missed
    needed = state.name == ModelSettings().base or state.state in ("damaged", "partly")
    good = True if state.state == "yes" else False if needed else None
    return Check(f"model {state.name}", words[state.state], good, cure)


def _version(package: str) -> str | None:
    if util.find_spec(package) is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "version unknown"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    """Return total and available memory; a container's limit counts where it is lower."""
    values: dict[str, int] = {}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return "unknown"
    total, available = values.get("MemTotal", 0), values.get("MemAvailable", 0)
    text = f"{total / 2**30:,.1f} GiB, {available / 2**30:,.1f} GiB available"
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return text
    return f"{text}; this container may use {limit / 2**30:,.1f} GiB" if limit < total else text


def _gpu() -> str:
    if util.find_spec("torch") is None:
        return "unknown without torch"
    import torch

    cuda: Any = torch.cuda
    if not cuda.is_available():
        return "none that torch can use: everything runs on the CPU"
    names = [cuda.get_device_properties(place) for place in range(cuda.device_count())]
    return ", ".join(f"{one.name} ({one.total_memory / 2**30:,.0f} GiB)" for one in names)


def _free(folder: Path) -> int:
    """Return the free bytes where a folder is or will be."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path.cwd())
    return shutil.disk_usage(there).free
