"""Memories in every row format: answers, saving, replacing, erasing, converting; nothing erased stays on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.config import ROW_FORMATS, read_config
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.rewriting import rewrite
from widedeep_kb.memory.store import ROWS_FILE
from widedeep_kb.model import KnowledgeMemory

FACTS = (
    {"subject": "Zorvania", "relation": "capital", "object": "Quillfax"},
    {"subject": "Zorvania", "relation": "population", "object": "517802"},
    {"subject": "Mirelund", "relation": "motto", "object": "ever upwards, never back again, and so on"},
)
QUESTIONS = ["What is the capital of Zorvania?", "The motto of Mirelund is", "Zorvania population?"]
# Greatest difference of a layer-normed row's numbers, by format; compact rows have random vectors of 4 bits here.
ERRORS = {"fp32": 1e-6, "fp16": 2e-3, "bf16": 2e-2, "int8": 2e-2, "int4": 0.4, "compact": 0.4}


@pytest.fixture
def make(tiny_frozen_lm: Callable[..., FrozenLM]) -> Callable[..., KnowledgeMemory]:
    """`make(row_format) -> memory` of the facts above, all with the same LLM and untrained reader."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)

    def make_memory(row_format: str) -> KnowledgeMemory:
        memory = KnowledgeMemory.from_pretrained(llm=lm, reader=reader, row_format=row_format)
        memory.write(FACTS)
        return memory

    return make_memory


def rows_of(memory: KnowledgeMemory) -> torch.Tensor:
    """The rows of all facts, float64, fact after fact."""
    alive = memory.store.catalogue.alive()
    return torch.cat([memory.store.rows_of(np.array([[i]]))[0][0] for i in alive]).double()


def stored_rows(folder: Path) -> torch.Tensor:
    """The rows as they are on disk."""
    with safe_open(read_config(folder).snapshot / ROWS_FILE, framework="pt") as file:
        return file.get_tensor("rows")


def answers(memory: KnowledgeMemory) -> list[str]:
    """What the memory says, and its evidence."""
    found = memory.ask_many(QUESTIONS, max_new_tokens=6)
    return [f"{a.text} {[e.object for e in a.evidence]}" for a in found]


@pytest.mark.parametrize("row_format", ROW_FORMATS)
def test_write_save_replace_erase_undo(make: Callable[..., KnowledgeMemory], row_format: str, tmp_path: Path) -> None:
    memory, plain = make(row_format), make("fp32")
    assert memory.store.table.row_format == row_format
    assert (rows_of(memory) - rows_of(plain)).abs().max() <= ERRORS[row_format]
    memory.save(tmp_path / "m")
    again = KnowledgeMemory.from_pretrained(tmp_path / "m", llm=memory.lm)
    assert again.store.table.row_format == row_format
    assert torch.equal(rows_of(again), rows_of(memory)) and answers(again) == answers(memory)

    before, kept = rows_of(again), again.store.catalogue.alive()[0]
    old = again.store.table.weight[again.store.first_rows[kept]].clone()
    again.write([{**FACTS[0], "object": "Brightmoor"}])
    again.erase(again.store.catalogue.find(subject="Mirelund").ordinals)
    again.save(tmp_path / "m")
    on_disk = stored_rows(tmp_path / "m")
    assert not (on_disk == old).all(1).any(), "the replaced row is gone"
    assert int((on_disk != 0).any(1).sum()) == again.store.table.num_live, "and so are the erased ones"

    again.write(FACTS)  # as it was
    assert sorted(f["object"] for f in FACTS) == sorted(
        again.store.catalogue.rows(again.store.catalogue.alive())["object"].to_list()
    )
    assert sorted(map(str, rows_of(again).tolist())) == sorted(map(str, before.tolist()))


def test_answers_are_the_same_in_all_float_formats(make: Callable[..., KnowledgeMemory]) -> None:
    wanted = answers(make("fp32"))
    assert answers(make("fp16")) == wanted and answers(make("bf16")) == wanted


@pytest.mark.parametrize("target", ROW_FORMATS)
@pytest.mark.parametrize("source", ["fp32", "fp16", "int8", "compact"])
def test_conversion_is_as_good_as_writing(make: Callable[..., KnowledgeMemory], source: str, target: str) -> None:
    memory, written = make(source), make(target)
    notices = rewrite(memory, target)
    assert memory.store.table.row_format == target
    loose = max(ERRORS[source], ERRORS[target])
    assert (rows_of(memory) - rows_of(make("fp32"))).abs().max() <= loose * 1.5
    if source == "fp32" or target == "compact":
        assert torch.equal(rows_of(memory), rows_of(written))
    is_up = ROW_FORMATS.index(target) < ROW_FORMATS.index(source) and {source, target} != {"fp16", "bf16"}
    assert any("does not bring back" in notice for notice in notices) == is_up
    memory.write([{"subject": "Zorvania", "relation": "capital", "object": "Brightmoor"}])
    memory.erase(memory.store.catalogue.find(subject="Mirelund").ordinals)
    assert len(rows_of(memory)) == memory.store.table.num_live


def test_training_that_is_lost_is_told(make: Callable[..., KnowledgeMemory]) -> None:
    for target, message in (("compact", "1 trained rows were made from their facts again"), ("int8", "is dropped")):
        memory = make("fp32")
        memory.store.table.momentum[int(memory.store.first_rows[0])] = 0.5
        assert any(message in notice for notice in rewrite(memory, target))
    kept = make("fp32")
    kept.store.table.momentum[int(kept.store.first_rows[0])] = 0.5
    assert rewrite(kept, "fp16") == [] and float(kept.store.table.momentum.sum()) == 0.5
