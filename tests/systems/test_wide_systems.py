"""`wide`, `wide_deep` and `deep`: what is trained, what is left alone, and what an update does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems import wide, wide_deep
from widedeep_kb.systems.protocol import Updatable
from widedeep_kb.systems.wide import Wide
from widedeep_kb.systems.wide_deep import Deep, WideDeep
from widedeep_kb.systems.wide_deep_rag import WideDeepRAG

QUESTION = "What is the flag colour of Zorvania?"


@pytest.fixture(autouse=True)
def tiny_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random readers with open gates in the place of the shipped one."""

    def made(lm: FrozenLM) -> Reader:
        torch.manual_seed(0)
        reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=8))
        for adapter in reader.adapters:
            adapter.gate.data.fill_(1.0)
        return reader

    for module in (wide, wide_deep):
        monkeypatch.setattr(module, "fresh_reader", made)


def quick(system: WideDeep, **changes: object) -> WideDeep:
    """A few small steps."""
    system.config = replace(system.config, batch_size=4, num_subkeys=4, num_validation=4, **changes)
    return system


def test_no_system_changes_the_llm_or_stays_on_it(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_lm.model.state_dict().items()}
    num_hooks = [len(layer._forward_hooks) for layer in tiny_lm.layers]
    for system in (Wide(tiny_lm), quick(WideDeep(tiny_lm), steps=2), quick(Deep(tiny_lm), steps=2)):
        system.ingest(facts)
        system.generate([QUESTION])
        system.close()
    assert all(torch.equal(before[name], tensor) for name, tensor in tiny_lm.model.state_dict().items())
    assert [len(layer._forward_hooks) for layer in tiny_lm.layers] == num_hooks


def test_training_makes_the_answer_likelier(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    likely = []
    for steps in (1, 40):
        system = quick(WideDeep(tiny_lm), steps=steps, train_adapters=True, adapter_lr=1e-2)
        system.ingest(facts)
        likely.append(system.loglikelihood([QUESTION], ["teal"])[0])
        assert system.history["steps"] == steps
        system.close()
    assert likely[1] > likely[0] + 1.0


def test_the_same_seed_gives_the_same_memory_and_another_seed_another(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    found = []
    for seed in (0, 0, 1):
        system = quick(WideDeep(tiny_lm, seed=seed), steps=4)
        system.ingest(facts)
        found.append(system.loglikelihood([QUESTION], ["teal"])[0])
        system.close()
    assert found[0] == found[1] != found[2]


def test_training_ends_when_its_time_is_up(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system = quick(WideDeep(tiny_lm, max_seconds=0.01), steps=500)
    system.ingest(facts)
    assert 1 <= system.history["steps"] < 500
    (training,) = system.memory.record.trainings
    assert training.config["steps"] == system.history["steps"] and training.config["max_seconds"] is None
    system.close()


def test_the_deep_memory_reads_no_rows(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system = quick(Deep(tiny_lm), steps=2)
    system.ingest(facts)
    assert system.generate([QUESTION])[0].evidence == []
    assert system.memory.reader.has_deep and system.memory.use_deep and not system.memory.use_wide
    system.close()


@pytest.mark.parametrize("make", [Wide, WideDeep, Deep, WideDeepRAG])
def test_an_update_replaces_the_values_of_its_properties(
    tiny_lm: FrozenLM, facts: pl.DataFrame, make: Callable[[FrozenLM], Wide]
) -> None:
    system = make(tiny_lm)
    if isinstance(system, WideDeep):
        quick(system, steps=2)
    assert isinstance(system, Updatable)
    system.ingest(facts)
    system.update(facts_from_records([{"subject": "Zorvania", "relation": "flag colour", "object": "scarlet"}]))
    catalogue = system.memory.store.catalogue
    live = catalogue.rows(catalogue.alive())
    colours = live.filter(pl.col("relation") == "flag colour").select("subject", "object").rows()
    assert sorted(colours) == [("Quillfax Ridge", "ochre"), ("Zorvania", "scarlet"), ("api.Widget", "mauve")]
    assert live.height == facts.height
    system.close()


def test_the_retrieved_statement_stands_before_the_question(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system = quick(WideDeepRAG(tiny_lm, max_new_tokens=4), steps=2)
    system.ingest(facts)
    shown, bare = system.prompts([QUESTION, "Who wrote Hamlet?"])
    assert shown.splitlines()[0].endswith("is teal.") and shown.splitlines()[1:] == ask_prompt(QUESTION).splitlines()
    assert bare == ask_prompt("Who wrote Hamlet?")
    (answer,) = system.generate([QUESTION])
    assert answer.prompt_tokens == len(tiny_lm.encode([shown])[0])
    system.update(facts_from_records([{"subject": "Zorvania", "relation": "flag colour", "object": "scarlet"}]))
    assert system.prompts([QUESTION])[0].splitlines()[0].endswith("is scarlet.")
    system.close()
