"""Answers to questions whose facts stay are the same, bit for bit, while others come and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.stability import compare, look

NAMES = [f"Zor{a}{b}ania" for a in "abcdefghij" for b in "klmnop"]


def test_updates_and_erasures_of_others_change_no_bit(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write([{"subject": name, "relation": "port", "object": str(i)} for i, name in enumerate(NAMES)])
    asked = [f"What is the port of {name}?" for name in NAMES[:20]]
    before = look(memory, asked, max_new_tokens=4)
    random = np.random.default_rng(0)
    for step in range(60):
        chosen = random.choice(NAMES[21:], 3, replace=False)
        memory.write([{"subject": name, "relation": "port", "object": f"{step}{name[3]}"} for name in chosen])
        memory.erase(memory.store.catalogue.find(subject=random.choice(NAMES[21:])).ordinals)
    after = compare(before, look(memory, asked, max_new_tokens=4))
    assert (after.num_same_hits, after.num_other_tokens, after.num_other_logits) == (20, 0, 0)
    memory.store.rebuild_index()
    assert compare(before, look(memory, asked, max_new_tokens=4)) == after
    memory.write([{"subject": NAMES[0], "relation": "port", "object": "77"}])
    changed = look(memory, asked, max_new_tokens=4)
    assert compare(before, changed).num_same_hits == 19
    assert not torch.equal(before.logits[0], changed.logits[0])
