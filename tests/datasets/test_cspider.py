"""CSpider: Spider's layout, Chinese questions."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.datasets import READERS
from sqlwright.errors import DataError


def test_published_fields_arrive(shops: Path) -> None:
    file = PUBLISHED / "cspider.json"
    dataset = READERS["cspider"]([file], shops)
    assert [q.text for q in dataset.questions] == ["有多少家商店？", "列出位于 Bern 的商店名称。"]
    assert dataset.questions[1].golds == ("SELECT name FROM shop WHERE town = 'Bern'",)
    assert dropped(dataset, file) == [("#2", "empty value")]


def test_spiders_own_file_is_named(spider_root: Path) -> None:
    with pytest.raises(DataError, match="expected questions in Chinese"):
        READERS["cspider"]([spider_root / "dev.json"], spider_root / "database")
