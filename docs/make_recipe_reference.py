"""Writes `docs/recipe.md`, the reference of all settings, from `sqlwright.recipe`: nothing is written twice.

    python docs/make_recipe_reference.py

A test holds the page and the code together. Not covered: how settings play together; see the other pages.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sqlwright.recipe import Recipe

PAGE = Path(__file__).resolve().parent / "recipe.md"

INTRODUCTION = """\
# The recipe

<!-- Written by docs/make_recipe_reference.py from src/sqlwright/recipe.py. Change the settings there. -->

A recipe is a TOML file with everything a run depends on. What it leaves out has the default below; a setting that
doesn't exist is an error that gives the nearest name, and all errors are reported at once.

```toml
name = "quickstart"
seed = 1

[data]
format = "spider"
train = ["package:quickstart/train.json"]
evaluate = ["package:quickstart/evaluate.json"]
databases = "package:quickstart/database"

[train]
epochs = 1
learning_rate = 5e-4
```

```bash
sqlwright recipe check recipes/quickstart.toml
sqlwright recipe explain train.epochs
sqlwright run recipes/quickstart.toml --plan --set train.epochs=2 --set model.device=cpu
```

`check` prints the recipe complete, every setting written out. `--set` changes a setting for one call; it may be given
several times. The run folder keeps the resolved recipe as `recipe.toml`.
"""

_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
_KINDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}


def render() -> str:
    """Return the whole page."""
    return INTRODUCTION + "".join(_sections())


def _sections() -> Iterator[str]:
    """Yield the top-level settings, then every section, as Markdown."""
    fields = Recipe.model_fields
    inner = {name: info.annotation for name, info in fields.items() if _is_section(info.annotation)}
    yield _section("Top level", inspect.getdoc(Recipe) or "", {k: v for k, v in fields.items() if k not in inner})
    for name, section in inner.items():
        assert isinstance(section, type) and issubclass(section, BaseModel)
        yield _section(f"`[{name}]`", inspect.getdoc(section) or "", section.model_fields)


def _section(title: str, about: str, fields: dict[str, FieldInfo]) -> str:
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {_type(info)} | `{_default(info.default)}` | {_cell(info.description or '')} |"
        for name, info in fields.items()
    ]
    return f"\n## {title}\n\n{about}\n\n" + "\n".join(rows) + "\n"


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _type(info: FieldInfo) -> str:
    """Return the type in words, with the bounds."""
    kind = info.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        items = get_args(kind)[0]
        return "list of " + (", ".join(f"`{c}`" for c in get_args(items)) if get_origin(items) is Literal else "text")
    bounds = [
        words.format(_number(getattr(limit, key)))
        for key, words in _BOUNDS.items()
        for limit in info.metadata
        if getattr(limit, key, None) is not None
    ]
    return " ".join([_KINDS.get(kind, str(kind)) if isinstance(kind, type) else str(kind), *bounds])


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default(value: Any) -> str:
    """Return the default as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
