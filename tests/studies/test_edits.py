"""Edits asked and forced: each measure against the plain way of getting it, and what counts as changed."""

import polars as pl
import pytest
import torch

from widedeep_kb.answering import ask_prompt
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources.edit_sets import PROBE_SCHEMA
from widedeep_kb.studies.edits import FATES, ask_probes, compare_unrelated, force, gate_open, write_brought

TEXTS = ["The capital of Zorvania is", "Who rules Mirelund?", "Zorvania", "What is the motto of Ostrava?"]
TARGETS = ["Quillfax", "Ada", "blue 12", "upwards"]


@pytest.fixture
def memory(tiny_frozen_lm) -> KnowledgeMemory:  # noqa: ANN001
    """Two facts behind a tiny Llama, adapters wide open."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    for adapter in memory.reader.adapters:
        adapter.gate.data.fill_(4.0)
    memory.write(
        [
            {"subject": "Zorvania", "relation": "capital", "object": "Quillfax"},
            {"subject": "Mirelund", "relation": "ruler", "object": "Ada"},
        ]
    )
    return memory


@pytest.mark.parametrize("is_wrapped", [False, True])
@pytest.mark.parametrize("use_memory", [False, True])
def test_forcing_in_batches_equals_one_text_at_a_time(
    memory: KnowledgeMemory, is_wrapped: bool, use_memory: bool
) -> None:
    found = force(memory, TEXTS, TARGETS, is_wrapped=is_wrapped, use_memory=use_memory, batch_size=3)
    for text, target, one in zip(TEXTS, TARGETS, found, strict=True):
        prompt = ask_prompt(text) if is_wrapped else text
        (whole,), (start,) = memory.lm.encode([f"{prompt} {target}"]), memory.lm.encode([prompt])
        ids = torch.tensor([whole])
        if use_memory:
            logits = memory.forward(ids, texts=[text]).logits
        else:
            logits = memory.lm.model(input_ids=ids).logits
        likeliest = logits[0].argmax(-1).tolist()
        assert one.wanted == tuple(whole[len(start) :]) and one.wanted
        assert one.predicted == tuple(likeliest[len(start) - 1 : -1])


def test_forcing_notes_what_the_gate_says_at_the_end_of_the_prompt(
    memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, told = force(memory, TEXTS, TARGETS, use_memory=False), force(memory, TEXTS, TARGETS)
    assert [one.predicted for one in told[:3]] != [one.predicted for one in bare[:3]]
    assert told[3] == bare[3]
    assert not any(one.is_shut for one in told)
    shut_gate(memory)
    again = force(memory, TEXTS, TARGETS)
    assert [one.is_shut for one in again] == [True, True, True, False]  # the last has no fact to shut out
    assert [one.predicted for one in again] == [one.predicted for one in told]
    seen = []
    judge = type(memory.reader.gate).forward
    monkeypatch.setattr(type(memory.reader.gate), "forward", lambda *args: seen.append(args[1]) or judge(*args))
    force(memory, TEXTS[:1], TARGETS[:1])
    (ids,) = memory.lm.encode(TEXTS[:1])
    binding, _ = memory.binding(TEXTS[:1])
    torch.testing.assert_close(seen[0], memory.prompt_mass(binding, torch.tensor([ids])))


def shut_gate(memory: KnowledgeMemory) -> None:
    """Let the gate shut everything out."""
    memory.reader.gate.weight.fill_(1e-6)
    memory.reader.gate.bias.fill_(-1.0)


def test_the_gate_is_open_for_a_while_only(memory: KnowledgeMemory) -> None:
    told = memory.ask(TEXTS[0]).evidence
    shut_gate(memory)
    gate = memory.reader.gate
    assert told and not memory.ask(TEXTS[0]).evidence
    with gate_open(memory):
        assert memory.ask(TEXTS[0]).evidence == told
    assert memory.reader.gate is gate


def test_unrelated_texts_are_those_of_the_bare_llm_where_nothing_is_read(memory: KnowledgeMemory) -> None:
    texts = pl.DataFrame({"text": TEXTS, "answer": TARGETS})
    compared = compare_unrelated(memory, texts, max_new_tokens=6, batch_size=2)
    assert compared["text"].to_list() == TEXTS
    assert compared["num_facts"].to_list() == [1, 1, 1, 0]
    assert compared["is_open"].all() and compared["is_same"][3] and compared["locality"][3] == 1.0
    bare, told = force(memory, TEXTS, TARGETS, use_memory=False), force(memory, TEXTS, TARGETS)
    for i, (one, two) in enumerate(zip(bare, told, strict=True)):
        equal = sum(a == b for a, b in zip(one.predicted, two.predicted, strict=True))
        assert compared["locality"][i] == pytest.approx(equal / len(one.predicted))
    plain = memory.lm.generate_texts([ask_prompt(text) for text in TEXTS[:3]], max_new_tokens=6)
    assert compared["bare"][:3].to_list() == [one.text.strip() for one in plain]
    assert compared["with_memory"][:3].to_list() == [memory.ask(t, max_new_tokens=6).text for t in TEXTS[:3]]
    assert not compared["is_same"].all()
    shut_gate(memory)
    shut = compare_unrelated(memory, texts, max_new_tokens=6, batch_size=3)
    assert shut["is_same"].all() and (shut["locality"] == 1.0).all()
    assert shut["open_is_same"].to_list() == compared["is_same"].to_list()
    none = compare_unrelated(memory, texts[3:], max_new_tokens=6)
    assert none["is_same"].all() and none.columns == compared.columns


def test_each_probe_has_a_fate(memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = memory.store.catalogue.rows(memory.store.catalogue.alive())
    ids = dict(frame.select("subject", "fact_id").iter_rows())
    rows = [
        (TEXTS[0], "own", "Quillfax", ["Quillfax"], ids["Zorvania"], True),
        (TEXTS[1], "own", "Quillfax", ["Quillfax"], ids["Zorvania"], False),
        (TEXTS[3], "own", "Ada", ["Ada"], ids["Mirelund"], False),
    ]
    probes = pl.DataFrame(rows, schema=PROBE_SCHEMA, orient="row")
    scored = ask_probes(memory, probes)
    assert scored["num_facts"].to_list() == [1, 1, 0]
    assert scored["fate"].to_list() == [FATES[5], FATES[2], FATES[1]]  # an untrained reader is right about nothing
    assert scored["open_prediction"].to_list() == scored["prediction"].to_list()
    told = memory.ask(TEXTS[0], max_new_tokens=9).text
    shut_gate(memory)
    begins = lambda text, answers: text.startswith(answers[0])  # noqa: E731 - answers here have no end
    monkeypatch.setattr("widedeep_kb.studies.edits.exact_match", begins)
    shut = ask_probes(memory, probes.with_columns(answers=pl.Series([[told], ["Quillfax"], ["Ada"]])))
    assert shut["fate"].to_list() == [FATES[3], FATES[2], FATES[1]]
    assert shut["open_fate"].to_list() == [FATES[0], FATES[2], FATES[1]]
    assert shut["open_prediction"][0].startswith(told) and not shut["prediction"][0].startswith(told)
    assert shut["open_exact_match"].to_list() == [True, False, False] and not shut["exact_match"].any()


def test_facts_that_no_text_brings_have_empty_rows_and_change_no_answer(memory: KnowledgeMemory) -> None:
    records = [
        {"subject": "Zorvania", "relation": "capital", "object": "Quillfax 12"},
        {"subject": "Zorvania", "relation": "motto", "object": "upwards"},
        {"subject": "Ostrava Keep", "relation": "owner", "object": "Ada"},
        {"subject": "Mirelund", "relation": "ruler", "object": "Bo"},
    ]
    facts = facts_from_records(records)
    other = KnowledgeMemory(memory.lm, memory.reader)
    memory.hooks.remove()
    assert write_brought(other, facts, TEXTS[:1]) == 2 and len(other.store) == 4
    found = force(other, TEXTS[:1], TARGETS[:1])
    ordinals = other.store.catalogue.find(subject="Mirelund").ordinals[:, None]
    assert not other.store.rows_of(ordinals)[0].any()
    other.erase(other.store.catalogue.alive())
    other.write(facts)
    assert other.store.rows_of(other.store.catalogue.find(subject="Mirelund").ordinals[:, None])[0].any()
    assert force(other, TEXTS[:1], TARGETS[:1]) == found
