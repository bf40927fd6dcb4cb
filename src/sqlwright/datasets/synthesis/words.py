"""Names of tables and columns as English words: `InvoiceLine` is an invoice line, `fname` a first name.

Not covered: other languages (their names come back as they are, in lower case), and words run together that are
in no list here.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)")
_SEPARATORS = re.compile(r"[\W_]+")

_SHORT = {
    "fname": "first name", "lname": "last name", "mname": "middle name", "firstname": "first name",
    "lastname": "last name", "dept": "department", "emp": "employee", "addr": "address", "qty": "quantity",
    "num": "number", "no": "number", "nbr": "number", "amt": "amount", "desc": "description", "descr": "description",
    "dob": "date of birth", "cnt": "count", "avg": "average", "min": "minimum", "max": "maximum", "pct": "percentage",
    "stu": "student", "prof": "professor", "yr": "year", "tel": "telephone", "mgr": "manager", "hrs": "hours",
    "cust": "customer", "prod": "product", "lang": "language", "org": "organization", "loc": "location",
    "attr": "attribute", "ref": "reference", "acct": "account", "temp": "temperature", "dist": "distance",
    "elev": "elevation", "lat": "latitude", "lng": "longitude", "univ": "university", "bday": "birthday",
}  # fmt: skip
"""What a word of a name stands for."""

_ENDINGS = ("name", "date", "code", "type", "number", "year", "count", "price", "title", "address", "id", "no")
_COMMON = frozenset(
    {
        "account", "album", "birth", "car", "city", "company", "country", "course", "customer", "due", "end",
        "first", "full", "hire", "home", "last", "list", "middle", "order", "phone", "player", "post", "product",
        "room", "school", "ship", "song", "start", "state", "street", "team", "total", "unit", "user", "zip",
    }
)  # fmt: skip
_CAPITALS = {"id": "ID", "ids": "IDs", "url": "URL", "gdp": "GDP", "tv": "TV", "isbn": "ISBN", "mpg": "MPG", "us": "US"}
_IRREGULAR = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "mouse": "mice", "foot": "feet",
    "analysis": "analyses", "criterion": "criteria", "movie": "movies", "cookie": "cookies", "shoe": "shoes",
    "hero": "heroes", "half": "halves", "leaf": "leaves", "knife": "knives", "wife": "wives", "life": "lives",
    "quiz": "quizzes", "tie": "ties", "photo": "photos", "video": "videos", "radio": "radios", "studio": "studios",
    "cache": "caches", "niche": "niches", "axe": "axes", "phone number": "phone numbers", "airline": "airlines",
    "canvas": "canvases", "campus": "campuses", "bus": "buses", "status": "statuses", "census": "censuses",
    "virus": "viruses", "bonus": "bonuses", "gas": "gases", "ID": "IDs", "URL": "URLs", "MPG": "MPG", "GDP": "GDP",
}  # fmt: skip
_SINGULARS = {plural: singular for singular, plural in _IRREGULAR.items()}
_SAME = frozenset(
    {
        "advice", "aircraft", "data", "deer", "equipment", "evidence", "faculty", "feedback", "fish", "fleet",
        "furniture", "hardware", "information", "money", "music", "news", "personnel", "research", "series",
        "sheep", "software", "species", "staff", "us", "weather",
    }
)  # fmt: skip
_HEADS = re.compile(r" (?:of|in|for|at|on|by|per|from|to|with) ")
_SINGULAR_ENDINGS = ("ss", "us", "is", "ous")
_VOWEL_SOUND = re.compile(r"[aioAIO]|[eE](?!u)|[uU](?!ni|s[ae]|til|rl|[A-Z])|hour|honest|[FHLMNRSX][A-Z]")


def words_of(name: str, known: Collection[str] = ()) -> str:
    """Return a name as words in lower case, abbreviations written out; `known` words may be run together in it."""
    parts = _SEPARATORS.sub(" ", name).strip()
    if not parts.isupper() and parts.lower() not in _SHORT:
        parts = _BOUNDARY.sub(" ", parts)
    words: list[str] = []
    for token in parts.lower().split():
        words += _expanded(token, known).split()
    if len(words) > 1 and len(words[0]) == 1 and words[0].isalpha():
        del words[0]  # the initial of the table, as in GName
    if len(words) > 1 and words[0] in ("tbl", "tb", "reference") and words[1] != "number":
        del words[0]
    return " ".join(_CAPITALS.get(word, word) for word in words) or name.strip() or "value"


def plural(phrase: str) -> str:
    """Return the plural of a noun phrase: of its head where it has an "of" or the like, else of its last word."""
    found = _HEADS.search(phrase) or re.match(r"date(?= )", phrase)  # "date left" is a date, too
    if found and found.start() == 0:
        return "dates" + phrase[4:]
    if found:
        return plural(phrase[: found.start()]) + phrase[found.start() :]
    before, space, word = phrase.rpartition(" ")
    return before + space + _plural_word(word)


def singular(phrase: str) -> str:
    """Return the singular of a noun phrase."""
    found = _HEADS.search(phrase)
    if found:
        return singular(phrase[: found.start()]) + phrase[found.start() :]
    before, space, word = phrase.rpartition(" ")
    return before + space + _singular_word(word)


def with_article(phrase: str) -> str:
    """Return a noun phrase with "a" or "an" before it."""
    return f"{'an' if _VOWEL_SOUND.match(phrase) else 'a'} {phrase}"


def is_plural(phrase: str) -> bool:
    """Return whether a noun phrase is in the plural: "wins", "units in stock", "games played"."""
    words = phrase.split()
    played = len(words) == 2 and words[1].endswith(("ed", "ing")) and singular(words[0]) != words[0]
    return played or singular(phrase) != phrase


def amount(number: float, one: str, many: str) -> str:
    """Return a number with its noun: "1 album", "3 albums"."""
    return f"{number} {one if number == 1 else many}"


def joined(parts: Collection[str], word: str = "and") -> str:
    """Return the parts as a list in words: "a", "a and b", "a, b and c"."""
    listed = list(parts)
    return f"{', '.join(listed[:-1])} {word} {listed[-1]}" if len(listed) > 1 else listed[0]


def _expanded(token: str, known: Collection[str]) -> str:
    if token in _SHORT:
        return _SHORT[token]
    for ending in _ENDINGS:
        start = token.removesuffix(ending)
        if start != token and len(start) > 1 and (start in known or start in _COMMON or start in _SHORT):
            return f"{_SHORT.get(start, start)} {_SHORT.get(ending, ending)}"
    return token


def _plural_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SAME or word in _SINGULARS or not word[-1:].isalpha() or _singular_word(word) != word:
        return word
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _singular_word(word: str) -> str:
    if word in _SINGULARS:
        return _SINGULARS[word]
    if word in _SAME or word in _IRREGULAR or len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith(_SINGULAR_ENDINGS):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1]
