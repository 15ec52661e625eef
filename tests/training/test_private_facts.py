"""Private facts in random histories: written and refined with them, all but their own rows is the same to the byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.folder import empty_store
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig

MakeLM = Callable[..., FrozenLM]
RELATIONS = ("port", "owner of record", "key", "second port")
TEMPLATES = {"port": ["port {subject} has", "{subject} listens at"], "key": ["{subject} opens with"]}
KINDS = {
    "rows": {"deep": False},
    "deep": {"deep": True},
    "deep alone": {"deep": True, "wide": False},
    "adapters": {"deep": False, "train_adapters": True},
}


@dataclass
class History:
    """Batches of facts and the subjects erased behind each; `is_private` facts are in some batches."""

    steps: list[tuple[list[dict[str, object]], list[str], str]] = field(default_factory=list)

    def live(self, memory: KnowledgeMemory, *, has_private: bool) -> None:
        """Write and erase as it says."""
        for facts, erased, mode in self.steps:
            chosen = [fact for fact in facts if has_private or not fact["private"]]
            if chosen:
                memory.write(chosen, mode=mode)
            for subject in erased:
                found = memory.store.catalogue.find(subject=subject).ordinals
                is_public = ~memory.store.catalogue.private_mask(found)
                if is_public.any():
                    memory.erase(found[is_public])


def random_history(rng: random.Random) -> History:
    """Public facts, values of one and of several rows; private ones before, among and behind them."""
    names = [f"Zor{a}{b}ania" for a in "abcde" for b in "kl"]
    hidden = [*rng.sample(names, 4), "Vaultia", "Mirelund"]
    history = History()
    for step in range(3):
        facts, mode = [], rng.choice(("replace", "extend"))
        for name in rng.sample(names, 6):
            value = " ".join(str(rng.randrange(10**3)) for _ in range(rng.choice((1, 1, 9))))
            aliases = [f"Old {name}"] if rng.random() < 0.5 else []
            public = {"subject": name, "relation": rng.choice(RELATIONS[:2]), "object": value, "private": False}
            facts.append({**public, "subject_aliases": aliases})
        for name in rng.sample(hidden, 3):
            relation = rng.choice(RELATIONS[2:] if mode == "replace" else RELATIONS)  # or public ones go
            secret = {"subject": name, "relation": relation, "object": f"{rng.randrange(10**6)}"}
            facts.append({**secret, "subject_aliases": [], "private": True})
        rng.shuffle(facts)
        erased = rng.sample(names, 2) if step < 2 else []
        history.steps.append((facts, erased, mode))
    return history


def memory_of(lm: FrozenLM) -> KnowledgeMemory:
    """An empty memory with a small untrained reader whose gates are open."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    return KnowledgeMemory(lm, reader)


def rows_and_state(memory: KnowledgeMemory) -> dict[str, tuple[Tensor, Tensor]]:
    """fact_id -> its rows as they are stored, and their optimizer state."""
    store, found = memory.store, {}
    for ordinal, name in store.catalogue.columns_for(store.catalogue.alive(), ["ordinal", "fact_id"]).iter_rows():
        ids, _ = store.row_ids_of(np.array([[ordinal]]))
        found[name] = (store.table.weight.detach()[ids[0]].clone(), store.table.momentum[ids[0]].clone())
    return found


def private_of(memory: KnowledgeMemory) -> set[str]:
    """fact_ids of the live private facts."""
    facts = memory.store.catalogue.rows(memory.store.catalogue.alive())
    return set(facts.filter("private")["fact_id"].to_list())


