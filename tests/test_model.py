"""KnowledgeMemory: write, ask, generate, replace, erase, save and load, on tiny models of every architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from widedeep_kb import model
from widedeep_kb.answering import ask_prompt, user_words
from widedeep_kb.lm import FrozenLM, left_pad, load_lm
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records

MakeLM = Callable[..., FrozenLM]
FACTS = (
    {"subject": "Zorvania", "relation": "capital", "object": "Quillfax"},
    {"subject": "Zorvania", "relation": "population", "object": "517802"},
    {"subject": "Mirelund", "relation": "motto", "object": "ever upwards, never back again"},
    {"subject": "São Tomé", "relation": "name in Japanese", "object": "サントメ"},
)
PROMPTS = ("What is the capital of Zorvania?", "Nothing at all is known here", "The motto of Mirelund is")
HAS_HIT = (True, False, True)


def open_memory(lm: FrozenLM, *, num_subkeys: int = 0, use_deep: bool = False) -> KnowledgeMemory:
    """An untrained reader with wide open gates and the facts above."""
    torch.manual_seed(0)
    sizes = {"slot_width": 16, "num_heads": 2, "head_dim": 16, "num_subkeys": num_subkeys}
    reader = Reader(ReaderConfig.for_lm(lm, **sizes))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader, use_deep=use_deep)
    memory.write(FACTS)
    return memory


@pytest.fixture
def memory(tiny_frozen_lm: MakeLM) -> KnowledgeMemory:
    """The facts above behind a tiny Llama."""
    return open_memory(tiny_frozen_lm("llama"))


def inputs(lm: FrozenLM, side: str = "left") -> dict[str, torch.Tensor]:
    """The prompts as one batch."""
    rows = lm.encode(PROMPTS)
    input_ids, mask = left_pad(rows, pad_id=lm.tokenizer.pad_token_id)
    if side == "right":
        for i, row in enumerate(rows):
            input_ids[i], mask[i] = input_ids[i].roll(len(row)), mask[i].roll(len(row))
    return {"input_ids": input_ids, "attention_mask": mask}


def objects(memory: KnowledgeMemory, text: str) -> set[str]:
    """Objects of the facts that a text brings."""
    found = memory.store.recall([text]).row_facts
    return set(memory.store.catalogue.rows(np.unique(found[found >= 0]))["object"].to_list())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_forward_without_a_hit_is_bit_identical_to_the_bare_llm(
    tiny_frozen_lm: MakeLM, architecture: str, side: str, dtype: torch.dtype
) -> None:
    lm = tiny_frozen_lm(architecture)
    lm.model.to(dtype)
    batch = inputs(lm, side)
    with torch.inference_mode():
        bare = lm.model(**batch).logits
    memory = open_memory(lm)
    mixed = memory.forward(**batch).logits
    assert [torch.equal(a, b) for a, b in zip(mixed, bare, strict=True)] == [not hit for hit in HAS_HIT]
    assert torch.equal(memory.forward(**batch, texts=["nothing"] * 3).logits, bare)


def test_generation_without_a_hit_is_bit_identical_to_the_bare_llm(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    settings = {"max_new_tokens": 5, "do_sample": False, "output_scores": True, "return_dict_in_generate": True}
    bare = lm.model.generate(**inputs(lm), **settings)
    memory = open_memory(lm)
    mixed = memory.generate(**inputs(lm), **settings)
    assert torch.equal(mixed.sequences[1], bare.sequences[1])
    for ours, theirs in zip(mixed.scores, bare.scores, strict=False):
        assert torch.equal(ours[1], theirs[1])
        assert not torch.equal(ours[0], theirs[0])
    silent = memory.generate(**inputs(lm), **settings, texts=["nothing"] * 3)
    assert torch.equal(silent.sequences, bare.sequences)
    assert all(torch.equal(a, b) for a, b in zip(silent.scores, bare.scores, strict=True))


def test_deep_memory_answers_without_a_hit_only_where_asked_for(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    bare = lm.model(**inputs(lm)).logits
    memory = open_memory(lm, num_subkeys=4, use_deep=True)
    memory.use_gate = False
    assert not torch.equal(memory.forward(**inputs(lm)).logits[1], bare[1])
    memory.use_deep = False
    assert torch.equal(memory.forward(**inputs(lm)).logits[1], bare[1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_deep_memory_is_read_where_a_stored_relation_is_named(tiny_frozen_lm: MakeLM, side: str) -> None:
    lm = tiny_frozen_lm("llama")
    memory = open_memory(lm, num_subkeys=4, use_deep=True)
    bare, found = lm.model(**inputs(lm, side)).logits, memory.forward(**inputs(lm, side)).logits
    assert torch.equal(found[1], bare[1]), "it neither names a relation nor brings a fact"
    memory.use_wide = False
    texts = ["Which populations has Atlantis?", "Nothing at all is known here", "What is the name in Latin?"]
    deep = memory.forward(**inputs(lm, side), texts=texts).logits
    assert [torch.equal(one, other) for one, other in zip(deep, bare, strict=True)] == [False, True, True]
    every = memory.hooks.bind(replace(memory.binding(texts)[0], naming=None))
    with torch.no_grad(), every:
        assert torch.equal(lm.model(**inputs(lm, side)).logits[0], deep[0])


def test_beams_of_a_prompt_that_names_no_relation_are_the_bare_llms(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    memory = open_memory(lm, num_subkeys=4, use_deep=True)
    memory.use_wide = False
    options = {"max_new_tokens": 5, "num_beams": 2, "num_return_sequences": 2, "do_sample": False}
    options |= {"output_scores": True, "return_dict_in_generate": True}
    found, bare = memory.generate(**inputs(lm), **options), lm.model.generate(**inputs(lm), **options)
    same = [torch.equal(one, other) for one, other in zip(found.scores[0], bare.scores[0], strict=True)]
    assert same == [False, False, True, True, False, False], "two beams a prompt; only the second names none"


def test_the_gate_shuts_the_deep_memory_too_unless_a_relation_is_named(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    memory = open_memory(lm, num_subkeys=4, use_deep=True)
    memory.reader.gate.weight[memory.reader.gate.num_heads_seen] = 1.0
    memory.reader.gate.bias.fill_(-9.0)
    texts = ("Where is Zorvania?", "The motto of Mirelund is")
    rows = lm.encode(texts)
    for row, is_named in zip(rows, (False, True), strict=True):
        ids = torch.tensor([row])
        options = {"max_new_tokens": 4, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
        found, bare = memory.generate(ids, **options), lm.model.generate(ids, **options)
        assert torch.equal(found.logits[0], bare.logits[0]) != is_named
        memory.use_gate = False
        assert not torch.equal(memory.generate(ids, **options).logits[0], bare.logits[0])
        memory.use_gate = True


def test_written_rows_are_those_of_the_writer_up_to_the_storage_type(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    memory = open_memory(tiny_frozen_lm(architecture))
    for fact in FACTS:
        frame = facts_from_records([fact])
        expected, encoded = memory.rows_for(frame)
        recall = memory.store.recall([f"The {fact['relation']} of {fact['subject']} is"])
        ordinal = memory.store.catalogue.find(facts=frame).ordinals
        stored = recall.rows[0][torch.from_numpy(recall.row_facts[0] == ordinal)]
        assert len(stored) == encoded.num_rows[0]
        torch.testing.assert_close(stored, expected, atol=2e-3, rtol=1e-3)


def test_rows_do_not_depend_on_the_facts_written_beside_them(memory: KnowledgeMemory) -> None:
    frame = facts_from_records(FACTS)
    together, encoded = memory.rows_for(frame)
    apart = torch.cat([memory.rows_for(frame[i])[0] for i in range(frame.height)])
    assert len(together) == encoded.num_rows.sum() > frame.height
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


def test_a_statement_of_its_own_is_what_the_writer_reads(memory: KnowledgeMemory) -> None:
    fact = FACTS[0]
    plain, _ = memory.rows_for(facts_from_records([fact]))
    own, _ = memory.rows_for(
        facts_from_records([{**fact, "statement": "The capital of Zorvania is Quillfax, they say."}])
    )
    other, _ = memory.rows_for(facts_from_records([{**fact, "statement": "Zorvania is ruled from Quillfax."}]))
    assert torch.equal(plain, own)
    assert not torch.allclose(plain, other, atol=1e-3)


def test_write_reports_and_repeats_nothing(memory: KnowledgeMemory) -> None:
    report = memory.write(FACTS)
    assert (report.added, report.removed, report.unchanged) == (0, 0, 4)
    report = memory.write([{**FACTS[0], "object": "Brennt"}, {"subject": "New", "relation": "port", "object": "007"}])
    assert (report.added, report.removed, report.unchanged) == (2, 1, 0)
    assert objects(memory, "The port of New is") == {"007"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("CUDA out of memory")])
def test_a_write_that_fails_half_way_writes_nothing(
    memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    before = memory.forward(**inputs(memory.lm)).logits
    facts = [{**FACTS[0], "object": "Brennt"}, {"subject": "New", "relation": "port", "object": "007"}]
    for place in ("fact_features", "write_rows"):
        with monkeypatch.context() as patch:
            patch.setattr(model, place, fail)
            with pytest.raises(type(error)):
                memory.write(facts)
        assert torch.equal(memory.forward(**inputs(memory.lm)).logits, before)
        assert memory.store.catalogue.next_ordinal == len(FACTS)
        assert objects(memory, "The port of New is") == set()
    report = memory.write(facts)
    assert (report.added, report.removed) == (2, 1)
    assert objects(memory, PROMPTS[0]) == {"Brennt"}


def test_a_replaced_value_is_unreachable(memory: KnowledgeMemory) -> None:
    before = memory.forward(**inputs(memory.lm)).logits
    memory.write([{**FACTS[0], "object": "Brennt"}])
    assert objects(memory, PROMPTS[0]) == {"Brennt"}
    after = memory.forward(**inputs(memory.lm)).logits
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    fresh = open_memory(memory.lm)  # bound to the same LLM: only one memory acts in a call
    fresh.erase(fresh.store.catalogue.find(facts=facts_from_records(FACTS[:1])).ordinals)
    fresh.write([{**FACTS[0], "object": "Brennt"}])
    torch.testing.assert_close(fresh.forward(**inputs(memory.lm)).logits, after, atol=1e-5, rtol=1e-4)


def test_extending_keeps_both_values(memory: KnowledgeMemory) -> None:
    memory.write([{**FACTS[0], "object": "Brennt"}], mode="extend")
    assert objects(memory, PROMPTS[0]) == {"Quillfax", "Brennt"}


def test_erasing_restores_the_bare_llm(memory: KnowledgeMemory) -> None:
    batch = inputs(memory.lm)
    bare = memory.lm.model(**batch).logits
    ordinals = memory.store.catalogue.find(subject="Zorvania").ordinals
    ids, _ = memory.store.row_ids_of(ordinals[None])
    assert memory.erase(ordinals).height == 2
    after = memory.forward(**batch).logits
    assert torch.equal(after[0], bare[0])
    assert not torch.equal(after[2], bare[2])
    assert not memory.store.table.weight[torch.from_numpy(ids[ids >= 0])].any()
    assert memory.ask(PROMPTS[0]).evidence == ()


def test_save_then_load_gives_equal_outputs(tiny_frozen_lm: MakeLM, architecture: str, tmp_path: Path) -> None:
    lm = tiny_frozen_lm(architecture)
    memory = open_memory(lm, num_subkeys=4, use_deep=True)
    memory.save(tmp_path / "m")
    loaded = KnowledgeMemory.from_pretrained(tmp_path / "m", llm=tiny_frozen_lm(architecture))
    assert loaded.use_deep
    assert torch.equal(loaded.forward(**inputs(lm)).logits, memory.forward(**inputs(lm)).logits)
    settings = {"max_new_tokens": 5, "do_sample": False}
    assert torch.equal(loaded.generate(**inputs(lm), **settings), memory.generate(**inputs(lm), **settings))
    ours, theirs = loaded.ask_many(PROMPTS, max_new_tokens=4), memory.ask_many(PROMPTS, max_new_tokens=4)
    assert [(a.text, a.confidence, a.evidence) for a in ours] == [(a.text, a.confidence, a.evidence) for a in theirs]


def test_sixty_four_tokens_are_written_and_sixty_five_refused_with_nothing_written(memory: KnowledgeMemory) -> None:
    longest = "7" * (MAX_VALUE_TOKENS - 1)  # the leading space is a token
    memory.write([{"subject": "Long", "relation": "code", "object": longest}])
    assert memory.store.recall(["The code of Long is"]).has_rows.all()
    too_long = [
        {"subject": "Fine", "relation": "port", "object": "1"},
        {"subject": "L", "relation": "c", "object": longest + "7"},
    ]
    with pytest.raises(ValueError, match=r"value '7{60}\.\.\.' has 65 tokens; a value has 1 to 64"):
        memory.write(too_long)
    assert len(memory.store) == len(FACTS) + 1
    assert objects(memory, "The port of Fine is") == set()


def test_facts_come_from_frames_records_and_files(memory: KnowledgeMemory, tmp_path: Path) -> None:
    frame = pl.DataFrame([{"subject": "File", "relation": "port", "object": "007"}])
    frame.write_csv(tmp_path / "f.csv")
    assert memory.write(str(tmp_path / "f.csv")).added == 1
    assert memory.write(facts_from_records(frame.to_dicts())).unchanged == 1
    assert objects(memory, "The port of File is") == {"007"}


def test_answers_carry_evidence_confidence_and_costs(memory: KnowledgeMemory) -> None:
    answers = memory.ask_many(PROMPTS, max_new_tokens=4)
    for prompt, answer, hit in zip(PROMPTS, answers, HAS_HIT, strict=True):
        assert 0 < answer.confidence <= 1
        assert 0 <= answer.generated_tokens <= 4
        assert answer.prompt_tokens == len(memory.lm.encode([ask_prompt(prompt)])[0])
        assert bool(answer.evidence) == hit
        assert 0 <= sum(e.attention for e in answer.evidence) <= 1.001
        attention = [e.attention for e in answer.evidence]
        assert attention == sorted(attention, reverse=True)
    ids = set(facts_from_records(FACTS[:2])["fact_id"].to_list())
    assert {e.fact_id for e in answers[0].evidence} <= ids
    assert [e.object for e in answers[2].evidence] == ["ever upwards, never back again"]


def test_ask_many_keeps_the_order_and_equals_single_asks(memory: KnowledgeMemory) -> None:
    questions = [*PROMPTS, "capital of zorvania", "What is the name in Japanese of São Tomé?"]
    together = memory.ask_many(questions, max_new_tokens=4, batch_size=2)
    for question, answer in zip(questions, together, strict=True):
        alone = memory.ask(question, max_new_tokens=4)
        assert alone.text == answer.text
        assert [e.fact_id for e in alone.evidence] == [e.fact_id for e in answer.evidence]
        assert alone.confidence == pytest.approx(answer.confidence, rel=1e-3)


def test_keys_come_from_the_user_turn_of_a_chat_only(memory: KnowledgeMemory) -> None:
    lm = memory.lm
    prompt = lm.chat_prompt("Tell me more", shots=[(PROMPTS[0], "Quillfax")])
    ids = torch.tensor(lm.encode([prompt]))
    assert memory.user_texts(ids) == ["Tell me more"]
    assert torch.equal(memory.forward(ids).logits, lm.model(ids).logits)
    asked = torch.tensor(lm.encode([lm.chat_prompt(PROMPTS[0])]))
    assert memory.user_texts(asked) == [PROMPTS[0]]
    assert user_words("plain words") == "plain words"
    assert memory.user_texts(**inputs(lm)) == list(PROMPTS)


def test_a_memory_behind_untied_embeddings_answers_and_is_silent(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("qwen2", tie_word_embeddings=False)
    bare = lm.model(**inputs(lm)).logits
    mixed = open_memory(lm).forward(**inputs(lm)).logits
    assert [torch.equal(a, b) for a, b in zip(mixed, bare, strict=True)] == [not hit for hit in HAS_HIT]


@pytest.mark.real_llm
def test_the_default_llm_round_trip_with_a_fresh_reader(tmp_path: Path) -> None:
    lm = load_lm(device="cpu", dtype=torch.float32)
    with torch.inference_mode():
        bare = lm.model(**inputs(lm)).logits
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm)))
    assert memory.write(FACTS).added == len(FACTS)
    mixed = memory.forward(**inputs(lm)).logits
    assert [torch.equal(a, b) for a, b in zip(mixed, bare, strict=True)] == [not hit for hit in HAS_HIT]
    memory.save(tmp_path / "m")
    loaded = KnowledgeMemory.from_pretrained(tmp_path / "m", llm=lm)
    assert torch.equal(loaded.forward(**inputs(lm)).logits, mixed)
    ours, theirs = (m.ask(PROMPTS[0], max_new_tokens=8) for m in (loaded, memory))
    assert (ours.text, ours.evidence) == (theirs.text, theirs.evidence)
    assert {e.object for e in ours.evidence} <= {"Quillfax", "517802"}
    with pytest.raises(ValueError, match="has 65 tokens"):
        memory.write([{"subject": "L", "relation": "c", "object": "7" * 64}])


def test_the_bare_llm_answers_where_memory_is_not_used(memory: KnowledgeMemory) -> None:
    asked = memory.ask_many(PROMPTS, use_memory=False, max_new_tokens=6)
    empty = KnowledgeMemory(memory.lm, memory.reader).ask_many(PROMPTS, max_new_tokens=6)
    assert [a.text for a in asked] == [a.text for a in empty]
    assert all(not a.evidence for a in asked)
