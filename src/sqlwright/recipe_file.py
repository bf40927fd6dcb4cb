"""Recipes as TOML files, in and out.

`read_recipe` reads one, applies overrides (`train.epochs=2`) and reports *all* errors at once with place, value and the
nearest name. Not covered: what the settings are (see `recipe`).
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from sqlwright.errors import RecipeError
from sqlwright.recipe import Recipe, settings


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe at `path` with `overrides` (`key=value`, value as TOML or plain text) applied.

    Raises `RecipeError` that lists every problem at once: file and line, value, what was expected, nearest name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(
            f"{path}: expected a recipe, found no such file. `sqlwright recipe list` shows the ones that ship."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected a recipe in TOML (UTF-8), found {error}.") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: expected TOML, found {error}.") from None
    problems: list[str] = []
    for override in overrides:
        problem = _override(values, override)
        if problem:
            problems.append(problem)
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        problems += [_problem(path, text, overrides, one) for one in error.errors(include_url=False)]
    if problems or recipe is None:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        raise RecipeError(f"{path}: {count} in the recipe.\n" + "\n".join(f"  - {line}" for line in problems))
    return recipe


def to_toml(recipe: Recipe) -> str:
    """Return the complete recipe as TOML, every setting written out; `read_recipe` reads it back unchanged."""
    top, sections = [], []
    for name, value in recipe.model_dump(mode="json").items():
        if isinstance(value, dict):
            lines = [f"{key} = {_toml_value(inner)}" for key, inner in value.items()]
            sections.append(f"[{name}]\n" + "\n".join(lines))
        else:
            top.append(f"{name} = {_toml_value(value)}")
    return "\n".join(top) + "\n\n" + "\n\n".join(sections) + "\n"


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ` Did you mean X?` with the nearest known name, or an empty text."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        given = [f"{key} = {_toml_value(inner)}" for key, inner in value.items() if inner is not None]
        return "{" + ", ".join(given) + "}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
    return repr(value)


def _override(values: dict[str, Any], text: str) -> str:
    """Apply one `key=value` to `values`; return the problem, or an empty text."""
    key, equals, raw = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        return f"--set {text}: expected KEY=VALUE, such as train.epochs=2."
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    inner = values
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return f"--set {text}: `{part}` is a single setting, not a section."
    inner[parts[-1]] = value
    return ""


def _problem(path: Path, text: str, overrides: Sequence[str], error: Any) -> str:
    place = [str(part) for part in error["loc"] if not isinstance(part, int)]
    key = ".".join(place)
    given = any(override.partition("=")[0].strip() == key for override in overrides)
    where = f"--set {key}" if given else f"{path.name}:{_line_of(text, place)}"
    if error["type"] == "extra_forbidden":
        keys = [known for known, *_ in settings()]
        scope = [k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == ".".join(place[:-1])]
        sections = list(Recipe.model_fields) if len(place) == 1 else []
        hint = nearest(place[-1], scope + sections)
        if not hint:
            elsewhere = [k for k in keys if k.endswith("." + place[-1])]
            hint = f" It is `{elsewhere[0]}`." if elsewhere else nearest(key, keys)
        return f"{where}: unknown setting `{key}`.{hint}"
    found = error.get("input")
    message = str(error["msg"]).removeprefix("Input ").replace("should be", "expected")
    hint = ""
    if error["type"] == "literal_error" and isinstance(found, str):
        hint = nearest(found, _choices(place))
    return f"{where}: `{key}` = {found!r}: {message[0].lower() + message[1:]}.{hint}"


def _choices(place: Sequence[str]) -> list[str]:
    for key, kind, _, _ in settings():
        if key == ".".join(place):
            found: list[str] = []
            for item in (kind, *get_args(kind)):
                found += [choice for choice in get_args(item) if isinstance(choice, str)]
            return found
    return []


def _line_of(text: str, place: Sequence[str]) -> int:
    """Return the line number of a dotted key in the recipe's text; 1 where it can't be told."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        header = re.match(r"\[([\w.-]+)\]", stripped)
        if header:
            section = header[1]
            if [section] == list(place):
                return number
            continue
        key = re.match(r"([\w.-]+)\s*=", stripped)
        if key and ".".join(filter(None, (section, key[1]))) == ".".join(place):
            return number
    return 1
