"""SQLWright: a workshop for text-to-SQL models, on your own machine."""

__version__ = "0.1.0"
