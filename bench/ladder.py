"""What each rung of the decoding ladder brings, and how well `ask` knows when it is wrong.

    python bench/ladder.py --run RUN [--adapter FOLDER] [--questions 96] [--samples 8] [--answers FILE] [--write]
    python bench/ladder.py --run RUN --words     (writes the list of common words)

`RUN` is the folder of a run whose evaluation part is held-out training databases (`evaluate = ["validation"]`); some of
its evaluation questions, and a few per database that it can't answer (made by the rules of `sqlwright synthesize`), are
answered: greedily, repaired as `ask` does, asked once more with the error where a query can't be run (alone, and where
repair can't help either), and by a vote among `--samples` answers. Right is what the robust comparison
calls right, and never an answer to a question that has none. `--answers` keeps what the model wrote, so that the rest
can be done again in seconds.

Logistic regressions on the signals of `sqlwright.decoding.confidence` are fitted leaving out one database after the
other: every figure is about databases that the weights have not seen. Prints accuracy by rung; the area under the ROC
curve, the Brier score, the calibration by fifths, and coverage against accuracy; and what voting on unsure answers only
brings. `--write` fits on all of them and writes `confidence.json` beside the adapter.
`--words` counts in how many databases' training questions a word occurs that their schema doesn't know.

Not covered: time (see `ask.py`), questions by real users that can't be answered.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Executor, Schema, describe
from sqlwright.datasets import package_path
from sqlwright.datasets.synthesis.unanswerable import CATEGORY, unanswerable_questions
from sqlwright.decoding import Repairer, predict, prompt_waves, vote
from sqlwright.decoding.confidence import (
    SIGNALS,
    VOTED,
    Confidence,
    signals,
    unknown_words,
    write_confidence,
)
from sqlwright.decoding.ranker import fit
from sqlwright.decoding.retry import AGAIN, asked_again
from sqlwright.evaluation.robust import RobustItem, score_robust
from sqlwright.models.adapter import read_adapter
from sqlwright.models.engines import open_engine
from sqlwright.models.gguf import Answer
from sqlwright.models.verify import find_model
from sqlwright.prompts import build_prompts
from sqlwright.prompts.words import stem
from sqlwright.records import Prompt, Question, read_records
from sqlwright.sql.extract import extract_sql

WORDS = "confidence/common_words.txt"
SEED = 3
GUESS = 0.4
"""Answers less likely right than this are called guesses."""
MOST_VOTING = 0.25
"""Share of questions that may vote: at 2 seconds for the greedy answer and 4 more for a vote, 3 seconds in the mean."""
_IN_DATABASES = 5
_MAX_TOKENS = 200
_ROWS = 96
_TEMPERATURE = 0.8


@dataclass(frozen=True)
class Case:
    """A question with its answers: the greedy one repaired, and the winner of the vote, which may be the same.

    `right` has a verdict for each rung; `alone` and `voted` are the signals of the two answers.
    """

    database: str
    answerable: bool
    right: dict[str, bool]
    alone: tuple[float, ...]
    voted: tuple[float, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, help="folder of the adapter; the run's own by default")
    parser.add_argument("--questions", type=int, default=96, help="evaluation questions, drawn by a fixed seed")
    parser.add_argument("--unanswerable", type=int, default=3, help="questions per database that have no answer")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--answers", type=Path, help="JSON lines of what the model wrote; continued if there")
    parser.add_argument("--write", action="store_true", help="write confidence.json beside the adapter")
    parser.add_argument("--words", action="store_true", help="write the list of common words instead")
    options = parser.parse_args()
    if options.words:
        return write_words(options.run)
    adapter = options.adapter or options.run / "adapter"
    questions, databases = chosen(options.run, options.questions, options.unanswerable)
    prompts, answers, again = answer(questions, databases, adapter, options.samples, options.answers)
    cases = judge(questions, databases, prompts, answers, again)
    fitted = report(cases, options.samples)
    if options.write:
        write_confidence(adapter, fitted)
        print(f"written to {adapter / 'confidence.json'}")
    return 0


def chosen(run: Path, count: int, unanswerable: int) -> tuple[list[Question], dict[str, Path]]:
    """Return the questions, those without an answer last, and the databases by name."""
    paths = json.loads((run / "databases.json").read_text(encoding="utf-8"))
    every = list(read_records(run / "questions.jsonl", Question))
    questions = random.Random(SEED).sample(every, min(count, len(every)))
    names = sorted({question.database for question in every})
    databases = {name: Path(paths[name]) for name in names}
    for name in names:
        for one in unanswerable_questions(databases[name], unanswerable, seed=1):
            questions.append(Question(f"{name} {one.id}", name, one.text, one.golds, category=CATEGORY))
    return questions, databases


def answer(
    questions: Sequence[Question], databases: dict[str, Path], adapter: Path, samples: int, kept: Path | None
) -> tuple[dict[str, Prompt], dict[str, list[Answer]], dict[str, str]]:
    """Return prompts and answers by question, the greedy answer first, and the second SQL where that can't be run."""
    found = read_adapter(adapter)
    path = find_model(found.base)
    with open_engine("torch", path, found.weights, context=0, parallel=_ROWS) as engine:
        prompts = build_prompts(questions, databases, found.prompt_format(path), engine.count_tokens)
        answers: dict[str, list[Answer]] = {}
        if kept and kept.is_file():
            for line in kept.read_text(encoding="utf-8").splitlines():
                values = json.loads(line)
                answers[values["id"]] = [Answer(text, (), tuple(logs), True, 0.0) for text, logs in values["answers"]]
        missing = [prompt for prompt in prompts if prompt.id not in answers]
        for wave in prompt_waves(missing, _ROWS // samples):
            asked = [(group[0].prefix, [prompt.suffix for prompt in group]) for group in wave]
            lines = []
            for group, own in zip(wave, engine.sample_wave(asked, _MAX_TOKENS, samples, _TEMPERATURE), strict=True):
                for prompt, several in zip(group, own, strict=True):
                    answers[prompt.id] = several
                    rows = [[one.text, list(one.log_probabilities)] for one in several]
                    lines.append(json.dumps({"id": prompt.id, "answers": rows}))
            if kept:
                with kept.open("a", encoding="utf-8") as file:
                    file.write("".join(line + "\n" for line in lines))
            print(f"{len(answers)} of {len(questions)} answered", flush=True)
        with Executor(workers=2) as executor:
            written = {question.id: extract_sql(answers[question.id][0].text) for question in questions}
            outcomes = executor.map([(databases[question.database], written[question.id]) for question in questions])
            failed = [
                asked_again(question, written[question.id], outcome)
                for question, outcome in zip(questions, outcomes, strict=True)
                if not outcome.ok
            ]
        second = build_prompts(failed, databases, found.prompt_format(path), engine.count_tokens)
        retried = [one for wave in predict(engine, prompt_waves(second, _ROWS), _MAX_TOKENS) for one in wave]
        print(f"{len(failed)} asked once more", flush=True)
    again = {one.id.removesuffix(AGAIN): one.sql for one in retried}
    return {prompt.id: prompt for prompt in prompts}, answers, again


def judge(
    questions: Sequence[Question],
    databases: dict[str, Path],
    prompts: dict[str, Prompt],
    answers: dict[str, list[Answer]],
    again: dict[str, str],
) -> list[Case]:
    """Return what became of every question on every rung."""
    names = ("greedy", "retried", "repaired", "repaired, else retried", "vote", "vote of repaired")
    rungs: dict[str, dict[str, str]] = {name: {} for name in names}
    signs: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    verdicts: dict[str, dict[str, bool]] = {}
    with Executor(workers=2) as executor:
        repairer = Repairer(databases, executor)
        schemas = {name: describe(path, 0, executor=executor) for name, path in databases.items()}
        for question in questions:
            name, several = question.database, answers[question.id]
            written = extract_sql(several[0].text)
            outcome = executor.run(databases[name], written)
            mended, found = repairer.mended(written, outcome, name, question.text)
            second = again.get(question.id, written)
            last, _ = repairer.mended(second, executor.run(databases[name], second), name, question.text)
            plain = vote(prompts[question.id], several, databases[name], executor)
            best = vote(prompts[question.id], several, databases[name], executor, repairer, question.text)
            won = best.winner.sql
            logs, texts = several[0].log_probabilities, {extract_sql(one.text) for one in several}
            after = executor.run(databases[name], won)
            signs[question.id] = (
                signals(logs, mended, found, mended != written, question.text, schemas[name]),
                signals(logs, won, after, won not in texts, question.text, schemas[name], best.share),
            )
            sqls = (written, second, mended, mended if found.ok else last, plain.winner.sql, won)
            for rung, sql in zip(rungs, sqls, strict=True):
                rungs[rung][question.id] = sql
        for rung, texts_of in rungs.items():
            items = [RobustItem(q.id, databases[q.database], q.golds, texts_of[q.id]) for q in questions]
            verdicts[rung] = {verdict.id: verdict.correct for verdict in score_robust(items, executor)}
    return [
        Case(
            question.database,
            question.category != CATEGORY,
            {rung: question.category != CATEGORY and found[question.id] for rung, found in verdicts.items()},
            *signs[question.id],
        )
        for question in questions
    ]


def held_out(cases: Sequence[Case], found: Sequence[Sequence[float]], right: Sequence[bool]) -> list[float]:
    """Return the confidence of each answer by weights that were fitted without its database."""
    models = {}
    for name in {case.database for case in cases}:
        kept = [place for place, case in enumerate(cases) if case.database != name]
        models[name] = fit([found[place] for place in kept], [right[place] for place in kept])
    return [models[case.database].of(one) for case, one in zip(cases, found, strict=True)]


def report(cases: Sequence[Case], samples: int) -> Confidence:
    """Print the figures, and return the confidence model fitted on all cases."""
    answerable = [case for case in cases if case.answerable]
    print(f"\n| rung | right of {len(answerable)} that have an answer |\n|---|---:|")
    for rung in answerable[0].right:
        label = rung.replace("vote", f"vote of {samples}", 1) if rung.startswith("vote") else rung
        print(f"| {label} | {sum(case.right[rung] for case in answerable)} |")
    alone, voted = [case.alone for case in cases], [case.voted for case in cases]
    right_alone = [case.right["repaired"] for case in cases]
    right_voted = [case.right["vote of repaired"] for case in cases]
    known_alone = held_out(cases, alone, right_alone)
    known_voted = held_out(cases, voted, right_voted)
    below = report_selective(cases, known_alone)
    for title, kinds, found, right, known in (
        ("repaired greedy answers", SIGNALS, alone, right_alone, known_alone),
        ("winners of votes", VOTED, voted, right_voted, known_voted),
    ):
        print(f"\n## Confidence of {title}\n")
        weights = fit(found, right).weights
        print("weights: " + ", ".join(f"{name} {weight:+.2f}" for name, weight in zip(kinds, weights, strict=True)))
        report_confidence(cases, right, known)
    said = f"{len(cases)} questions on {len({case.database for case in cases})} databases, {len(answerable)} answerable"
    return Confidence(fit(alone, right_alone), fit(voted, right_voted), GUESS, below, said)


def report_selective(cases: Sequence[Case], known: Sequence[float]) -> float:
    """Print what voting on the least sure answers brings; return the confidence below which most is gained in time."""
    print("\n| votes where confidence is below | share of questions that vote | right |\n|---:|---:|---:|")
    places = [place for place, case in enumerate(cases) if case.answerable]
    best = (0, 0.0)
    for step in range(11):
        bound = step / 10
        votes = [place for place in places if known[place] < bound]
        rungs = {place: "vote of repaired" if place in votes else "repaired" for place in places}
        right = sum(cases[place].right[rung] for place, rung in rungs.items())
        print(f"| {bound:.1f} | {len(votes) / len(places):.2f} | {right} |")
        if len(votes) <= MOST_VOTING * len(places):
            best = max(best, (right, -bound))
    return -best[1]


def report_confidence(cases: Sequence[Case], right: Sequence[bool], known: Sequence[float]) -> None:
    """Print how well the confidences order and predict what is right."""
    rights = [one for one, good in zip(known, right, strict=True) if good]
    wrongs = [one for one, good in zip(known, right, strict=True) if not good]
    pairs = sum((r > w) + 0.5 * (r == w) for r in rights for w in wrongs)
    brier = sum((one - good) ** 2 for one, good in zip(known, right, strict=True)) / len(cases)
    hopeless = sum(not case.answerable for case in cases)
    print(f"{len(cases)} answers, {hopeless} of them to questions that have none; {len(rights)} right")
    print(f"area under the ROC curve {pairs / max(1, len(rights) * len(wrongs)):.3f}, Brier score {brier:.3f}")
    order = sorted(range(len(cases)), key=lambda place: -known[place])
    print("\n| confidence, by fifths | mean | right |\n|---|---:|---:|")
    for start in range(5):
        part = order[start * len(order) // 5 : (start + 1) * len(order) // 5]
        mean = sum(known[place] for place in part) / len(part)
        span = f"{known[part[-1]]:.2f} to {known[part[0]]:.2f}"
        print(f"| {span} | {mean:.2f} | {sum(right[place] for place in part) / len(part):.2f} |")
    print("\n| answered | right of these | answered though unanswerable |\n|---:|---:|---:|")
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        part = order[: round(share * len(order))]
        good = sum(right[place] for place in part) / max(1, len(part))
        print(f"| {share:.0%} | {good:.3f} | {sum(not cases[place].answerable for place in part)} of {hopeless} |")
    guesses = [place for place in order if known[place] < GUESS]
    good = sum(right[place] for place in guesses)
    caught = sum(not cases[place].answerable for place in guesses)
    print(f"\nbelow {GUESS}: {len(guesses)} answers, {good} of them right; {caught} of {hopeless} unanswerable ones")


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
        "# their schemas and values don't, without endings. Made by `python bench/ladder.py --words`.",
        *sorted(word for word in counts if word.isalpha()),
    ]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 2} words in {target}; the most frequent: {', '.join(w for w, _ in counts.most_common(30))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
