"""A reward model in a handful of weights: how likely each of several answers is right, for a vote among them.

A logistic regression on the signals of `confidence`, fitted on answers to training questions that were run and judged.
In a vote, an answer then counts as much as it is likely to be right. It is kept beside the adapter that wrote the
answers (`ranker.json`).

Not covered: what only reading question and SQL together can tell. Training questions have been learned from, so their
answers are surer than others: the order of answers to one question is meant, not the probability itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlwright.databases import Executor, Outcome, Schema, describe
from sqlwright.decoding.confidence import SIGNALS, Weights, read_weights, signals
from sqlwright.errors import ModelError

FILE = "ranker.json"
FEWEST = 20
"""Right answers, and wrong ones, that a ranker is fitted on at least."""
_PENALTY = 1.0


class Ranker:
    """Says how likely answers are right; the schemas of the given databases are read once."""

    def __init__(self, weights: Weights, databases: Mapping[str, Path | str], executor: Executor) -> None:
        self._weights, self._databases, self._executor = weights, databases, executor
        self._schemas: dict[str, Schema] = {}

    def of(
        self, logs: Sequence[float], sql: str, outcome: Outcome, repaired: bool, question: str, database: str
    ) -> float:
        """Return the probability (0 to 1) that an answer is right; see `confidence.signals`."""
        if database not in self._schemas:
            self._schemas[database] = describe(self._databases[database], 0, executor=self._executor)
        return self._weights.of(signals(logs, sql, outcome, repaired, question, self._schemas[database]))


def fit(found: Sequence[Sequence[float]], right: Sequence[bool]) -> Weights:
    """Return the logistic regression with a quadratic penalty on the weights of standardised signals."""
    import numpy as np

    x = np.array([(1.0, *one) for one in found])
    y = np.array(right, dtype=float)
    scale = x.std(axis=0)
    scale[scale < 1e-9] = 1.0  # the bias, and signals that are always the same
    z = x / scale
    penalty = np.diag([0.0] + [_PENALTY] * (x.shape[1] - 1))
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ w))
        slope = z.T @ (p - y) + penalty @ w
        step = np.linalg.solve((z.T * (p * (1 - p))) @ z + penalty + 1e-9 * np.eye(len(w)), slope)
        w -= step
        if np.abs(step).max() < 1e-8:
            break
    bias, *weights = (round(value, 4) for value in (w / scale).tolist())
    return Weights(bias, tuple(weights))


def write_ranker(folder: Path, found: Sequence[Sequence[float]], right: Sequence[bool]) -> bool:
    """Fit a ranker on the signals of judged answers and write it beside an adapter; return whether there were enough.

    Too few are fewer than `FEWEST` right or wrong ones.
    """
    if min(sum(right), len(right) - sum(right)) < FEWEST:
        return False
    weights = fit(found, right)
    values = {
        "bias": weights.bias,
        "weights": dict(zip(SIGNALS, weights.weights, strict=True)),
        "fitted_on": f"{len(right)} answers to training questions, {sum(right)} right",
    }
    (folder / FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return True


def read_ranker(folder: Path) -> Weights | None:
    """Return the ranker's weights beside an adapter, None if there are none; raise `ModelError` for a damaged file."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return read_weights(json.loads(path.read_text(encoding="utf-8")), SIGNALS)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: expected the weights of a ranker, found {error!r}.") from None
