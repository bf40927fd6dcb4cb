"""Pairs from real databases: they run, they say something, they are different, and the same seed gives them again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from sqlwright.databases import Executor
from sqlwright.datasets import package_path
from sqlwright.datasets.synthesis import Sampled, sample_pairs, synthesise
from sqlwright.datasets.synthesis.profile import Profile, read_profile
from sqlwright.datasets.synthesis.sample import SHARES, masked
from sqlwright.errors import DatabaseError
from sqlwright.sql.category import CATEGORIES

CHINOOK = package_path("chinook/chinook.sqlite")


@pytest.fixture(scope="module")
def profile() -> Profile:
    with Executor(workers=1) as executor:
        return read_profile(CHINOOK, executor)


@pytest.fixture(scope="module")
def sampled() -> Sampled:
    return sample_pairs(CHINOOK, 60, seed=3, wordings=3)


def test_columns_have_roles(profile: Profile) -> None:
    roles = {f"{e.table}.{a.name}": a.role for e in profile.entities.values() for a in e.attributes}
    assert roles["Artist.Name"] == "name"
    assert roles["Invoice.BillingCountry"] == "category"
    assert roles["Invoice.InvoiceDate"] == "date"
    assert roles["Invoice.Total"] == "number"
    assert roles["Album.ArtistId"] == "key"
    assert roles["Customer.Fax"] == "skip"
    assert roles["Employee.Country"] == "skip", "all are from Canada"


def test_labels_people_and_junctions(profile: Profile) -> None:
    entities = profile.entities
    assert [a.name for a in entities["Customer"].label] == ["FirstName", "LastName"]
    assert [a.name for a in entities["Invoice"].label] == ["InvoiceId"]
    assert entities["Customer"].person and not entities["Genre"].person
    assert entities["PlaylistTrack"].junction and not entities["InvoiceLine"].junction
    assert {link.noun for link in profile.parents("Customer")} == {"support rep"}


def test_pairs_run_and_each_part_of_them_counts(sampled: Sampled) -> None:
    assert len(sampled.pairs) == 60
    connection = sqlite3.connect(CHINOOK)
    for pair in sampled.pairs:
        rows = connection.execute(pair.sql).fetchall()
        assert rows and any(value not in (None, 0) for row in rows for value in row), pair.sql
        assert [tuple(row) for row in rows] == [tuple(row) for row in pair.result]


def test_pairs_are_different(sampled: Sampled) -> None:
    statements = Counter(masked(pair.sql) for pair in sampled.pairs)
    assert statements.most_common(1)[0][1] == 1
    texts = [text for pair in sampled.pairs for text in pair.wordings]
    assert len(set(texts)) == len(texts)
    assert sum(len(pair.wordings) > 1 for pair in sampled.pairs) > 50


def test_pairs_are_balanced(sampled: Sampled) -> None:
    levels = Counter(pair.hardness for pair in sampled.pairs)
    assert set(SHARES) <= set(levels)
    assert max(levels.values()) <= 0.45 * len(sampled.pairs)
    categories = Counter(pair.category for pair in sampled.pairs)
    assert set(categories) == set(CATEGORIES)
    assert min(categories.values()) >= 4


def test_every_draw_is_accounted_for(sampled: Sampled) -> None:
    counts = dict(sampled.counts)
    counts.pop("no such columns", None)
    beyond = counts.pop("over its share of hardness")
    assert counts.pop("drawn") == sum(counts.values())
    assert counts["accepted"] == 60 + beyond


def test_wordings_are_sentences(sampled: Sampled) -> None:
    for pair in sampled.pairs:
        for text in pair.wordings:
            assert text[0].isupper() and text[-1] in "?.", text
            assert "  " not in text and "None" not in text and "_" not in text, text
            assert not any("\ue000" <= character <= "\uf8ff" for character in text)


def test_the_same_seed_gives_the_same_questions() -> None:
    first = synthesise(CHINOOK, 12, seed=5, wordings=2)
    assert first == synthesise(CHINOOK, 12, seed=5, wordings=2)
    assert first != synthesise(CHINOOK, 12, seed=6, wordings=2)
    assert len({question.id for question in first}) == len(first)
    assert {question.database for question in first} == {"chinook"}


def test_odd_names_and_values_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "odd.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "odd.sql").read_text(encoding="utf-8"))
    connection.close()
    sampled = sample_pairs(path, 40, wordings=2)
    assert 10 <= len(sampled.pairs) <= 40
    assert {"order", "Größe"} <= {
        name for name in ("order", "Größe", "empty") if any(name in p.sql for p in sampled.pairs)
    }
    assert sampled.counts["does not run"] == 0


def test_a_database_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.sqlite"
    sqlite3.connect(path).execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(DatabaseError, match="expected a table with rows"):
        sample_pairs(path, 5)


def test_masked_statements_keep_structure() -> None:
    assert masked("SELECT a FROM t WHERE b = 'x' LIMIT 3") == "SELECT a FROM t WHERE b = ? LIMIT ?"


@pytest.mark.parametrize("name", ["car_1", "flight_2", "cre_Doc_Template_Mgt"])
def test_databases_of_a_benchmark_give_pairs(spider_root: Path, name: str) -> None:
    sampled = sample_pairs(spider_root / "database" / name / f"{name}.sqlite", 20)
    assert len(sampled.pairs) == 20
    assert sampled.counts["does not run"] == 0
