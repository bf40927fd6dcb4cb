"""SQLWright: a workshop for text-to-SQL models, on your own machine.

`sqlwright.ask(question, database)` answers a question as the command does; recipes are read by
`recipe_file.read_recipe` and run by `pipeline.run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlwright.serving.ask import ask as ask

__version__ = "0.1.0"
__all__ = ["__version__", "ask"]


def __getattr__(name: str) -> Any:
    """Return a public name, imported when it is first asked for: `sqlwright --help` waits for no model."""
    if name == "ask":
        from sqlwright.serving.ask import ask

        return ask
    raise AttributeError(f"module 'sqlwright' has no attribute {name!r}")
