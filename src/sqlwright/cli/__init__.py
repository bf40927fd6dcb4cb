"""The command `sqlwright`: one file per verb, each of which parses, calls and prints.

`commands` names the verbs, `app` runs one and turns errors into messages and exit codes, `terminal` draws
progress, `tables` prints rows. Heavy imports live inside functions: the page of help needs none of them.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code; the page of help is printed without the parser."""
    words = sys.argv[1:]
    if words in ([], ["--help"], ["-h"], ["help"], ["--version"]):
        from sqlwright.cli.commands import first_page

        sys.exit(first_page(words))
    from sqlwright.cli.app import run

    sys.exit(run(words))
