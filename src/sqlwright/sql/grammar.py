"""A grammar of SELECT statements in SQLite's dialect that names only what a schema has.

It is written in llguidance's variant of Lark, which both engines read: llama.cpp through the copy built into xllamacpp,
torch through the package `llguidance`. Tables and columns are the schema's, in any case and in any of SQLite's quotes;
a column behind a table's name is one of that table. A context-free grammar reads from left to right and can't compare
names, hence:

- An alias of a table is a letter, with a number or without (`c`, `T1`), or the initials of a table (`il` for
  `InvoiceLine`), and behind it any column of the schema may stand: which table it is an alias of is said later, in
  FROM. Were longer ones allowed, a model that wants to write `salary` would end up with `sal.age`.
- Names that a query gives itself (`count(*) AS n`, `WITH best AS`) may be used behind the place that gives them, and
  there any name passes: in GROUP BY, HAVING and ORDER BY behind a named result, in all of these, ON and WHERE behind a
  query in FROM that names results, and everywhere behind a WITH. Queries that name nothing have no such place.

A lexeme holds the spaces that it needs before or behind itself, so that no word runs into the next: `singers` is not
the table `singer` with the alias `s`. No lexeme ends where a longer one has begun to match and fails: the lexer takes
the longest and never goes back.

Not covered: whether aliases, types and the number of arguments fit; comments; functions that SQLite lacks; other
dialects. Texts in double quotes, which SQLite reads as values where no column is called so, pass whatever they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlwright.databases import Schema
from sqlwright.errors import DatabaseError
from sqlwright.sql.names import KEYWORDS, quoted

# fmt: off
_WORDS = {
    "FUNCTION": (
        "abs", "avg", "ceil", "ceiling", "char", "coalesce", "concat", "concat_ws", "count", "cume_dist", "date",
        "datetime", "dense_rank", "exp", "first_value", "floor", "format", "glob", "group_concat", "hex", "ifnull",
        "iif", "instr", "julianday", "lag", "last_value", "lead", "length", "like", "ln", "log", "log10", "log2",
        "lower", "ltrim", "max", "min", "mod", "nth_value", "ntile", "nullif", "percent_rank", "pow", "power", "printf",
        "quote", "random", "rank", "replace", "round", "row_number", "rtrim", "sign", "sqrt", "strftime", "string_agg",
        "substr", "substring", "sum", "time", "timediff", "total", "trim", "trunc", "typeof", "unicode", "unixepoch",
        "upper",
    ),
    "TYPE": (
        "bigint", "blob", "boolean", "char", "date", "datetime", "decimal", "double", "float", "int", "integer",
        "numeric", "real", "smallint", "text", "timestamp", "varchar",
    ),
}
# What is no name, beside SQLite's keywords: words that end a clause or go on behind one.
_NO_NAMES = KEYWORDS | {"END", "EXPLAIN", "GLOB", "NULLS", "OFFSET", "OVER", "RECURSIVE", "WINDOW"}
# fmt: on

# Lexemes: `<word>` stands for the word in any case, `_` for 1 to 8 spaces, `~` for 0 to 8: a model
# that may write nothing else would write spaces for ever.
_LEXEMES = {
    "SELECT": "<select>_",
    "DISTINCT": "<distinct>_",
    "BARE_DISTINCT": "<distinct>",
    "ALL": "<all>_",
    "FROM": "_<from>_",
    "JOIN": "_(<natural>_)?((<left>|<right>|<full>)_(<outer>_)?|<inner>_|<cross>_)?<join>_",
    "ON": "_<on>_",
    "USING": "_<using>",
    "WHERE": "_<where>_",
    "GROUP": "_<group>_<by>_",
    "HAVING": "_<having>_",
    "ORDER": "_<order>_<by>_",
    "LIMIT": "_<limit>_",
    "OFFSET": "_<offset>_",
    "UNION": "_<union>_",
    "SET": "_(<intersect>|<except>)_",
    "WITH": "<with>_",
    "RECURSIVE": "<recursive>_",
    "AS": "_<as>_",
    "IS_A_QUERY": "_<as>",
    "LOGIC": "_(<and>|<or>)_",
    "CLOSE_LOGIC": r"~\)(<and>|<or>)_",
    "NOT": "<not>_",
    "EXISTS": "<exists>",
    "IN": "_(<not>_)?<in>",
    "BETWEEN": "_(<not>_)?<between>_",
    "AND": "_<and>_",
    "LIKE": "_(<not>_)?(<like>|<glob>)_",
    "ESCAPE": "_<escape>_",
    "IS": "_<is>_",
    "COLLATE": "_<collate>_(<nocase>|<binary>|<rtrim>)",
    "CASE": "<case>_",
    "FIRST_WHEN": "<when>_",
    "WHEN": "_<when>_",
    "THEN": "_<then>_",
    "ELSE": "_<else>_",
    "END": "_<end>",
    "CAST": "<cast>",
    "OVER": "_<over>",
    "PARTITION": "<partition>_<by>_",
    "FIRST_ORDER": "<order>_<by>_",
    "DIRECTION": "_(<asc>|<desc>)",
    "NULLS": "_<nulls>_(<first>|<last>)",
    "COMPARED": "~(==?|!=|<>|[<>]=?)~",
    "OPERATOR": r"~(\|\||[+*\/%-])~",
    "SIGN": "-~",
    "STAR": r"\*",
    "OPEN": r"~\(~",
    "CLOSE": r"~\)",
    "COMMA": "~,~",
    "DOT": r"~\.~",
    "NUMBER": r"[0-9]+(\.[0-9]*)?|\.[0-9]+",
    "TEXT": "'([^'\\n\\x00]|'')*'",
    "QUOTED": '"([^"\\n\\x00]|"")*"',
    "CONSTANT": "<null>|<true>|<false>|<current_date>|<current_time>|<current_timestamp>",
    "SPACE": "_",
    "FENCE": "~```(<sql>(<ite>)?)?~",
    "THE_END": "~;~(```~)?|~```~|_",
    "FIRST_FROM": "<from>_",
    "NEXT_SELECT": "_<select>_",
    "WORD": r"[A-Za-z\x5f][A-Za-z0-9\x5f]*",
}

# Rules of every kind of place; `@` is the kind: in `s` only what the schema has is named, in `o` also what a query has
# named itself, in `c`, behind a WITH, also tables of its own, and in `f`, where no FROM follows, no column.
_RULES = """
expr@: (condition@ LOGIC | closed@ CLOSE_LOGIC)* condition@
closed@: NOT* (EXISTS OPEN query@ | OPEN expr@)
condition@: NOT* (EXISTS OPEN query@ CLOSE | sum@ compared@?)
compared@: (COMPARED sum@)+ | BETWEEN sum@ AND sum@ | IN OPEN (query@ | expr@ (COMMA expr@)*) CLOSE
    | LIKE sum@ (ESCAPE TEXT)? | IS NOT? sum@
