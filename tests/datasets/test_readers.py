"""Readers report every line they leave out and go on; ids depend on the question only."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlwright.datasets import READERS, read_csv, read_jsonl, read_spider
from sqlwright.errors import DataError
from sqlwright.records import write_records

FILES = Path(__file__).parent / "files"


def expected_drops(name: str) -> list[tuple[int, str]]:
    lines = (FILES / f"{name}.dropped").read_text().splitlines()
    return [(int(number), kind) for number, kind in (line.split("\t") for line in lines)]


@pytest.mark.parametrize(("name", "kept"), [("messy.jsonl", 4), ("messy.csv", 3)])
def test_bad_lines_are_reported_by_line_and_the_rest_goes_on(name: str, kept: int, shops: Path) -> None:
    path = FILES / name
    dataset = READERS[path.suffix[1:]]([path], shops)
    found = [(int(d.where.rpartition(":")[2]), d.kind) for d in dataset.dropped]
    assert found == expected_drops(name)
    assert all(d.where.startswith(str(path)) and d.reason and d.text for d in dataset.dropped)
    assert len(dataset.questions) == kept
    assert dataset.dropped_by_kind() == {kind: sum(k == kind for _, k in found) for kind in {k for _, k in found}}
    assert f"{len(found)} left out" in dataset.summary()


def test_jsonl_fields_arrive(shops: Path) -> None:
    first, towns, bern, again = read_jsonl([FILES / "messy.jsonl"], shops).questions
    assert towns.id == "towns"
    assert towns.golds == ("SELECT town FROM shop", "SELECT DISTINCT town FROM shop")
    assert (towns.evidence, towns.category, towns.hardness) == ("a town is a place", "list", "easy")
    assert bern.history == (("How many shops?", "SELECT count(*) FROM shop"),)
    assert bern.database == "shops", "the same file by path and by name is one database"
    assert first.source == "messy.jsonl:1"
    assert first.text == again.text
    assert first.id != again.id


def test_csv_cells_with_quotes_and_lines(shops: Path) -> None:
    _, towns, last = read_csv([FILES / "messy.csv"], shops).questions
    assert (towns.text, towns.evidence) == ("Towns, all of them?", 'a "town" is a place')
    assert towns.golds == ("SELECT town\nFROM shop",)
    assert (towns.source, last.source) == ("messy.csv:3", "messy.csv:12")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_csv_as_spreadsheets_write_it(separator: str, mark: bytes, newline: bytes, shops: Path, tmp_path: Path) -> None:
    rows = ["Question;SQL;Database", "Wieviele Läden?;SELECT 1;shops", "Und heute?;SELECT 2;shops"]
    path = tmp_path / "questions.csv"
    path.write_bytes(mark + newline.join(row.replace(";", separator).encode() for row in rows))
    dataset = read_csv([path], shops)
    assert [q.text for q in dataset.questions] == ["Wieviele Läden?", "Und heute?"]
    assert [q.golds for q in dataset.questions] == [("SELECT 1",), ("SELECT 2",)]
    assert not dataset.dropped


def test_an_open_quote_says_how_much_it_hides(shops: Path, tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text('question,sql,database\nA?,SELECT 1,shops\n"B?,SELECT 2,shops\nC?,SELECT 3,shops\n')
    dataset = read_csv([path], shops)
    assert [q.text for q in dataset.questions] == ["A?"]
    assert dataset.dropped[0].where == f"{path}:3"
    assert "never closed" in dataset.dropped[0].reason


def test_jsonl_with_bom_crlf_latin1_and_nul(shops: Path, tmp_path: Path) -> None:
    line = '{"question": "%s", "sql": "SELECT 1", "database": "shops"}'
    good, other = (line % "Läden\u2028heute?").encode(), (line % "Läden?").encode("latin-1")
    path = tmp_path / "questions.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([good, other, b"\x00\x01", b"", line.encode() % b"Last?"]))
    dataset = read_jsonl([path], shops)
    assert [q.text for q in dataset.questions] == ["Läden\u2028heute?", "Last?"]
    assert [(d.where, d.kind) for d in dataset.dropped] == [
        (f"{path}:2", "not UTF-8"),
        (f"{path}:3", "binary data"),
    ]


def test_a_run_s_own_questions_read_back(shops: Path, tmp_path: Path) -> None:
    questions = read_jsonl([FILES / "messy.jsonl"], shops).questions
    write_records(tmp_path / "questions.jsonl", questions)
    again = read_jsonl([tmp_path / "questions.jsonl"], shops).questions
    assert [(q.id, q.text, q.golds, q.history, q.hardness) for q in again] == [
        (q.id, q.text, q.golds, q.history, q.hardness) for q in questions
    ]


def test_questions_without_golds_are_kept_for_prediction(shops: Path, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "A?", "database": "shops"}\n{"question": "B?", "database": "shops", "sql": ""}')
    assert [q.golds for q in read_jsonl([path], shops, need_golds=False).questions] == [(), ()]
    assert len(read_jsonl([path], shops).dropped) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"SQLite format 3\x00" + bytes(100), "SQLite database"),
        ("question,sql".encode("utf-16"), "UTF-16"),
        (bytes(range(256)) * 4 + bytes(500), "binary"),
        (b"PK\x03\x04rest", "Excel"),
    ],
)
@pytest.mark.parametrize("reader", sorted(READERS))
def test_files_that_are_no_text_are_refused(content: bytes, words: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        READERS[reader]([path], tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("reader", sorted(READERS))
def test_missing_file_and_folder(reader: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there"):
        READERS[reader]([tmp_path / "none"], tmp_path)
    with pytest.raises(DataError, match="found a folder"):
        READERS[reader]([tmp_path], tmp_path)


@pytest.mark.parametrize(
    ("reader", "content", "words"),
    [
        ("spider", '{"db_id": "a"}\n{"db_id": "b"}', "format is 'jsonl'"),
        ("spider", '{"db_id": "a"}', "expected a JSON list"),
        ("spider", "[" * 100_000, "expected one JSON list"),
        ("jsonl", '[{"question": "A?"}]', "found a JSON list"),
        ("csv", "question,database\nA?,b\n", "question, database, sql"),
        ("csv", "question,sql,database,sql\n", "sql repeated"),
        ("csv", "", "expected a header"),
    ],
)
def test_the_wrong_format_is_named(reader: str, content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(DataError, match=words):
        READERS[reader]([path], tmp_path)


def test_ids_survive_reordering_and_stay_unique(spider_root: Path, tmp_path: Path) -> None:
    entries = json.loads((spider_root / "train_spider.json").read_text())[:3000]
    entries += entries[:50]
    shuffled = random.Random(1).sample(entries, len(entries))
    ids = []
    for name, part in (("a.json", entries), ("b.json", shuffled)):
        (tmp_path / name).write_text(json.dumps(part))
        questions = read_spider([tmp_path / name], spider_root / "database").questions
        assert len({q.id for q in questions}) == len(questions) == len(entries)
        ids.append({(q.id, q.text, q.golds) for q in questions})
    assert ids[0] == ids[1]


def test_spider_in_its_official_layout(spider_root: Path) -> None:
    dataset = read_spider([spider_root / "dev.json"])
    assert (len(dataset.questions), len(dataset.databases), dataset.dropped) == (1034, 20, ())
    assert dataset.tables == spider_root / "tables.json"
    assert all(path.is_file() for path in dataset.databases.values())
    assert dataset.questions[0].source == "dev.json#0"


def test_spider_entries_that_cannot_be_used(shops: Path, tmp_path: Path) -> None:
    good = {"db_id": "shops", "question": "A?", "query": "SELECT 1"}
    bad = [7, {**good, "query": None}, {**good, "db_id": "nowhere"}, {**good, "question": 3}]
    (tmp_path / "train.json").write_text(json.dumps([*bad, good]))
    dataset = read_spider([tmp_path / "train.json"], shops)
    assert [q.source for q in dataset.questions] == ["train.json#4"]
    assert [d.where.rpartition("#")[2] for d in dataset.dropped] == ["0", "1", "2", "3"]


def test_two_files_of_one_name_stay_two_databases(shops: Path, tmp_path: Path) -> None:
    for folder in ("north", "south"):
        (tmp_path / folder).mkdir()
        shutil.copy(shops / "shops" / "shops.sqlite", tmp_path / folder / "shops.sqlite")
    lines = [
        json.dumps({"question": "A?", "sql": "SELECT 1", "database": f"{folder}/shops.sqlite"})
        for folder in ("south", "north")
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    dataset = read_jsonl([tmp_path / "questions.jsonl"])
    assert [q.database for q in dataset.questions] == ["south/shops", "north/shops"]
    assert {name: path.parent.name for name, path in dataset.databases.items()} == {
        "south/shops": "south",
        "north/shops": "north",
    }


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), header=st.booleans(), reader=st.sampled_from(sorted(READERS)))
def test_any_bytes_are_read_or_refused_with_a_data_error(
    content: bytes, header: bool, reader: str, shops: Path
) -> None:
    path = shops / "any"
    path.write_bytes((b"question,sql,database\n" if header else b"") + content)
    try:
        dataset = READERS[reader]([path], shops)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert all(d.where.startswith(str(path)) for d in dataset.dropped)
        assert all(q.to_json().encode() for q in dataset.questions)
        assert all(d.text.encode() is not None for d in dataset.dropped)
