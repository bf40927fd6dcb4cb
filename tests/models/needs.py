"""Skips a module where an optional package is absent, without importing it: peft takes seconds."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(package: str) -> None:
    """Skip the calling module unless the package is installed."""
    if find_spec(package) is None:
        pytest.skip(f"needs {package}", allow_module_level=True)
