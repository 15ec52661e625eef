"""`reflexion`: trials, feedback, what is kept of them, and what later questions are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems.key_rag import KeyRAG
from widedeep_kb.systems.prompts import PromptFormat, Shot
from widedeep_kb.systems.protocol import Practising, Tunable, Updatable
from widedeep_kb.systems.reflexion import ASK, Reflexion

PLAIN = PromptFormat(0, is_chat=False)
COLOUR, YEAR = "What is the flag colour of Zorvania?", "What is the founding year of Quillfax Ridge?"
OTHER = "What is the flag colour of api.Widget?"
FactIdOf = Callable[[str, str], str]


class Scripted:
    """A stand-in for what the LLM writes: an answer by its prompt, a note for each prompt that asks for one."""

    def __init__(self, answer: Callable[[str], str], *, note: str = "I was too hasty.") -> None:
        self.answer, self.note = answer, note
        self.prompts: list[str] = []

    def __call__(self, prompts: Sequence[str], **_: object) -> list[Generation]:
        self.prompts.extend(prompts)
        return [Generation(self.note if ASK in prompt else self.answer(prompt), 10, 2) for prompt in prompts]

    def tries(self) -> list[str]:
        """The prompts that ask a question."""
        return [prompt for prompt in self.prompts if ASK not in prompt]


@pytest.fixture
def scripted(tiny_lm: FrozenLM, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """`(answer, note=...) -> Scripted`, which then writes for the tiny LLM."""

    def script(answer: Callable[[str], str], **options: str) -> Scripted:
        made = Scripted(answer, **options)
        monkeypatch.setattr(tiny_lm, "generate_texts", made)
        return made

    return script


@pytest.fixture
def system(tiny_lm: FrozenLM, facts: pl.DataFrame) -> Reflexion:
    """With the facts, without practice."""
    made = Reflexion(tiny_lm, prompt_format=PLAIN, max_new_tokens=4)
    made.ingest(facts)
    return made


def test_it_fails_reflects_and_then_succeeds(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    """Only the second note helps with the colour; the year is right at once."""
    lm = scripted(
        lambda prompt: "1902" if YEAR in prompt else "teal" if prompt.count("I was too hasty.") == 2 else "no"
    )
    asked: list[tuple[int, str]] = []

    def is_right(i: int, text: str) -> bool:
        asked.append((i, text))
        return text == ("teal", "1902")[i]

    assert isinstance(system, Practising) and isinstance(system, Tunable) and isinstance(system, Updatable)
    system.practise([COLOUR, YEAR], is_right)
    assert asked == [(0, "no"), (1, "1902"), (0, "no"), (0, "teal")]  # once a trial, and no more behind a right one
    assert system.history == {
        "num_questions": 2,
        "share_right": [0.5, 0.5, 1.0],
        "num_reflections": 1,
        "prompt_tokens": 60,  # four answers and two notes
        "generated_tokens": 12,
    }
    assert system.reflections == {COLOUR: "I was too hasty."}
    statement = "The flag colour of Zorvania is teal."
    note = "Note on a wrong answer to this question: I was too hasty."
    assert [p for p in lm.tries() if COLOUR in p] == [
        "\n".join([statement, *[note] * i, f"Question: {COLOUR}", "Answer:"]) for i in range(3)
    ]
    first = next(prompt for prompt in lm.prompts if ASK in prompt)
    assert "\n".join([statement, f"Question: {COLOUR}", "Your answer: no", ASK]) in first


def test_a_question_that_stays_wrong_is_tried_three_times(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    lm = scripted(lambda _prompt: "no")
    system.practise([COLOUR, YEAR], lambda _i, _text: False)
    assert len(lm.tries()) == 6 and len(lm.prompts) == 10  # nothing is noted of the last trial
    assert system.history["share_right"] == [0.0, 0.0, 0.0]


def test_accepted_answers_reach_no_prompt(tiny_lm: FrozenLM, scripted: Callable[..., Scripted]) -> None:
    """No fact holds the accepted answer, so that it could only come from the feedback."""
    lm = scripted(lambda _prompt: "no")
    system = Reflexion(tiny_lm, prompt_format=PLAIN)
    system.ingest(facts_from_records([{"subject": "Zorvania", "relation": "flag colour", "object": "ochre"}]))
    system.practise([COLOUR], lambda _i, text: text == "xanthic")
    system.generate([COLOUR, OTHER])
    assert lm.prompts and not any("xanthic" in prompt for prompt in lm.prompts)


def test_a_question_is_shown_the_notes_on_the_nearest_others_but_never_its_own(
    system: Reflexion, scripted: Callable[..., Scripted], fact_id_of: FactIdOf
) -> None:
    lm = scripted(lambda _prompt: "no", note="Copy the colour.")
    system.practise([YEAR, COLOUR], lambda _i, _text: False)
    lm.prompts.clear()
    (answer,) = system.generate([OTHER])
    line = f'Note on the question "{COLOUR}": Copy the colour.'
    statement = "The flag colour of api.Widget is mauve."
    assert lm.prompts == ["\n".join([statement, line, f"Question: {OTHER}", "Answer:"])]
    assert answer.evidence == [fact_id_of("api.Widget", "flag colour")]
    for num_reflections, expected in ((0, 0), (1, 1), (3, 2)):
        assert not system.use({"num_reflections": num_reflections, "top_k": 1})
        lm.prompts.clear()
        system.generate([OTHER])
        assert lm.prompts[0].count("Note on the question") == expected
    lm.prompts.clear()
    system.generate([COLOUR])
    assert f'"{YEAR}"' in lm.prompts[0] and f'"{COLOUR}"' not in lm.prompts[0]


def test_nothing_is_noted_while_answering(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    lm = scripted(lambda _prompt: "no")
    system.practise([COLOUR], lambda _i, _text: False)
    before, num_prompts = system.reflections, len(lm.prompts)
    assert len(system.generate([YEAR, OTHER])) == len(lm.prompts) - num_prompts == 2
    assert system.reflections == before


def test_only_so_many_reflections_are_kept_the_latest(
    tiny_lm: FrozenLM, facts: pl.DataFrame, scripted: Callable[..., Scripted]
) -> None:
    scripted(lambda _prompt: "no")
    system = Reflexion(tiny_lm, capacity=2, prompt_format=PLAIN)
    system.ingest(facts)
    system.practise([COLOUR, YEAR, OTHER], lambda _i, _text: False)
    assert list(system.reflections) == [YEAR, OTHER]
    system.practise([COLOUR], lambda _i, _text: False)
    assert list(system.reflections) == [OTHER, COLOUR]
    system.ingest(facts)
    assert system.reflections == {} and system.history == {}


def test_an_empty_note_is_not_kept(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    lm = scripted(lambda _prompt: "no", note=" ")
    system.practise([COLOUR], lambda _i, _text: False)
    assert system.reflections == {} and len(set(lm.tries())) == 1


def test_without_practice_it_is_key_rag(system: Reflexion, tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    key_rag = KeyRAG(tiny_lm, prompt_format=PLAIN, max_new_tokens=4)
    key_rag.ingest(facts)
    for one, other in zip(system.generate([COLOUR, YEAR]), key_rag.generate([COLOUR, YEAR]), strict=True):
        assert (one.text, one.evidence, one.prompt_tokens) == (other.text, other.evidence, other.prompt_tokens)
    assert system.size_bytes() == key_rag.size_bytes()


def test_reflections_count_in_bytes_where_they_are_shown(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    scripted(lambda _prompt: "no", note="a" * 1000)
    bare = system.size_bytes()
    system.practise([COLOUR], lambda _i, _text: False)
    assert system.size_bytes() > bare + 1000
    system.use({"num_reflections": 0, "top_k": 1})
    assert system.size_bytes() == bare


def test_a_change_of_a_fact_drops_what_was_noted_of_it(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    scripted(lambda prompt: prompt.split(" is ")[1][:4], note="I said teal.")
    system.practise([COLOUR, YEAR], lambda _i, _text: False)
    system.update(facts_from_records([{"subject": "Zorvania", "relation": "flag colour", "object": "amber"}]))
    assert list(system.reflections) == [YEAR]
    assert system.generate([COLOUR])[0].text == "ambe"


def test_reflections_give_way_before_facts_do(system: Reflexion, scripted: Callable[..., Scripted]) -> None:
    lm = scripted(lambda _prompt: "no", note="word " * 600)
    system.practise([COLOUR], lambda _i, _text: False)
    lm.prompts.clear()
    system.max_new_tokens = 1500  # of 2048
    (answer,) = system.generate([OTHER])
    assert "word" not in lm.prompts[0] and "api.Widget is mauve" in lm.prompts[0] and len(answer.evidence) == 1


def test_the_same_practice_twice_is_the_same(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    found = []
    for _ in range(2):
        system = Reflexion(tiny_lm, prompt_format=PLAIN, max_new_tokens=4, max_reflection_tokens=8)
        system.ingest(facts)
        system.practise([COLOUR, YEAR], lambda _i, _text: False)
        found.append((system.reflections, system.history, [answer.text for answer in system.generate([OTHER])]))
    assert found[0] == found[1]


def test_what_cannot_be_practised_is_refused(system: Reflexion, tiny_lm: FrozenLM) -> None:
    with pytest.raises(ValueError, match="no questions"):
        system.practise([], lambda _i, _text: True)
    system.shots, system.prompt_format = (Shot(COLOUR, "teal"),), PromptFormat(1, is_chat=False)
    with pytest.raises(ValueError, match="answers what is asked: 'What is the flag colour"):
        system.practise([COLOUR], lambda _i, _text: True)
    with pytest.raises(ValueError, match="num_trials must be at least 1, got 0"):
        Reflexion(tiny_lm, num_trials=0)
    with pytest.raises(ValueError, match="num_reflections must be at least 0, got -1"):
        Reflexion(tiny_lm, num_reflections=-1)


def test_a_wrong_answer_too_long_to_reflect_on_is_refused(system: Reflexion) -> None:
    system.max_reflection_tokens = 2000
    with pytest.raises(ValueError, match="exceeds the LLM's 48: 'What is the flag"):
        system.practise([COLOUR], lambda _i, _text: False)
