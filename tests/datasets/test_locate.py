from __future__ import annotations

from pathlib import Path

import pytest

from sqlwright.datasets import find_database, package_path, resolve_path
from sqlwright.errors import DataError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("place", ["db/db.sqlite", "db/db.db", "db/other.sqlite", "db.sqlite", "db.sqlite3", "db.db"])
def test_every_layout_is_found(place: str, tmp_path: Path) -> None:
    expected = touch(tmp_path / place)
    touch(tmp_path / "db" / "schema.sql")
    assert find_database(tmp_path, "db") == expected


def test_the_official_layout_comes_first(tmp_path: Path) -> None:
    expected = touch(tmp_path / "db" / "db.sqlite")
    touch(tmp_path / "db" / "copy.sqlite")
    touch(tmp_path / "db.sqlite")
    assert find_database(tmp_path, "db") == expected


def test_a_file_can_stand_for_the_folder(tmp_path: Path) -> None:
    path = touch(tmp_path / "shop.db")
    assert find_database(path, "shop") == path


def test_errors_say_where_and_what_is_nearest(tmp_path: Path) -> None:
    touch(tmp_path / "concert_singer" / "concert_singer.sqlite")
    with pytest.raises(DataError, match="nearest name there is 'concert_singer'") as caught:
        find_database(tmp_path, "concert_singers")
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(DataError, match="doesn't exist"):
        find_database(tmp_path / "nowhere", "x")
    for name in ("a", "b"):
        touch(tmp_path / "many" / f"{name}.sqlite")
    with pytest.raises(DataError, match=r"found 2 \(a.sqlite, b.sqlite\)"):
        find_database(tmp_path, "many")


def test_resolve_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolve_path("a/b.json", tmp_path) == tmp_path / "a" / "b.json"
    assert resolve_path("/x/b.json", tmp_path) == Path("/x/b.json")
    assert resolve_path("~/b.json", tmp_path) == tmp_path / "home" / "b.json"
    assert resolve_path("package:quickstart/train.json", tmp_path) == package_path("quickstart/train.json")


@pytest.mark.parametrize("name", ["quickstart/none.json", "../records.py", "/etc/hosts"])
def test_unknown_packaged_files_are_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(DataError, match=r"quickstart/train\.json"):
        package_path(name)
