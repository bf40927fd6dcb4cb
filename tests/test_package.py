"""The public names of the package: there without a model being loaded, and the same as what the commands call."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sqlwright
from sqlwright.serving.ask import ask


def test_ask_is_a_public_name() -> None:
    assert sqlwright.ask is ask
    assert set(sqlwright.__all__) == {"__version__", "ask"}
    with pytest.raises(AttributeError, match="no attribute 'aks'"):
        _ = sqlwright.aks


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = "import sys, sqlwright; print(*(name for name in ('torch', 'xllamacpp', 'sqlglot') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
