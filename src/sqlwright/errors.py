"""Error classes: each says what was expected, what was found, where, and what to do.

Every error that a user can cause derives from `SQLWrightError`; the command line turns it into one
message on stderr and the exit code of its category. Anything else is a bug and shows a traceback.
"""

from __future__ import annotations


class SQLWrightError(Exception):
    """Base of all errors meant for the user; `exit_code` is what the command line returns."""

    exit_code = 1


class RecipeError(SQLWrightError, ValueError):
    """The recipe or the command line is wrong (exit code 2)."""

    exit_code = 2


class DataError(SQLWrightError, ValueError):
    """An input file is missing, malformed or contradicts another one (exit code 3)."""

    exit_code = 3


class DatabaseError(SQLWrightError, RuntimeError):
    """A database can't be opened, or a query was refused or failed (exit code 4)."""

    exit_code = 4


class ModelError(SQLWrightError, RuntimeError):
    """A model, an adapter or the hardware it needs is missing or doesn't fit (exit code 5)."""

    exit_code = 5


class PartialResultError(SQLWrightError, RuntimeError):
    """Some of the work was done and the rest could not be (exit code 6)."""

    exit_code = 6


class RunLockedError(SQLWrightError, RuntimeError):
    """Another process works on this run (exit code 7)."""

    exit_code = 7
