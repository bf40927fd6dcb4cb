"""How well `ask` knows when it is wrong: fits the confidence model of an adapter, and what abstaining brings.

    python bench/confidence.py --run RUN [--adapter FOLDER] [--unanswerable 5] [--write]
    python bench/confidence.py --run RUN --words     (writes the list of common words)

`RUN` is the folder of a run whose evaluation part is held-out training databases (`evaluate = ["validation"]`). Its
evaluation questions, and some per database that it can't answer (made by the rules of `sqlwright synthesize`), are
answered greedily and repaired as `ask` does; right is what the robust comparison calls right, and never an answer to a
question that has none. A logistic regression on the signals of `sqlwright.decoding.confidence` is fitted leaving out
one database after the other, so that every figure is about a database that the weights have not seen. Prints the area
under the ROC curve, the Brier score, the calibration by fifths, and coverage against accuracy. `--write` fits on all of
them and writes `confidence.json` beside the adapter, its threshold where half of the answers below it would be wrong.
`--words` counts in how many databases' training questions a word occurs that their schema doesn't know.

Not covered: votes; questions by real users that can't be answered.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqlwright.databases import Executor, Schema, describe
from sqlwright.datasets import package_path
from sqlwright.datasets.synthesis.unanswerable import CATEGORY, unanswerable_questions
from sqlwright.decoding import Repairer, prompt_waves
from sqlwright.decoding.confidence import SIGNALS, Confidence, signals, unknown_words, write_confidence
from sqlwright.evaluation.robust import RobustItem, score_robust
from sqlwright.models.adapter import read_adapter
from sqlwright.models.engines import open_engine
from sqlwright.models.verify import find_model
from sqlwright.prompts import build_prompts
from sqlwright.prompts.words import stem
from sqlwright.records import Question, read_records
from sqlwright.sql.extract import extract_sql

WORDS = "confidence/common_words.txt"
_PENALTY = 1.0
_IN_DATABASES = 5
_MAX_TOKENS = 200
_WAVE = 96


@dataclass(frozen=True)
class Case:
    """An answer: the database, its signals, and whether it is right; `answerable` is about the question."""

    database: str
    found: tuple[float, ...]
    right: bool
    answerable: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, help="folder of the adapter; the run's own by default")
    parser.add_argument("--unanswerable", type=int, default=5, help="questions per database that have no answer")
    parser.add_argument("--most", type=int, default=240, help="evaluation questions at most")
    parser.add_argument("--write", action="store_true", help="write confidence.json beside the adapter")
    parser.add_argument("--words", action="store_true", help="write the list of common words instead")
    options = parser.parse_args()
    if options.words:
        return write_words(options.run)
    adapter = options.adapter or options.run / "adapter"
    cases = answer(options.run, adapter, options.unanswerable, options.most)
    known = held_out(cases)
    report(cases, known)
    if options.write:
        right = sum(case.right for case in cases)
        threshold = choose_threshold(cases, known)
        said = f"{len(cases)} answers on {len({case.database for case in cases})} databases, {right} of them right"
        bias, weights = fit(cases)
        write_confidence(adapter, Confidence(round(bias, 4), tuple(round(w, 4) for w in weights), threshold, said))
        print(f"threshold {threshold:.2f}, written to {adapter / 'confidence.json'}")
    return 0


def answer(run: Path, adapter: Path, unanswerable: int, most: int) -> list[Case]:
    """Return the answers to the run's evaluation questions and to some that have none."""
    paths = json.loads((run / "databases.json").read_text(encoding="utf-8"))
    questions = list(read_records(run / "questions.jsonl", Question))[:most]
    names = sorted({question.database for question in questions})
    databases = {name: Path(paths[name]) for name in names}
    for name in names:
        for one in unanswerable_questions(databases[name], unanswerable, seed=1):
            questions.append(Question(f"{name} {one.id}", name, one.text, one.golds, category=CATEGORY))
    found = read_adapter(adapter)
    path = find_model(found.base)
    cases = []
    with open_engine("torch", path, found.gguf, parallel=_WAVE) as engine, Executor(workers=2) as executor:
        prompts = build_prompts(questions, databases, found.prompt_format(path), engine.count_tokens)
        answers = {}
        for wave in prompt_waves(prompts, _WAVE):
            asked = [(group[0].prefix, [prompt.suffix for prompt in group]) for group in wave]
            for group, own in zip(wave, engine.answer_wave(asked, _MAX_TOKENS), strict=True):
                answers |= {prompt.id: one for prompt, one in zip(group, own, strict=True)}
            print(f"{len(answers)} of {len(questions)} answered", flush=True)
        repairer = Repairer(databases, executor)
        schemas = {name: describe(databases[name], 0, executor=executor) for name in names}
        items, signs = [], []
        for question in questions:
            written = extract_sql(answers[question.id].text)
            outcome = executor.run(databases[question.database], written)
            sql, outcome = repairer.mended(written, outcome, question.database, question.text)
            logs, schema = answers[question.id].log_probabilities, schemas[question.database]
            signs.append(signals(logs, sql, outcome, sql != written, question.text, schema))
            items.append(RobustItem(question.id, databases[question.database], question.golds, sql))
        for question, found_signs, verdict in zip(questions, signs, score_robust(items, executor), strict=True):
            answerable = question.category != CATEGORY
            cases.append(Case(question.database, found_signs, answerable and verdict.correct, answerable))
    return cases


