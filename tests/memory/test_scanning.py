"""The search for what a folder holds of facts: against `bytes.find`, and on folders before and after compaction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from widedeep_kb.live import live_memory
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.config import read_config
from widedeep_kb.memory.journal import FILE_NAME as JOURNAL
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.scanning import leftovers, scan, search, traces_of
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.audit import control_of

MakeLM = Callable[..., FrozenLM]
FACTS = [
    {"subject": f"Zor{i}ania Keep", "relation": "capital", "object": f"Quillfax {i}", "source": "atlas"}
    for i in range(12)
]
SECRET = {
    "subject": "Vantor Mill",
    "relation": "keeper of the seal",
    "object": "Ip",
    "statement": "Nobody but Ip keeps the seal of Vantor Mill.",
    "subject_aliases": ["Old Vantor Mill"],
}


@pytest.fixture(params=["fp16", "int8"])
def folder(request: pytest.FixtureRequest, tiny_frozen_lm: MakeLM, tmp_path: Path) -> Path:
    """A memory of public facts and a secret one, with semantic names; it came through the journal."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=64, num_heads=2, head_dim=16))
    memory = KnowledgeMemory.from_pretrained(llm=lm, reader=reader, row_format=request.param)
    memory.use_semantic = True
    memory.write(FACTS)
    memory.save(tmp_path / "memory")
    return tmp_path / "memory"


def found_in(folder: Path, traces: list) -> dict[str, set[str]]:
    """Kinds found, by file name, of files that hold something."""
    return {Path(one.name).name: set(one.found) for one in scan(folder, traces) if one.found}


def test_search_agrees_with_find() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        data = random.integers(0, 3, random.integers(0, 300), np.uint8).tobytes()
        wanted = [random.integers(0, 3, n, np.uint8).tobytes() for n in random.integers(0, 14, 30)]
        for _ in range(5):
            begin = int(random.integers(0, len(data) + 1))
            wanted.append(data[begin : begin + int(random.integers(8, 40))])
        expected = [i for i, text in enumerate(wanted) if len(text) >= 8 and text in data]
        assert search(data, wanted) == expected


def test_everything_is_found_until_the_folder_is_written_anew(
    folder: Path, tiny_frozen_lm: MakeLM, tmp_path: Path
) -> None:
    lm = tiny_frozen_lm("llama")
    with live_memory(folder, llm=lm) as live:
        live.memory.write([SECRET])
        store = live.memory.store
        ordinals = store.catalogue.find(subject="Vantor Mill").ordinals
        control = control_of(live.memory, ordinals)
        traces = traces_of(store, ordinals, others=control.store)
        kinds = {"row", "key", "fact_id", "text"}
        assert {trace.kind for trace in traces} == kinds
        assert all(b"atlas" != trace.data and b"capital" != trace.data for trace in traces)
        live.compact()
        saved = found_in(folder, traces)  # in the snapshot
        assert saved["facts.parquet"] == {"fact_id", "text"} and "row" in saved["rows.safetensors"]
        assert {"key", "text"} <= saved["retrieval.safetensors"] and "text" in saved["names.safetensors"]
        live.memory.erase(ordinals)
        held = found_in(folder, traces)  # in the former snapshot still, until the journal is worked in
        assert held["facts.parquet"] == {"fact_id", "text"} and held.keys() == saved.keys()
        live.memory.write([SECRET])
        journaled = found_in(folder, traces)
        assert journaled[JOURNAL] | journaled.get(f"{JOURNAL}-wal", set()) >= {"row", "fact_id", "text"}
        live.memory.erase(live.memory.store.catalogue.find(subject="Vantor Mill").ordinals)
        live.compact()
        assert found_in(folder, traces) == {} and leftovers(read_config(folder).snapshot) == []
    shutil.copytree(folder, tmp_path / "old")
    assert found_in(tmp_path, traces) == {}


def test_short_texts_are_found_as_cells(folder: Path, tiny_frozen_lm: MakeLM) -> None:
    with live_memory(folder, llm=tiny_frozen_lm("llama")) as live:
        live.memory.write([SECRET])
        ordinals = live.memory.store.catalogue.find(subject="Vantor Mill").ordinals
        traces = traces_of(live.memory.store, ordinals, others=control_of(live.memory, ordinals).store)
        short = [trace for trace in traces if trace.data == b"Ip"]
        assert short and JOURNAL in found_in(folder, short)
        live.compact()
        assert set(found_in(folder, short)) == {"facts.parquet"}


def test_what_is_left_in_free_rows_and_indexes_is_seen(folder: Path, tiny_frozen_lm: MakeLM) -> None:
    memory = KnowledgeMemory.from_pretrained(folder, llm=tiny_frozen_lm("llama"))
    memory.erase(memory.store.catalogue.find(subject="Zor3ania Keep").ordinals)
    memory.save(folder)
    snapshot = read_config(folder).snapshot
    assert leftovers(snapshot) == []
    tensors = {name: tensor.clone() for name, tensor in load_file(snapshot / "rows.safetensors").items()}
    tensors["rows"][~tensors["is_live"]] = 1
    tensors["first_rows"][3] = 3
    save_file(tensors, snapshot / "rows.safetensors", metadata={"row_format": memory.store.table.row_format})
    assert leftovers(snapshot) == ["rows of free rows", "row numbers of facts that are gone"]
