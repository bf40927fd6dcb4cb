"""The page docs/score.md is a session: its commands run in order, and print what the page says they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "score.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def test_the_session_runs_as_written(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 6
    assert sum(bool(expected) for _, expected in blocks) == 5
    scripts = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for command, expected in blocks:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        found = (done.stdout + done.stderr).rstrip("\n").splitlines()
        shown = [line.rstrip() for line in found]
        if expected.endswith("…\n"):  # the page shows how the official table begins
            wanted = expected.splitlines()[:-1]
            shown = shown[: len(wanted)]
        else:
            wanted = expected.splitlines()
        assert shown == wanted
