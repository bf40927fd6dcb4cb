from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.datasets import check_golds, read_jsonl, read_spider, with_category, with_hardness


def test_golds_that_fail_are_left_out_by_line(shops: Path, tmp_path: Path) -> None:
    golds = [
        "SELECT name FROM shop",
        "SELECT price FROM shop",
        ["SELECT nme FROM shop", "SELECT town FROM shop"],
        "DROP TABLE shop",
        "SELEC 1",
        "SELECT count(*) FROM shop",
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text(
        "\n".join(json.dumps({"question": f"{n}?", "sql": g, "database": "shops"}) for n, g in enumerate(golds))
    )
    dataset = read_jsonl([path], shops)
    seen = []
    with Executor(workers=2) as executor:
        checked = check_golds(dataset, executor, lambda done, total: seen.append((done, total)))
    assert [q.text for q in checked.questions] == ["0?", "2?", "5?"]
    assert checked.questions[1].golds == ("SELECT town FROM shop",)
    assert checked.questions[1].id == dataset.questions[2].id
    assert [d.where for d in checked.dropped] == [f"questions.jsonl:{line}" for line in (2, 3, 4, 5)]
    assert {d.kind for d in checked.dropped} == {"gold fails"}
    assert "price" in checked.dropped[0].reason
    assert seen[-1] == (7, 7)
    with Executor(workers=1) as executor:
        assert executor.run(shops / "shops" / "shops.sqlite", "SELECT count(*) FROM shop").rows == [(3,)]


def test_a_database_that_is_damaged_costs_only_its_own_questions(shops: Path, tmp_path: Path) -> None:
    (shops / "broken.sqlite").write_bytes(b"SQLite format 3\x00 and then nothing of the kind")
    path = tmp_path / "questions.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"question": "A?", "sql": "SELECT count(*) FROM shop", "database": name})
            for name in ("broken", "shops")
        )
    )
    with Executor(workers=1) as executor:
        checked = check_golds(with_hardness(read_jsonl([path], shops)), executor)
    assert [q.database for q in checked.questions] == ["shops"]
    assert list(checked.databases) == ["shops"]
    assert checked.questions[0].hardness == "easy"


def test_hardness_of_spider_dev_is_the_official_one(spider_root: Path) -> None:
    dataset = with_hardness(read_spider([spider_root / "dev.json"]))
    assert Counter(q.hardness for q in dataset.questions) == {
        "easy": 248,
        "medium": 446,
        "hard": 174,
        "extra": 166,
    }


def test_hardness_and_category_of_any_query(shops: Path, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    rows = [
        ("WITH s AS (SELECT 1) SELECT * FROM s", None, None),
        ("SELECT name FROM shop WHERE town = 'Bern'", "extra", "mine"),
        ("SELECT town, count(*) FROM shop GROUP BY town", None, None),
        ("SELEC 1", None, None),
    ]
    path.write_text(
        "\n".join(
            json.dumps({"question": "A?", "sql": sql, "database": "shops", "hardness": level, "category": name})
            for sql, level, name in rows
        )
    )
    questions = with_category(with_hardness(read_jsonl([path], shops))).questions
    assert [q.hardness for q in questions] == ["hard", "extra", "medium", None]
    assert [q.category for q in questions] == [None, "mine", "group_by", None]