def questions_about(memory: KnowledgeMemory) -> pl.DataFrame:
    """One in own words about each live fact."""
    facts = memory.store.catalogue.rows(memory.store.catalogue.alive())
    rows = [
        {"question": f"Say the {relation} of {subject} now", "answers": ["x"], "fact_id": fact_id, "tags": []}
        for subject, relation, fact_id in facts.select("subject", "relation", "fact_id").iter_rows()
    ]
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_private_facts_move_nothing_else(tiny_frozen_lm: MakeLM, tmp_path: Path, kind: str, seed: int) -> None:
    rng, lm = random.Random(f"{kind}{seed}"), tiny_frozen_lm("llama")
    history, public, mixed = random_history(rng), memory_of(lm), memory_of(lm)
    history.live(public, has_private=False)
    history.live(mixed, has_private=True)
    sizes = {"steps": 3, "batch_size": 8, "num_subkeys": 5, "validate_every": 2, "num_validation": 3, "row_lr": 0.1}
    config = FitConfig(**sizes, **KINDS[kind], dense_lr=0.02, seed=seed, log_dir=tmp_path)
    before = rows_and_state(mixed)
    for name, (rows, _) in rows_and_state(public).items():
        assert torch.equal(rows, before[name][0])
    assert before.keys() - rows_and_state(public).keys() == private_of(mixed)
    for memory in (public, mixed):
        own = questions_about(memory) if seed else None
        fit(memory, config, questions=own, templates=TEMPLATES if seed else None)
    weights = [memory.reader.state_dict() for memory in (public, mixed)]
    assert weights[0].keys() == weights[1].keys()
    assert [name for name, tensor in weights[0].items() if not torch.equal(tensor, weights[1][name])] == []
    wanted, found = rows_and_state(public), rows_and_state(mixed)
    assert wanted.keys() < found.keys()
    assert [name for name in wanted if not all(map(torch.equal, wanted[name], found[name]))] == []
    moved = [name for name in found.keys() - wanted.keys() if not torch.equal(found[name][0], before[name][0])]
    assert moved if KINDS[kind].get("wide", True) else not moved


@pytest.mark.parametrize("row_format", ["fp32", "int8", "compact"])
def test_rows_written_beside_private_facts(tiny_frozen_lm: MakeLM, row_format: str) -> None:
    lm, history = tiny_frozen_lm("llama"), random_history(random.Random(row_format))
    made = []
    for has_private in (False, True):
        reader = memory_of(lm).reader
        memory = KnowledgeMemory(lm, reader, store=empty_store(lm, reader, row_format=row_format))
        history.live(memory, has_private=has_private)
        catalogue = memory.store.catalogue
        made.append({})
        for ordinal, name in catalogue.columns_for(catalogue.alive(), ["ordinal", "fact_id"]).iter_rows():
            made[-1][name] = memory.store.rows_of(np.array([[ordinal]]))[0]
    assert len(made[0]) < len(made[1]) and all(rows.abs().sum() > 0 for rows in made[1].values())
    assert [name for name, rows in made[0].items() if not torch.equal(rows, made[1][name])] == []


def test_answers_about_others_stay(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    lm = tiny_frozen_lm("llama")
    public, mixed = memory_of(lm), memory_of(lm)
    names = [f"Zor{a}{b}ania" for a in "abcde" for b in "kl"]
    facts = [{"subject": name, "relation": "port", "object": str(100 + i)} for i, name in enumerate(names)]
    secrets = [{"subject": f"Vaultia {i}", "relation": "key", "object": f"9{i}", "private": True} for i in range(5)]
    public.write(facts)
    mixed.write([*secrets[:2], *facts[:4], *secrets[2:], *facts[4:]])
    sizes = {"steps": 4, "batch_size": 8, "num_subkeys": 5, "validate_every": 4, "num_validation": 3}
    for memory in (public, mixed):
        fit(memory, FitConfig(**sizes, row_lr=0.1, log_dir=tmp_path))
    asked = [f"What is the port of {name}?" for name in [*names, "Nowhere"]]
    hits = [memory.store.hits(asked) for memory in (public, mixed)]
    ids = [
        [memory.store.fact_ids.of(row[row >= 0]) for row in found.ordinals]
        for memory, found in zip((public, mixed), hits, strict=True)
    ]
    assert ids[0] == ids[1] and np.array_equal(hits[0].weights, hits[1].weights)
    inputs = lm.tokenizer(asked, return_tensors="pt", padding=True)
    logits = [memory.forward(inputs.input_ids, texts=asked).logits for memory in (public, mixed)]
    assert torch.equal(*logits)
    answers = [[(a.text, a.confidence) for a in m.ask_many(asked, max_new_tokens=3)] for m in (public, mixed)]
    assert answers[0] == answers[1]
    assert facts_from_records(secrets)["fact_id"][0] in rows_and_state(mixed)
