"""The text files of Spider's official scorer: a gold file and a prediction file, line by line.

A gold line is `SQL<TAB>database`, a prediction line is SQL; what follows a tab in it is ignored. Blank lines
in the gold file separate sessions (dialogues of SParC and CoSQL). Byte order marks and any mixture of line
ends are fine.

The official scorer takes an empty prediction for the end of a session and then compares the wrong lines, or
stops. Here the gold file alone says where sessions end: an empty line elsewhere is an empty prediction.

A run's `completions.jsonl` is read as well. Not covered: other JSON formats of predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlwright.errors import DataError
from sqlwright.evaluation.input_files import check_count, read_completions


class SpiderGold(NamedTuple):
    """A question's gold SQL; `session`, `turn` and `line` count from 1."""

    gold: str
    database: str
    session: int
    turn: int
    line: int


class SpiderPair(NamedTuple):
    """A gold, its database and the prediction; `session` and `turn` count from 1, 0 outside of dialogues."""

    gold: str
    database: str
    prediction: str
    session: int = 0
    turn: int = 0


def read_pairs(gold: Path, predictions: Path) -> list[SpiderPair]:
    """Return the questions of a gold file with the lines of a prediction file.

    Raises:
        DataError: a file is missing or malformed, or the two don't fit together.
    """
    golds = read_gold_file(gold)
    dialogues = golds[-1].session > 1
    return [
        SpiderPair(item.gold, item.database, text, *((item.session, item.turn) if dialogues else (0, 0)))
        for item, text in zip(golds, read_prediction_file(predictions, golds), strict=True)
    ]


def read_gold_file(path: Path) -> list[SpiderGold]:
    """Return the golds in order, at least one.

    Raises:
        DataError: the file is missing, empty or not text, or a line has no tab before the database's name.
    """
    golds: list[SpiderGold] = []
    session, turn = 1, 0
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            session, turn = session + (turn > 0), 0
            continue
        sql, _, database = (part.strip() for part in line.strip().rpartition("\t"))
        if not sql or not database or any(character in database for character in " ;/\\"):
            raise DataError(
                f"{path}:{number}: expected a line `SQL<TAB>database`, found {_shown(line)}. "
                "Write the gold SQL, one tab and the name of the database."
            )
        turn += 1
        golds.append(SpiderGold(sql, database, session, turn, number))
    if not golds:
        raise DataError(f"{path}: expected lines `SQL<TAB>database`, found an empty file.")
    return golds


def read_prediction_file(path: Path, golds: Sequence[SpiderGold]) -> list[str]:
    """Return one prediction per gold, in the golds' order; an empty line is an empty prediction.

    With several sessions, the file has blank lines where the gold file has them, or at least as many sessions
    of the same lengths.

    Raises:
        DataError: the file is missing or not text, or has a line too few or too many; the line is named.
    """
    if path.suffix == ".jsonl":
        completions = read_completions(path)
        check_count(path, len(completions), len(golds), "the golds")
        return completions
    lines = [line.strip().split("\t")[0].strip() for line in _lines(path)]
    if golds[-1].session > 1:
        return _by_session(path, lines, golds)
    if golds[-1].line != len(golds):
        # Blank lines before the only session: the predictions may have them too.
        while lines and not lines[0] and len(lines) > len(golds):
            del lines[0]
    while len(lines) > len(golds) and not lines[-1]:
        del lines[-1]
    if len(lines) < len(golds):
        raise DataError(
            f"{path}:{len(lines) + 1}: expected {len(golds):,} lines, one prediction for each gold, found "
            f"{len(lines):,}; the first gold without one is on line {golds[len(lines)].line}. "
            "Write an empty line for a missing prediction."
        )
    if len(lines) > len(golds):
        raise DataError(
            f"{path}:{len(golds) + 1}: expected {len(golds):,} lines, one prediction for each gold, found "
            f"{len(lines):,}; the first line too many is {_shown(lines[len(golds)])}."
        )
    return lines


def _by_session(path: Path, lines: list[str], golds: Sequence[SpiderGold]) -> list[str]:
    """Return the predictions of dialogues: line by line where the blank lines agree, else by session."""
    places = {gold.line for gold in golds}
    aligned = len(lines) >= golds[-1].line and not any(
        line for number, line in enumerate(lines, 1) if number not in places
    )
    if aligned:
        return [lines[gold.line - 1] for gold in golds]
    wanted: dict[int, int] = {}
    for gold in golds:
        wanted[gold.session] = gold.turn
    sessions: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(lines, 1):
        if line:
            sessions[-1].append((number, line))
        elif sessions[-1]:
            sessions.append([])
    found = [session for session in sessions if session]
    for number, turns in wanted.items():
        session = found[number - 1] if number <= len(found) else []
        if len(session) != turns:
            where = session[0][0] if session else len(lines) + 1
            raise DataError(
                f"{path}:{where}: expected session {number} with {turns} predictions, found {len(session)}. "
                "Put blank lines exactly where the gold file has them, and `SELECT 1` for a missing prediction."
            )
    if len(found) > len(wanted):
        extra = found[len(wanted)][0][0]
        raise DataError(f"{path}:{extra}: expected {len(wanted)} sessions, found {len(found)}.")
    return [line for session in found for _, line in session]


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file without their ends."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a text file, found that it can't be read ({error.strerror}).") from None
    if b"\x00" in raw:
        raise DataError(f"{path}: expected UTF-8 text with SQL, found binary data (or UTF-16). Save it as UTF-8.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: expected UTF-8 text, found the byte 0x{raw[error.start]:02x}. Save it as UTF-8."
        ) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:59] + "…")
