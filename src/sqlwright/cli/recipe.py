"""`sqlwright recipe list | copy NAME | check FILE | explain KEY`: recipes, and what a setting means.

In a checkout the recipes are the files of its folder `recipes/`. An installed SQLWright has the same files as data
of its distribution (`share/sqlwright/recipes`), found through the list of what was installed: that holds for
virtual environments, `pip --user` and `pip --target` alike, and needs no second copy in the package.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from cyclopts import App

from sqlwright.cli.options import Json, Overrides, RecipeFile
from sqlwright.cli.tables import aligned, print_json
from sqlwright.errors import RecipeError

app = App(name="recipe", help="Recipes: list, copy, check, and what a setting means.")


@app.command(name="list")
def list_recipes(*, json: Json = False) -> int:
    """List the recipes that ship with SQLWright."""
    recipes = [(path.stem, _first_comment(path), str(path)) for path in shipped()]
    if json:
        print_json([dict(zip(("name", "about", "path"), one, strict=True)) for one in recipes])
        return 0
    print(
        "\n".join(aligned([("name", "what it does"), *((name, about) for name, about, _ in recipes)], (False, False)))
    )
    print("\nTake one: sqlwright recipe copy NAME")
    return 0


@app.command
def copy(name: str, target: Path | None = None, /) -> int:
    """Copy a recipe, to change it and make it your own.

    Args:
        name: The recipe's name in `sqlwright recipe list`.
        target: The new file; NAME.toml here if left out. An existing file is never overwritten.
    """
    from sqlwright.recipe_file import nearest

    known = {path.stem: path for path in shipped()}
    source = known.get(name.removesuffix(".toml"))
    if source is None:
        hint = nearest(name, list(known))
        raise RecipeError(f"expected a recipe of `sqlwright recipe list` ({', '.join(known)}), found {name!r}.{hint}")
    path = target or Path(source.name)
    if path.is_dir():
        path = path / source.name
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise RecipeError(f"{path}: expected a new file, found one there. Give another name after {name}.") from None
    except OSError as error:
        raise RecipeError(f"{path}: can't be written ({error.strerror}). Give another place after {name}.") from None
    print(path)
    return 0


@app.command
def check(
    recipe: RecipeFile,
    /,
    *,
    set: Overrides = None,
    json: Json = False,
) -> int:
    """Read a recipe and print it complete, every setting written out; all errors are reported at once."""
    from sqlwright.recipe_file import read_recipe, to_toml

    read = read_recipe(recipe, set or [])
    if json:
        print_json(read.flat())
    else:
        print(to_toml(read), end="")
    return 0


@app.command
def explain(key: str = "", /, *, json: Json = False) -> int:
    """Tell what a setting means, its type and its default.

    Args:
        key: A setting such as train.epochs, or a section such as train; all of them if left out.
    """
    from sqlwright.recipe import settings
    from sqlwright.recipe_file import nearest

    every = list(settings())
    chosen = [one for one in every if not key or one[0] == key or one[0].startswith(f"{key}.")]
    if not chosen:
        names = [one[0] for one in every]
        inner = [name for name in names if name.endswith(f".{key}")]
        hint = f" It is `{inner[0]}`." if inner else nearest(key, names)
        raise RecipeError(f"expected a setting or a section of a recipe, found `{key}`.{hint}")
    if json:
        keys = ("key", "type", "default", "about")
        rows = [(name, _type_text(kind), default, about) for name, kind, default, about in chosen]
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return 0
    for name, kind, default, about in chosen:
        print(f"{name} = {default!r}   ({_type_text(kind)})\n    {about}")
    return 0


def shipped() -> list[Path]:
    """Return the recipe files that ship, by name."""
    checkout = Path(__file__).resolve().parents[3]
    found = list((checkout / "recipes").glob("*.toml")) if (checkout / "pyproject.toml").is_file() else []
    if not found:
        listed = metadata.files("sqlwright") or []
        found = [Path(str(file.locate())) for file in listed if file.match("share/sqlwright/recipes/*.toml")]
    if not all(path.is_file() for path in found):
        # `pip --target` moves the files after it has listed them
        found = list(Path(__file__).resolve().parents[2].glob("share/sqlwright/recipes/*.toml"))
    if not found:
        raise RecipeError("expected the recipes that ship with SQLWright, found none. Install it again with pip.")
    return sorted(found)


def _type_text(kind: object) -> str:
    """Return a setting's type in words."""
    if get_origin(kind) is Annotated:
        return _type_text(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"list of {_type_text(get_args(kind)[0]).removeprefix('one of ')}"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(kind, str(kind))  # type: ignore[call-overload,no-any-return]


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
