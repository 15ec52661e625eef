"""The scaling benchmark: sizes, fillers that are real facts but for their semantic part, on a tiny random model."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.folder import empty_store
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.domains import frame_questions

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_scaling.py"))


@pytest.fixture
def memory(tiny_frozen_lm: Callable[..., FrozenLM]) -> KnowledgeMemory:
    """An empty memory of a tiny random LLM."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    return KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm)))


def test_sizes_end_at_the_largest() -> None:
    assert SCRIPT["sizes"](1000) == [1000]
    assert SCRIPT["sizes"](2500) == [1000, 2500]
    assert SCRIPT["sizes"](10**7) == [10**3, 10**4, 10**5, 10**6, 10**7]


def test_a_memory_grows_with_written_facts_and_fillers(memory: KnowledgeMemory) -> None:
    source = SCRIPT["Source"](memory, num_written=1000, seed=0)
    num_features = len(memory.reader.config.writer_layers) * memory.lm.hidden_size
    pool = torch.randn(16, num_features)
    SCRIPT["grow"](memory, source, until=1000, pool=pool, chunk=400)
    facts = memory.store.catalogue.rows(memory.store.catalogue.alive())
    assert facts["fact_id"].to_list() == source.written["fact_id"].to_list()
    SCRIPT["grow"](memory, source, until=1600, pool=pool, chunk=400)
    fillers = memory.store.catalogue.rows(memory.store.catalogue.alive())[1000:]
    assert fillers.height == 600
    names = set(source.asked["subject"].str.to_lowercase())
    assert not names & set(fillers["subject"].str.to_lowercase())
    some = fillers.sample(20, seed=0)
    found = memory.store.recall([f"The {r} of {s} is" for s, r in some.select("subject", "relation").iter_rows()])
    hits = [o in row for o, row in zip(some["ordinal"].to_list(), found.hits.ordinals.tolist(), strict=True)]
    assert sum(hits) >= 18


def test_fillers_differ_from_written_facts_in_their_keys_alone(memory: KnowledgeMemory) -> None:
    source = SCRIPT["Source"](memory, num_written=1000, seed=0)
    facts = source.written.head(8)
    real, encoded = memory.rows_for(facts)
    other = torch.randn(1, len(memory.reader.config.writer_layers) * memory.lm.hidden_size)
    with SCRIPT["borrowed_states"](other):
        filler, _ = memory.rows_for(facts)
    real, filler = (rows.unflatten(-1, (8, 2, -1)) for rows in (real, filler))  # slots of key and value
    torch.testing.assert_close(real[:, :, 1], filler[:, :, 1])
    is_used = torch.from_numpy(encoded.chunk_tokens >= 0)
    assert not torch.isclose(real[:, :, 0][is_used], filler[:, :, 0][is_used], atol=1e-4).all()


def test_a_size_is_asked_and_measured(memory: KnowledgeMemory) -> None:
    args = SCRIPT["parse_args"](["--num-timed", "2", "--runs", "1", "--max-new-tokens", "3", "--save-up-to", "2000"])
    source = SCRIPT["Source"](memory, num_written=1000, seed=0)
    memory.write(source.asked)
    questions = frame_questions(source.asked.head(4), split="trained", seed=0)
    found = SCRIPT["ask"](memory, questions, args=args)
    found |= SCRIPT["space"](memory, rss_before=0, args=args)
    assert 0 <= found["exact_match"] <= 1
    assert all(found[name] > 0 for name in found if name != "exact_match")
    assert pl.DataFrame([found]).height == 1


def test_a_filler_is_the_same_whoever_draws_it(memory: KnowledgeMemory) -> None:
    source = SCRIPT["Source"](memory, num_written=1000, seed=0)
    one, two = (SCRIPT["filler_facts"](number, *source._given) for number in (1, 2))
    SCRIPT["keep"](source._given)
    assert SCRIPT["kept_facts"](2).equals(two)
    assert one.height == two.height and not set(one["subject_id"]) & set(two["subject_id"])
    assert len(set(one["subject"]) & set(two["subject"])) < 0.1 * one["subject"].n_unique()
    assert one["object"].to_list() != two["object"].to_list()
    assert one["object"].sort().to_list() == two["object"].sort().to_list(), "values are moved on, none is lost"


def test_sizes_are_timed_in_turns(memory: KnowledgeMemory, capsys: pytest.CaptureFixture) -> None:
    args = SCRIPT["parse_args"](["--num-timed", "3", "--runs", "2", "--max-new-tokens", "2"])
    source = SCRIPT["Source"](memory, num_written=1000, seed=0)
    memory.write(source.asked[:100])
    stores, first = {100: memory.store}, memory.store
    memory.store = empty_store(memory.lm, memory.reader)
    memory.write(source.asked[:200])
    stores[200] = memory.store
    texts = frame_questions(source.asked.head(5), split="trained", seed=0)["question"].to_list()
    asked: list[tuple[object, int]] = []
    ask = memory.ask_many
    memory.ask_many = lambda batch, **options: asked.append((memory.store, len(batch))) or ask(batch, **options)
    times = SCRIPT["times_in_turns"](memory, stores, texts, args=args)
    assert {name: {n: len(v) for n, v in own.items()} for name, own in times.items()} == {
        "ask_1_ms": {100: 3, 200: 3}, "recall_1_ms": {100: 3, 200: 3},
        "ask_64_ms": {100: 2, 200: 2}, "recall_64_ms": {100: 2, 200: 2},
    }  # fmt: skip
    assert [store for store, _ in asked] == [first, stores[200]] * 5 and [n for _, n in asked] == [1] * 6 + [5] * 4
    assert memory.store is stores[200], "as it was"
    SCRIPT["tell_turns"](memory, stores, texts, args=args)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["in_turns"] for line in lines] == [100, 200] and lines[0]["ask_1_ms_ratio"] == 1.0
