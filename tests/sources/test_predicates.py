"""Freebase predicates get short names, and distinct ones."""

import polars as pl
import pytest

from widedeep_kb.sources.predicates import by_frequency, readable_predicates


def test_last_segment_and_clean_spelling() -> None:
    predicates = ["/people/person/place_of_birth", "/a/b/release_date_s", "/location/location/containedby"]
    names = readable_predicates(predicates)
    assert list(names.values()) == ["place of birth", "release date", "contained by"]


def test_a_taken_name_takes_in_more_of_the_path() -> None:
    names = readable_predicates([
        "/film/film/country", "/film/film/budget./money/value/country", "/tv/tv/budget./money/value/country",
        "/olympics/sport/Country",
    ])
    assert list(names.values()) == ["country", "budget country", "tv budget country", "sport Country"]


def test_equal_words_are_refused() -> None:
    with pytest.raises(ValueError, match="/A/c_s"):
        readable_predicates(["/a/c", "/a/c_s", "/A/c", "/A/c_s"])


def test_by_frequency() -> None:
    assert by_frequency(pl.Series("r", ["b", "c", "a", "c"])) == ["c", "a", "b"]
