from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from report_reader import Reader, opened

from sqlwright.evaluation.statistics import report
from sqlwright.records import Report, Score, Verdict
from sqlwright.runs.report_page import (
    LossPoint,
    ReportPage,
    ResultPreview,
    ScoredQuestion,
    ScoreSet,
    render,
)

HOSTILE = (Path(__file__).parent / "fixtures" / "hostile.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def spider(spider_root: Path, parity_root: Path) -> ReportPage:
    """Two published systems on Spider dev as before and after, with the official verdicts."""

    def read(name: str) -> tuple[list[list[str]], list[str]]:
        table = (parity_root / f"{name}.official.tsv").read_text().splitlines()[1:]
        return [line.split("\t") for line in table], (parity_root / f"{name}.predictions.sql").read_text().splitlines()

    gold = json.loads((spider_root / "dev.json").read_text())
    (old, old_sql), (new, new_sql) = read("codes-1b"), read("dail-gpt4")
    questions, verdicts = [], {"before": [], "after": []}
    for index, one in enumerate(gold):
        verdicts["before"].append(_verdict(index, old[index]))
        verdicts["after"].append(_verdict(index, new[index]))
        questions.append(
            ScoredQuestion(
                id=f"dev-{index}",
                database=one["db_id"],
                hardness=new[index][2],
                category=None,
                question=one["question"],
                gold=one["query"],
                prediction=new_sql[index].split("\t")[0],
                correct=new[index][3] == "1",
                reason="" if new[index][3] == "1" else "wrong_rows",
                correct_before=old[index][3] == "1",
                prediction_before=old_sql[index].split("\t")[0],
                features=tuple(name for name in ("join", "group by") if name in one["query"].lower()),
            )
        )
    return ReportPage(
        title="Spider dev",
        generated="2026-11-21T22:03:31+00:00",
        metric_titles={"ex": "Execution accuracy"},
        score_sets=tuple(ScoreSet(label, report(found, "ex")) for label, found in verdicts.items()),
        questions=tuple(questions),
        losses=tuple(
            LossPoint(step, step * 16, 2 / step, 2.1 / step if step % 10 == 0 else None) for step in range(1, 101)
        ),
        facts=(("Model", "base", "tiny"),),
        notes=("wta_1.rankings is a stand-in.",),
    )


def _verdict(index: int, row: list[str]) -> Verdict:
    right = row[3] == "1"
    return Verdict(f"dev-{index}", "ex", right, "" if right else "wrong_rows", "", row[1], row[2])


def hostile_page(text: str) -> ReportPage:
    """Return a page that has `text` in every place where text can be."""
    score = Score(1, 2, 0.5, 0.1, 0.9)
    by = {key: {text: score} for key in ("hardness", "category", "database", "feature")}
    sets = tuple(ScoreSet(text + label, Report(text, text, score, 3, by, {text: 1}, (text,))) for label in "ab")
    result = ResultPreview((text,), ((text,),), 1)
    names = [f.name for f in dataclasses.fields(ScoredQuestion) if f.type in ("str", "str | None")]
    question = ScoredQuestion(
        **dict.fromkeys(names, text),
        correct=False,
        correct_before=True,
        features=(text,),
        gold_result=result,
        predicted_result=ResultPreview((text,), ((text + " ",),), 1),
    )
    return ReportPage(text, text, {text: text}, sets, (question,), (), ((text, text, text),), (text,))


def test_a_real_page_holds_every_question_and_the_official_scores(spider: ReportPage) -> None:
    page = Reader(render(spider))
    assert len(page.data["questions"]) == 1034
    assert sum(question["correct"] for question in page.data["questions"]) == 862
    assert "83.4%" in page.text and "862 of 1,034 right" in page.text
    assert "From 78.1 % before to 83.4 % after" in page.text
    assert "747 right both times 115 won 61 lost 111 wrong both times" in page.text
    assert "21 November 2026, 22:03 UTC" in page.text
    assert "easy n = 248" in page.text and "extra n = 166" in page.text
    assert "wta_1.rankings is a stand-in." in page.text
    assert [heading for tag, heading in page.texts if tag == "h2" and heading.strip()][:3] == [
        "By hardness",
        "Why answers are wrong",
        "Training loss",
    ]


def test_bars_are_as_long_as_their_scores(spider: ReportPage) -> None:
    page = Reader(render(spider))
    widths = [found["width"] for found in page.tags("rect") if found.get("class") == "bar after"]
    easy = spider.score_sets[1].report.by["hardness"]["easy"]
    assert f"{round(100 * easy.value, 2)}%" in widths
    labels = [found["aria-label"] for found in page.tags("svg") if "aria-label" in found]
    interval = f"after {100 * easy.value:.1f} %, interval {100 * easy.low:.1f}–{100 * easy.high:.1f}"
    assert any(label and label.startswith("easy: before") and interval in label for label in labels)


def test_nothing_is_asked_of_the_network(spider: ReportPage) -> None:
    html = render(spider)
    page = Reader(html)
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "action", "data", "poster", "srcset"):
                assert value is not None and value.startswith(("#", "data:,")), (tag, name, value)
    style = next(text for tag, text in page.texts if tag == "style")
    assert "url(" not in style and "@import" not in style
    assert re.search(r"https?://|//[a-z0-9]+\.", style + page.texts[-2][1]) is None
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\(", html)


def test_the_policy_allows_exactly_the_inline_script_and_style(spider: ReportPage) -> None:
    page = Reader(render(spider))
    policy = next(m["content"] for m in page.tags("meta") if m.get("http-equiv") == "Content-Security-Policy")
    scripts = [text for tag, text in page.texts if tag == "script" and text.strip()]
    style = next(text for tag, text in page.texts if tag == "style")
    for text in (scripts[1], style):
        assert "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not [tag for tag, attributes in page.elements if "style" in attributes]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_everywhere(text: str) -> None:
    page = Reader(render(hostile_page(text)))
    assert len(page.tags("script")) == 2 and len(page.tags("style")) == 1
    assert not page.tags("img") and not page.tags("iframe")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [found for found in page.tags("a") if not (found.get("href") or "").startswith("#")]
    question = page.data["questions"][0]
    assert question["question"] == question["gold"] == question["detail"] == text
    assert question["goldResult"]["rows"] == [[text]] and question["features"] == [text]
    assert re.sub(r"\s+", " ", text).strip() in page.text


def test_the_data_cannot_end_its_script() -> None:
    html = render(hostile_page("</script><!--\u2028\u2029\ufeff&\x85"))
    data = html.split('id="data">', 1)[1].split("</script>", 1)[0]
    assert not re.search("[<>&\u2028\u2029\ufeff\x85]", data)
    assert json.loads(data)["questions"][0]["gold"] == "</script><!--\u2028\u2029\ufeff&\x85"


def test_a_plain_score_has_one_bar_and_no_comparison(spider: ReportPage) -> None:
    alone = tuple(dataclasses.replace(q, correct_before=None, prediction_before=None) for q in spider.questions)
    page = Reader(render(dataclasses.replace(spider, questions=alone, score_sets=spider.score_sets[1:], losses=())))
    assert "before" not in {found.get("class") for found in page.tags("rect")}
    assert "172 of 1,034 questions are wrong." in page.text
    assert "won" not in page.text and "Training loss" not in page.text
    assert "before" not in page.data["questions"][0]


def test_a_partial_score_says_so(spider: ReportPage) -> None:
    partial = dataclasses.replace(spider.score_sets[1].report, expected=1200)
    page = Reader(render(dataclasses.replace(spider, score_sets=(ScoreSet("after", partial),))))
    assert "Partial result. Execution accuracy, after: scored 1,034 of 1,200 questions." in page.text
    assert "Partial result" not in Reader(render(spider)).text


def test_scores_are_counted_from_the_questions_where_no_report_is_given(spider: ReportPage) -> None:
    page = Reader(render(dataclasses.replace(spider, score_sets=())))
    assert "From 78.1 % before to 83.4 % now" in page.text
    assert "world_1 n = 120" in page.text and "join n = 408" in page.text
    assert "wrong rows" in page.text


def test_an_empty_page_opens() -> None:
    page = Reader(render(ReportPage("Nothing yet")))
    assert "No question was scored." in page.text
    assert page.data == {"questions": [], "losses": []}


def test_odd_values_are_shown_or_left_out_but_never_raise() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    cells = (
        None,
        b"\x00\xff" * 40,
        10**5000,
        math.nan,
        1.5,
        True,
        "\ud800",
        "x" * 1000,
        Rude(),
        memoryview(b"a"),
    )
    result = ResultPreview(tuple("abcdefghij"), (cells,) * 30, None, True)
    question = ScoredQuestion("1", "d", None, None, "\0\ud800", "", "SELECT " * 9000, False, gold_result=result)
    nan = Score(0, 0, math.nan, math.inf, -math.inf)
    sets = (ScoreSet("x", Report("", "ex", nan, 1, {"hardness": {"easy": nan}})),)
    losses = (
        LossPoint(1, 1, math.nan),
        LossPoint(2, 2, None, math.inf),
        LossPoint(3, 3, 0.5, None, math.nan),
    )
    html = render(ReportPage("t", "yesterday", {"ex": "EX"}, sets, (question,), losses, (("a", "b", Rude()),)))
    html.encode("utf-8")
    page = Reader(html)
    found = page.data["questions"][0]
    rows = found["goldResult"]["rows"]
    assert len(rows) == 10 and rows[0][0] is None
    assert rows[0][1] == ["bytes", "x'" + "00ff" * 16 + "…' (80 bytes)"]
    assert rows[0][2] == ["number", "<int>"] and rows[0][3] == ["number", "nan"]
    assert rows[0][7].endswith("(700 more characters)") and rows[0][8] == "<Rude>"
    assert found["prediction"].endswith("(43,000 more characters)")
    assert "yesterday" in page.text and "Training loss" in page.text


def test_ten_thousand_questions_make_one_page(spider: ReportPage) -> None:
    many = tuple(dataclasses.replace(spider.questions[i % 1034], id=str(i)) for i in range(10_000))
    assert len(Reader(render(dataclasses.replace(spider, questions=many))).data["questions"]) == 10_000


def test_the_browser_shows_the_wrong_answers_first(spider: ReportPage, tmp_path: Path) -> None:
    page = opened(render(spider), tmp_path)
    assert page.tags("body")[0]["data-ready"] == "true"
    assert page.rows() == 50
    assert "172 of 1,034" in page.text and "1–50 of 172" in page.text
    assert "✓ right" not in page.text and len(page.tags("mark")) > 50


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("database=world_1&outcome=wrong", 36),
        ("outcome=lost&hardness=extra", None),
        ("outcome=won&feature=join&q=STUDENT+name", None),
    ],
)
def test_the_browser_filters_by_the_address(
    spider: ReportPage, tmp_path: Path, fragment: str, expected: int | None
) -> None:
    def kept(q: ScoredQuestion) -> bool:
        if "world_1" in fragment:
            return q.database == "world_1" and not q.correct
        if "lost" in fragment:
            return bool(q.correct_before) and not q.correct and q.hardness == "extra"
        text = " ".join((q.question, q.gold, q.prediction)).lower()
        return q.correct and not q.correct_before and "join" in q.features and "student" in text and "name" in text

    count = sum(map(kept, spider.questions))
    assert count > 0 and expected in (None, count)
    page = opened(render(spider), tmp_path, "#" + fragment)
    assert page.rows() == min(count, 50)
    assert f"{count} of 1,034" in page.text


