"""Kept answers are those that would be generated, and are taken only where nothing that they depend on has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from widedeep_kb.answering import AskOptions
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.answer_cache import AnswerCache, digest

NAMES = [f"Zor{a}{b}ania" for a in "abcd" for b in "klm"]
QUESTIONS = [f"What is the {relation} of {name}?" for name in NAMES for relation in ("port", "colour of the harbour")]
OPTIONS = AskOptions(max_new_tokens=3, batch_size=5)


@pytest.fixture
def memory(tiny_frozen_lm: Callable[..., FrozenLM]) -> KnowledgeMemory:
    """Half of the names have a fact."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    made = KnowledgeMemory(lm, reader)
    made.write([{"subject": name, "relation": "port", "object": str(i)} for i, name in enumerate(NAMES[::2])])
    return made


def plain(memory: KnowledgeMemory, options: AskOptions = OPTIONS) -> list[str]:
    """With no cache."""
    return [answer.text for answer in memory.ask_many(QUESTIONS, options)]


def test_answers_are_those_of_the_memory_and_are_kept(memory: KnowledgeMemory, tmp_path: Path) -> None:
    told: list[dict[str, object]] = []
    cache = AnswerCache(tmp_path / "answers.sqlite", report=lambda **values: told.append(values))
    assert cache.ask(memory, QUESTIONS, OPTIONS, name="first") == plain(memory)
    assert (cache.counts.generated, cache.counts.taken) == (len(QUESTIONS), 0)
    assert told[-1]["asked"] == "first" and told[-1]["done"] == told[-1]["of"] == len(QUESTIONS)
    again = AnswerCache(tmp_path / "answers.sqlite", checked_share=0.5)
    assert again.ask(memory, QUESTIONS, OPTIONS) == plain(memory)
    assert (again.counts.generated, again.counts.taken) == (0, len(QUESTIONS))
    assert 0 < again.counts.repeated < len(QUESTIONS) and again.counts.differing == 0


@pytest.mark.parametrize("what", ["value", "adapter", "gate", "fewer tokens", "batches", "deep", "order"])
def test_whatever_an_answer_depends_on_makes_it_another(memory: KnowledgeMemory, what: str) -> None:
    cache, options, questions = AnswerCache(), OPTIONS, QUESTIONS
    cache.ask(memory, QUESTIONS, options)
    cache.counts.taken = 0
    if what == "value":
        memory.write([{"subject": name, "relation": "port", "object": f"9{i}"} for i, name in enumerate(NAMES[::2])])
    elif what == "adapter":
        next(memory.reader.adapters[-1].parameters()).data += 1.0
    elif what == "gate":
        memory.reader.gate.weight.fill_(-1.0)
    elif what == "fewer tokens":
        options = AskOptions(max_new_tokens=2, batch_size=5)
    elif what == "batches":
        options = AskOptions(max_new_tokens=3, batch_size=4)
    elif what == "deep":
        memory.reader.add_deep(3)
    else:
        questions = QUESTIONS[::-1]
    texts = cache.ask(memory, questions, options)
    assert texts == [answer.text for answer in memory.ask_many(questions, options)]
    assert cache.counts.taken < len(QUESTIONS)
    if what in ("fewer tokens", "deep"):
        assert cache.counts.taken == 0


def test_a_relation_that_opens_the_deep_memory_makes_another_answer(memory: KnowledgeMemory) -> None:
    torch.manual_seed(0)
    memory.reader.add_deep(3)
    for deep in memory.reader.deep_readers:
        deep.output.weight.data.mul_(50.0)
    memory.use_deep, memory.use_wide, cache = True, False, AnswerCache()
    before = cache.ask(memory, QUESTIONS, OPTIONS)
    memory.write([{"subject": "Elsewhere", "relation": "colour of the harbour", "object": "teal"}])
    after = cache.ask(memory, QUESTIONS, OPTIONS)
    assert after == plain(memory) and after != before
    assert 0 < cache.counts.taken < len(QUESTIONS), "batches that ask for the port alone are what they were"


def test_the_bare_llm_is_the_same_behind_any_reader(memory: KnowledgeMemory) -> None:
    cache, options = AnswerCache(), AskOptions(max_new_tokens=3, batch_size=5, use_memory=False)
    cache.ask(memory, QUESTIONS, options)
    next(memory.reader.adapters[-1].parameters()).data += 1.0
    assert cache.ask(memory, QUESTIONS, options) == plain(memory, options)
    assert cache.counts.taken == len(QUESTIONS)


def test_an_answer_that_is_not_what_would_be_generated_is_counted(memory: KnowledgeMemory, tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers.sqlite", checked_share=1.0)
    cache.ask(memory, QUESTIONS, OPTIONS)
    assert (cache.counts.repeated, cache.counts.differing) == (len(QUESTIONS), 0)
    with cache._database as database:
        database.execute("UPDATE answers SET texts = replace(texts, '[\"', '[\"x')")
    cache.ask(memory, QUESTIONS, OPTIONS)
    assert cache.counts.differing == -(-len(QUESTIONS) // OPTIONS.batch_size)  # the first answer of each batch


def test_hops_are_refused(memory: KnowledgeMemory) -> None:
    with pytest.raises(ValueError, match="hops"):
        AnswerCache().ask(memory, QUESTIONS, AskOptions(hops=2))
    assert AnswerCache().ask(memory, [], OPTIONS) == []


def test_digests_tell_where_parts_end() -> None:
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"]) != digest([b"abc"])
