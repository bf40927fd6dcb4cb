"""Score predictions: one metric per file, each from files or verdicts to scores with intervals.

`robust` is the metric of SQLWright's own reports; `spider`, `bird`, `sql_eval`, `viggo` and `code` reproduce the
benchmarks' own; `statistics` and `comparison` say how much a number means.
"""
