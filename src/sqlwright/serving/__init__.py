"""Serving: a model put to work on a database."""
