"""What `prepare` finds in questions that all run: similar ones, and what evaluation shares with training.

All of it goes to `cleaning.json` in the run folder; leaks that the recipe doesn't accept end the run. Not covered:
golds that fail and repeats, which were left out before and stand in `dropped.json`.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets import columns_by_table
from sqlwright.datasets.duplicates import similar_questions, spelt_alike
from sqlwright.datasets.leaks import find_leaks, refuse_leaks
from sqlwright.records import Question
from sqlwright.runs.folder import write_text
from sqlwright.runs.run import Run


def check_parts(
    run: Run, train: Sequence[Question], evaluate: Sequence[Question], databases: Mapping[str, Path]
) -> dict[str, str]:
    """Write `cleaning.json`, say what is in it, and return it in short, as facts of the stage.

    Raises:
        DataError: leaks that `data.accept_leaks` doesn't name.
    """
    similar = [*_similar("train", train), *_similar("evaluate", evaluate)]
    # Without both parts nothing can leak, and the schemas needn't be read.
    schemas = {name: columns_by_table(path) for name, path in databases.items()} if train and evaluate else {}
    leaks = find_leaks(train, evaluate, schemas)
    listed = [{"name": leak.name} | dataclasses.asdict(leak) for leak in leaks.found]
    facts = {"similar questions": str(len(similar))}
    if train and evaluate:
        facts["asked in training about other schemas"] = f"{leaks.same_questions} of {leaks.questions}"
        facts["built like a training gold"] = f"{leaks.skeletons} of {leaks.questions}"
    file = run.folder.path / "cleaning.json"
    found = facts | {"leaks": listed, "similar questions": similar}
    write_text(file, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    accepted = Counter(leak.name for leak in refuse_leaks(leaks.found, run.recipe.data.accept_leaks, str(file)))
    if accepted:
        facts["leaks accepted"] = ", ".join(f"{name} ({count})" for name, count in accepted.items())
    run.reporter.say("; ".join(f"{name}: {value}" for name, value in facts.items()))
    return facts


def _similar(part: str, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the pairs of similar questions of a part, as they are listed."""
    pairs = []
    for pair in similar_questions(questions):
        first, second = questions[pair.first], questions[pair.second]
        pairs.append(
            {
                "part": part,
                "database": first.database,
                "likeness": round(pair.likeness, 3),
                "same SQL": spelt_alike(first) == spelt_alike(second),
                "where": [first.source, second.source],
                "questions": [first.text, second.text],
            }
        )
    return pairs
