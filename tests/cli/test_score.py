"""`sqlwright score`: Spider's scores through the command, malformed files, partial scores, the core install alone."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN = "from sqlwright.cli import main; main()"
BLOCKED = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"torch", "transformers", "numpy", "xllamacpp", "pandas", "peft", "gguf"}}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Block())
{RUN}
"""


def spider(folder: Path, *more: object) -> list[object]:
    return [
        *("score", "--benchmark", "spider", "--gold", folder / "gold.sql"),
        *("--predictions", folder / "predictions.sql", *more),
    ]


def test_recorded_verdicts_and_the_official_table_with_the_core_alone(
    spider_root: Path, parity_root: Path, tmp_path: Path
) -> None:
    verdicts = tmp_path / "verdicts.tsv"
    words = [
        *("score", "--benchmark", "spider", "--gold", str(spider_root / "dev_gold.sql")),
        *("--predictions", str(parity_root / "codes-1b.predictions.sql"), "--verdicts", str(verdicts)),
    ]
    done = subprocess.run([sys.executable, "-c", BLOCKED, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with verdicts.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    with (parity_root / "codes-1b.official.tsv").open(encoding="utf-8", newline="") as file:
        official = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [{key: row[key] for key in official[0]} for row in found] == official
    assert list(found[0])[:5] == ["index", "db_id", "hardness", "ex", "em"]
    recorded = (parity_root / "codes-1b.official_table.txt").read_text(encoding="utf-8")
    table = done.stdout.partition("The official scorer's table:\n")[2]
    assert table.splitlines() == [line for line in recorded.splitlines() if line.strip()]
    assert "0.7814 (" in done.stdout
    assert "0.7708 (" in done.stdout
    assert "0.7166 (" in done.stdout
    assert "stand-in of 352 rows" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_small_set(sqlwright: Callable[..., Any], shop: Path) -> None:
    ended = sqlwright(*spider(shop))
    assert ended.code == 0
    assert ended.out.startswith("spider: scored 5 of 5 questions\n")
    assert re.search(r"^all +5 +0\.6000 \(.*\) +0\.4000 \(.*\) +0\.8000 \(", ended.out, re.MULTILINE)
    assert "EX, 2 wrong:" in ended.out
    assert "unknown table 1" in ended.out
    assert "note:" not in ended.out


def test_json_is_one_document(sqlwright: Callable[..., Any], shop: Path) -> None:
    document = sqlwright(*spider(shop, "--json")).json()
    assert document["benchmark"] == "spider"
    assert (document["scored"], document["expected"], document["partial"]) == (5, 5, False)
    assert document["reports"]["ex"]["overall"]["correct"] == 3
    assert document["reports"]["ex_keep_distinct"]["overall"]["correct"] == 2
    assert [item["ex"] for item in document["items"]] == [True, False, True, True, False]
    assert document["official_table"].startswith(" " * 20)


def test_keep_distinct_is_told_in_table_and_reasons(sqlwright: Callable[..., Any], shop: Path) -> None:
    document = sqlwright(*spider(shop, "--json", "--keep-distinct")).json()
    assert re.search(r"^execution .* 0\.400 +$", document["official_table"], re.MULTILINE)
    assert document["items"][2]["reason"] == "wrong_rows"
    assert document["items"][2]["ex"] is True


def test_compare_names_what_was_won(sqlwright: Callable[..., Any], shop: Path) -> None:
    base = shop / "base.sql"
    base.write_text("SELECT 1\n" * 5, encoding="utf-8")
    ended = sqlwright(*spider(shop, "--compare", base))
    assert ended.code == 0
    assert "predictions.sql won 3, lost 0; McNemar p = 0.25 (not significant)" in ended.out
    document = sqlwright(*spider(shop, "--compare", base, "--json", "--html", shop / "page.html")).json()
    page = (shop / "page.html").read_text(encoding="utf-8")
    assert "McNemar" in page
    assert base.name in page
    assert document["comparison"][0]["won"] == ["0", "2", "3"]
    assert document["comparison"][0]["names"] == ["base.sql", "predictions.sql"]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"], ids=["crlf", "cr", "lf"])
def test_line_ends_marks_and_tabs_change_nothing(sqlwright: Callable[..., Any], shop: Path, end: str) -> None:
    for name in ("gold.sql", "predictions.sql"):
        text = (shop / name).read_text(encoding="utf-8")
        (shop / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", end).encode())
    predictions = shop / "predictions.sql"
    predictions.write_bytes(predictions.read_bytes().replace(end.encode(), b"\tshop\n", 1))
    gold = shop / "gold.sql"
    gold.write_bytes(gold.read_bytes().replace(b"SELECT name", b"SELECT\tname", 1))
    document = sqlwright(*spider(shop, "--json")).json()
    assert document["reports"]["ex"]["overall"]["correct"] == 3


MALFORMED = {
    "no database in a gold": ("gold.sql", lambda text: text.replace("\tfarm", "", 1), "gold.sql:4: expected"),
    "unknown database": (
        "gold.sql",
        lambda text: text.replace("\tfarm", "\tfarn", 1),
        "gold.sql:4: expected a database",
    ),
    "a prediction too few": (
        "predictions.sql",
        lambda text: text[: text.rindex("SELECT")],
        "predictions.sql:5: expected 5",
    ),
    "a prediction too many": ("predictions.sql", lambda text: text + "SELECT 1\n", "predictions.sql:6: expected 5"),
    "binary": ("predictions.sql", lambda text: text + "\0", "predictions.sql: expected UTF-8 text"),
    "empty golds": ("gold.sql", lambda text: "", "gold.sql: expected lines"),
    "no JSON": ("tables.json", lambda text: "[", "tables.json: expected"),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_files_end_with_3_and_name_the_line(sqlwright: Callable[..., Any], shop: Path, fault: str) -> None:
    name, change, message = MALFORMED[fault]
    path = shop / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    ended = sqlwright(*spider(shop))
    assert ended.code == 3
    assert ended.out == ""
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_predictions_may_come_from_a_pipe(shop: Path) -> None:
    words = " ".join(f"'{word}'" for word in spider(shop, "--json")).replace(
        f"'{shop / 'predictions.sql'}'", "/dev/stdin"
    )
    script = f"cat '{shop / 'predictions.sql'}' | '{sys.executable}' -c '{RUN}' {words}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reports"]["ex"]["overall"]["correct"] == 3


def test_latin_1_is_named_with_its_line(sqlwright: Callable[..., Any], shop: Path) -> None:
    (shop / "predictions.sql").write_bytes(b"SELECT 1\nSELECT '\xe9'\n" + b"SELECT 1\n" * 3)
    ended = sqlwright(*spider(shop))
    assert ended.code == 3
    assert "predictions.sql:2: expected UTF-8 text, found the byte 0xe9" in ended.err


@pytest.mark.parametrize("option", ["--gold", "--predictions", "--databases", "--tables"])
def test_missing_files_end_with_3(sqlwright: Callable[..., Any], shop: Path, option: str) -> None:
    words = [*spider(shop), option, shop / "nothing"]
    if option in words[:-2]:
        del words[words.index(option) : words.index(option) + 2]
    ended = sqlwright(*words)
    assert ended.code == 3
    assert f"{shop / 'nothing'}: expected" in ended.err


def test_an_unreadable_database_leaves_a_partial_score(sqlwright: Callable[..., Any], shop: Path) -> None:
    (shop / "database" / "farm" / "farm.sqlite").write_bytes(b"not a database" * 99)
    ended = sqlwright(*spider(shop))
    assert ended.code == 6
    assert ended.out.startswith("spider: PARTIAL: scored 3 of 5 questions\nleft out: ")
    assert "farm.sqlite" in ended.out
    document = sqlwright(*spider(shop, "--json")).json()
    assert (document["scored"], document["expected"], document["partial"]) == (3, 5, True)


def test_without_tables_json_ex_is_scored_and_said_to_be_all(sqlwright: Callable[..., Any], shop: Path) -> None:
    (shop / "tables.json").unlink()
    ended = sqlwright(*spider(shop))
    assert ended.code == 6
    assert "left out: exact match (EM)" in ended.out
    assert "0.6000 (" in ended.out
    assert "EXACT MATCHING" not in ended.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--benchmark", "bird", "--keep-distinct"], "--keep-distinct: not for the benchmark bird"),
        (["--benchmark", "viggo", "--databases", "."], "--databases: not for the benchmark viggo"),
        (["--benchmark", "spider", "--verdicts", "/nowhere/at/all.tsv"], "expected a file in a folder that exists"),
    ],
)
def test_options_that_would_be_ignored_end_with_2(
    sqlwright: Callable[..., Any], shop: Path, more: list[str], message: str
) -> None:
    ended = sqlwright("score", "--gold", shop / "gold.sql", "--predictions", shop / "predictions.sql", *more)
    assert ended.code == 2
    assert message in ended.err


def test_verdicts_to_a_device_leave_the_device(sqlwright: Callable[..., Any], shop: Path) -> None:
    assert sqlwright(*spider(shop, "--verdicts", "/dev/null")).code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"])
def test_signals_end_it_at_once(shop: Path, number: int, code: int) -> None:
    """The second database is slow; the bar on the terminal says when it is being scored."""
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    predictions = shop / "predictions.sql"
    lines = predictions.read_text(encoding="utf-8").splitlines()
    predictions.write_text("\n".join([*lines[:3], slow, slow]) + "\n", encoding="utf-8")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, spider(shop))],
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    seen = b""
    while b"farm" not in seen:
        seen += os.read(leader, 4096)
    time.sleep(0.3)
    process.send_signal(number)
    started = time.monotonic()
    out, _ = process.communicate(timeout=20)
    assert process.returncode == code
    assert time.monotonic() - started < 5
    if number == signal.SIGINT:
        assert out.startswith("spider: PARTIAL: scored 3 of 5 questions\n")
    else:
        assert out == ""
    os.close(leader)


