"""Infilling: HumanEval's gaps (JSON lines with `prompt` and `suffix`, also `.jsonl.gz`), and documents to learn from.

Text and suffix become one text with `<FILL_ME>` between them, the mark that Code Llama's tokenizer knows. Single-line,
multi-line and random-span files are read alike; the category is the kind, as `task_id` begins with it.

Source: Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle", MIT.

Any other text file is a document: it is cut into pieces at line ends, and each piece gets gaps between two places that
are drawn uniformly over its characters, as the paper does. The draw depends on the text alone. The paper cuts each
document once per pass; few documents give more to learn from if each is cut several times.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset, kind_of
from sqlwright.datasets.objects import Raw, list_or_lines
from sqlwright.datasets.text import is_utf8, read_text

MARK = "<FILL_ME>"
TASK = f"Write the Python code that belongs in the place of {MARK}, and nothing else."

# A piece of a document has at most so many characters unless one line is longer, and gets so many gaps.
PIECE, GAPS = 3000, 4

KEYS = {
    "text": ("text",),
    "golds": ("canonical_solution",),
    "id": ("task_id",),
    "evidence": ("task",),
    "category": ("category",),
}


def read_infilling(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the gaps of the files, in order; `id` is the `task_id`, the gold what stood in the gap.

    Args:
        files: JSON lines, gzipped if the name ends in `.gz`, or a JSON list; anything else is a document.
        databases_root: not used.
        need_golds: drop tasks without a solution; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read.
    """
    collector = Collector(databases_root, need_golds, KEYS, without_database=True)
    for file in files:
        if not {".jsonl", ".json"} & set(file.suffixes):
            collector.add_all(file, _gaps(collector, file))
            continue
        raws = list_or_lines(collector, file, "task_id, prompt, suffix and canonical_solution")
        collector.add_all(file, raws, _question)
    return collector.finish()


def _question(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the text around the gap."""
    for key in ("prompt", "suffix"):
        if not isinstance(values.get(key), str):
            raise BadQuestion(f"missing key: expected text in {key!r}, found {kind_of(values.get(key))}")
    kind = str(values.get("task_id", "")).partition("/")[0]
    return {**values, "text": f"{values['prompt']}{MARK}{values['suffix']}", "task": TASK, "category": kind}


def split_in_three(text: str, draw: random.Random) -> tuple[str, str, str]:
    """Return what stands before, in and behind a gap between two places drawn uniformly over the characters.

    A gap that holds nothing but blanks is drawn again. `text` must hold more than blanks.
    """
    while True:
        start, end = sorted(draw.choices(range(len(text) + 1), k=2))
        if text[start:end].strip():
            return text[:start], text[start:end], text[end:]


def _gaps(collector: Collector, file: Path) -> Iterator[Raw]:
    """Yield the gaps of a document; `source` names the piece and the gap in it."""
    text = read_text(file)
    if not is_utf8(text):
        collector.drop(str(file), "not UTF-8: the document holds other bytes; save it as UTF-8", text[:200])
        return
    for number, piece in enumerate(_pieces(text)):
        if MARK in piece:
            collector.drop(f"{file}#{number}", f"the document holds {MARK} itself", piece[:200])
        elif piece.strip():
            draw = random.Random(piece)
            for gap in range(GAPS):
                before, middle, behind = split_in_three(piece, draw)
                values = {
                    "text": f"{before}{MARK}{behind}",
                    "canonical_solution": middle,
                    "task": TASK,
                    "category": "document",
                }
                yield Raw(f"#{number}.{gap}", values, middle)


def _pieces(text: str) -> Iterator[str]:
    piece = ""
    for line in text.splitlines(keepends=True):
        if piece and len(piece) + len(line) > PIECE:
            yield piece
            piece = ""
        piece += line
    if piece:
        yield piece
