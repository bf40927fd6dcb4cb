"""Where databases and packaged files lie: from a name in a question file to a path.

Not covered: databases on servers; those are opened by URL in `sqlwright.databases`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sqlwright.errors import DataError

SUFFIXES = (".sqlite", ".sqlite3", ".db")
PACKAGE = "package:"
"""Prefix of paths that start at SQLWright's own packaged data, as in `package:quickstart/train.json`."""

USUAL_FOLDERS = ("database", "dev_databases", "train_databases", "databases")
"""What benchmarks call their folder of databases; the first one is also the recipe's default."""


@dataclass(frozen=True, slots=True)
class Located:
    """A database file and what the question called it; `by_name` is False where a path was given."""

    name: str
    path: Path
    by_name: bool


def find_root(files: Sequence[Path], root: Path | None) -> Path | None:
    """Return the folder of databases: `root`, or the one that the benchmark ships where `root` is only the default.

    `root` itself wins where it is there, or the usual folder inside it (BIRD's `dev_databases`). A missing `root`
    that is called `database`, as is the default, stands for the usual folder beside it or beside the first file; any
    other missing one is left as it is, and the questions say that it isn't there.
    """
    if root is not None and root.exists():
        return next((root / name for name in USUAL_FOLDERS if (root / name).is_dir()), root)
    if root is not None and root.name != USUAL_FOLDERS[0]:
        return root
    beside = ([root.parent] if root else []) + [file.parent for file in files[:1]]
    found = (folder / name for folder in beside for name in USUAL_FOLDERS)
    return next((folder for folder in found if folder.is_dir()), root)


def find_database(root: Path, name: str) -> Path:
    """Return the SQLite file of the database `name` under `root`.

    Looked for in this order: `root/name/name.sqlite` (the layout of Spider and BIRD), the only database file
    in `root/name/`, `root/name.sqlite` (or `.sqlite3`, `.db`), and `root` itself where it is a file of that
    name.

    Raises:
        DataError: there is none, or several and no telling which.
    """
    folder = root / name
    for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES):
        if path.is_file():
            return path
    inside = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES) if folder.is_dir() else []
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise DataError(
            f"expected one database in {folder}, found {len(inside)} ({', '.join(p.name for p in inside)}); "
            f"name one of them {name}.sqlite."
        )
    for path in (root / f"{name}{suffix}" for suffix in SUFFIXES):
        if path.is_file():
            return path
    if root.is_file() and name in (root.stem, root.name):
        return root
    raise DataError(_nothing_found(root, name))


def locate_database(reference: str, *, root: Path | None, base: Path) -> Located:
    """Return the database a question names, by name under `root` or as a path relative to `base`.

    Without a `root`, names are looked for in `base`, the folder of the question file.

    Raises:
        DataError: no such database; the message says where it was looked for.
    """
    if "\x00" in reference:
        raise DataError("a name with a NUL character.")
    if "/" in reference or "\\" in reference or reference.endswith(SUFFIXES):
        for folder in (base, root or base):
            path = (folder / reference).resolve()
            if path.is_file():
                return Located(path.stem, path, by_name=False)
        raise DataError(f"expected a database file at {base / reference}, found none.")
    return Located(reference, find_database(root or base, reference).resolve(), by_name=True)


def cache_folder() -> Path:
    """Return the folder for what can be made again: `$XDG_CACHE_HOME/sqlwright`, else `~/.cache/sqlwright`."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache).expanduser() if cache else Path.home() / ".cache") / "sqlwright"


def package_path(name: str) -> Path:
    """Return the real path of a packaged file or folder, such as `quickstart/train.json`.

    Raises:
        DataError: there is no such file; the message lists what there is.
    """
    root = Path(str(resources.files("sqlwright"))) / "data"
    path = root / name
    if ".." not in Path(name).parts and not Path(name).is_absolute() and path.exists():
        return path
    known = sorted(str(p.relative_to(root)) for p in root.glob("*/*") if p.suffix != ".md")
    raise DataError(f"expected one of the packaged files {', '.join(known)}; found {name!r}.")


def resolve_path(text: str, base: Path) -> Path:
    """Return the path meant by `text`: `package:NAME`, an absolute path, `~/…`, or relative to `base`."""
    if text.startswith(PACKAGE):
        return package_path(text.removeprefix(PACKAGE))
    return base / Path(text).expanduser()


def _nothing_found(root: Path, name: str) -> str:
    if not root.exists():
        return f"the folder of databases {root} doesn't exist; give the folder that holds {name}/{name}.sqlite."
    known = {p.stem if p.is_file() else p.name for p in root.iterdir()} if root.is_dir() else {root.stem}
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f" The nearest name there is {nearest[0]!r}." if nearest else ""
    return f"{name!r} has no file under {root} (expected {name}/{name}.sqlite or {name}.sqlite).{hint}"
