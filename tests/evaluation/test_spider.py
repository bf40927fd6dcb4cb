"""Spider's scores: equal to the recorded official ones, and a verdict wherever the original has none."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sqlwright.databases import Executor, Limits
from sqlwright.errors import DataError
from sqlwright.evaluation.spider import SpiderPair, SpiderResult, read_pairs, score_spider, spider_hardness

FIXTURES = Path(__file__).parent / "fixtures"
SYSTEMS = ("codes-1b", "dail-gpt4")


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=2, limits=Limits(seconds=10)) as running:
        yield running


def read_tsv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module", params=SYSTEMS)
def scored(
    request: pytest.FixtureRequest, spider_root: Path, parity_root: Path, executor: Executor
) -> tuple[str, SpiderResult]:
    pairs = read_pairs(spider_root / "dev_gold.sql", parity_root / f"{request.param}.predictions.sql")
    return request.param, score_spider(pairs, databases=spider_root / "database", executor=executor)


def test_every_verdict_is_the_official_one(scored: tuple[str, SpiderResult], parity_root: Path) -> None:
    name, result = scored
    official = read_tsv(parity_root / f"{name}.official.tsv")
    found = [
        {
            "index": str(item.index),
            "db_id": item.database,
            "hardness": item.hardness,
            "ex": str(int(item.ex or 0)),
            "ex_keep_distinct": str(int(item.ex_keep_distinct or 0)),
            "em": str(int(item.em or 0)),
        }
        for item in result.items
    ]
    assert len(official) == 1034
    assert found == official


def test_a_reason_for_every_wrong_verdict_and_no_other(scored: tuple[str, SpiderResult]) -> None:
    for item in scored[1].items:
        assert bool(item.reason) == bool(item.detail) == (not item.ex)
        assert bool(item.em_reason) == bool(item.em_detail) == (not item.em)


def test_the_table_is_the_official_one(scored: tuple[str, SpiderResult], parity_root: Path) -> None:
    name, result = scored
    path = parity_root / f"{name}.official_table.txt"
    if not path.is_file():
        pytest.skip(f"no official table was recorded for {name}")
    assert result.table() + "\n" == path.read_text()


def test_plugged_values(spider_root: Path, parity_root: Path, executor: Executor) -> None:
    """The fixture lists the questions that the original told right with --plug_value only."""
    for line in (FIXTURES / "spider_plug_value.tsv").read_text().splitlines():
        name, _, numbers = line.partition("\t")
        pairs = read_pairs(spider_root / "dev_gold.sql", parity_root / f"{name}.predictions.sql")
        result = score_spider(
            pairs, databases=spider_root / "database", executor=executor, plug_value=True, metrics=("ex",)
        )
        plain = [row["ex"] == "1" for row in read_tsv(parity_root / f"{name}.official.tsv")]
        gained = [item.index for item, right in zip(result.items, plain, strict=True) if item.ex != right]
        assert gained == [int(number) for number in numbers.split()]
        assert all(result.items[index].ex for index in gained)


def test_golds_are_right(spider_root: Path, executor: Executor) -> None:
    pairs = read_pairs(spider_root / "dev_gold.sql", spider_root / "dev_gold.sql")
    steps: list[tuple[int, int]] = []
    result = score_spider(
        pairs,
        databases=spider_root / "database",
        executor=executor,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert (result.value("ex"), result.value("ex_keep_distinct"), result.value("em")) == (1.0, 1.0, 1.0)
    counts = {level: total for level, (_, total) in result.scores()["em"].items()}
    assert counts == {"all": 1034, "easy": 248, "medium": 446, "hard": 174, "extra": 166}
    assert steps[-1] == (1034, 1034)


@pytest.mark.parametrize("case", read_tsv(FIXTURES / "spider_execution.tsv"), ids=lambda case: case["why"])
def test_execution(case: dict[str, str], spider_root: Path, executor: Executor) -> None:
    for keep_distinct in (False, True):
        result = score_spider(
            [(case["gold"], "concert_singer", case["prediction"])],
            databases=spider_root / "database",
            executor=executor,
            keep_distinct=keep_distinct,
        )
        item = result.items[0]
        assert (item.ex, item.ex_keep_distinct) == (case["ex"] == "1", case["keep"] == "1")
        right = item.ex_keep_distinct if keep_distinct else item.ex
        assert item.reason == ("" if right else case["reason"])


def test_nothing_stops_the_run(spider_root: Path, tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    nested = "SELECT name FROM singer WHERE age IN (" * 500
    strange = ("", ";", "'", "\x00", "SELECT", endless, nested, "SELECT " + "(" * 5000, "DROP TABLE singer", "é\ud800")
    with Executor(workers=2, limits=Limits(seconds=1)) as executor:
        result = score_spider(
            [("SELECT name FROM singer", "concert_singer", text) for text in strange],
            databases=spider_root / "database",
            executor=executor,
        )
        assert not any(item.ex or item.ex_keep_distinct or item.em for item in result.items)
        assert all(item.reason and item.em_reason for item in result.items)
        assert result.items[5].reason == "time_limit"
        assert score_spider([], databases=tmp_path, tables=spider_root / "tables.json", executor=executor).items == ()


def test_a_gold_outside_the_grammar_is_told(spider_root: Path, executor: Executor) -> None:
    gold = "SELECT CASE WHEN age > 30 THEN 1 END FROM singer"
    result = score_spider(
        [(gold, "concert_singer", gold), ("SELECT count(*) FROM singer", "concert_singer", "SELECT 0")],
        databases=spider_root / "database",
        executor=executor,
    )
    odd = result.items[0]
    assert (odd.hardness, odd.ex, odd.em, odd.em_reason) == ("unknown", True, None, "gold_failed")
    assert result.scores()["em"] == {"all": (0, 1), "easy": (0, 1)}
    assert result.scores()["ex"]["unknown"] == (1, 1)
    assert "2" in result.table().splitlines()[1]


def test_all_databases_of_the_folder_count(spider_root: Path, tmp_path: Path, executor: Executor) -> None:
    folder = tmp_path / "database" / "concert_singer"
    shutil.copytree(spider_root / "database" / "concert_singer", folder)
    lucky = "SELECT count(*) FROM singer"
    pairs = [("SELECT count(*) FROM singer WHERE age > 20", "concert_singer", text) for text in (lucky, "SELECT 6")]
    pairs.append((lucky, "concert_singer", lucky))
    tables = spider_root / "tables.json"

    def verdicts() -> list[bool | None]:
        result = score_spider(pairs, databases=tmp_path / "database", tables=tables, executor=executor)
        return [item.ex for item in result.items]

    assert verdicts() == [True, True, True]
    shutil.copy(folder / "concert_singer.sqlite", folder / "distilled.sqlite.1")
    with sqlite3.connect(folder / "distilled.sqlite.1") as connection:
        connection.execute("UPDATE singer SET age = 10 WHERE singer_id = 1")
    connection.close()
    assert verdicts() == [False, False, True]


def test_dialogues(spider_root: Path, executor: Executor) -> None:
    right, wrong = "SELECT name FROM singer", "SELECT age FROM singer"
    pairs = [
        *(SpiderPair(right, "concert_singer", right, 1, turn) for turn in range(1, 7)),
        SpiderPair(right, "concert_singer", right, 2, 1),
        SpiderPair(right, "concert_singer", wrong, 2, 2),
    ]
    table = score_spider(pairs, databases=spider_root / "database", executor=executor).table().splitlines()
    assert table[0].split() == ["easy", "medium", "hard", "extra", "all", "joint_all"]
    assert table[1].split()[1:] == ["8", "0", "0", "0", "8", "2"]
    assert table[3].split() == ["execution", "0.875", "0.000", "0.000", "0.000", "0.875", "0.500"]
    turns = table.index(next(line for line in table if "turn > 4" in line))
    assert table[turns + 1].split() == ["count", "2", "2", "1", "1", "2"]
    assert table[turns + 2] == "=====================   TURN EXECUTION ACCURACY     ====================="
    assert table[turns + 3].split() == ["execution", "1.000", "0.500", "1.000", "1.000", "1.000"]


@pytest.mark.parametrize(
    ("name", "levels", "turns"),
    [
        ("sparc", ["483", "441", "145", "134", "1203", "422"], ["422", "422", "270", "88", "1"]),
        ("cosql", ["417", "320", "163", "107", "1007", "293"], ["293", "285", "244", "114", "71"]),
    ],
)
def test_golds_of_dialogues(
    name: str,
    levels: list[str],
    turns: list[str],
    archive: Callable[[str], Path],
    spider_root: Path,
    executor: Executor,
) -> None:
    """Levels and turns are as the benchmarks publish them; one gold of each fails in SQLite by itself."""
    dialogues = json.loads((archive("multi_turn") / "multi_turn" / f"{name}_dev.json").read_text())
    pairs = [
        SpiderPair(turn["query"], dialogue["database_id"], turn["query"], session, number)
        for session, dialogue in enumerate(dialogues, 1)
        for number, turn in enumerate(dialogue["interaction"], 1)
    ]
    result = score_spider(pairs, databases=spider_root / "database", executor=executor)
    counts = [line.split()[1:] for line in result.table().splitlines() if line.startswith("count")]
    assert counts == [levels, turns]
    assert [item.reason for item in result.items if not item.ex] == ["gold_failed"]
    assert result.value("em") == 1.0


def test_metrics_can_be_left_out(spider_root: Path, executor: Executor) -> None:
    pair = ("SELECT name FROM singer", "concert_singer", "SELECT name FROM singer")
    folder = spider_root / "database"
    only_ex = score_spider([pair], databases=folder, executor=executor, metrics=("ex",))
    assert only_ex.items[0].em is None and not only_ex.items[0].partial and "MATCHING" not in only_ex.table()
    only_em = score_spider([pair], databases=folder, executor=executor, metrics=("em",))
    assert only_em.items[0].ex is None and only_em.items[0].em and "EXECUTION" not in only_em.table()


def test_missing_databases_and_tables_are_told(spider_root: Path, tmp_path: Path, executor: Executor) -> None:
    pair = ("SELECT name FROM singer", "concert_singers", "SELECT 1")
    with pytest.raises(DataError, match=r"concert_singers.*Did you mean concert_singer\?"):
        score_spider([pair], databases=spider_root / "database", executor=executor)
    folder = tmp_path / "database" / "concert_singer"
    folder.mkdir(parents=True)
    (folder / "concert_singer.sqlite").write_text("no database" * 100)
    pair = ("SELECT name FROM singer", "concert_singer", "SELECT 1")
    with pytest.raises(DataError, match=r"tables\.json"):
        score_spider([pair], databases=tmp_path / "database", executor=executor)
    (tmp_path / "tables.json").write_text('[{"db_id": "concert_singer"}]')
    with pytest.raises(DataError, match=r"tables\.json.*something else"):
        score_spider([pair], databases=tmp_path / "database", executor=executor)
    (tmp_path / "tables.json").write_text("[]")
    with pytest.raises(DataError, match="found none for concert_singer"):
        score_spider([pair], databases=tmp_path / "database", executor=executor)
    with pytest.raises(DataError, match="expected a SQLite database"):
        score_spider([pair], databases=tmp_path / "database", tables=spider_root / "tables.json", executor=executor)


def test_hardness_of_training_questions(spider_root: Path, executor: Executor) -> None:
    questions = json.loads((spider_root / "train_spider.json").read_text())
    golds = [(question["query"], question["db_id"]) for question in questions]
    found = spider_hardness(golds, databases=spider_root / "database", executor=executor)
    assert len(found) == 7000
    assert found.count("unknown") <= 5
