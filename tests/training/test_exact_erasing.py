"""Facts erased from shared weights: the memory is, bit for bit, one in which they were never written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from widedeep_kb.live import live_memory
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.config import read_config
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.training_record import ADAPTERS, DEEP, TrainingRecord
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.training.exact_erasing import retrained_without
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig

MakeLM = Callable[..., FrozenLM]
NAMES = ("Zorvania", "Mirelund", "Quandor Hills", "Brexley", "Tolmaria", "Vashtin", "Orlundia", "Pexford")
FACTS = [{"subject": name, "relation": "port", "object": str(110 + 37 * i)} for i, name in enumerate(NAMES)]
LATER = [{"subject": name, "relation": "owner of record", "object": f"Ada {i}"} for i, name in enumerate(NAMES[:4])]
SECRET = {"subject": "Zorvania", "relation": "key", "object": "90177", "private": True}
GONE = {"Quandor Hills", "Vashtin"}


@pytest.fixture
def config(tmp_path: Path) -> FitConfig:
    """A few quick steps."""
    sizes = {"steps": 6, "batch_size": 6, "num_subkeys": 5, "validate_every": 6, "num_validation": 2}
    return FitConfig(**sizes, row_lr=0.1, dense_lr=2e-2, log_dir=tmp_path / "logs")


@pytest.fixture
def lm(tiny_frozen_lm: MakeLM) -> FrozenLM:
    """A tiny Llama."""
    return tiny_frozen_lm("llama")


def fresh(lm: FrozenLM) -> KnowledgeMemory:
    """An empty memory with a small untrained reader whose gates are open."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    return KnowledgeMemory(lm, reader)


def questions_of(facts: list[dict]) -> pl.DataFrame:
    """Three questions in own words about each fact."""
    frame = facts_from_records(facts)
    rows = [
        {"question": f"{word} {fact['subject']} {fact['relation']}?", "answers": ["x"], "fact_id": fact["fact_id"]}
        for fact in frame.iter_rows(named=True)
        for word in ("Say the", "And the", "Now")
    ]
    return pl.DataFrame([{**row, "tags": []} for row in rows], schema=QUESTION_SCHEMA)


def lived(lm: FrozenLM, config: FitConfig, *, without: set[str], folder: Path) -> KnowledgeMemory:
    """A memory with a history: facts, a training, more facts, another training; none of `without` ever in it."""
    first, later = ([f for f in facts if f["subject"] not in without] for facts in (FACTS, LATER))
    memory = fresh(lm)
    memory.write(first)
    fit(memory, config, questions=questions_of(first), templates={"port": ["port {subject} has", "{subject} listens"]})
    memory.save(folder)
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    memory.write([*later, SECRET], mode="extend")
    chosen = memory.store.catalogue.find(facts=facts_from_records([*later, first[0]])).ordinals
    fit(memory, replace(config, seed=3, train_adapters=True), ordinals=chosen)
    memory.save(folder)
    return memory


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the snapshot, by file and name."""
    snapshot = read_config(folder).snapshot
    found = {}
    for path in snapshot.rglob("*.safetensors"):
        for name, tensor in load_file(path).items():
            found[f"{path.relative_to(snapshot)}/{name}"] = tensor
    return found


def compacted(memory: KnowledgeMemory, folder: Path, lm: FrozenLM) -> dict[str, torch.Tensor]:
    """Tensors of the memory's folder, written anew."""
    memory.save(folder, overwrite=True)
    with live_memory(folder, llm=lm) as live:
        live.compact()
    return tensors_of(folder)


def test_the_result_is_a_memory_that_never_had_the_facts(lm: FrozenLM, config: FitConfig, tmp_path: Path) -> None:
    control = lived(lm, config, without=GONE, folder=tmp_path / "control")
    memory = lived(lm, config, without=set(), folder=tmp_path / "memory")
    before = {name: tensor.clone() for name, tensor in memory.reader.state_dict().items()}
    gone = np.concatenate([memory.store.catalogue.find(subject=name).ordinals for name in sorted(GONE)])
    assert memory.record.shared_with(gone, catalogue=memory.store.catalogue) == (ADAPTERS, DEEP)
    exact = retrained_without(memory, gone)
    assert all(torch.equal(before[name], tensor) for name, tensor in memory.reader.state_dict().items())
    wanted, found = compacted(control, tmp_path / "control", lm), compacted(exact, tmp_path / "memory", lm)
    assert wanted.keys() == found.keys() and any(name.startswith("base/") for name in wanted)
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    assert any(not torch.equal(before[name], found[f"reader/reader.safetensors/{name}"]) for name in before)
    opened = [KnowledgeMemory.from_pretrained(tmp_path / name, llm=lm) for name in ("control", "memory")]
    asked = [f"What is the port of {name}?" for name in NAMES]
    answers = [[answer.text for answer in one.ask_many(asked, max_new_tokens=4)] for one in opened]
    assert answers[0] == answers[1]
    columns = [one.store.catalogue.rows(one.store.catalogue.alive()) for one in opened]
    assert columns[0].equals(columns[1])
    twice = retrained_without(opened[1], np.zeros(0, np.int64))  # the new record can be repeated in turn
    assert [
        n for n, t in twice.reader.state_dict().items() if not torch.equal(t, opened[1].reader.state_dict()[n])
    ] == []


