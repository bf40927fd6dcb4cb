"""The report page of scored predictions outside a run: one system alone, or one beside another.

Not covered: training curves; they belong to a run's own `report.html`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.evaluation.statistics import report
from sqlwright.records import Report, Verdict
from sqlwright.runs.previews import previews
from sqlwright.runs.report_page import ReportPage, ResultPreview, ScoredQuestion, ScoreSet, render
from sqlwright.sql.features import features

TITLES = {
    "robust": "Execution accuracy, robust comparison",
    "ex": "Execution accuracy (EX)",
    "ex_keep_distinct": "Execution accuracy, DISTINCT kept",
    "em": "Exact set match (EM)",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One system's verdicts (of every metric) and its predictions by question id."""

    label: str
    verdicts: Sequence[Verdict]
    predictions: Mapping[str, str]


def scored_page(
    title: str,
    sides: Sequence[Side],
    texts: Mapping[str, tuple[str, str]],
    notes: Sequence[str],
    files: Mapping[str, Path] | None = None,
) -> str:
    """Return the HTML page of one or two sides; the last is the page's subject, the one before it the comparison.

    `texts` has (question, gold) by question id, empty where a benchmark has none. The first metric that all sides
    have decides which questions count as right, won and lost. With `files` (databases by name), the results of gold
    and prediction stand side by side.
    """
    known = [list(dict.fromkeys(verdict.metric for verdict in side.verdicts)) for side in sides]
    metrics = [name for name in known[-1] if all(name in names for names in known)]
    reports = [(side.label, _report(side, metric, notes)) for side in sides for metric in metrics]
    judged = [{one.id: one for one in side.verdicts if metrics and one.metric == metrics[0]} for side in sides]
    before = (sides[0], judged[0]) if len(sides) > 1 else None
    results = _results(judged[-1], sides[-1].predictions, texts, files) if files else {}
    questions = []
    for id_, verdict in judged[-1].items():
        text, gold = texts.get(id_, ("", ""))
        earlier = before[1].get(id_) if before else None
        questions.append(
            ScoredQuestion(
                id=id_,
                database=verdict.database,
                hardness=verdict.hardness or "",
                category=verdict.category or "",
                question=text or f"Question {id_}",
                gold=gold,
                prediction=sides[-1].predictions.get(id_, ""),
                correct=verdict.correct,
                reason=verdict.reason,
                detail=verdict.detail,
                correct_before=earlier.correct if earlier else None,
                prediction_before=before[0].predictions.get(id_) if before and earlier else None,
                features=features(gold) if gold else (),
                gold_result=results.get(id_, (None, None))[0],
                predicted_result=results.get(id_, (None, None))[1],
            )
        )
    page = ReportPage(
        title=title,
        generated=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        metric_titles={metric: TITLES.get(metric, metric) for metric in metrics},
        score_sets=tuple(ScoreSet(label, found) for label, found in reports),
        questions=tuple(questions),
        notes=tuple(notes),
    )
    return render(page)


def _results(
    verdicts: Mapping[str, Verdict],
    predictions: Mapping[str, str],
    texts: Mapping[str, tuple[str, str]],
    files: Mapping[str, Path],
) -> dict[str, tuple[ResultPreview | None, ResultPreview | None]]:
    """Return the first rows of gold and prediction by question id, where database and both texts are known."""
    known = [(id_, files[one.database]) for id_, one in verdicts.items() if one.database in files and id_ in texts]
    jobs = [(file, sql) for id_, file in known for sql in (texts[id_][1], predictions.get(id_, ""))]
    with Executor() as executor:
        found = previews(executor, jobs)
    return {id_: (found[2 * place], found[2 * place + 1]) for place, (id_, _) in enumerate(known)}


def _report(side: Side, metric: str, notes: Sequence[str]) -> Report:
    own = [verdict for verdict in side.verdicts if verdict.metric == metric]
    return report(own, metric, len(own), id=side.label, notes=notes)
