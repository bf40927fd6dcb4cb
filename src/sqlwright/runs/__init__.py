"""Runs: the run folder, its manifest, its stages and its report."""
