"""Options that several verbs share, and the shapes of values in their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", help="Print one JSON document.")]
Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", metavar="KEY=VALUE", help="Change a setting: train.epochs=2; may be given several times."),
]
RecipeFile = Annotated[Path, Parameter(help="The recipe, a TOML file.")]
Runs = Annotated[Path, Parameter(name="--runs", metavar="DIR", help="Folder of run folders.")]
RUNS = Path("runs")
"""Where run folders are made and looked for by default."""
