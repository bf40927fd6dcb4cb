"""Dates between engines that have a type for them and SQLite, which keeps them as texts and calls functions on these.

Not covered: time zones, weeks, intervals that aren't written out, what no function of SQLite does.
"""

from __future__ import annotations

from sqlglot import exp

_PARTS = {
    "YEAR": "%Y",
    "MONTH": "%m",
    "DAY": "%d",
    "HOUR": "%H",
    "MINUTE": "%M",
    "SECOND": "%S",
    "DOW": "%w",
    "DOY": "%j",
    "EPOCH": "%s",
}
_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Year: "%Y",
    exp.Month: "%m",
    exp.Day: "%d",
    exp.DayOfMonth: "%d",
    exp.Hour: "%H",
    exp.Minute: "%M",
    exp.Second: "%S",
}
_STARTS = {"YEAR": "start of year", "MONTH": "start of month", "DAY": "start of day"}


def texts_as_dates(tree: exp.Expr) -> None:
    """Make what SQLite formats as a time a timestamp: there it is a text."""
    for node in list(tree.find_all(exp.TimeToStr)):
        node.set("this", exp.cast(_bare(node.this).copy(), "timestamp"))


def drop_zones(tree: exp.Expr) -> None:
    """Make times in MySQL what they are for its own queries: times without a zone."""
    for node in list(tree.find_all(exp.Cast)):
        if node.is_type("timestamptz", "timestampltz"):
            node.set("to", exp.DataType.build("timestamp"))


def dates_as_texts(tree: exp.Expr) -> None:
    """Write the operations on dates as calls of SQLite's functions, as far as it has them."""
    for part in list(tree.find_all(exp.Extract)):
        form = _PARTS.get(part.name.upper())
        if form:
            part.replace(exp.cast(_call("strftime", exp.Literal.string(form), part.expression), "bigint"))
    for kind, form in _FUNCTIONS.items():
        for call in list(tree.find_all(kind)):
            call.replace(exp.cast(_call("strftime", exp.Literal.string(form), _bare(call.this)), "bigint"))
    for cut in list(tree.find_all(exp.TimestampTrunc, exp.DateTrunc)):
        start = _STARTS.get(cut.text("unit").upper())
        if start:
            cut.replace(_call("datetime", cut.this, exp.Literal.string(start)))
    for step in list(tree.find_all(exp.Add, exp.Sub)):
        interval = step.expression
        if isinstance(interval, exp.Interval) and isinstance(interval.this, exp.Literal):
            sign = "-" if isinstance(step, exp.Sub) else "+"
            length = f"{sign}{interval.this.name} {interval.text('unit').lower()}".strip()
            name = "date" if isinstance(step.this, exp.CurrentDate) or _is_date(step.this) else "datetime"
            step.replace(_call(name, step.this, exp.Literal.string(length)))
    for one in list(tree.find_all(exp.Cast)):
        if one.is_type("date"):
            one.replace(_call("date", one.this))
        elif one.is_type("timestamp", "datetime"):
            one.replace(_call("datetime", one.this))


def _bare(value: exp.Expr) -> exp.Expr:
    """Return the value within what a parser put around it to say that it is a time."""
    while isinstance(value, exp.TsOrDsToTimestamp | exp.TsOrDsToDate):
        value = value.this
    return value


def _is_date(value: exp.Expr) -> bool:
    return isinstance(value, exp.Cast) and value.is_type("date")


def _call(name: str, *values: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[value.copy() for value in values])
