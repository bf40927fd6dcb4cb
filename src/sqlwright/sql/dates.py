"""Dates between engines that have a type for them and SQLite, which keeps them as texts and calls functions on these.

Not covered: time zones, numbers of weeks, intervals that aren't written out, what no function of SQLite does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
_DAY_SECONDS = {"DAY": 1, "HOUR": 24, "MINUTE": 24 * 60, "SECOND": 24 * 60 * 60}
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
_NAMES: dict[str, tuple[str, Sequence[str]]] = {
    **dict.fromkeys(("%B", "Month", "FMMonth"), ("%m", _MONTHS)),
    **dict.fromkeys(("%b", "Mon"), ("%m", [name[:3] for name in _MONTHS])),
    **dict.fromkeys(("%A", "%W", "Day", "FMDay"), ("%w", _DAYS)),
    **dict.fromkeys(("%a", "Dy"), ("%w", [name[:3] for name in _DAYS])),
}
"""What SQLite's strftime gives of a date and the words for it, by the formats that ask for these words."""


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
    _lengths(tree)
    _parts(tree)
    _words(tree)
    for cut in list(tree.find_all(exp.TimestampTrunc, exp.DateTrunc)):
        unit = cut.text("unit").upper()
        if unit in _STARTS:
            cut.replace(call("datetime", cut.this, exp.Literal.string(_STARTS[unit])))
        elif unit.startswith("WEEK"):
            cut.replace(call("datetime", cut.this, *map(exp.Literal.string, ("-6 days", "weekday 1", "start of day"))))
    for end in list(tree.find_all(exp.LastDay)):
        ways = ("start of month", "+1 month", "-1 day")
        end.replace(call("date", _bare(end.this), *map(exp.Literal.string, ways)))
    _steps(tree)
    for now in list(tree.find_all(exp.Localtimestamp)):
        now.replace(exp.CurrentTimestamp())
    for one in list(tree.find_all(exp.Cast)):
        if one.is_type("date"):
            one.replace(call("date", one.this))
        elif one.is_type("timestamp", "datetime"):
            one.replace(call("datetime", one.this))


def _lengths(tree: exp.Expr) -> None:
    """Write the time between two dates in units as arithmetic on days."""
    for part in list(tree.find_all(exp.Extract)):
        span, unit = part.expression, "SECOND" if part.name.upper() == "EPOCH" else part.name.upper()
        span = span.this if isinstance(span, exp.Paren) else span
        if isinstance(span, exp.Sub) and not isinstance(span.expression, exp.Interval) and unit in _DAY_SECONDS:
            part.replace(_between(span.this, span.expression, unit))
        elif isinstance(span, exp.Anonymous) and span.name.upper() == "AGE" and unit == "YEAR":
            later, earlier = ([exp.CurrentDate()] if len(span.expressions) == 1 else []) + span.expressions
            part.replace(_between(later, earlier, unit))
    for one in list(tree.find_all(exp.DateDiff, exp.TimestampDiff)):
        unit = one.text("unit").upper() or "DAY"
        if unit in _DAY_SECONDS or (unit == "YEAR" and isinstance(one, exp.TimestampDiff)):
            one.replace(_between(_bare(one.this), _bare(one.expression), unit))
        elif unit == "YEAR":
            one.replace(exp.Sub(this=_number("%Y", _bare(one.this)), expression=_number("%Y", _bare(one.expression))))


def _between(later: exp.Expr, earlier: exp.Expr, unit: str) -> exp.Expr:
    """Return the whole units from one date to another: full years, and days, hours, minutes, seconds of time passed."""
    if unit == "YEAR":  # a year is full on the same month and day: 2026.0304 - 2020.0305 is less than 6
        form = exp.Literal.string("%Y.%m%d")
        sides = [call("strftime", form, one) for one in (later, earlier)]
        return exp.cast(exp.paren(exp.Sub(this=sides[0], expression=sides[1])), "bigint")
    days = exp.paren(exp.Sub(this=call("julianday", later), expression=call("julianday", earlier)))
    many = _DAY_SECONDS[unit]
    return exp.cast(
        days if many == 1 else call("round", exp.Mul(this=days, expression=exp.Literal.number(many))), "bigint"
    )


