"""`key_rag` and the settings of `in_context`: how many facts behind the keys are shown."""

from collections.abc import Callable

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems.in_context import ALL, InContext
from widedeep_kb.systems.key_rag import KeyRAG
from widedeep_kb.systems.lookup import Lookup, LookupVectors
from widedeep_kb.systems.prompts import PromptFormat
from widedeep_kb.systems.protocol import Tunable, Updatable

OPTIONS = {"prompt_format": PromptFormat(0, is_chat=False), "max_new_tokens": 1}
FactIdOf = Callable[[str, str], str]


def num_shown(system: InContext, question: str) -> int:
    """Facts that reach the prompt."""
    (context,) = system.contexts([question], fact_ids=None)
    return len(system._fit(question, context)[1].fact_ids)


@pytest.mark.parametrize("relation", ["founding year", "flag colour", "mean height"])
def test_the_one_fact_is_that_of_the_relation(
    tiny_lm: FrozenLM, facts: pl.DataFrame, fact_id_of: FactIdOf, relation: str
) -> None:
    system = KeyRAG(tiny_lm, **OPTIONS)
    system.ingest(facts)
    (answer,) = system.generate([f"What is the {relation} of Zorvania?"])
    assert answer.evidence == [fact_id_of("Zorvania", relation)]


def test_settings_need_no_second_ingest(tiny_lm: FrozenLM) -> None:
    records = [{"subject": "Zorvania", "relation": f"number {i}", "object": str(i)} for i in range(50)]
    for system, expected in ((KeyRAG(tiny_lm, **OPTIONS), [1, 3, 8]), (InContext(tiny_lm, **OPTIONS), [30, 8, 50])):
        assert isinstance(system, Tunable)
        assert not system.use(system.settings()[0])  # before there are facts, too
        system.ingest(facts_from_records(records))
        assert num_shown(system, "Zorvania") == expected[0]
        found = []
        for setting in system.settings():
            assert not system.use(setting)
            found.append(num_shown(system, "Zorvania"))
        assert found == expected


def test_all_means_as_many_as_there_is_room_for(tiny_lm: FrozenLM) -> None:
    records = [{"subject": "Zorvania", "relation": f"number {i}", "object": str(i)} for i in range(300)]
    system = InContext(tiny_lm, max_facts=ALL, **OPTIONS)
    system.ingest(facts_from_records(records))
    (context,) = system.contexts(["Zorvania"], fact_ids=None)
    assert len(context.fact_ids) == 300
    prompt, kept = system._fit("Zorvania", context)
    longer = system._prompt("Zorvania", context.first(len(kept.fact_ids) + 1))
    room = tiny_lm.model.config.max_position_embeddings - system.max_new_tokens
    assert len(tiny_lm.encode([prompt])[0]) <= room < len(tiny_lm.encode([longer])[0])


@pytest.mark.parametrize("max_facts", [0, "some"])
def test_a_number_out_of_range_is_refused(tiny_lm: FrozenLM, max_facts: int | str) -> None:
    with pytest.raises(ValueError, match=f"got {max_facts!r}"):
        InContext(tiny_lm, max_facts=max_facts)


@pytest.mark.parametrize("make", [KeyRAG, InContext, Lookup, LookupVectors])
def test_a_change_is_as_if_it_was_so_from_the_start(
    tiny_lm: FrozenLM, facts: pl.DataFrame, fact_id_of: FactIdOf, make: type
) -> None:
    system = make() if make is Lookup else make(tiny_lm)
    if isinstance(system, InContext):
        system.prompt_format, system.max_new_tokens = OPTIONS["prompt_format"], 1
    asked = ["Zorvania flag colour?", "Zorvania founding year?", "Quillfax Ridge flag colour?", "Borduria area?"]
    changed = facts_from_records(
        [
            {"subject": "Zorvania", "relation": "flag colour", "object": "amber"},
            {"subject": "Borduria", "relation": "area", "object": "7"},
        ]
    )
    assert isinstance(system, Updatable)
    system.ingest(facts)
    system.update(changed)
    updated = [answer.evidence for answer in system.generate(asked)]
    assert updated[0][0] == changed["fact_id"][0] and updated[3][0] == changed["fact_id"][1]
    assert fact_id_of("Zorvania", "flag colour") not in updated[0]
    kept = facts.filter(pl.col("fact_id") != fact_id_of("Zorvania", "flag colour"))
    system.ingest(pl.concat([kept, changed]))
    again = [answer.evidence for answer in system.generate(asked)]
    assert [(one[0], sorted(one)) for one in updated] == [(one[0], sorted(one)) for one in again]
