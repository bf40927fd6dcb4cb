"""Draw docs/model.svg: execution accuracy on Spider dev, the adapter that ships beside published systems.

    python docs/make_model_chart.py RUN [RUN ...]

Each `RUN` is the folder of a run of recipes/spider-dev.toml, with repair or a vote; the others' figures stand here with
their sources. The goals of the project are dotted lines. Not covered: intervals of the others, which nobody published.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent / "model.svg"
# As published: DB-GPT-Hub's README, sqlforge's, and the papers on SLM-SQL and
# FINER-SQL (8 to 64 samples and a vote).
PEERS = (
    ("CodeLlama-13B, LoRA (DB-GPT-Hub), plain databases", 0.789),
    ("CodeLlama-13B, LoRA (DB-GPT-Hub), test suite", 0.746),
    ("CodeLlama-7B, LoRA (DB-GPT-Hub)", 0.702),
    ("1.5B, QLoRA (sqlforge)", 0.656),
    ("0.5B, up to 64 samples, vote (FINER-SQL)", 0.750),
    ("0.5B, samples, vote (SLM-SQL)", 0.721),
)
GOALS = (("goal, greedy", 0.70), ("goal, ladder", 0.78))
LABELS = {
    "adapter": "SQLWright 0.5B, greedy",
    "adapter, repair": "SQLWright 0.5B, greedy, repaired",
    "adapter, vote among 4 and repair": "SQLWright 0.5B, vote among 4 of repaired",
}
_LEFT, _WIDE, _ROW = 340, 480, 30


def main() -> int:
    """Write the chart and say where."""
    scores: dict[str, dict[str, Any]] = {}
    for run in sys.argv[1:]:
        scores |= json.loads((Path(run) / "report.json").read_text(encoding="utf-8"))["scores"]
    ours = [(LABELS[label], found["ex"]["overall"]) for label, found in scores.items() if label in LABELS]
    bars = [(name, one["value"], (one["low"], one["high"])) for name, one in ours]
    bars += [(name, value, None) for name, value in PEERS]
    height = _ROW * len(bars) + 60
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDE + 60} {height}" font-family="sans-serif" '
        'font-size="13" role="img">',
        "<title>Execution accuracy on Spider dev, DISTINCT removed, one database a question</title>",
        f'<rect width="100%" height="{height}" fill="#fff"/>',
    ]
    for place, (name, value, interval) in enumerate(bars):
        y = 34 + _ROW * place
        colour = "#2f6f4f" if interval else "#9aa5b1"
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{name}</text>')
        lines.append(f'<rect x="{_LEFT}" y="{y}" width="{value * _WIDE:.1f}" height="20" fill="{colour}"/>')
        lines.append(f'<text x="{_LEFT + _WIDE + 48}" y="{y + 14}" text-anchor="end">{value:.3f}</text>')
        if interval:
            low, high = (_LEFT + share * _WIDE for share in interval)
            lines.append(f'<path d="M{low:.1f} {y + 10}H{high:.1f}" stroke="#000" stroke-width="1.5"/>')
    for name, value in GOALS:
        x = _LEFT + value * _WIDE
        lines.append(f'<path d="M{x:.1f} 26V{height - 20}" stroke="#b4442f" stroke-dasharray="2 3"/>')
        anchor = "end" if value == GOALS[0][1] else "start"
        lines.append(f'<text x="{x:.1f}" y="20" text-anchor="{anchor}" fill="#b4442f">{name} {value:.2f}</text>')
    lines.append("</svg>")
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
