"""Spider's official parser: SQL text and a schema in, a `Query` out.

It accepts what the official parser accepts, wrong turns included, because hardness and exact set match are
defined by it: aliases need AS and are global to the text, a name without a prefix belongs to the first table
of the FROM clause that has it, an `or` after a column on the right-hand side is swallowed, text after the
query is ignored. Where the official parser would stop the whole run, `SpiderSyntaxError` is raised.

Not covered, as in the original: column aliases, outer joins, comma joins, IS NULL, EXISTS, CASE, functions
and window functions. Schemas are read from databases in `sqlwright.evaluation.spider`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlwright.sql.spider_query import (
    AGGREGATES,
    ALL_COLUMNS,
    ARITHMETIC,
    COMPARISONS,
    SET_OPERATORS,
    Column,
    Condition,
    Conditions,
    Expression,
    Order,
    Query,
    Selected,
    Value,
)
from sqlwright.sql.spider_words import SpiderSyntaxError, spider_words

Schema = Mapping[str, tuple[str, ...]]
"""Column names by table name, all in lower case, in the order of the database."""

# Queries within each other, far above real ones, so that no walk through a structure meets Python's own limit.
MOST_NESTED = 60

_CLAUSES = ("select", "from", "where", "group", "order", "limit", "intersect", "union", "except")
_JOIN_WORDS = ("join", "on", "as")
_CLAUSE_ENDS = (*_CLAUSES, ")", ";")


def parse_spider(sql: str, schema: Schema) -> Query:
    """Return the structure of `sql` on a database with `schema`.

    Raises:
        SpiderSyntaxError: the text is outside the grammar, or names a table or column that isn't there.
    """
    words = spider_words(sql)
    return _Parser(words, schema, _tables_by_alias(words, schema)).query()


def _tables_by_alias(words: list[str], schema: Schema) -> dict[str, str]:
    """Return what stands before each AS by the word after it, and each table by its own name."""
    tables: dict[str, str] = {}
    for place, word in enumerate(words):
        if word == "as":
            if place + 1 == len(words):
                raise SpiderSyntaxError("nothing follows AS")
            tables[words[place + 1]] = words[place - 1]
    for table in schema:
        if table in tables:
            raise SpiderSyntaxError(f"the alias {table} is also the name of a table")
        tables[table] = table
    return tables


class _Parser:
    """Recursive descent over words; `at` is the place of the next word."""

    def __init__(self, words: list[str], schema: Schema, tables: dict[str, str]) -> None:
        self.words = words
        self.schema = schema
        self.tables = tables
        self.at = 0
        self.depth = 0

    def query(self) -> Query:
        """Read a SELECT statement, in brackets or not, with what a set operator adds to it."""
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise SpiderSyntaxError(f"more than {MOST_NESTED} queries within each other")
        start = self.at
        in_brackets = self.skip("(")
        select_at = self.at
        tables, joins, sources = self.from_clause(start)
        after_from, self.at = self.at, select_at
        distinct, select = self.select_clause(sources)
        self.at = after_from
        where = self.condition_list(sources) if self.skip("where") else ()
        group = self.group_clause(sources)
        having = self.condition_list(sources) if self.skip("having") else ()
        order = self.order_clause(sources)
        limit = self.limit_clause()
        self.skip_semicolons()
        if in_brackets:
            self.expect(")")
        self.skip_semicolons()
        operands: dict[str, Query] = {}
        if self.peek() in SET_OPERATORS:
            operator = self.next()
            operands[operator] = self.query()
        self.depth -= 1
        return Query(
            distinct=distinct,
            select=select,
            tables=tables,
            joins=joins,
            where=where,
            group=group,
            having=having,
            order=order,
            limit=limit,
            intersect=operands.get("intersect"),
            union=operands.get("union"),
            except_=operands.get("except"),
        )

    def from_clause(self, start: int) -> tuple[tuple[str | Query, ...], Conditions, list[str]]:
        """Read the first FROM clause at or after `start`: its tables, its ON conditions, its table names."""
        try:
            self.at = self.words.index("from", start) + 1
        except ValueError:
            raise SpiderSyntaxError("a SELECT without FROM") from None
        tables: list[str | Query] = []
        joins: Conditions = ()
        sources: list[str] = []
        while self.at < len(self.words):
            in_brackets = self.skip("(")
            if self.word() == "select":
                tables.append(self.query())
            else:
                self.skip("join")
                table = self.table()
                tables.append(table)
                sources.append(table)
            if self.skip("on"):
                found = self.condition_list(sources)
                joins = (*joins, "and", *found) if joins else found
            if in_brackets:
                self.expect(")")
            if self.peek() in _CLAUSE_ENDS:
                break
        return tuple(tables), joins, sources

    def table(self) -> str:
        """Read a table with its alias; return the table's own name."""
        word = self.next()
        name = self.tables.get(word)
        if name is None or name not in self.schema:
            raise SpiderSyntaxError(f"no table is called {word}")
        if self.peek() == "as":
            self.at += 2
        return name

    def select_clause(self, sources: list[str]) -> tuple[bool, tuple[Selected, ...]]:
        """Read SELECT up to FROM: whether it is distinct, and its items."""
        self.expect("select")
        distinct = self.skip("distinct")
        items: list[Selected] = []
        while self.at < len(self.words) and self.words[self.at] not in _CLAUSES:
            aggregate = self.next() if self.word() in AGGREGATES else "none"
            items.append(Selected(aggregate, self.expression(sources)))
            self.skip(",")
        return distinct, tuple(items)

    def group_clause(self, sources: list[str]) -> tuple[Column, ...]:
        """Read GROUP BY: its columns in order, none if there is no such clause."""
        columns: list[Column] = []
        if self.skip("group"):
            self.expect("by")
            while self.at < len(self.words) and self.words[self.at] not in _CLAUSE_ENDS:
                columns.append(self.column(sources))
                if not self.skip(","):
                    break
        return tuple(columns)

    def order_clause(self, sources: list[str]) -> Order | None:
        """Read ORDER BY; the last direction written holds for the whole list."""
        if not self.skip("order"):
            return None
        self.expect("by")
        direction = "asc"
        by: list[Expression] = []
        while self.at < len(self.words) and self.words[self.at] not in _CLAUSE_ENDS:
            by.append(self.expression(sources))
            if self.peek() in ("asc", "desc"):
                direction = self.next()
            if not self.skip(","):
                break
        return Order(direction, tuple(by))

    def limit_clause(self) -> bool:
        """Read LIMIT and the word after it; whether it is there is all that counts."""
        if not self.skip("limit"):
            return False
        self.next()
        return True

    def condition_list(self, sources: list[str]) -> Conditions:
        """Read conditions joined by AND and OR up to the end of the clause."""
        items: list[Condition | str] = []
        while self.at < len(self.words):
            if len(items) % 2:
                raise SpiderSyntaxError(f"neither AND nor OR before {self.word()}")
            items.append(self.condition(sources))
            if self.peek() in (*_CLAUSE_ENDS, *_JOIN_WORDS):
                break
            if self.peek() in ("and", "or"):
                items.append(self.next())
        return tuple(items)

    def condition(self, sources: list[str]) -> Condition:
        """Read one comparison."""
        left = self.expression(sources)
        self.word()
        negated = self.skip("not")
        comparison = self.next()
        if comparison not in COMPARISONS:
            raise SpiderSyntaxError(f"{comparison} stands where a comparison was expected")
        value = self.value(sources)
        second: Value = None
        if comparison == "between":
            self.expect("and")
            second = self.value(sources)
        return Condition(negated, comparison, left, value, second)

    def value(self, sources: list[str]) -> Value:
        """Read the right-hand side of a comparison: a sub-query, a string, a number or a column."""
        start = self.at
        in_brackets = self.skip("(")
        word = self.word()
        value: Value
        if word == "select":
            value = self.query()
        elif '"' in word:
            value = self.next()
        elif (number := _number(word)) is not None:
            self.at += 1
            value = number
        else:
            # The column may use any words up to the end found here; what it leaves over is lost.
            end = self.at
            while end < len(self.words) and self.words[end] not in (",", ")", "and", *_CLAUSES, *_JOIN_WORDS):
                end += 1
            value = _Parser(self.words[start:end], self.schema, self.tables).column(sources)
            self.at = end
        if in_brackets:
            self.expect(")")
        return value

    def expression(self, sources: list[str]) -> Expression:
        """Read a column, or two with an arithmetic operator between them."""
        in_brackets = self.skip("(")
        left = self.column(sources)
        operator = "none"
        right = None
        if self.peek() in ARITHMETIC:
            operator = self.next()
            right = self.column(sources)
        if in_brackets:
            self.expect(")")
        return Expression(operator, left, right)

    def column(self, sources: list[str]) -> Column:
        """Read a column with its aggregate and DISTINCT."""
        in_brackets = self.skip("(")
        if self.word() in AGGREGATES:
            aggregate = self.next()
            self.expect("(")
            distinct = self.skip("distinct")
            name = self.column_name(sources)
            self.expect(")")
            return Column(aggregate, name, distinct)
        distinct = self.skip("distinct")
        name = self.column_name(sources)
        if in_brackets:
            self.expect(")")
        return Column("none", name, distinct)

    def column_name(self, sources: list[str]) -> str:
        """Read a column's name; return it as `table.column`, or `*`."""
        word = self.next()
        if word == ALL_COLUMNS:
            return ALL_COLUMNS
        if "." in word:
            prefix, _, column = word.partition(".")
            table = self.tables.get(prefix)
            if table is None or column not in self.schema.get(table, ()):
                raise SpiderSyntaxError(f"no column is called {word}")
            return f"{table}.{column}"
        for table in sources:
            if word in self.schema[table]:
                return f"{table}.{word}"
        raise SpiderSyntaxError(f"no table of the FROM clause has a column {word}")

    def peek(self) -> str:
        """Return the next word, or nothing at the end."""
        return self.words[self.at] if self.at < len(self.words) else ""

    def word(self) -> str:
        """Return the next word; raise at the end."""
        if self.at >= len(self.words):
            raise SpiderSyntaxError("the query ends too early")
        return self.words[self.at]

    def next(self) -> str:
        """Return the next word and pass it; raise at the end."""
        word = self.word()
        self.at += 1
        return word

    def skip(self, word: str) -> bool:
        """Pass the next word if it is `word`; return whether it was."""
        found = self.peek() == word
        self.at += found
        return found

    def expect(self, word: str) -> None:
        """Pass the next word, which must be `word`."""
        found = self.next()
        if found != word:
            raise SpiderSyntaxError(f"expected {word}, found {found}")

    def skip_semicolons(self) -> None:
        """Pass any semicolons."""
        while self.skip(";"):
            pass


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
