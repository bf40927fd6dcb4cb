"""Reporting what can't be used in the descriptions that lie beside a benchmark's databases.

Not covered: reading them into a schema; that is done where a database is described (see `databases.published`).
"""

from __future__ import annotations

import dataclasses

from sqlwright.databases.published import published_notes
from sqlwright.datasets.dataset import Dataset, Dropped


def with_description_problems(dataset: Dataset) -> Dataset:
    """Return the dataset with the lines of its databases' descriptions that can't be used, among what was dropped."""
    problems = [
        Dropped(problem.where, f"bad description: {problem.reason}", problem.text[:200])
        for path in dataset.databases.values()
        for problem in published_notes(path).problems
    ]
    return dataclasses.replace(dataset, dropped=(*dataset.dropped, *problems))
