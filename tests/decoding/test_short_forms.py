"""What is short for what: initials, and beginnings where the values are few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.decoding.short_forms import by_beginning, by_initials

COUNTRIES = ("United States", "United Kingdom", "Germany", "Austria")
NAMES = ("Alice", *(f"Bob {number}" for number in range(12)))


@pytest.mark.parametrize(
    ("text", "known", "meant"),
    [
        ("USA", COUNTRIES, "United States"),
        ("U.S.", COUNTRIES, "United States"),
        ("UK", COUNTRIES, "United Kingdom"),
        ("United States", ("USA", "UK", "Brazil"), "USA"),
        ("United States of America", ("USA", "UK"), "USA"),
        ("New York City", ("NYC", "LA"), "NYC"),
        ("LA", ("Los Angeles", "San Diego"), "Los Angeles"),
        ("Female", ("F", "M"), "F"),
        ("M", ("Male", "Female"), "Male"),
        ("January", ("Jan", "Feb", "Jun"), "Jan"),
        ("A", ("Alice", "Bob"), "Alice"),
        ("A", NAMES, None),
        ("CS", ("Computer Science", "Cognitive Science"), None),
        ("J", ("January", "June"), None),
        ("Europe", ("Asia", "Africa"), None),
        ("X1", ("Xerox 1",), None),
        ("", COUNTRIES, None),
    ],
)
def test_short_forms(text: str, known: tuple[str, ...], meant: str | None) -> None:
    assert (by_initials(text, known) or by_beginning(text, known)) == meant


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=20))
def test_it_is_one_of_the_values_whatever_their_order(text: str, known: list[str]) -> None:
    for rule in (by_initials, by_beginning):
        found = rule(text, known)
        assert found is None or found in known
        assert rule(text, known[::-1]) == found
