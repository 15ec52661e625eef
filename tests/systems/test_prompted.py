"""The systems that put facts into a prompt: what they show, and that it fits."""

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.in_context import InContext
from widedeep_kb.systems.oracle import Oracle
from widedeep_kb.systems.prompted import MAX_SHOT_FACTS
from widedeep_kb.systems.prompts import Context, PromptFormat, Shot

PLAIN = PromptFormat(0, is_chat=False)
FactIdOf = Callable[[str, str], str]


def record_prompts(lm: FrozenLM, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that reach the LLM, which then answers with nothing."""
    seen: list[str] = []

    def generate_texts(prompts: Sequence[str], **options: object) -> list[Generation]:
        seen.extend(prompts)
        return [Generation("", len(prompt), 0) for prompt in prompts]

    monkeypatch.setattr(lm, "generate_texts", generate_texts)
    return seen


def test_closed_book_shows_no_fact(tiny_lm: FrozenLM, facts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = record_prompts(tiny_lm, monkeypatch)
    system = ClosedBook(tiny_lm, prompt_format=PLAIN)
    system.ingest(facts)
    system.generate(["What is the flag colour of Zorvania?"])
    assert seen == ["Question: What is the flag colour of Zorvania?\nAnswer:"]


def test_oracle_shows_the_right_fact_only(
    tiny_lm: FrozenLM, facts: pl.DataFrame, fact_id_of: FactIdOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = record_prompts(tiny_lm, monkeypatch)
    system = Oracle(tiny_lm, prompt_format=PLAIN)
    system.ingest(facts)
    wanted = fact_id_of("api.Widget", "mean height")
    (answer,) = system.generate(["How tall?"], fact_ids=[wanted])
    assert seen == ["The mean height of api.Widget is 7%.\nQuestion: How tall?\nAnswer:"]
    assert answer.evidence == [wanted]


@pytest.mark.parametrize("fact_ids", [None, [None], ["0" * 16]])
def test_oracle_refuses_a_question_without_a_known_fact(
    tiny_lm: FrozenLM, facts: pl.DataFrame, fact_ids: list[str | None] | None
) -> None:
    system = Oracle(tiny_lm, prompt_format=PLAIN)
    system.ingest(facts)
    with pytest.raises(ValueError, match="no fact .* 'How tall\\?'"):
        system.generate(["How tall?"], fact_ids=fact_ids)


def test_in_context_shows_the_subjects_facts_and_no_others(
    tiny_lm: FrozenLM, facts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = record_prompts(tiny_lm, monkeypatch)
    system = InContext(tiny_lm, prompt_format=PLAIN)
    system.ingest(facts)
    by_alias, unknown = system.generate(["What is the flag colour of the Zorvanish Republic?", "And Borduria?"])
    assert set(by_alias.evidence) == set(facts.filter(pl.col("subject") == "Zorvania")["fact_id"])
    assert seen[0].startswith("The flag colour of Zorvania is teal.\n")
    assert "Quillfax" not in seen[0]
    assert unknown.evidence == []
    assert seen[1] == "Question: And Borduria?\nAnswer:"


def test_in_context_keeps_the_best_facts_up_to_its_limit(
    tiny_lm: FrozenLM, facts: pl.DataFrame, fact_id_of: FactIdOf
) -> None:
    system = InContext(tiny_lm, max_facts=1, prompt_format=PLAIN, max_new_tokens=1)
    system.ingest(facts)
    (answer,) = system.generate(["What is the mean height of Quillfax Ridge?"])
    assert answer.evidence == [fact_id_of("Quillfax Ridge", "mean height")]


def test_facts_that_do_not_fit_are_left_out_worst_first(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    question = "What is the mean height of Quillfax Ridge?"
    system = InContext(tiny_lm, prompt_format=PLAIN, max_new_tokens=1)
    system.ingest(facts)
    (full,) = system.generate([question])
    num_positions = tiny_lm.model.config.max_position_embeddings
    system.max_new_tokens = num_positions - full.prompt_tokens + 1
    prompt, context = system._fit(question, system.contexts([question], fact_ids=None)[0])
    assert list(context.fact_ids) == full.evidence[:2]
    assert len(tiny_lm.encode([prompt])[0]) + system.max_new_tokens <= num_positions


def test_a_question_longer_than_the_llm_is_refused(tiny_lm: FrozenLM) -> None:
    with pytest.raises(ValueError, match="exceeds the LLM's 2016"):
        ClosedBook(tiny_lm, prompt_format=PLAIN).generate(["word " * 3000])


def test_shots_get_the_systems_own_context(tiny_lm: FrozenLM, facts: pl.DataFrame, fact_id_of: FactIdOf) -> None:
    wanted = fact_id_of("Zorvania", "flag colour")
    shot = Shot("What is the flag colour of Zorvania?", "teal", fact_id=wanted)
    oracle, in_context = Oracle(tiny_lm), InContext(tiny_lm)
    for system in (oracle, in_context):
        system.ingest(facts)
    assert oracle.with_contexts([shot])[0].context.fact_ids == (wanted,)
    assert len(in_context.with_contexts([shot])[0].context.fact_ids) == 3
    assert ClosedBook(tiny_lm).with_contexts([shot])[0].context.fact_ids == ()


def test_a_shot_keeps_its_own_fact_when_its_subject_has_many(
    tiny_lm: FrozenLM, facts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = InContext(tiny_lm)
    system.ingest(facts)
    ids = tuple("abcdef")
    monkeypatch.setattr(system, "contexts", lambda questions, *, fact_ids: [Context(ids, ids)])
    (kept,) = system.with_contexts([Shot("q", "a", fact_id="f")])
    assert kept.context.fact_ids == (*ids[: MAX_SHOT_FACTS - 1], "f")
    (kept,) = system.with_contexts([Shot("q", "a", fact_id="b")])
    assert kept.context.fact_ids == ids[:MAX_SHOT_FACTS]


def test_a_worked_example_may_not_be_asked(tiny_lm: FrozenLM, facts: pl.DataFrame, fact_id_of: FactIdOf) -> None:
    wanted = fact_id_of("Zorvania", "flag colour")
    shots = (Shot("Which colour?", "teal", fact_id=wanted), Shot("Not used?", "no"))
    system = Oracle(tiny_lm, prompt_format=PromptFormat(1, is_chat=False), shots=shots, max_new_tokens=1)
    system.ingest(facts)
    with pytest.raises(ValueError, match="answers what is asked: 'Which colour\\?'"):
        system.generate(["Which colour?"], fact_ids=[fact_id_of("Zorvania", "mean height")])
    with pytest.raises(ValueError, match=f"answers what is asked: '{wanted}'"):
        system.generate(["Another phrasing?"], fact_ids=[wanted])
    assert len(system.generate(["Not used?"], fact_ids=[fact_id_of("Zorvania", "mean height")])) == 1
