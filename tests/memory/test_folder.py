"""Memory folders: atomic saves, and every wrong or damaged folder refused in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.changing import LOCK_NAME, folder_lock
from widedeep_kb.memory.config import CONFIG_NAME, read_config
from widedeep_kb.memory.folder import shipped_reader
from widedeep_kb.memory.reader import READER_FILE, Reader, ReaderConfig
from widedeep_kb.memory.store import CATALOGUE_FILE, ROWS_FILE
from widedeep_kb.model import KnowledgeMemory

MakeLM = Callable[..., FrozenLM]
FACT = {"subject": "Aurora", "relation": "port", "object": "8443"}


@pytest.fixture(scope="module")
def lm(tiny_frozen_lm: MakeLM) -> FrozenLM:
    """A tiny Llama."""
    return tiny_frozen_lm("llama")


def reader_for(lm: FrozenLM, *, seed: int = 0) -> Reader:
    """A small fresh reader."""
    torch.manual_seed(seed)
    return Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=8))


@pytest.fixture
def folder(lm: FrozenLM, tmp_path: Path) -> Path:
    """A saved memory of one fact."""
    memory = KnowledgeMemory(lm, reader_for(lm))
    memory.write([FACT])
    memory.save(tmp_path / "m")
    return tmp_path / "m"


def refusal(folder: Path, lm: FrozenLM, **options: object) -> str:
    """The one line that opening `folder` ends in."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller looks at the message
        KnowledgeMemory.from_pretrained(folder, llm=lm, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ports(folder: Path, lm: FrozenLM) -> list[str]:
    """Objects held by the memory in `folder`."""
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    return memory.store.catalogue.rows(memory.store.catalogue.find(subject="Aurora").ordinals)["object"].to_list()


def test_a_folder_holds_config_and_one_snapshot_without_llm_weights(folder: Path, lm: FrozenLM) -> None:
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    memory.write([{**FACT, "object": "9000"}])
    memory.save(folder)
    assert sorted(p.name for p in folder.iterdir()) == [CONFIG_NAME, "snapshot-000002"]
    config = json.loads((folder / CONFIG_NAME).read_text())
    assert config["llm"] == {"name": "tiny-llama", "revision": "llama"}
    assert config["num_facts"] == 1
    assert ports(folder, lm) == ["9000"]
    assert read_config(folder).snapshot == folder / "snapshot-000002"


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_an_interrupted_save_leaves_the_former_memory(
    folder: Path, lm: FrozenLM, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    memory.write([{**FACT, "object": "9000"}])

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(KeyboardInterrupt):
            memory.save(folder)
    assert ports(folder, lm) == ["8443"]
    assert sorted(p.name for p in folder.iterdir()) == [CONFIG_NAME, "snapshot-000001"]
    memory.save(folder)
    assert ports(folder, lm) == ["9000"]
    assert len(list(folder.glob("snapshot-*"))) == 1


def test_an_interrupt_after_the_switch_keeps_the_new_memory_and_its_owner(
    folder: Path, lm: FrozenLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    memory.write([{**FACT, "object": "9000"}])

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        with pytest.raises(KeyboardInterrupt):
            memory.save(folder)
    assert ports(folder, lm) == ["9000"]
    memory.save(folder)
    assert len(list(folder.glob("snapshot-*"))) == 1


def test_a_save_from_a_stale_view_drops_nothing(folder: Path, lm: FrozenLM, tmp_path: Path) -> None:
    stale, other = (KnowledgeMemory.from_pretrained(folder, llm=lm) for _ in range(2))
    other.write([{**FACT, "relation": "host", "object": "h1"}])
    other.save(folder)
    stale.write([{**FACT, "relation": "owner", "object": "Ada"}])
    with pytest.raises(ValueError, match=r"/m' holds facts that this memory has not seen .* overwrite=True"):
        stale.save(folder)
    assert set(ports(folder, lm)) == {"8443", "h1"}
    stale.save(tmp_path / "elsewhere")
    other.save(folder)
    other.save(folder)
    stale.save(folder, overwrite=True)
    assert set(ports(folder, lm)) == {"8443", "Ada"}
    with pytest.raises(ValueError, match="has not seen"):
        other.save(folder)


def test_another_memory_is_not_replaced_unasked(folder: Path, lm: FrozenLM) -> None:
    new = KnowledgeMemory(lm, reader_for(lm))
    with pytest.raises(ValueError, match="has not seen"):
        new.save(folder)
    assert ports(folder, lm) == ["8443"]
    new.save(folder, overwrite=True)
    assert ports(folder, lm) == []


def test_a_folder_being_changed_or_of_other_things_is_not_saved_to(folder: Path, lm: FrozenLM, tmp_path: Path) -> None:
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    with folder_lock(folder) as lock:
        with pytest.raises(ValueError, match=rf"is being changed by another process \(pid {os.getpid()}\)"):
            memory.save(folder)
        with pytest.raises(ValueError, match="the lock is for"):
            memory.save(tmp_path / "n", lock=lock)
    memory.save(folder)
    assert not (folder / LOCK_NAME).exists()
    photos = tmp_path / "photos" / "snapshot-2020"
    photos.mkdir(parents=True)
    with pytest.raises(ValueError, match="neither empty nor a memory folder"):
        memory.save(photos.parent)
    assert photos.is_dir()


def test_a_folder_that_is_no_memory_is_refused(tmp_path: Path, lm: FrozenLM) -> None:
    assert "is not a memory folder" in refusal(tmp_path, lm)
    assert "is not a memory folder" in refusal(tmp_path / "missing", lm)


def test_a_folder_of_another_llm_is_refused(folder: Path, tiny_frozen_lm: MakeLM) -> None:
    message = refusal(folder, tiny_frozen_lm("qwen2"))
    assert "belongs to the LLM 'tiny-llama' (llama), not to 'tiny-qwen2' (qwen2)" in message


def test_rows_of_another_reader_are_refused(folder: Path, lm: FrozenLM, tmp_path: Path) -> None:
    other = reader_for(lm, seed=1)
    assert "export the facts" in refusal(folder, lm, reader=other)
    other.save(tmp_path / "other")
    assert "export the facts" in refusal(folder, lm, reader=tmp_path / "other")


def test_a_reader_of_another_llm_is_refused(lm: FrozenLM, tiny_frozen_lm: MakeLM) -> None:
    with pytest.raises(ValueError, match=r"belongs to the LLM 'tiny-gpt2' \(gpt2\), not to 'tiny-llama' \(llama\)"):
        KnowledgeMemory(lm, reader_for(tiny_frozen_lm("gpt2")))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": 99}'])
def test_a_damaged_or_newer_config_is_refused(folder: Path, lm: FrozenLM, content: str) -> None:
    (folder / CONFIG_NAME).write_text(content)
    assert CONFIG_NAME in refusal(folder, lm)


@pytest.mark.parametrize("name", [ROWS_FILE, CATALOGUE_FILE, f"reader/{READER_FILE}"])
@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "truncated"])
def test_missing_and_truncated_files_are_named(folder: Path, lm: FrozenLM, name: str, is_missing: bool) -> None:
    path = read_config(folder).snapshot / name
    content = path.read_bytes()
    path.unlink()
    if not is_missing:
        path.write_bytes(content[: len(content) // 2])
    assert path.name in refusal(folder, lm)


def test_no_reader_is_shipped_for_an_unknown_llm(lm: FrozenLM) -> None:
    with pytest.raises(ValueError, match="no reader is shipped for the LLM 'tiny-llama'.*widedeep-kb reader"):
        shipped_reader(lm)