def test_plain_erasing_keeps_the_shared_weights_and_says_which(lm: FrozenLM, config: FitConfig, tmp_path: Path) -> None:
    memory = lived(lm, config, without=set(), folder=tmp_path / "memory")
    catalogue = memory.store.catalogue
    secret = catalogue.rows(catalogue.alive()).filter(pl.col("private"))["ordinal"].to_numpy()
    assert memory.record.shared_with(secret, catalogue=catalogue) == ()
    later = catalogue.find(fact_ids=[facts_from_records(LATER)["fact_id"][1]]).ordinals
    assert memory.record.shared_with(later, catalogue=catalogue) == (ADAPTERS, DEEP)
    assert memory.record.num_gone(catalogue) == 0
    memory.erase(later)
    memory.save(tmp_path / "memory")
    opened = KnowledgeMemory.from_pretrained(tmp_path / "memory", llm=lm)
    assert opened.record.num_gone(opened.store.catalogue) == 1
    kept = retrained_without(opened, np.zeros(0, np.int64))
    assert kept.record.num_gone(kept.store.catalogue) == 0


@pytest.mark.parametrize("is_gone_before", [False, True])
def test_rows_of_others_are_trained_again_too(
    lm: FrozenLM, config: FitConfig, tmp_path: Path, is_gone_before: bool
) -> None:
    from widedeep_kb.cli.erase import erase

    made = {}
    for name, facts in (("control", [f for f in FACTS if f["subject"] not in GONE]), ("memory", FACTS)):
        made[name] = fresh(lm)
        made[name].write(facts)
        fit(made[name], replace(config, deep=False))
    memory = made["memory"]
    gone = np.concatenate([memory.store.catalogue.find(subject=name).ordinals for name in sorted(GONE)])
    if is_gone_before:
        memory.erase(gone)
        gone = gone[:0]
    plain, erased, _ = erase(memory, gone[:0], is_exact=False)
    assert plain is memory and not erased.height
    exact, erased, _ = erase(memory, gone, is_exact=True)
    assert exact is not memory and erased.height == len(gone)
    wanted, found = (compacted(one, tmp_path / name, lm) for name, one in (("a", made["control"]), ("b", exact)))
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    assert exact.record.num_gone(exact.store.catalogue, has_rows=True) == 0
    assert erase(exact, gone[:0], is_exact=True)[0] is exact  # nothing is left to be done


def test_the_record_survives_and_forgets_what_was_erased(lm: FrozenLM, config: FitConfig, tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    memory = lived(lm, config, without=set(), folder=folder)
    first, second = TrainingRecord.load(read_config(folder).snapshot).trainings
    assert first.ordinals is None and first.questions.height == 3 * len(FACTS) and first.num_seen == len(FACTS)
    assert (first.config["seed"], second.config["seed"]) == (0, 3)
    assert len(second.ordinals) == len(LATER) + 1 and second.trained == ("rows", "deep memory", "adapters")
    assert memory.record.base is not None and not memory.record.base.has_deep
    with live_memory(folder, llm=lm) as live:
        live.memory.erase(live.memory.store.catalogue.find(subject="Mirelund").ordinals)
        live.compact()
    first, second = TrainingRecord.load(read_config(folder).snapshot).trainings
    assert first.questions.height == 3 * (len(FACTS) - 1) and len(second.ordinals) == len(LATER)
    assert not first.questions["question"].str.contains("Mirelund").any() and first.templates
    with live_memory(folder, llm=lm) as live:
        store = live.memory.store
        ports = store.catalogue.where(pl.col("relation") == "port", ["ordinal"])["ordinal"].to_numpy()
        live.memory.erase(ports)
        live.compact()
    assert TrainingRecord.load(read_config(folder).snapshot).trainings[0].templates == {}


def test_what_cannot_be_repeated_is_refused(lm: FrozenLM, config: FitConfig, tmp_path: Path) -> None:
    from widedeep_kb.memory.rewriting import rewrite

    memory = fresh(lm)
    memory.write(FACTS)
    fit(memory, config)
    rewrite(memory, "int8")
    with pytest.raises(ValueError, match="trained with fp16 rows and stores int8 now"):
        retrained_without(memory, np.zeros(1, np.int64))
    memory.record = TrainingRecord()
    with pytest.raises(ValueError, match="before trainings were recorded"):
        retrained_without(memory, np.zeros(1, np.int64))
    (tmp_path / "trainings.json").write_text("{")
    with pytest.raises(ValueError, match="damaged record of trainings"):
        TrainingRecord.load(tmp_path)
