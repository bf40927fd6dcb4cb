"""Draw docs/packing.svg and write the table in docs/packing.md: what sharing a schema is worth.

    python bench/packing.py --json OUT
    python docs/make_packing_chart.py OUT

Not covered: the measure itself, which bench/packing.py explains.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from packing import ratios, table

PAGE = Path(__file__).resolve().parent / "packing.md"
FIGURE = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- made by make_packing_chart.py -->", "<!-- end -->"
_LEFT, _TOP, _HIGH, _BAR, _GAP = 56, 64, 220, 30, 34
_STYLE = """<style>
text { fill: #1f2933 } .muted { fill: #52606d } .grid { stroke: #cbd2d9 } .one { stroke: #b4442f }
.b0 { fill: #b7d3c4 } .b1 { fill: #6aa384 } .b2 { fill: #2f6f4f } .paper { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .muted { fill: #9aa5b1 } .grid { stroke: #3e4c59 } .one { stroke: #e58f7b }
  .b0 { fill: #35594a } .b1 { fill: #5c9a7c } .b2 { fill: #a5d9bf } .paper { fill: #161b22 }
}
</style>"""


def main() -> int:
    """Write the figure and the table, and say where."""
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    FIGURE.write_text(figure(ratios(found["seconds"])), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    layers = f"the first {found['layers']} layers of " if found["layers"] else ""
    repeats = min(map(len, found["seconds"].values()))
    passes = f"{repeats} pass{'es' * (repeats > 1)} a bar"
    made = f"Measured with {layers}{found['model']}, {passes}, on {found['machine']['processor']}."
    PAGE.write_text(f"{before}{BEGIN}\n{table(found['seconds'])}\n\n{made}\n{END}{after}", encoding="utf-8")
    print(FIGURE, PAGE)
    return 0


def figure(found: dict[int, dict[int, float]]) -> str:
    """Return the bars as SVG: a group per length of the schema, a bar per number of questions behind it."""
    counts = sorted({count for own in found.values() for count in own} - {1})
    top = math.ceil(max(max(own.values()) for own in found.values()) / 2) * 2
    wide = _GAP + len(found) * (len(counts) * _BAR + _GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + wide + 16} {_TOP + _HIGH + 56}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>Training questions per second, over those of one question alone behind the same schema</title>",
        _STYLE,
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text x="{_LEFT}" y="20">Training questions per second; one question a sequence is 1</text>',
    ]
    for place, count in enumerate(counts):
        x = _LEFT + 150 * place
        lines.append(f'<rect class="b{min(place, 2)}" x="{x}" y="32" width="12" height="12"/>')
        lines.append(f'<text x="{x + 18}" y="43">{count} questions share it</text>')
    for value in range(0, top + 1, 2):
        y = _TOP + _HIGH * (1 - value / top)
        lines.append(f'<path class="grid" d="M{_LEFT} {y:.1f}h{wide}"/>')
        lines.append(f'<text class="muted" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    for group, (length, own) in enumerate(found.items()):
        left = _LEFT + _GAP + group * (len(counts) * _BAR + _GAP)
        for place, count in enumerate(counts):
            high, x = _HIGH * own.get(count, 0) / top, left + place * _BAR
            y = _TOP + _HIGH - high
            lines.append(f'<rect class="b{min(place, 2)}" x="{x}" y="{y:.1f}" width="{_BAR - 3}" height="{high:.1f}"/>')
            lines.append(f'<text x="{x + (_BAR - 3) / 2}" y="{y - 4:.1f}" text-anchor="middle">{own[count]:.1f}</text>')
        middle = left + len(counts) * _BAR / 2
        lines.append(f'<text x="{middle}" y="{_TOP + _HIGH + 20}" text-anchor="middle">{length:,}</text>')
    y = _TOP + _HIGH * (1 - 1 / top)
    lines.append(f'<path class="one" d="M{_LEFT} {y:.1f}h{wide}" stroke-dasharray="2 3"/>')
    lines.append(
        f'<text class="muted" x="{_LEFT + wide / 2}" y="{_TOP + _HIGH + 44}" text-anchor="middle">'
        "tokens of the schema</text>"
    )
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
