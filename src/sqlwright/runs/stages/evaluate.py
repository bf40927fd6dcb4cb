"""Stage `evaluate`: completions in, verdicts and the report out, before and after fine-tuning."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sqlwright.databases import Executor, Limits
from sqlwright.errors import DataError
from sqlwright.evaluation.robust import score_robust
from sqlwright.evaluation.spider import SpiderItem, SpiderPair, score_spider
from sqlwright.evaluation.statistics import report
from sqlwright.records import Completion, Question, Report, Verdict, read_records, write_records
from sqlwright.runs.facts import run_facts
from sqlwright.runs.folder import hash_path, write_text
from sqlwright.runs.previews import previews
from sqlwright.runs.report_page import LossPoint, ReportPage, ScoredQuestion, ScoreSet, render
from sqlwright.runs.run import Run
from sqlwright.runs.stages.predict import phase_files
from sqlwright.runs.stages.prefer import made
from sqlwright.runs.trackers import tracking
from sqlwright.sql.features import features

Official = Literal["ex", "em"]
TITLES = {
    "robust": "Execution accuracy, robust comparison",
    "ex": "Execution accuracy (EX)",
    "em": "Exact set match (EM)",
    "ex_keep_distinct": "Execution accuracy, DISTINCT kept",
}
BEFORE, AFTER, UNTRAINED, ADAPTED = "before fine-tuning", "after fine-tuning", "base model", "adapter"
# The copy of Spider in wide use has a stand-in of 352 rows for this table; the original has millions.
_STAND_IN = ("wta_1", "rankings", 352)


def inputs(run: Run) -> dict[str, str]:
    """Return the completions, the questions, and how they are scored."""
    values = {
        f"evaluate.{key}": json.dumps(value) for key, value in run.recipe.evaluate.model_dump(mode="json").items()
    }
    # The number of processes does not change a verdict.
    del values["evaluate.workers"]
    values["questions"] = hash_path(run.folder.questions)
    for path in _completion_files(run).values():
        values[path.name] = hash_path(path)
    tables = run.folder.facts("prepare").get("tables")
    if tables and Path(tables).is_file():
        values["tables"] = hash_path(Path(tables))
    return values | run.database_inputs


def outputs(run: Run) -> list[Path]:
    """Return the files that the stage writes."""
    return [run.folder.verdicts, run.folder.report, run.folder.page]


def execute(run: Run, _going_on: bool) -> dict[str, Any]:
    """Score every completions file, write verdicts, `report.json` and `report.html`; return the main scores."""
    questions = run.questions("evaluate")
    settings = run.recipe.evaluate
    without = sum(not question.database for question in questions)
    if without:
        raise DataError(
            f"evaluate: expected questions about databases, found {without} about none, which no metric here judges. "
            f"Score {run.folder.completions} with `sqlwright score --benchmark viggo` or `--benchmark code`."
        )
    if settings.metrics == ("em",) and not run.folder.facts("prepare").get("tables"):
        raise DataError('evaluate.metrics = ["em"]: expected Spider\'s tables.json (data.tables), found none.')
    verdicts: dict[str, list[Verdict]] = {}
    answers: dict[str, dict[str, Completion]] = {}
    with Executor(settings.workers, Limits(seconds=settings.seconds)) as executor:
        for label, path in _completion_files(run).items():
            answers[label] = {one.id: one for one in read_records(path, Completion)}
            verdicts[label] = _score(run, questions, answers[label], label, executor)
        notes = _notes(run, executor)
        reports = _reports(verdicts, len(questions), notes)
        write_records(run.folder.verdicts, [one for label in verdicts for one in verdicts[label]])
        scored = _scored(run, questions, answers, verdicts, executor)
    write_text(run.folder.report, json.dumps(_plain_report(run, reports, notes), indent=1, ensure_ascii=False) + "\n")
    page = ReportPage(
        title=f"{run.recipe.name}: {run.recipe.model.base}",
        generated=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        metric_titles={name: TITLES[name] for metrics in reports.values() for name in metrics},
        score_sets=tuple(ScoreSet(label, one) for label, metrics in reports.items() for one in metrics.values()),
        questions=tuple(scored),
        losses=tuple(_losses(run)),
        facts=tuple(run_facts(run)),
        notes=tuple(notes),
    )
    write_text(run.folder.page, render(page))
    with tracking(run) as tracked:
        if tracked:
            tracked.scores({f"{label}/{n}": one.overall.value for label, m in reports.items() for n, one in m.items()})
    return {label: round(metrics[next(iter(metrics))].overall.value, 4) for label, metrics in reports.items()}


def _completion_files(run: Run) -> dict[str, Path]:
    """Return the completions by label: before, after each phase, after, best; without training there is no before."""
    before = {BEFORE: run.folder.baseline} if made(run) and run.recipe.predict.baseline else {}
    before |= {f"after phase {number}": path for number, path in phase_files(run).items()}
    last = AFTER if made(run) else ADAPTED if run.adapter else UNTRAINED
    settings = run.recipe.predict
    rungs = [f"vote among {settings.samples}"] if settings.samples > 1 else []
    rungs += ["repair"] if settings.repair else []
    rungs += ["retry"] if settings.retry else []
    best = {f"{last}, {' and '.join(rungs)}": run.folder.best} if rungs else {}
    return before | {last: run.folder.completions} | best


def _score(
    run: Run, questions: Sequence[Question], answers: dict[str, Completion], label: str, executor: Executor
) -> list[Verdict]:
    """Return a verdict per question and metric; a question is right if any of its golds says so."""
    verdicts = []
    if "robust" in run.recipe.evaluate.metrics:
        databases = run.databases
        items = [(q.id, databases[q.database], q.golds, answers[q.id].sql) for q in questions if q.id in answers]
        found = {one.id: one for one in score_robust(items, executor)}
        verdicts = [
            dataclasses.replace(
                found[q.id],
                metric=f"robust, {label}",
                database=q.database,
                hardness=q.hardness,
                category=q.category,
            )
            for q in questions
            if q.id in found
        ]
    return verdicts + _official(run, questions, answers, label, executor)


def _official(
    run: Run, questions: Sequence[Question], answers: dict[str, Completion], label: str, executor: Executor
) -> list[Verdict]:
    """Return the verdicts of Spider's official metrics, as far as they are asked for and can be computed."""
    tables = Path(text) if (text := run.folder.facts("prepare").get("tables")) else None
    metrics: list[Official] = []
    for wanted in run.recipe.evaluate.metrics:
        if wanted == "ex" or (wanted == "em" and tables):
            metrics.append(wanted)
    if not metrics:
        return []
    owners = [(question, gold) for question in questions if question.id in answers for gold in question.golds]
    pairs = [SpiderPair(gold, question.database, answers[question.id].sql) for question, gold in owners]
    result = score_spider(
        pairs,
        databases=run.folder.path / "databases",
        tables=tables,
        executor=executor,
        keep_distinct=run.recipe.evaluate.keep_distinct,
        metrics=metrics,
        progress=lambda done, total: run.reporter.progress(f"score {label}", done, total),
    )
    by_id: dict[str, list[SpiderItem]] = {}
    for (question, _), item in zip(owners, result.items, strict=True):
        by_id.setdefault(question.id, []).append(item)
    names = [*metrics, *(["ex_keep_distinct"] if "ex" in metrics else [])]
    verdicts = []
    for question in questions:
        for name in names:
            if question.id in by_id and (one := _verdict(question, by_id[question.id], name, label)):
                verdicts.append(one)
    return verdicts


