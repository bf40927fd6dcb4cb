"""ViGGO: hand-made pairs, every published meaning, whole files."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sqlwright.errors import DataError
from sqlwright.evaluation.viggo import parse_meaning, score_viggo

FIXTURES = Path(__file__).parent / "fixtures"
PAIRS = json.loads((FIXTURES / "viggo_pairs.json").read_text())


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    gold, predicted = tmp_path / "gold.jsonl", tmp_path / "predicted.json"
    gold.write_text("".join(json.dumps({"mr": pair["gold"]}) + "\n" for pair in PAIRS))
    predicted.write_text(json.dumps([pair["prediction"] for pair in PAIRS]))
    return gold, predicted


def test_hand_made_pairs(files: tuple[Path, Path]) -> None:
    found = score_viggo(*files)
    seen = [
        (item["reason"], [item["slots_right"], item["slots_predicted"], item["slots_gold"]]) for item in found.items
    ]
    assert seen == [(pair["reason"], pair["counts"]) for pair in PAIRS]
    assert [item["exact"] for item in found.items] == [not pair["reason"] for pair in PAIRS]
    right, predicted, gold = (sum(pair["counts"][i] for pair in PAIRS) for i in range(3))
    assert found.measures["slot_precision"]["all"] == pytest.approx(right / predicted)
    assert found.measures["slot_recall"]["all"] == pytest.approx(right / gold)
    assert found.measures["slot_f1"]["all"] == pytest.approx(2 * right / (predicted + gold))
    # 4 unparsable ones and one other function
    assert found.reports["function"].overall.correct == len(PAIRS) - 5
    assert found.reports["exact"].by["category"]["request"].value == 1.0
    assert "slot_f1" in found.table()
    assert json.loads(found.to_json())["benchmark"] == "viggo"


def test_canonical_text() -> None:
    meaning = parse_meaning("inform(name[X], genres[b, a], esrb[M (for Mature)])")
    assert str(meaning) == "inform(esrb[M (for Mature)], genres[a, b], name[X])"


def test_every_published_meaning_equals_itself_shuffled(archive: Callable[[str], Path]) -> None:
    rng = random.Random(0)
    for part in ("train", "valid", "test"):
        with (archive("viggo") / "viggo" / f"{part}.csv").open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                meaning = parse_meaning(row["mr"])
                assert meaning is not None, row["mr"]
                slots = [f"{name}[{value}]" for name, value in rng.sample(meaning.slots, len(meaning.slots))]
                assert parse_meaning(f"{meaning.function}({','.join(slots)})") == meaning
                assert parse_meaning(str(meaning)) == meaning


def test_the_test_set_scores_one_against_itself(archive: Callable[[str], Path]) -> None:
    path = archive("viggo") / "viggo" / "test.csv"
    found = score_viggo(path, path)
    assert found.reports["exact"].overall.correct == found.reports["exact"].expected == 1083
    assert {name: values["all"] for name, values in found.measures.items()} == {
        "slot_precision": 1.0,
        "slot_recall": 1.0,
        "slot_f1": 1.0,
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.csv", "ref\nhello\n", r"g\.csv:1: expected a header with mr"),
        ("g.csv", "mr,ref\ninform(name[a]),x\nhello,y\n", r"g\.csv:3: expected a meaning such as"),
        ("g.jsonl", '{"mr": "inform()"}\n{"text": 1}\n', r"g\.jsonl:2: expected text under 'mr'"),
        ("g.json", "{}", r"g\.json:1: expected a JSON list"),
        ("g.txt", "inform()\ninform(\n", r"g\.txt:2: expected a meaning"),
    ],
)
def test_malformed_golds(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        score_viggo(path, path)


def test_counts_must_agree(files: tuple[Path, Path]) -> None:
    gold, predicted = files
    predicted.write_text('["inform()"]')
    with pytest.raises(DataError, match=f"expected {len(PAIRS)} predictions"):
        score_viggo(gold, predicted)
    lines = predicted.with_suffix(".csv")
    lines.write_text("answer\ninform()\n")
    with pytest.raises(DataError, match=r"predicted\.csv:1: expected text under 'prediction'"):
        score_viggo(gold, lines)