def test_the_browser_runs_nothing_hostile(tmp_path: Path) -> None:
    text = " ".join(HOSTILE)
    page = opened(render(hostile_page(text)), tmp_path, "#theme=dark&" + urlencode({"question": text}))
    assert page.tags("html")[0]["data-theme"] == "dark"
    assert page.rows() == 1 and not page.tags("img") and len(page.tags("script")) == 2
    assert sum(found.get("class") == "detail" for found in page.tags("tr")) == 1
    assert next(text for tag, text in page.texts if tag == "title") != "owned"


def test_the_browser_opens_one_question_with_both_results(tmp_path: Path) -> None:
    question = ScoredQuestion(
        id="q 1/é",
        database="d",
        hardness="hard",
        category=None,
        question="How many?",
        gold="SELECT count(*) FROM a JOIN b USING (id) WHERE x = 'y'",
        prediction='SELECT COUNT(*) FROM a WHERE x = "y" -- \u202e hidden',
        correct=False,
        reason="wrong_rows",
        detail="expected 2, found 3",
        gold_result=ResultPreview(("n",), ((2,), (None,)), 2),
        predicted_result=ResultPreview(("n",), ((3,), (None,)), 2),
    )
    page = opened(render(ReportPage("One", questions=(question,))), tmp_path, "#question=q+1%2F%C3%A9")
    assert sum((found.get("class") or "") == "detail" for found in page.tags("tr")) == 1
    assert "wrong rows: expected 2, found 3" in page.text
    assert "Result of the gold" in page.text and "1 marked: not in the other result" in page.text
    assert sum((found.get("class") or "") == "odd" for found in page.tags("tr")) == 2
    assert "NULL" in page.text and "U+202E" in page.text
    assert page.marked == ["JOIN b USING (id)", "-- U+202E hidden"] * 2


def test_the_browser_opens_an_empty_page(tmp_path: Path) -> None:
    assert "This page holds no questions." in opened(render(ReportPage("Nothing yet")), tmp_path).text
