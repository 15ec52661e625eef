"""Words stay whole, keys stay the same for ever, n-grams and inflected readings are all there."""

import numpy as np
import pytest

from widedeep_kb.glue import HARD, SOFT, SPACE, UNDERSCORE
from widedeep_kb.keys import encode, find_variants, hash_words, ngram_keys, text_keys, word_variants
from widedeep_kb.segment import normalise, words
from widedeep_kb.word_statistics import common_words, content_weight, is_common, zipf_frequency

PARIS = [11292911246333961602, 4817446480987149261]
NEW_YORK = (6989879101864321843, 10095953581622861270)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Who made "C++"?', ["who", "made", "c++"]),
        ("Is C# older than C?", ["is", "c#", "older", "than", "c"]),
        ("AT&T's seat", ["at&t's", "seat"]),
        ("What does api.Widget.rowCount return?", ["what", "does", "api.widget.rowcount", "return"]),
        ("(1bc0:1001).", ["1bc0:1001"]),
        ("`foo()` and foo", ["foo()", "and", "foo"]),
        ("O’Brien, of Liverpool F.C.!", ["o'brien", "of", "liverpool", "f.c"]),
        ("Jean-Paul — “Rent (film)”", ["jean-paul", "rent", "film"]),
        ("non\u2011breaking Ｃ＋＋", ["non-breaking", "c++"]),
        ("Paris,France has 1,000; -12.5 or 10%", ["paris", "france", "has", "1,000", "-12.5", "or", "10%"]),
        (".NET and AC/DC ?", [".net", "and", "ac/dc"]),
        ("The !!! concert", ["the", "!!!", "concert"]),
        ("東京都の人口", ["東", "京", "都", "の", "人", "口"]),
        ("서울의 ABC공사", ["서", "울", "의", "abc", "공", "사"]),
        ("İstanbul ΟΔΟΣ Straße", ["istanbul", "οδοσ", "strasse"]),
        ("Москва? القاهرة، नई", ["москва", "القاهرة", "नई"]),
        ("", []),
        (" ? \n", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    encoded = encode(["x", text])
    assert [encoded.folded[i] for i in encoded.word_ids[encoded.offsets[1] :]] == expected


def test_normalise() -> None:
    assert normalise("  Ｏ’BRIEN\t and\nSons ") == normalise("o'brien and . sons")
    assert normalise("C++") != normalise("C#") != normalise("C")


def test_keys_are_the_same_on_every_machine_and_version() -> None:
    assert hash_words(["paris"]).tolist() == [PARIS]
    keys, checks = text_keys(encode(["New York", "new  YORK?", "York New", "New", "C++", "C#", "C"]))
    assert (int(keys[0]), int(checks[0])) == NEW_YORK
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 6
    assert len(set(checks.tolist())) == 6


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("widgets", ["widget"]),
        ("widget's", ["widget"]),
        ("c++'s", ["c++"]),
        ("u.s.'s", ["u.s"]),
        ("cities", ["citie", "city"]),
        ("1bc0:1001s", ["1bc0:1001"]),
        ("boxes", ["boxe", "box"]),
        ("james", []),
        ("paris", []),
        ("glass", []),
        ("is", []),
    ],
)
def test_variants(word: str, expected: list[str]) -> None:
    assert set(word_variants(word)) <= set(expected)
    assert set(expected[-1:]) <= set(word_variants(word))


def test_every_ngram_of_known_words_is_there_and_no_other() -> None:
    texts = ["the big red box", "boxes of Big red"]
    encoded = encode(texts)
    known = np.array([word in {"big", "red", "box"} for word in encoded.folded])
    variants = find_variants(encoded.folded)
    grams = ngram_keys(encoded, lengths=[1, 2, 3], is_known=known, variants=variants)
    found = set(grams.keys[~grams.is_variant].tolist())
    expected = ["big", "red", "box", "big red", "red box", "big red box"]
    assert found == set(text_keys(encode(expected))[0].tolist())
    assert text_keys(encode(["box"]))[0][0] in grams.keys[grams.is_variant]
    longest = np.flatnonzero(grams.lengths == 3)
    assert [encoded.folded[encoded.word_ids[grams.starts[i]]] for i in longest] == ["big"]


def test_sentence_starts() -> None:
    encoded = encode(["Most people. In Most\nMost", "Is U.S. big"])
    assert encoded.is_start.tolist() == [True, False, True, False, True, True, False, True]


def test_slice_and_raw_hashes() -> None:
    encoded = encode(["The Who", "the who", ""])
    part = encoded.slice(1, 3)
    assert part.offsets.tolist() == [0, 2, 2]
    folded = text_keys(encoded)[0]
    written = text_keys(encoded, hashes=encoded.raw_hashes())[0]
    assert folded[0] == folded[1] == written[1] != written[0]


def test_common_words() -> None:
    assert [word for word in ("time", "c", "1984", "7", "808", "73102", "widget", "c++") if is_common(word)] == [
        "time",
        "c",
        "1984",
        "7",
    ]
    assert common_words(4) == ["the", "to", "and", "of"]
    assert zipf_frequency("zzyzxq") == 0.0
    assert content_weight("the") < content_weight("country") < content_weight("wingspan")


def test_glued_words_are_read_in_pieces_and_whole() -> None:
    texts = ["capital_of:New_York and a.b", "plain", ""]
    encoded = encode(texts, has_pieces=True)
    assert [encoded.folded[i] for i in encoded.word_ids] == ["capital", "of", "new", "york", "and", "a", "b", "plain"]
    assert encoded.offsets.tolist() == [0, 7, 8, 8]
    assert encoded.glue.tolist() == [SPACE, UNDERSCORE, HARD, UNDERSCORE, SPACE, SPACE, SOFT, SPACE]
    names = ["capital_of", "of:new_york", "new york", "york", "york and", "of new", "a.b", "capital_of:new_york and"]
    is_known = np.ones(len(encoded.folded), bool)
    grams = ngram_keys(encoded, lengths=[1, 2], is_known=is_known, variants=find_variants(encoded.folded))
    found = set(grams.keys.tolist())
    assert [int(key) in found for key in text_keys(encode(names))[0]] == [name != "of new" for name in names]
    span = np.flatnonzero(grams.keys == text_keys(encode(["new york"]))[0])
    assert (grams.starts[span].tolist(), grams.ends[span].tolist(), grams.lengths[span].tolist()) == ([2], [4], [2])
    part = encoded.slice(1, 3)
    assert [part.folded[i] for i in part.reading_ids] == ["plain"]
    assert part.reading_offsets.tolist() == [0, 1]


def test_values_are_summed_over_the_words_of_an_ngram() -> None:
    encoded = encode(["x=y z"], has_pieces=True)
    values = np.array([[float(len(word))] for word in encoded.folded])
    no_variants = find_variants([""] * len(encoded.folded))
    known = np.ones(len(encoded.folded), bool)
    grams = ngram_keys(encoded, lengths=[2], is_known=known, variants=no_variants, values=values)
    sums = {int(key): float(value) for key, value in zip(grams.keys, grams.values[:, 0], strict=True)}
    assert [sums[int(key)] for key in text_keys(encode(["x=y z", "y z"]))[0]] == [4.0, 2.0]
    assert {encoded.folded[i] for i in grams.last_ids} == {"z"}