def _parts(tree: exp.Expr) -> None:
    """Write the year, month and so on of a date as numbers out of its text."""
    for part in list(tree.find_all(exp.Extract)):
        unit = part.name.upper()
        if unit in _PARTS:
            part.replace(_number(_PARTS[unit], part.expression))
        elif unit == "QUARTER":
            part.replace(_quarter(part.expression))
    for kind, form in _FUNCTIONS.items():
        for call in list(tree.find_all(kind)):
            call.replace(_number(form, _bare(call.this)))
    for call in list(tree.find_all(exp.Quarter)):
        call.replace(_quarter(_bare(call.this)))


def _quarter(date: exp.Expr) -> exp.Expr:
    months = exp.paren(exp.Add(this=_number("%m", date), expression=exp.Literal.number(2)))
    return exp.Div(this=months, expression=exp.Literal.number(3), typed=True)


def _words(tree: exp.Expr) -> None:
    """Write the names of months and days of the week as cases of their numbers."""
    for text in list(tree.find_all(exp.TimeToStr)):
        if text.text("format") in _NAMES:
            text.replace(_name(text.text("format"), _bare(text.this)))
    for kind, form in ((exp.Dayname, "%A"), (exp.Monthname, "%B")):
        for call in list(tree.find_all(kind)):
            call.replace(_name(form, _bare(call.this)))


def _name(form: str, date: exp.Expr) -> exp.Case:
    part, names = _NAMES[form]
    cases = exp.Case(this=_number(part, date))
    for number, name in enumerate(names, 1 if part == "%m" else 0):
        cases = cases.when(exp.Literal.number(number), exp.Literal.string(name), copy=False)
    return cases


def _steps(tree: exp.Expr) -> None:
    """Write dates so many days, months and so on before or after others as SQLite's modifiers."""
    for step in list(tree.find_all(exp.Add, exp.Sub)):
        interval = step.expression
        if isinstance(interval, exp.Interval) and isinstance(interval.this, exp.Literal):
            _step(step, "-" if isinstance(step, exp.Sub) else "+", interval.this.name, interval.text("unit"))
    for moved in list(tree.find_all(exp.DateAdd, exp.DateSub, exp.DatetimeAdd, exp.DatetimeSub)):
        amount = moved.expression
        negative = isinstance(amount, exp.Neg)
        amount = amount.this if negative else amount
        if isinstance(amount, exp.Literal):
            back = negative ^ isinstance(moved, (exp.DateSub, exp.DatetimeSub)) ^ amount.name.startswith("-")
            _step(moved, "-" if back else "+", amount.name.removeprefix("-"), moved.text("unit"))


def _step(step: exp.Expr, sign: str, amount: str, unit: str) -> None:
    unit = unit.lower().removesuffix("s")
    factor, unit = {"week": (7, "day"), "quarter": (3, "month")}.get(unit, (1, unit))
    if factor > 1 and amount.isdigit():
        amount = str(factor * int(amount))
    unit = f"{unit}{'' if amount == '1' else 's'}" if unit else ""
    start = _bare(step.this)
    name = "date" if isinstance(start, exp.CurrentDate) or _is_date(start) else "datetime"
    step.replace(call(name, start, exp.Literal.string(f"{sign}{amount} {unit}".strip())))


def _bare(value: exp.Expr) -> exp.Expr:
    """Return the value within what a parser put around it to say that it is a time."""
    while isinstance(value, exp.TsOrDsToTimestamp | exp.TsOrDsToDate | exp.TimeStrToTime):
        value = value.this
    return value


def _is_date(value: exp.Expr) -> bool:
    if isinstance(value, exp.Literal):
        return re.fullmatch(r"\d{4}-\d\d-\d\d", value.name) is not None
    return isinstance(value, exp.Cast) and value.is_type("date")


def _number(form: str, date: exp.Expr) -> exp.Expr:
    """Return a part of a date as a number."""
    return exp.cast(call("strftime", exp.Literal.string(form), date), "bigint")


def call(name: str, *values: exp.Expr) -> exp.Anonymous:
    """Return a function of SQLite's with copies of its values."""
    return exp.Anonymous(this=name, expressions=[value.copy() for value in values])
