"""Words are taken apart at the marks that part words, and every name with marks of its own is still a reading."""

import pytest

from widedeep_kb.glue import HARD, SOFT, SPACE, UNDERSCORE, take_apart


@pytest.mark.parametrize(
    ("word", "pieces", "glue"),
    [
        ("plain", ["plain"], [SPACE]),
        ("C++", ["C++"], [SPACE]),
        ("AT&T", ["AT&T"], [SPACE]),
        ("O'Brien", ["O'Brien"], [SPACE]),
        ("Jean-Paul", ["Jean-Paul"], [SPACE]),
        ("1,000.5", ["1,000.5"], [SPACE]),
        ("12:30", ["12:30"], [SPACE]),
        ("!!!", ["!!!"], [SPACE]),
        ("Paris/London", ["Paris", "London"], [SPACE, HARD]),
        ("AC/DC", ["AC", "DC"], [SPACE, SOFT]),
        ("Paris-based", ["Paris", "based"], [SPACE, HARD]),
        ("**Paris**", ["Paris"], [SPACE]),
        ("Paris|population|", ["Paris", "population"], [SPACE, HARD]),
        ("capital_of:France", ["capital", "of", "France"], [SPACE, UNDERSCORE, HARD]),
        ("1bc0:a001", ["1bc0", "a001"], [SPACE, SOFT]),
        ("std::vector", ["std", "vector"], [SPACE, SOFT]),
        ("me@paris.com", ["me", "paris", "com"], [SPACE, SOFT, SOFT]),
        ("age@Paris", ["age", "Paris"], [SPACE, HARD]),
        ("Korea,_Dem._Rep", ["Korea", "Dem", "Rep"], [SPACE, UNDERSCORE, UNDERSCORE]),
        ("film)'s", ["film"], [SPACE]),
        ("name='O'Brien',age", ["name", "O'Brien", "age"], [SPACE, HARD, HARD]),
        ("1962]-->", ["1962"], [SPACE]),
    ],
)
def test_pieces(word: str, pieces: list[str], glue: list[int]) -> None:
    found = take_apart(word)
    assert list(found.words) == pieces
    assert list(found.glue) == glue
    assert (len(pieces), word) in found.readings[0]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("key=C##creator", "C#"), ("C#[creator", "C#"), ("C++:creator", "C++"), ("x=AT&T", "AT&T"),
        ("age@api.Widget.rowCount", "api.Widget.rowCount"), ("id:1bc0:a001", "1bc0:a001"), (".NET[age", ".NET"),
        ("key=key=value", "key=value"), ("A/B=", "A/B"), ("foo()[age", "foo()"), ("Rep..age", "Rep"),
        ('row["Togo"]', "Togo"), ("<b>Paris</b", "Paris"), ("film)'s", "film"), ("Paris--London", "London"),
        ("name='O'Brien',age", "O'Brien"), ("#Paris", "Paris"), ("{Paris", "Paris"), ("`Paris`→Rome", "Rome"),
    ],
)  # fmt: skip
def test_names_are_readings_next_to_what_they_are_glued_to(word: str, name: str) -> None:
    assert name in {text for row in take_apart(word).readings for _, text in row}


def test_marks_of_a_name_are_not_cut_off() -> None:
    for word, part in (("C#", "C"), ("C#[creator", "C"), ("A*", "A"), (".NET", "NET")):
        assert part not in {text for _, text in take_apart(word).readings[0]}


def test_longer_readings_come_first_and_long_words_stay_cheap() -> None:
    texts = [text for _, text in take_apart("a.b.c").readings[0]]
    assert texts == ["a.b.c", "a.b", "a"]
    long = ".".join(["part"] * 2000)
    found = take_apart(long)
    assert (2000, long) in found.readings[0]
    assert max(map(len, found.readings)) <= 17
    assert len(take_apart("-'" * 20_000 + "b").words) == 1
