"""What `predict` writes for questions about no database is scored by the benchmarks' own metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sqlwright.datasets import READERS
from sqlwright.evaluation.code import score_code
from sqlwright.evaluation.viggo import score_viggo
from sqlwright.records import Completion, Question, write_records


def answers(path: Path, questions: tuple[Question, ...], wrong: int) -> Path:
    """Write the golds as the completions of a run, the first `wrong` of them replaced by nonsense."""
    texts = ["nonsense(" if index < wrong else q.golds[0] for index, q in enumerate(questions)]
    write_records(path, [Completion(q.id, "", text, text) for q, text in zip(questions, texts, strict=True)])
    return path


def test_viggo(archive: Callable[[str], Path], tmp_path: Path) -> None:
    gold = archive("viggo") / "viggo" / "valid.csv"
    completions = answers(tmp_path / "completions.jsonl", READERS["viggo"]([gold]).questions, 14)
    score = score_viggo(gold, completions)
    assert (len(score.items), sum(bool(item["exact"]) for item in score.items)) == (714, 700)


def test_code(archive: Callable[[str], Path], tmp_path: Path) -> None:
    published = json.loads((archive("code") / "code" / "sanitized-mbpp.json").read_text(encoding="utf-8"))
    gold = tmp_path / "mbpp.json"
    gold.write_text(json.dumps(published[:4]), encoding="utf-8")
    completions = answers(tmp_path / "completions.jsonl", READERS["mbpp"]([gold]).questions, 1)
    score = score_code(gold, completions)
    assert [bool(item["pass"]) for item in score.items] == [False, True, True, True]
