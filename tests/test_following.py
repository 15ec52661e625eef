"""Answers over several hops: what is left to be asked, the facts read on the way, and questions about one fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from widedeep_kb.answering import AskOptions
from widedeep_kb.following import LEAST_OPEN, LEAST_UNNAMED, follow
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

MakeLM = Callable[..., FrozenLM]
FACTS = (
    ("Lyon", "country", "France"),
    ("Lyon", "time zone", "Europe/Paris"),
    ("France", "capital", "Paris"),
    ("France", "currency", "Euro"),
    ("Euro", "symbol", "€"),
    ("Oslo", "country", "Norway"),
)
TWO = "What is the capital of the country of Lyon?"
THREE = "What is the symbol of the currency of the country of Lyon?"
ONE = ("What is the capital of France?", "The country of Lyon is", "Who are you?", "What is the country of Oslo?")


@pytest.fixture
def memory(tiny_frozen_lm: MakeLM) -> KnowledgeMemory:
    """The facts above behind a tiny Llama, with an untrained reader of wide open gates."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write([{"subject": s, "relation": r, "object": o, "source": "test"} for s, r, o in FACTS])
    return memory


def test_what_is_left_to_be_asked(memory: KnowledgeMemory) -> None:
    followed = follow(memory, [ONE[0], TWO, ONE[2], THREE], num_hops=1, batch_size=1)
    texts = [one.text for one in followed]
    assert texts == [ONE[0], "What is the capital of France?", ONE[2], "What is the symbol of the currency of France?"]
    assert [[fact.object for fact in one.facts] for one in followed] == [[], ["France"], [], ["France"]]
    assert [one.prompt_tokens > 0 for one in followed] == [False, True, False, True]
    assert 0 < followed[1].facts[0].attention < 1


def test_more_hops_go_further(memory: KnowledgeMemory) -> None:
    (one,) = follow(memory, [THREE], num_hops=5, batch_size=8)
    assert one.text == "What is the symbol of Euro?"
    assert [fact.object for fact in one.facts] == ["France", "Euro"]


def test_the_answer_is_that_of_the_question_left_and_tells_its_chain(memory: KnowledgeMemory) -> None:
    answer, left = memory.ask(TWO, hops=2), memory.ask("What is the capital of France?")
    assert (answer.text, answer.confidence) == (left.text, left.confidence)
    assert answer.evidence[:-1] == left.evidence
    assert [(fact.subject, fact.relation) for fact in answer.chain[:-1]] == [("Lyon", "country")]
    assert answer.chain[-1] == left.evidence[0]
    assert answer.evidence[-1] == answer.chain[0]
    assert answer.prompt_tokens > left.prompt_tokens
    printed = answer.as_dict()
    assert [fact["object"] for fact in printed["chain"]] == ["France", left.evidence[0].object]
    assert "chain" not in left.as_dict()


def test_questions_about_one_fact_are_answered_as_without_hops(memory: KnowledgeMemory) -> None:
    with_hops, without = memory.ask_many([*ONE, TWO], hops=2), memory.ask_many([*ONE, TWO])
    for ours, theirs in zip(with_hops[:-1], without[:-1], strict=True):
        assert replace(ours, latency_ms=0, signs=None) == replace(theirs, latency_ms=0, signs=None)
    assert with_hops[-1].chain
    assert not without[-1].chain
    assert not memory.ask(TWO, hops=2, use_memory=False).evidence


def test_batches_do_not_matter(memory: KnowledgeMemory) -> None:
    questions = [TWO, ONE[0], THREE, *ONE]
    one_by_one = memory.ask_many(questions, AskOptions(hops=3, batch_size=1))
    together = memory.ask_many(questions, AskOptions(hops=3, batch_size=4))
    assert [a.text for a in one_by_one] == [a.text for a in together]
    assert [[f.fact_id for f in a.chain] for a in one_by_one] == [[f.fact_id for f in a.chain] for a in together]


def test_the_fact_with_the_attention_is_followed(memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.write([{"subject": "Lyon", "relation": "country", "object": "Norway"}], mode="extend")
    memory.write([{"subject": "Norway", "relation": "capital", "object": "Oslo"}])
    (hops,), catalogue = memory.store.hops([TWO])
    assert len(hops) == 2
    for chosen in hops:
        monkeypatch.setattr("widedeep_kb.following.attention_shares", lambda *_, o=chosen.first: [{o: 0.5}])
        (one,) = follow(memory, [TWO], num_hops=1, batch_size=1)
        assert one.facts[0].object == catalogue.columns_for([chosen.first], ["object"])["object"][0]
        assert one.text == chosen.text


def test_an_open_hop_is_taken_where_the_adapters_find_the_rest(
    memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Which money do people pay with in the country of Lyon?"
    ((hop,),), _ = memory.store.hops([text])
    for share, is_taken in ((LEAST_OPEN - 0.01, False), (LEAST_OPEN + 0.01, True)):
        shares = [{hop.first: 0.9, int(hop.seconds[0]): share}]
        monkeypatch.setattr("widedeep_kb.following.attention_shares", lambda *_, found=shares: found)
        (one,) = follow(memory, [text], num_hops=2, batch_size=1)
        assert one.text == (hop.text if is_taken else text)
        assert bool(one.facts) == is_taken
        assert one.prompt_tokens > 0


def test_a_first_fact_that_other_words_stand_for_must_be_looked_at(
    memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "What is the capital of the nation where Lyon lies?"
    ((hop,),), _ = memory.store.hops([text])
    assert not hop.is_named and hop.text == ONE[0]
    for share, left in ((LEAST_UNNAMED - 0.01, text), (LEAST_UNNAMED + 0.01, ONE[0])):
        monkeypatch.setattr("widedeep_kb.following.attention_shares", lambda *_, s=share: [{hop.first: s}])
        (one,) = follow(memory, [text], num_hops=1, batch_size=1)
        assert one.text == left


def test_both_hops_are_read_together_where_that_is_asked_for(memory: KnowledgeMemory) -> None:
    answers = memory.ask_many([TWO, ONE[0], ONE[2]], hops=2, chaining="together")
    relations = [[fact.relation for fact in answer.evidence] for answer in answers]
    assert {"country", "capital"} <= set(relations[0])
    assert [[fact.object for fact in answer.chain][:1] for answer in answers] == [["France"], [], []]
    assert answers[0].chain[1].subject == "France"
    assert answers[1].text == memory.ask(ONE[0]).text


def test_a_way_of_chaining_that_there_is_not_is_refused(memory: KnowledgeMemory) -> None:
    with pytest.raises(ValueError, match="chaining must be 'rewrite' or 'together', got 'apart'"):
        AskOptions(chaining="apart")
    with pytest.raises(ValueError, match="1 or 2 hops"):
        memory.ask(TWO, hops=3, chaining="together")
    assert not memory.ask(TWO, hops=3, use_memory=False).chain


def test_hops_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="hops must be at least 1, got 0"):
        AskOptions(hops=0)