def _verdict(question: Question, items: Sequence[SpiderItem], name: str, label: str) -> Verdict | None:
    """Return the verdict of one metric over the question's golds; None where the metric can't judge any of them."""
    judged = [item for item in items if getattr(item, name) is not None]
    if not judged:
        return None
    best = next((item for item in judged if getattr(item, name)), judged[0])
    correct = bool(getattr(best, name))
    reason, detail = (best.em_reason, best.em_detail) if name == "em" else (best.reason, best.detail)
    return Verdict(
        id=question.id,
        metric=f"{name}, {label}",
        correct=correct,
        reason="" if correct else reason or "wrong_rows",
        detail="" if correct else detail,
        database=question.database,
        hardness=question.hardness,
        category=question.category,
    )


def _reports(verdicts: dict[str, list[Verdict]], expected: int, notes: Sequence[str]) -> dict[str, dict[str, Report]]:
    reports: dict[str, dict[str, Report]] = {}
    for label, all_verdicts in verdicts.items():
        reports[label] = {}
        for name in TITLES:
            own = [one for one in all_verdicts if one.metric == f"{name}, {label}"]
            if own:
                reports[label][name] = report(
                    [dataclasses.replace(one, metric=name) for one in own], name, expected, id=label, notes=notes
                )
    return reports


