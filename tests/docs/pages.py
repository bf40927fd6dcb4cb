"""The pages of the documentation and what the tests look for in them: blocks of code, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^( *)(```+)(\w*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language ("" if none), its text, and where it begins."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages in one of the languages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if match[3] in languages:
                found.append(Block(page, line, match[3], match[4]))
    return found


def commands(*programs: str) -> list[tuple[Block, list[str]]]:
    """Return the commands of shell blocks that begin with one of the programs, as words."""
    found = []
    for block in blocks("bash", "sh", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r" (?:&&|\|\||\||2?>) ", line.removeprefix("$ ")):
                if part.strip().split(" ")[0] in programs:
                    found.append((block, shlex.split(part, comments=True)))
    return found


def prose(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_commands() -> Iterator[tuple[Path, list[str]]]:
    """Yield the commands of SQLWright that stand within sentences, as words."""
    for page in PAGES:
        for match in _INLINE.finditer(prose(page)):
            if match[1].startswith("sqlwright "):
                yield page, match[1].split()


def links(page: Path) -> list[str]:
    """Return the targets of a page's links that are not on the web."""
    return [target for target in _LINK.findall(prose(page)) if "://" not in target and not target.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have on the usual hosts."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(prose(page)))
    return {title.strip().replace(" ", "-") for title in titles}
