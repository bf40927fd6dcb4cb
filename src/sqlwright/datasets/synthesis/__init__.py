"""Questions from a database alone: a typed grammar whose rules write SQL and words at once.

profile      what the columns hold and mean, how tables are linked
words        names as English, plurals, articles
choices      texts with alternatives, from which wordings are drawn
select       SELECTs as structure, and the queries that test them
conditions, phrases             the grammar's parts
simple, linked, nested          the grammar's shapes: one table, several, queries within queries
sample       draw, run, filter, balance: `synthesise`, `sample_pairs`
seldom       what annotators seldom ask for (IS NULL, shares, spans of dates): `seldom_pairs`
unanswerable questions that the schema can't answer
"""

from __future__ import annotations

from sqlwright.datasets.synthesis.sample import Pair, Sampled, sample_pairs, synthesise
from sqlwright.datasets.synthesis.seldom import seldom_pairs

__all__ = ["Pair", "Sampled", "sample_pairs", "seldom_pairs", "synthesise"]
