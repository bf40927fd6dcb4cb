"""How much of Spider's dev golds can be translated to another engine with the same results.

    python bench/dialects.py SPIDER --to duckdb --to postgresql://maker@localhost --to mysql://maker@localhost

SPIDER is the unpacked folder with `dev_gold.sql` and `database`. Prints the share per engine with its 95 % interval,
and the reasons of the others; `--every 8` takes every eighth gold. Servers need a role that may make databases.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from sqlwright.databases import Executor
from sqlwright.datasets.locate import find_database
from sqlwright.evaluation.dialects import Gold, share_table, translate_golds
from sqlwright.evaluation.spider_files import read_gold_file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("spider", type=Path)
    parser.add_argument("--to", action="append", required=True, help="duckdb, or a server's URL")
    parser.add_argument("--every", type=int, default=1, help="take every Nth gold")
    parser.add_argument("--json", type=Path, help="write shares and failures to this file")
    arguments = parser.parse_args()
    golds = [
        Gold(index, one.database, find_database(arguments.spider / "database", one.database), one.gold)
        for index, one in enumerate(read_gold_file(arguments.spider / "dev_gold.sql"))
    ][:: arguments.every]
    found = []
    with Executor(workers=1) as executor, tempfile.TemporaryDirectory() as scratch:
        for place in arguments.to:
            start = time.perf_counter()
            own = list(translate_golds(golds, place, Path(scratch), executor))
            found += own
            for engine, share in share_table(own).items():
                print(
                    f"{engine}: {share['kept']} of {share['golds']} golds kept, {share['share']:.4f} "
                    f"({share['low']:.4f} to {share['high']:.4f}), {time.perf_counter() - start:.0f} s"
                )
                print("  " + ", ".join(f"{name} {count}" for name, count in share["reasons"].items()), flush=True)
    if arguments.json:
        failed = [
            {"index": one.index, "engine": one.engine, "reason": one.reason, "detail": one.detail, "gold": one.gold}
            | {"sql": one.sql}
            for one in found
            if not one.kept
        ]
        arguments.json.write_text(json.dumps({"engines": share_table(found), "failed": failed}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
