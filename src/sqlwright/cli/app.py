"""Runs one verb and turns what goes wrong into one message on stderr and the exit code of its kind.

Exit codes: 0 ok, 1 ran and the answer is no, 2 usage or recipe, 3 bad input data, 4 database or query refused or
failed, 5 model or hardware missing, 6 partial result, 7 another process holds the run, 70 a bug, 130 Ctrl-C, 143
SIGTERM. A user's mistake never shows a traceback; `SQLWRIGHT_DEBUG=1` does.

Not covered: what the verbs do.
"""

from __future__ import annotations

import difflib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from sqlwright.cli.commands import GROUPS
from sqlwright.cli.tables import safe
from sqlwright.errors import SQLWrightError

if TYPE_CHECKING:
    from cyclopts import App

USAGE, DATA, MODEL, BUG, INTERRUPTED, TERMINATED = 2, 3, 5, 70, 130, 143

_EXTRAS = {
    "xllamacpp": "gguf",
    "torch": "train",
    "transformers": "train",
    "peft": "train",
    "accelerate": "train",
    "huggingface_hub": "train",
    "bitsandbytes": "qlora",
    "gguf": "train",
    "numpy": "train",
    "openai": "hosted",
}
"""Optional packages by the extra of SQLWright that brings them."""


def build() -> App:
    """Return the parser with all verbs, each imported when it is used."""
    from cyclopts import App, Parameter

    from sqlwright import __version__
    from sqlwright.cli.help import PlainHelp

    app = App(
        name="sqlwright",
        version=__version__,
        help_format="plaintext",
        help_formatter=PlainHelp(),
        default_parameter=Parameter(negative=()),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for commands in GROUPS.values():
        for command in commands:
            module, _, attribute = command.target.partition(":")
            app.command(f"sqlwright.cli.{module}:{attribute}", name=command.name)
    return app


def run(words: Sequence[str]) -> int:
    """Run the command line `words` (without the program's name) and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a database may hold text that no terminal can show
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _guarded(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_stdout()
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def _guarded(words: Sequence[str]) -> int:
    """Return the verb's exit code; errors become messages."""
    from cyclopts.exceptions import CycloptsError

    verb = words[0] if words else ""
    # the parser would import every verb to say so
    if verb not in _verbs():
        near = difflib.get_close_matches(verb, _verbs(), 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return _failed(f"expected one of {', '.join(_verbs())}, found {verb!r}.{hint}\nTry: sqlwright --help", USAGE)
    try:
        result = build()(words, exit_on_error=False, print_error=False, help_on_error=False)
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        return _failed(f"{_usage_problem(error)}\nTry: sqlwright {_verb(words)}--help", USAGE)
    except SQLWrightError as error:
        return _failed(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _failed("stopped by Ctrl-C.", INTERRUPTED)
    except SystemExit as error:
        if error.code != TERMINATED:
            raise
        return _failed("stopped by SIGTERM.", TERMINATED)
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _failed(
            f"this needs the package {error.name}, which is not installed. Run: pip install '.[{extra}]'",
            MODEL,
        )
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        return _failed(f"{place}{error.strerror or error}.", DATA)
    except Exception as error:
        _show_traceback()
        return _failed(f"this is a bug in SQLWright ({type(error).__name__}); please report the lines above.", BUG)


def _failed(message: str, code: int) -> int:
    """Print a message on stderr and return the exit code; with SQLWRIGHT_DEBUG the traceback comes first."""
    if os.environ.get("SQLWRIGHT_DEBUG", "") not in ("", "0") and code != BUG:
        _show_traceback()
    try:
        print(f"sqlwright: {safe(message, keep_lines=True)}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return code


def _show_traceback() -> None:
    import traceback

    traceback.print_exc()


def _usage_problem(error: Exception) -> str:
    """Return the parser's complaint as one plain paragraph."""
    return " ".join(str(error).split())


def _verb(words: Sequence[str]) -> str:
    """Return the verb in `words` with a space after it, or nothing where there is none."""
    return f"{words[0]} " if words and words[0] in _verbs() else ""


def _verbs() -> list[str]:
    return [command.name for commands in GROUPS.values() for command in commands]


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)  # on its way out, files are closed and workers ended


def _drop_stdout() -> None:
    """Point stdout at nothing: its reader has left, and the interpreter flushes it once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
