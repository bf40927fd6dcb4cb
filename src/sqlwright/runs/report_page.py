"""The report of a run as one self-contained HTML page: scores, changes, loss curve, and every question.

The page asks for nothing from outside: style sheet, script and data are inside it, and its content security
policy allows only this script and this style sheet, by their hashes. Charts are drawn in advance and need no
script; the table of questions is built by the script from the data, a page of rows at a time, so that
thousands of questions open at once. Filters live in the address (`#outcome=wrong&database=…`): a view can be
sent as a link.

Everything that comes from a model or a database is text: escaped by the template, or carried as JSON
(`report_data`) and turned into text nodes by the script.

Not covered: computing scores (`sqlwright.evaluation`), running SQL for the previews (`sqlwright.databases`),
writing the file (the caller does, whole or not at all).
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlwright.evaluation.statistics import mcnemar, paired_difference, score
from sqlwright.records import HARDNESS, Report, Score
from sqlwright.runs.report_charts import Bar, Group, LossPoint, bar, groups, href, loss_chart, speed_chart
from sqlwright.runs.report_data import ReportPage, ResultPreview, ScoredQuestion, ScoreSet, payload, shown

__all__ = ["LossPoint", "ReportPage", "ResultPreview", "ScoreSet", "ScoredQuestion", "render"]

_BREAKDOWNS = {
    "hardness": "By hardness",
    "database": "By database",
    "feature": "By SQL feature of the gold",
    "category": "By category",
}
_ASSETS = Path(__file__).parent


def render(page: ReportPage) -> str:
    """Return the page as one HTML document that needs nothing from outside.

    Odd data never raises: what is not finite is left out, what is too long is cut and says so.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    style = _asset("report.css")
    script = _asset("report_sql.js") + _asset("report.js")
    metric = _first_metric(page)
    sets = _sets(page, metric)
    losses = loss_chart(page.losses)
    html = environment.get_template("report.html.j2").render(
        page=page,
        generated=_when(page.generated),
        style=Markup(style),
        script=Markup(script),
        style_hash=_content_hash(style),
        script_hash=_content_hash(script),
        data=Markup(payload(page, losses.hover if losses else [])),
        metric_title=page.metric_titles.get(metric, metric) or "Right answers",
        sets=sets,
        headline=[bar(one.label, series, one.report.overall) for series, one in sets],
        metrics=_metric_rows(page),
        hardness_names=[name for name in HARDNESS if any(name in _by(s.report, "hardness") for s in page.score_sets)],
        change=_change(page),
        breakdowns=_breakdowns(page, sets),
        reasons=_reasons(page, sets),
        losses=losses,
        speed=speed_chart(page.losses),
        facts=_facts(page),
        notes=_notes(page),
        partial=_partial(page, sets),
    )
    # an isolated surrogate can't be written as UTF-8, and a NUL has no place in HTML
    return html.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _when(generated: str) -> str:
    """Return an ISO time as "21 November 2026, 22:03 UTC"; what is no ISO time stays as it is."""
    try:
        time = datetime.fromisoformat(generated)
    except (TypeError, ValueError):
        return shown(generated)
    zone = f" {name}" if (name := time.tzname()) else ""
    return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def _content_hash(text: str) -> str:
    """Return the hash of an inline script or style sheet in the form a content security policy wants."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _first_metric(page: ReportPage) -> str:
    known = dict.fromkeys(one.report.metric for one in page.score_sets)
    return next((m for m in (*page.metric_titles, *known) if m in known), next(iter(page.metric_titles), ""))


def _sets(page: ReportPage, metric: str) -> list[tuple[str, ScoreSet]]:
    """Return (series, score set) of the first metric; made from the questions where no report was given."""
    chosen = [one for one in page.score_sets if one.report.metric == metric]
    if not chosen:
        now = [bool(question.correct) for question in page.questions]
        before = [bool(q.correct_before) for q in page.questions if q.correct_before is not None]
        named = [("before", before), ("now", now)] if before else [("score", now)]
        chosen = [ScoreSet(label, Report("", metric, score(flags), len(flags))) for label, flags in named]
    return [("after" if one is chosen[-1] else "before", one) for one in chosen]


def _by(report: Report, key: str) -> Mapping[str, Score]:
    return report.by.get(key) or (report.by.get("features") if key == "feature" else None) or {}


def _breakdowns(page: ReportPage, sets: list[tuple[str, ScoreSet]]) -> list[tuple[str, str, list[Group]]]:
    """Return (key, title, rows) of each breakdown that has at least one group.

    A breakdown that the reports lack is computed from the questions, for the first and the last predictions.
    """
    result = []
    for key, title in _BREAKDOWNS.items():
        columns = []
        for place, (series, one) in enumerate(sets):
            scores = _by(one.report, key)
            if not scores and series == "after":
                scores = _grouped(page.questions, key, lambda question: question.correct)
            elif not scores and place == 0:
                scores = _grouped(page.questions, key, lambda question: question.correct_before)
            if scores:
                columns.append((one.label, series, scores))
        if columns:
            result.append((key, title, groups(key, columns)))
    return result


def _grouped(
    questions: Iterable[ScoredQuestion], key: str, flag: Callable[[ScoredQuestion], bool | None]
) -> dict[str, Score]:
    flags: dict[str, list[bool]] = {}
    for question in questions:
        right = flag(question)
        names = question.features if key == "feature" else (getattr(question, key),)
        for name in names if right is not None else ():
            if name:
                flags.setdefault(str(name), []).append(bool(right))
    return {name: score(values) for name, values in flags.items()}


def _metric_rows(page: ReportPage) -> list[tuple[str, list[tuple[str, Bar, dict[str, Bar]]]]]:
    """Return, per metric, its title and (label, overall, by hardness) of every set of predictions."""
    known = dict.fromkeys(one.report.metric for one in page.score_sets)
    order = [m for m in page.metric_titles if m in known] + [m for m in known if m not in page.metric_titles]
    rows = []
    for metric in order:
        sets = [
            (
                one.label,
                bar(one.label, "", one.report.overall),
                {name: bar(one.label, "", found) for name, found in _by(one.report, "hardness").items()},
            )
            for one in page.score_sets
            if one.report.metric == metric
        ]
        rows.append((page.metric_titles.get(metric, metric), sets))
    return rows


def _change(page: ReportPage) -> dict[str, Any] | None:
    """Return how verdicts moved from before to after, with the paired test; None without a before."""
    pairs = [(bool(q.correct_before), bool(q.correct)) for q in page.questions if q.correct_before is not None]
    if not pairs:
        return None
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    test, difference = mcnemar(before, after), paired_difference(before, after)
    counts = Counter(pairs)
    parts, start = [], 0.0
    for outcome, name, pair in (
        ("kept", "right both times", (True, True)),
        ("won", "won", (False, True)),
        ("lost", "lost", (True, False)),
        ("never", "wrong both times", (False, False)),
    ):
        width = 100 * counts[pair] / len(pairs)
        link = href(outcome=outcome)
        parts.append({"outcome": outcome, "name": name, "n": counts[pair], "x": start, "width": width, "href": link})
        start += width
    return {
        "parts": parts,
        "total": len(pairs),
        "points": f"{100 * difference.difference:+.1f}".replace("-", "−"),
        "low": f"{100 * difference.low:+.1f}".replace("-", "−"),
        "high": f"{100 * difference.high:+.1f}".replace("-", "−"),
        "p": "p < 0.0001" if test.p < 0.0001 else f"p = {test.p:.2g}",
        "won": test.won,
        "lost": test.lost,
    }


def _reasons(page: ReportPage, sets: list[tuple[str, ScoreSet]]) -> dict[str, Any]:
    """Return the error classes as rows of (name, link, [(series, label, count, percent of the largest)])."""
    counted = []
    for series, one in sets:
        reasons = dict(one.report.reasons)
        if not reasons and series == "after":
            reasons = dict(Counter(q.reason or "wrong" for q in page.questions if not q.correct))
        if reasons:
            counted.append((series, one.label, reasons))
    largest = max((count for _, _, reasons in counted for count in reasons.values()), default=0) or 1
    names = dict.fromkeys(name for _, _, reasons in reversed(counted) for name in reasons)
    latest = counted[-1][2] if counted else {}
    rows = [
        {
            "name": name.replace("_", " "),
            "href": href(reason=name, outcome="wrong"),
            "counts": [
                (series, label, reasons.get(name, 0), round(100 * reasons.get(name, 0) / largest, 2))
                for series, label, reasons in counted
            ],
        }
        for name in sorted(names, key=lambda name: (-latest.get(name, 0), name))
    ]
    return {"rows": rows, "total": sum(latest.values())}


def _partial(page: ReportPage, sets: list[tuple[str, ScoreSet]]) -> list[str]:
    """Return a sentence for every set of predictions that was scored in part; each sentence once."""
    found = []
    for one in (*page.score_sets, *(one for _, one in sets)):
        report = one.report
        if report.partial:
            title = page.metric_titles.get(report.metric, report.metric) or "score"
            found.append(f"{title}, {one.label}: scored {report.overall.total:,} of {report.expected:,} questions.")
    return list(dict.fromkeys(found))


def _notes(page: ReportPage) -> list[str]:
    notes = [*page.notes, *(note for one in page.score_sets for note in one.report.notes)]
    return list(dict.fromkeys(str(note) for note in notes))


def _facts(page: ReportPage) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for group, name, value in page.facts:
        found.setdefault(str(group), []).append((str(name), shown(value)))
    return found
