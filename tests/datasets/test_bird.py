"""BIRD: evidence, difficulty and the layout of its folders."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.datasets import READERS
from sqlwright.prompts import STYLES, ChatTemplate, PromptFormat, build_prompts


def test_published_fields_arrive(shops: Path) -> None:
    file = PUBLISHED / "bird.json"
    dataset = READERS["bird"]([file], shops)
    first, second = dataset.questions
    assert (first.evidence, first.category) == ("Bern refers to town = 'Bern'", "simple")
    assert first.golds == ("SELECT COUNT(*) FROM shop WHERE town = 'Bern'",)
    assert (second.evidence, second.category, second.hardness) == ("", "challenging", None)
    assert dropped(dataset, file) == [("#2", "unknown database"), ("#3", "missing key"), ("#4", "wrong type")]


@pytest.mark.parametrize("given", [None, "database", "."])
def test_databases_are_found_in_the_published_folder(shops: Path, tmp_path: Path, given: str | None) -> None:
    place = tmp_path / "mini_dev"
    place.mkdir()
    shutil.copytree(shops, place / "dev_databases")
    shutil.copy(PUBLISHED / "bird.json", place)
    dataset = READERS["bird"]([place / "bird.json"], place / given if given else None)
    assert dataset.databases == {"shops": place / "dev_databases" / "shops" / "shops.sqlite"}


def test_descriptions_that_cannot_be_used_are_named(shops: Path) -> None:
    folder = shops / "shops" / "database_description"
    folder.mkdir()
    header = "original_column_name,column_name,column_description,data_format,value_description"
    (folder / "shop.csv").write_text(f"{header}\ntown,,where it is,text,\n,,no name,text,\n")
    dataset = READERS["bird"]([PUBLISHED / "bird.json"], shops)
    assert len(dataset.questions) == 2
    assert (dataset.dropped[-1].where, dataset.dropped[-1].kind) == (f"{folder / 'shop.csv'}:3", "bad description")


def test_a_folder_that_was_named_wrongly_is_not_guessed(shops: Path, tmp_path: Path) -> None:
    shutil.copytree(shops, tmp_path / "dev_databases")
    shutil.copy(PUBLISHED / "bird.json", tmp_path)
    dataset = READERS["bird"]([tmp_path / "bird.json"], tmp_path / "databasse")
    assert not dataset.questions
    assert "databasse doesn't exist" in dataset.dropped[0].reason


def test_the_mini_dev_file(archive: Callable[[str], Path], tmp_path: Path) -> None:
    file = archive("bird") / "bird" / "mini_dev_sqlite.json"
    published = json.loads(file.read_text(encoding="utf-8"))
    for name in {question["db_id"] for question in published}:
        folder = tmp_path / "dev_databases" / name
        folder.mkdir(parents=True)
        sqlite3.connect(folder / f"{name}.sqlite").close()
    dataset = READERS["bird"]([file], tmp_path)
    assert (len(dataset.questions), len(dataset.databases), dataset.dropped) == (500, 11, ())
    assert Counter(q.category for q in dataset.questions) == {"simple": 148, "moderate": 250, "challenging": 102}
    assert [q.evidence for q in dataset.questions] == [question["evidence"].strip() for question in published]
    assert [q.golds[0] for q in dataset.questions] == [question["SQL"].strip() for question in published]


@pytest.mark.parametrize("style", sorted(STYLES))
def test_evidence_and_descriptions_reach_the_prompt(shops: Path, style: str) -> None:
    folder = shops / "shops" / "database_description"
    folder.mkdir()
    header = "original_column_name,column_name,column_description,data_format,value_description"
    (folder / "shop.csv").write_text(f"{header}\ntown,,where the shop stands,text,\n")
    dataset = READERS["bird"]([PUBLISHED / "bird.json"], shops)
    chat = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")
    fmt = PromptFormat(STYLES[style], 0, 2048, chat)
    prompt = build_prompts(dataset.questions[:1], dataset.databases, fmt, len)[0]
    assert "Bern refers to town = 'Bern'" in prompt.suffix
    # This one is bare CREATE TABLE by its nature.
    assert ("where the shop stands" in prompt.prefix) == (style != "create-table-context")
