"""What sharing a schema is worth: training questions per second by the schema's length and the questions behind it.

    python bench/packing.py [--lengths 250 500 1000 2000] [--questions 1 4 12 24] [--layers N] [--json OUT]

A cell is a pass there and back through the tiny model with LoRA, over one schema of so many tokens with so many
questions behind it, each of a suffix of 30 and a target of 35 tokens (about what Spider's have). One question alone is
what every framework does that encodes the schema for each question, without any padding: a cell's ratio is its
questions per second over those of one question alone behind the same schema. All cells are passed by turns in one
process, so that other work on the machine meets all alike; on a CPU the measure is processor time. What the tokens are
doesn't matter for speed: they are drawn.

With --json, what was measured is kept in that file and taken from it when the command is given again;
`python docs/make_packing_chart.py OUT` makes the figure and the table in docs/packing.md of it. Not covered: padded
batches in other frameworks (see `training.py`), quality.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from setting import facts_line, machine, require_model
from sqlwright.models.verify import find_model
from sqlwright.recipe import TrainSettings

SUFFIX, TARGET = 30, 35


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="catalogue name or GGUF file")
    parser.add_argument("--lengths", type=int, nargs="+", default=[250, 500, 1000, 2000], help="schemas, in tokens")
    parser.add_argument("--questions", type=int, nargs="+", default=[1, 4, 12, 24], help="questions per schema")
    parser.add_argument("--layers", type=int, default=0, help="only the first so many layers; 0 takes all")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, help="keep what is measured in this file, and go on from it")
    options = parser.parse_args()
    if 1 not in options.questions:
        parser.error("--questions: expected 1 among them, which the others are compared with")
    require_model(options.model)
    facts = machine(("torch", "sqlwright"))
    print(facts_line(facts), flush=True)
    found: dict[str, Any] = {"machine": facts, "model": options.model, "layers": options.layers, "seconds": {}}
    if options.json and options.json.is_file():
        before = json.loads(options.json.read_text(encoding="utf-8"))
        if (before["model"], before["layers"]) == (options.model, options.layers):
            found = before
    measure(options, found)
    print(f"\n{table(found['seconds'])}")
    return 0


def measure(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Add to `found` the seconds of each pass that it lacks, by length and questions."""
    import torch

    from sqlwright.models.device import choose_device, choose_threads
    from sqlwright.models.weights import load_model
    from sqlwright.training.kinds import open_learner
    from sqlwright.training.loss import pack_loss
    from sqlwright.training.packing import Encoded, pack

    torch.set_num_threads(choose_threads(0))
    device = choose_device("auto")
    model = load_model(find_model(options.model), torch.float32 if device == "cpu" else torch.bfloat16, device)
    if options.layers:
        del model.model.layers[options.layers :]
        model.config.num_hidden_layers = options.layers
    learner = open_learner(model, TrainSettings(), 0)
    learner.train()
    draw = random.Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(1000, 20_000) for _ in range(count))

    for turn in range(-1, options.repeats):
        for length in options.lengths:
            prefix = tokens(length)
            for count in options.questions if turn >= 0 else [1]:  # the first turn warms up, with little
                name = f"{length}/{count}"
                if len(found["seconds"].get(name, [])) > turn >= 0:
                    continue
                group = [Encoded(str(n), "db", prefix, tokens(SUFFIX + TARGET), SUFFIX) for n in range(count)]
                batch = pack([group]).to(device)
                started = clock(device)
                pack_loss(learner, batch).backward()  # type: ignore[no-untyped-call]
                seconds = clock(device) - started
                if turn < 0:
                    break
                found["seconds"].setdefault(name, []).append(seconds)
                if options.json:
                    options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
                print(f"{name}: {count / seconds:.2f} questions/s", file=sys.stderr, flush=True)


def clock(device: str) -> float:
    """Return the seconds so far: of the processor, or of the wall where a GPU works."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def ratios(seconds: dict[str, list[float]]) -> dict[int, dict[int, float]]:
    """Return questions per second over those of one question alone, by length and questions; the middle of repeats."""
    rates: dict[int, dict[int, float]] = {}
    for name, own in seconds.items():
        length, count = map(int, name.split("/"))
        rates.setdefault(length, {})[count] = count / statistics.median(own)
    return {
        length: {count: own[count] / own[1] for count in sorted(own)}
        for length, own in sorted(rates.items())
        if 1 in own
    }


def table(seconds: dict[str, list[float]]) -> str:
    """Return the ratios as a table of Markdown."""
    found = ratios(seconds)
    counts = sorted({count for own in found.values() for count in own})
    lines = [
        "| schema tokens | " + " | ".join(f"{count} question{'s' * (count > 1)}" for count in counts) + " |",
        "|---:|" + "---:|" * len(counts),
    ]
    for length, own in found.items():
        lines.append(
            f"| {length:,} | " + " | ".join(f"{own[count]:.1f}" if count in own else "" for count in counts) + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
