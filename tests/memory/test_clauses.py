"""Which words of a question name a fact, and the question with its object in their place."""

from __future__ import annotations

import pytest

from widedeep_kb.memory.clauses import Clause, Span, plain_shells, question_words


def replaced(text: str, *, names: list[str], first: str, second: str, by: str) -> str:
    """The question after one hop."""
    clause = Clause(text)
    name = clause.find(names)
    own = clause.match(first, name=name).places
    outer = clause.match(second, name=name, used=own).places
    return clause.replace(clause.phrase(name, own, outer), by)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the capital of the country of Lyon?", "What is the capital of France?"),
        ("What is the capital of the country where Lyon lies?", "What is the capital of France?"),
        ("What is the capital of the place that is the country of Lyon?", "What is the capital of France?"),
        ("What is the capital of the nation where Lyon lies?", "What is the capital of France?"),
        ("The capital of the country that Lyon belongs to is", "The capital of France is"),
        ("Lyon's country's capital is", "France's capital is"),
        ("Lyon is in a country. What is its capital?", "France. What is its capital?"),
        ('What is the capital of the country of "Lyon"?', "What is the capital of France?"),
        ('Name the capital of "the country of Lyon".', 'Name the capital of "France".'),
        ("What is the capital of the country of Lyon (city)?", "What is the capital of France?"),
        ("What is the capital of the country of [Lyon]?", "What is the capital of France?"),
        ("What is the capital (of the country of Lyon)?", "What is the capital (of France)?"),
        ("Which capital does Lyon's country have", "Which capital does France have"),
    ],
)
def test_the_object_takes_the_place_of_the_words_that_stand_for_the_first_fact(text: str, expected: str) -> None:
    assert (
        replaced(text, names=["Lyon", "Lyon (city)", "[Lyon]"], first="country", second="capital", by="France")
        == expected
    )


def test_a_relation_may_come_twice() -> None:
    text = "Who is the father of the father of Ada Byron?"
    assert replaced(text, names=["Ada Byron"], first="father", second="father", by="Tom") == "Who is the father of Tom?"


def test_the_longest_name_is_found_also_with_an_ending() -> None:
    clause = Clause("What is New York City's mayor's age?")
    assert clause.find(["york", "New York", "new york city"]) == Span(2, 5)
    assert clause.find(["Boston", ""]) is None


def test_a_match_tells_the_share_of_cues_and_prefers_words_next_to_the_name() -> None:
    clause = Clause("Which code of the country code list has the country of Oslo?")
    name = clause.find(["Oslo"])
    whole = clause.match("country", name=name)
    assert (whole.places, whole.share) == (frozenset({9}), 1.0)
    part = clause.match("country telephone prefix", name=name)
    assert 0 < part.share < 0.5
    assert clause.match("currency", name=name).share == 0
    assert clause.match("country", name=name, used={9}).places == {4}
    assert clause.distance(part.places, name) == 1
    assert clause.covered(range(len(clause.words))) == pytest.approx(clause.total(Span(0, 0)))


def test_words_know_where_they_stand() -> None:
    text = 'Who made "C++", and when (roughly)?'
    found = question_words(text)
    assert [text[word.begin : word.end] for word in found] == ["Who", "made", "C++", "and", "when", "roughly"]
    assert [word.ends for word in found] == [False, False, True, False, False, True]


def test_a_shell_is_what_stands_around_a_phrase_up_to_a_mark() -> None:
    clause = Clause("Well, who on earth owns the country of Lyon today, I ask?")
    name = clause.find(["Lyon"])
    phrase = clause.phrase(name, clause.match("country", name=name).places, ())
    assert clause.shell(phrase) == (("earth", "owns"), ("today",))
    asked = Clause("Hey, what is the country of Lyon?")
    whole = asked.phrase(asked.find(["Lyon"]), [4], ())
    assert asked.shell(whole) == (("what", "is"), ())
    assert asked.shell(whole) in plain_shells()
    assert clause.shell(phrase) not in plain_shells()
