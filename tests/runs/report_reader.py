"""Reads a report as a browser would: elements, attributes, texts, the inline script, style and data."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--dump-dom",
)
VOID = {"meta", "link", "br", "input", "img", "wbr", "hr"}


class Reader(HTMLParser):
    """The elements of a page as (tag, attributes), and its texts as (tag of the innermost element, text)."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.marked: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "mark":
            self.marked.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))
        if "mark" in self._open:
            self.marked[-1] += data

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def rows(self) -> int:
        """How many questions the script has put into the table."""
        return sum("row" in (found.get("class") or "").split() for found in self.tags("tr"))

    @property
    def text(self) -> str:
        """What a person reads, spaces run together."""
        kept = (text for tag, text in self.texts if tag not in ("script", "style"))
        return re.sub(r"\s+", " ", "".join(kept)).strip()

    @property
    def data(self) -> dict[str, Any]:
        """The JSON that the page's script reads."""
        return json.loads(next(text for tag, text in self.texts if tag == "script"))


def browser() -> str:
    """Return a Chromium to run, or skip the test."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("needs Chromium to open the report")


def opened(html: str, folder: Path, fragment: str = "") -> Reader:
    """Return the page as it is after its script ran in Chromium; fail if it logged anything."""
    page = folder / "report.html"
    page.write_text(html, encoding="utf-8")
    done = subprocess.run(
        [browser(), *OPTIONS, f"--user-data-dir={folder / 'profile'}", page.as_uri() + fragment],
        capture_output=True,
        timeout=60,
        check=True,
    )
    said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "CONSOLE" in line]
    assert said == []
    return Reader(done.stdout.decode("utf-8"))