def _notes(run: Run, executor: Executor) -> list[str]:
    notes = []
    facts = run.folder.facts("prepare")
    if facts.get("dropped"):
        notes.append(f"{facts['dropped']} questions were left out while preparing; dropped.json says which and why.")
    if facts.get("leaks accepted"):
        notes.append(f"Training had part of what is asked here, and the recipe accepts it: {facts['leaks accepted']}.")
    if not facts.get("tables") and "em" in run.recipe.evaluate.metrics:
        notes.append("EM was not computed: it needs Spider's tables.json (data.tables).")
    name, table, rows = _STAND_IN
    if name in {question.database for question in run.questions("evaluate")}:
        outcome = executor.run(run.databases[name], f"SELECT count(*) FROM {table}")
        if outcome.ok and outcome.rows[0][0] == rows:
            notes.append(f"{name}.{table} is a stand-in of {rows} rows: execution on {name} is easier to get right.")
    removed = "kept" if run.recipe.evaluate.keep_distinct else "removed"
    how = "greedy, one sample"
    predict = run.recipe.predict
    if predict.samples > 1:
        how += f"; the vote is among the results of {predict.samples} answers, all but the greedy one drawn at "
        how += f"temperature {predict.temperature:g}"
    if predict.repair:
        how += "; repaired: what could not be run, found nothing or linked tables wrongly, put right by schema and rows"
    notes.append(f"EX as the official scorer has it, DISTINCT {removed}, one database per question; {how}.")
    return notes


def _plain_report(run: Run, reports: dict[str, dict[str, Report]], notes: Sequence[str]) -> dict[str, Any]:
    return {
        "name": run.recipe.name,
        "notes": list(notes),
        "scores": {
            label: {name: dataclasses.asdict(one) for name, one in metrics.items()}
            for label, metrics in reports.items()
        },
        "facts": {f"{group}: {name}": value for group, name, value in run_facts(run)},
    }


def _scored(
    run: Run,
    questions: Sequence[Question],
    answers: dict[str, dict[str, Completion]],
    verdicts: dict[str, list[Verdict]],
    executor: Executor,
) -> list[ScoredQuestion]:
    """Return the questions for the page, each with both results side by side."""
    databases = run.databases
    main = run.recipe.evaluate.metrics[0]
    label = list(verdicts)[-1]
    judged = {name: {v.id: v for v in own if v.metric == f"{main}, {name}"} for name, own in verdicts.items()}
    known = [question for question in questions if question.id in judged[label]]
    jobs = [(databases[q.database], sql) for q in known for sql in (q.golds[0], answers[label][q.id].sql)]
    results = previews(executor, jobs)
    scored = []
    for index, question in enumerate(known):
        after, before = judged[label][question.id], judged.get(BEFORE, {}).get(question.id)
        scored.append(
            ScoredQuestion(
                id=question.id,
                database=question.database,
                hardness=question.hardness or "",
                category=question.category or "",
                question=question.text,
                gold=question.golds[0],
                prediction=answers[label][question.id].sql,
                correct=after.correct,
                reason=after.reason,
                detail=after.detail,
                correct_before=before.correct if before else None,
                prediction_before=answers[BEFORE][question.id].sql if before else None,
                features=features(question.golds[0]),
                gold_result=results[2 * index],
                predicted_result=results[2 * index + 1],
            )
        )
    return scored


def _losses(run: Run) -> list[LossPoint]:
    path = run.folder.path / "metrics.jsonl"
    if not run.trains or not path.is_file():
        return []
    points = []
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        points.append(
            LossPoint(
                step=line["step"],
                questions_seen=line["questions"],
                loss=line.get("loss"),
                validation_loss=line.get("validation_loss"),
                learning_rate=line.get("learning_rate"),
                questions_per_second=line.get("questions_per_second"),
            )
        )
    return points