sum@: SIGN? value@ (OPERATOR value@)* COLLATE?
value@: NUMBER | TEXT | QUOTED | CONSTANT | column@ | OPEN (query@ | expr@) CLOSE | call@
    | CASE (FIRST_WHEN | expr@ WHEN) expr@ THEN expr@ (WHEN expr@ THEN expr@)* (ELSE expr@)? END
    | CAST OPEN expr@ AS type CLOSE
call@: FUNCTION OPEN (STAR | DISTINCT? expr@ (COMMA expr@)* | distinct@ (COMMA expr@)*)? CLOSE over@?
distinct@: BARE_DISTINCT OPEN expr@ CLOSE
over@: OVER OPEN (PARTITION expr@ (COMMA expr@)* (ORDER terms@)? | FIRST_ORDER terms@)? CLOSE
terms@: term@ (COMMA term@)*
term@: expr@ DIRECTION? NULLS?
result@: STAR | star@ | expr@
any_result@: result@ | expr@ NAMED
first@: (DISTINCT | ALL)? result@ | distinct@
any_first@: (DISTINCT | ALL)? any_result@ | distinct@ NAMED?
results@: first@ (COMMA result@)*
any_results@: any_first@ (COMMA any_result@)*
on@: ON expr@ | USING OPEN COLUMN (COMMA COLUMN)* CLOSE
where@: WHERE expr@
group@: GROUP expr@ (COMMA expr@)* (HAVING expr@)?
order@: ORDER terms@
"""

# Queries that name nothing (`plain`), that name results (`naming`), and that begin with WITH.
_QUERIES = """
start: (FENCE | SPACE)? query_s THE_END?
query_s: plain | naming | WITH (cte_s | RECURSIVE cte_c) (COMMA cte_c)* SPACE? query_c
plain: select_s (set select_s)* order_s? limit?
naming: (select_s set)* select_n (set (select_s | select_n))* order_o? limit?
query_o: select_o (set select_o)* order_o? limit?
query_c: select_c (set select_c)* order_c? limit?
query_f: query_s
cte_s: NAME (OPEN NAME (COMMA NAME)* CLOSE)? IS_A_QUERY OPEN query_s CLOSE
cte_c: NAME (OPEN NAME (COMMA NAME)* CLOSE)? IS_A_QUERY OPEN query_c CLOSE
from_s: relation_s (join relation_s on_s?)*
from_n: (own | from_s join own on_o?) (join (relation_s | own) on_o?)*
from_o: relation_o (join relation_o on_o?)*
from_c: relation_c (join relation_c on_c?)*
join: JOIN | COMMA
set: UNION ALL? | SET
relation_s: TABLE ALIAS? | OPEN plain CLOSE ALIAS?
relation_o: TABLE NAMED? | OPEN query_o CLOSE NAMED?
relation_c: (TABLE | NAME) NAMED? | OPEN query_c CLOSE NAMED?
limit: LIMIT amount ((OFFSET | COMMA) amount)?
type: TYPE (OPEN NUMBER (COMMA NUMBER)? CLOSE)?
amount: NUMBER | OPEN plain CLOSE
named_results: (first_s COMMA (result_s COMMA)* | (DISTINCT | ALL)?) expr_s NAMED (COMMA any_result_s)*
column_o: COLUMN | NAME | (TABLE | NAME) DOT (COLUMN | NAME)
column_c: column_o
star_s: (TABLE | SHORT) DOT STAR
star_o: (TABLE | NAME) DOT STAR
star_c: star_o
"""


_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def sql_grammar(schema: Schema, *, ahead: bool = False, from_first: bool = False) -> str:
    """Return the grammar of SELECT statements about the schema's tables and views, for llguidance.

    With `ahead`, a SELECT may also use names that only the FROM behind it makes, such as the columns of a query there
    or longer aliases: the FROM then has to make some, but any name passes before. For decoding that would leave the
    first place where models invent columns unguarded. With `from_first`, every FROM stands before its SELECT, as models
    write it that learned such targets.

    Raises:
        DatabaseError: the schema has no columns.
    """
    if not any(table.columns for table in (*schema.tables, *schema.views)):
        raise DatabaseError(f"{schema.path}: expected a database with tables, found none in it.")
    lines = ["%llguidance {}", _QUERIES.strip()]
    lines += [_RULES.strip().replace("@", f"_{kind}") for kind in "soc"]
    lines += [_RULES.strip().replace(" | column@", "").replace("STAR | star@ | ", "").replace("@", "_f")]
    any_results = "any_results_o" if ahead or from_first else "any_results_s"
    lines += [
        "select_s: " + _select("results_s", "from_s", "where_s? group_s?", from_first) + " | SELECT results_f",
        "select_n: " + _select("named_results", "from_s", "where_s? group_o?", from_first) + " | SELECT any_results_f",
        "    | " + _select(any_results, "from_n", "where_o? group_o?", from_first),
        "select_o: " + _select("any_results_o", "from_o", "where_o? group_o?", from_first),
        "select_c: " + _select("any_results_c", "from_c", "where_c? group_c?", from_first) + " | SELECT any_results_c",
        "own: OPEN naming CLOSE NAMED?" + (" | TABLE LONG_ALIAS" if ahead else ""),
    ]
    lines += [f"{name}: /{_regex(text)}/" for name, text in _LEXEMES.items()]
    lines += [f"{name}: /{'|'.join(map(_any_case, words))}/" for name, words in _WORDS.items()]
    return "\n".join([*lines, *_own_names(), *_schema_names(schema)]) + "\n"


def _select(results: str, sources: str, rest: str, from_first: bool) -> str:
    """Return the right side of a rule for one SELECT with its clauses."""
    if from_first:
        return f"FIRST_FROM {sources} NEXT_SELECT {results} {rest}"
    return f"SELECT {results} FROM {sources} {rest}"


def _own_names() -> list[str]:
    """Return the lexemes of names that a query gives: any word but keywords, or anything in quotes."""
    keywords = "|".join(_any_case(word) for word in sorted(_NO_NAMES))
    return [
        f"NO_NAME: /{keywords}/",
        "NAME: WORD & ~NO_NAME",
        f"NAMED: /{_regex('_(<as>_)?')}/ (NAME | QUOTED | TEXT | /`[^`\\n\\x00]+`/)",
        f"ALIAS: /{_regex('_(<as>_)?')}/ (SHORT & ~NO_NAME)",
        f"LONG_ALIAS: /{_regex('_(<as>_)?')}/ (NAME & ~SHORT)",
    ]


def _schema_names(schema: Schema) -> list[str]:
    """Return the lexemes of tables and columns, and the rule of columns that the schema has."""
    tables = [table for table in (*schema.tables, *schema.views) if table.columns]
    columns = [column.name for table in tables for column in table.columns]
    lines = [f"TABLE: /{_spellings(table.name for table in tables)}/", f"COLUMN: /{_spellings(columns)}/"]
    initials = {"".join(word[0] for word in _WORD.findall(table.name)) for table in tables}
    lines.append("SHORT: /[A-Za-z][0-9]{0,2}" + "".join(f"|{_any_case(one)}" for one in sorted(initials) if one) + "/")
    choices = ["COLUMN", "SHORT DOT COLUMN"]
    for number, table in enumerate(tables):
        lines.append(f"TABLE_{number}: /{_spellings([table.name])}/")
        lines.append(f"COLUMN_{number}: /{_spellings(column.name for column in table.columns)}/")
        choices.append(f"TABLE_{number} DOT COLUMN_{number}")
    return [*lines, "column_s: " + "\n    | ".join(choices)]


def _spellings(names: Iterable[str]) -> str:
    """Return a regular expression of names in any case, in quotes or, where that will do, without them."""
    found = []
    for name in dict.fromkeys(names):
        plain = _any_case(name)
        # Signs beyond ASCII are letters to SQLite.
        if not quoted(re.sub(r"[^\x00-\x7f]", "a", name)).startswith('"'):
            found.append(plain)
        found.append('"' + _any_case(name.replace('"', '""')) + '"')
        found.append("`" + _any_case(name.replace("`", "``")) + "`")
        if "]" not in name:
            found.append(rf"\[{plain}\]")
    return "|".join(found)


def _regex(text: str) -> str:
    """Return the regular expression that an entry of `_LEXEMES` stands for."""
    text = re.sub("<(\\w+)>", lambda found: _any_case(found[1]), text)
    return text.replace("_", r"[ \t\r\n]{1,8}").replace("~", r"[ \t\r\n]{0,8}")


def _any_case(name: str) -> str:
    """Return the regular expression of a name in any case; SQLite knows the cases of ASCII letters only."""
    return name.translate(_ANY_CASE)


_ANY_CASE = {
    code: f"[{sign.lower()}{sign.upper()}]" if sign.isalpha() else sign if sign.isdigit() else f"\\x{{{code:x}}}"
    for code, sign in ((code, chr(code)) for code in range(128))
}