def test_other_benchmarks(sqlwright: Callable[..., Any], archive: Callable[[str], Path], tmp_path: Path) -> None:
    valid = archive("viggo") / "viggo" / "valid.csv"
    document = sqlwright("score", "--benchmark", "viggo", "--gold", valid, "--predictions", valid, "--json").json()
    assert document["reports"]["exact"]["overall"]["value"] == 1.0
    root = archive("sql-eval-basic") / "sql-eval"
    wrong = tmp_path / "wrong.sql"
    wrong.write_text("SELECT 1\n" * 40, encoding="utf-8")
    words = ("score", "--benchmark", "sql-eval", "--gold", root / "instruct_basic_sqlite.csv", "--predictions", wrong)
    ended = sqlwright(*words, "--verdicts", tmp_path / "v.tsv")
    assert ended.code == 0
    assert ended.out.startswith("sql-eval: scored 40 of 40 questions")
    header = (tmp_path / "v.tsv").read_text(encoding="utf-8").splitlines()[0].split("\t")
    assert header[:5] == ["index", "db_id", "hardness", "fixed", "fixed_exact"]


def test_bird_scores_sqlite_files(sqlwright: Callable[..., Any], shop: Path) -> None:
    predictions = shop / "predictions.json"
    predictions.write_text('{"0": "SELECT count(*) FROM item\\t----- bird -----\\tshop"}', encoding="utf-8")
    gold = shop / "one.sql"
    gold.write_text("SELECT 4\tshop\n", encoding="utf-8")
    words = ("score", "--benchmark", "bird", "--gold", gold, "--predictions", predictions, "--json")
    document = sqlwright(*words).json()
    assert document["reports"]["ex"]["overall"]["value"] == 1.0


def test_hostile_text_of_a_database_cannot_act_on_the_terminal(sqlwright: Callable[..., Any], shop: Path) -> None:
    with sqlite3.connect(shop / "database" / "shop" / "shop.sqlite") as connection:
        connection.execute("UPDATE item SET name = char(27) || '[31mred'")
    predictions = shop / "predictions.sql"
    predictions.write_text('SELECT "\x1b[31m" FROM none\n' * 5, encoding="utf-8")
    ended = sqlwright(*spider(shop))
    assert "\x1b" not in ended.out + ended.err