def fit(cases: Sequence[Case]) -> tuple[float, tuple[float, ...]]:
    """Return bias and weights of the logistic regression, with a quadratic penalty on the weights."""
    x = np.array([(1.0, *case.found) for case in cases])
    y = np.array([float(case.right) for case in cases])
    scale = np.maximum(x.std(axis=0), 1e-9)
    scale[0] = 1.0
    z = x / scale
    penalty = np.diag([0.0] + [_PENALTY] * (x.shape[1] - 1))
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ w))
        step = np.linalg.solve((z.T * (p * (1 - p))) @ z + penalty + 1e-9 * np.eye(len(w)), z.T @ (p - y) + penalty @ w)
        w -= step
        if np.abs(step).max() < 1e-8:
            break
    bias, *weights = (w / scale).tolist()
    return bias, tuple(weights)


def held_out(cases: Sequence[Case]) -> list[float]:
    """Return the confidence of each answer by weights that were fitted without its database."""
    models = {}
    for name in {case.database for case in cases}:
        bias, weights = fit([case for case in cases if case.database != name])
        models[name] = Confidence(bias, weights, 0.5)
    return [models[case.database].of(case.found) for case in cases]


def choose_threshold(cases: Sequence[Case], known: Sequence[float]) -> float:
    """Return the highest confidence (in hundredths) below which at most half of the answers are right."""
    best = 0.0
    for step in range(1, 100):
        below = [case.right for case, one in zip(cases, known, strict=True) if one < step / 100]
        if below and sum(below) <= 0.5 * len(below):
            best = step / 100
    # Beyond the answers that are guesses, the mean of all below says little about those near the threshold.
    return min(best, 0.5)


def report(cases: Sequence[Case], known: Sequence[float]) -> None:
    """Print how well the confidences order and predict what is right."""
    rights = [one for case, one in zip(cases, known, strict=True) if case.right]
    wrongs = [one for case, one in zip(cases, known, strict=True) if not case.right]
    pairs = sum((r > w) + 0.5 * (r == w) for r in rights for w in wrongs)
    brier = sum((one - case.right) ** 2 for case, one in zip(cases, known, strict=True)) / len(cases)
    answerable = [case for case in cases if case.answerable]
    print(f"\n{len(cases)} answers, {len(answerable)} of them to questions that have one; {len(rights)} right")
    print(f"area under the ROC curve {pairs / max(1, len(rights) * len(wrongs)):.3f}, Brier score {brier:.3f}")
    _, weights = fit(cases)
    print("weights: " + ", ".join(f"{name} {weight:+.2f}" for name, weight in zip(SIGNALS, weights, strict=True)))
    order = sorted(range(len(cases)), key=lambda place: -known[place])
    print("\n| confidence, by fifths | mean | right |\n|---|---:|---:|")
    for start in range(5):
        part = order[start * len(order) // 5 : (start + 1) * len(order) // 5]
        mean = sum(known[place] for place in part) / len(part)
        span = f"{known[part[-1]]:.2f} to {known[part[0]]:.2f}"
        print(f"| {span} | {mean:.2f} | {sum(cases[place].right for place in part) / len(part):.2f} |")
    print("\n| answered | right of these | of unanswerable ones answered |\n|---:|---:|---:|")
    hopeless = len(cases) - len(answerable)
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        part = order[: round(share * len(order))]
        right = sum(cases[place].right for place in part) / max(1, len(part))
        wrongly = sum(not cases[place].answerable for place in part)
        print(f"| {share:.0%} | {right:.3f} | {wrongly} of {hopeless} |")


def write_words(run: Path) -> int:
    """Write the words that questions about several training databases have and their schemas don't."""
    paths = json.loads((run / "databases.json").read_text(encoding="utf-8"))
    target = package_path(WORDS)
    target.write_text("", encoding="utf-8")
    seen: dict[str, set[str]] = {}
    schemas: dict[str, Schema] = {}
    for question in read_records(run / "questions.train.jsonl", Question):
        name = question.database.partition("~")[0]
        if name != question.database or question.source.startswith("synthesis"):
            continue
        if name not in schemas:
            schemas[name] = describe(paths[name], 0)
        for word in unknown_words(question.text, schemas[name], question.golds[0])[0]:
            seen.setdefault(stem(word), set()).add(name)
    counts = Counter({word: len(names) for word, names in seen.items() if len(names) >= _IN_DATABASES})
    lines = [
        f"# Words that questions about {_IN_DATABASES} or more of {len(schemas)} training databases of Spider have and",
        "# their schemas and values don't, without endings. Made by `python bench/confidence.py --words`.",
        *sorted(word for word in counts if word.isalpha()),
    ]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 2} words in {target}; the most frequent: {', '.join(w for w, _ in counts.most_common(30))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
