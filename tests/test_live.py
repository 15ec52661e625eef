"""A live memory: changes are on disk when they return, whatever happens then; asking goes on meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from widedeep_kb.live import live_memory
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory import journal as journal_file
from widedeep_kb.memory.journal import FILE_NAME
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

MakeLM = Callable[..., FrozenLM]
SUBJECTS = tuple(f"Zor{letter}ania" for letter in "abcdefghij")


def fact(subject: str, value: str, relation: str = "capital") -> dict[str, str]:
    """One fact."""
    return {"subject": subject, "relation": relation, "object": value}


@pytest.fixture
def lm(tiny_frozen_lm: MakeLM) -> FrozenLM:
    """A tiny Llama."""
    return tiny_frozen_lm("llama")


@pytest.fixture
def folder(lm: FrozenLM, tmp_path: Path) -> Path:
    """A memory folder with a fact of each subject."""
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    memory.write([fact(subject, f"Quillfax {i}") for i, subject in enumerate(SUBJECTS)])
    memory.save(tmp_path / "memory")
    return tmp_path / "memory"


def contents(memory: KnowledgeMemory) -> tuple[list[dict], torch.Tensor]:
    """All facts with their rows, by fact_id: what a memory is, wherever in the table the rows are."""
    facts = memory.store.catalogue.rows(memory.store.catalogue.alive()).sort("fact_id")
    rows, _, _ = memory.store.rows_of(facts["ordinal"].to_numpy()[:, None])
    return facts.drop("ordinal").to_dicts(), rows


def assert_equal(ours: KnowledgeMemory, theirs: KnowledgeMemory) -> None:
    """Two memories hold the same facts and rows, and find them."""
    for one, other in zip(contents(ours), contents(theirs), strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    asked = [f"What is the capital of {subject}?" for subject in SUBJECTS]
    found = [memory.store.recall(asked) for memory in (ours, theirs)]
    assert torch.equal(found[0].rows, found[1].rows)
    assert np.array_equal(found[0].weights, found[1].weights)


def change_at_random(memory: KnowledgeMemory, *, seed: int, times: int = 12) -> None:
    """Replace, extend and erase facts, several at once."""
    random = np.random.default_rng(seed)
    for step in range(times):
        chosen = random.choice(SUBJECTS, size=random.integers(1, 4), replace=False)
        if random.random() < 0.3:
            ordinals = [memory.store.catalogue.find(subject=subject).ordinals for subject in chosen]
            memory.erase(np.concatenate(ordinals))
        else:
            facts = [fact(subject, f"Town {seed} {step} {random.integers(9)}") for subject in chosen]
            memory.write(facts, mode=random.choice(["replace", "extend"]))


@pytest.mark.parametrize("seed", range(3))
def test_what_was_changed_is_there_when_the_folder_is_opened_again(lm: FrozenLM, folder: Path, seed: int) -> None:
    with live_memory(folder, llm=lm) as live:
        change_at_random(live.memory, seed=seed)
        assert live.journal_bytes > 0
        assert_equal(KnowledgeMemory.from_pretrained(folder, llm=lm), live.memory)  # by another process, meanwhile
        live.compact()
        assert live.journal_bytes == 0
        assert len(list(folder.glob("snapshot-*"))) == 1
        change_at_random(live.memory, seed=seed + 100)
        kept = live.memory
    assert_equal(KnowledgeMemory.from_pretrained(folder, llm=lm), kept)
    with live_memory(folder, llm=lm) as live:
        change_at_random(live.memory, seed=seed + 200)
        assert_equal(KnowledgeMemory.from_pretrained(folder, llm=lm), live.memory)


@pytest.mark.parametrize("row_format", ["fp32", "int8", "compact"])
def test_every_row_format_is_replayed(lm: FrozenLM, tmp_path: Path, row_format: str) -> None:
    sizes = {"slot_width": 64, "num_heads": 2, "head_dim": 16}
    reader = Reader(ReaderConfig.for_lm(lm, **sizes))
    folder = tmp_path / "new"
    with live_memory(folder, may_create=True, llm=lm, reader=reader, row_format=row_format) as live:
        change_at_random(live.memory, seed=4)
        assert live.memory.store.table.row_format == row_format
        assert_equal(KnowledgeMemory.from_pretrained(folder, llm=lm), live.memory)


def test_a_change_that_is_refused_leaves_no_entry(lm: FrozenLM, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live_memory(folder, llm=lm) as live:
        live.memory.write([fact("Aurora", "8443")])
        before = contents(live.memory)[0]
        with pytest.raises(ValueError, match="newline"):
            live.memory.write([fact("Aurora", "1\n2")])
        with pytest.raises(ValueError, match="999"):
            live.memory.erase(np.array([999]))
        monkeypatch.setattr(journal_file, "MAX_ENTRY_BYTES", 10)
        with pytest.raises(ValueError, match="journal"):
            live.memory.write([fact("Aurora", "9001")])
        monkeypatch.undo()
        monkeypatch.setattr(live.memory.store, "change", refuse)
        with pytest.raises(ValueError, match="refused"):
            live.memory.write([fact("Aurora", "9001")])
        monkeypatch.undo()
        assert live.memory.journal.number == 1
        assert contents(live.memory)[0] == before
        live.memory.write([fact("Aurora", "7")])
    assert contents(KnowledgeMemory.from_pretrained(folder, llm=lm))[0] != before


def refuse(*_args: object, **_kwargs: object) -> None:
    """A store that takes no change."""
    raise ValueError("refused")


def test_a_change_that_cannot_be_written_is_the_last(lm: FrozenLM, folder: Path) -> None:
    with live_memory(folder, llm=lm) as live:
        live.memory.write([fact("Aurora", "1")])
        with sqlite3.connect(live.memory.journal.path, isolation_level=None) as other:
            live.memory.journal._database.execute("PRAGMA busy_timeout = 10")
            other.execute("BEGIN IMMEDIATE")  # somebody holds the file: a change cannot begin
            with pytest.raises(OSError, match="locked"):
                live.memory.write([fact("Aurora", "2")])
            other.execute("ROLLBACK")
        assert not live.is_behind
        live.memory.write([fact("Aurora", "3")])
        database = live.memory.journal._database

        class Full:
            in_transaction = False

            def execute(self, text: str, *args: object) -> None:
                if text == "COMMIT":
                    database.execute("ROLLBACK")
                    raise sqlite3.OperationalError("disk I/O error")
                database.execute(text, *args)

        live.memory.journal._database = Full()
        with pytest.raises(OSError, match="disk I/O"):
            live.memory.write([fact("Aurora", "4")])
        live.memory.journal._database = database
        assert live.is_behind
        with pytest.raises(OSError, match="open the memory again"):
            live.memory.write([fact("Aurora", "5")])
    found = KnowledgeMemory.from_pretrained(folder, llm=lm).store.catalogue
    assert found.rows(found.find(subject="Aurora").ordinals)["object"].to_list() == ["3"]


def test_a_change_that_is_being_written_is_no_failure(lm: FrozenLM, folder: Path) -> None:
    seen: list[tuple[str, bool]] = []
    with live_memory(folder, llm=lm) as live:
        live.memory.write([fact("Aurora", "1")])
        live.memory.journal._database.set_trace_callback(lambda text: seen.append((text.split()[0], live.is_behind)))
        live.memory.write([fact("Aurora", "2")])
    assert [found for found in seen if found[0] == "COMMIT"] == [("COMMIT", False)]


def journal_of(folder: Path) -> Path:
    """The only journal of a folder."""
    (path,) = folder.glob(f"snapshot-*/{FILE_NAME}")
    return path


def test_a_torn_tail_is_cut_and_damage_is_named(lm: FrozenLM, folder: Path, tmp_path: Path) -> None:
    states = []
    torn = tmp_path / "torn"
    with live_memory(folder, llm=lm) as live:
        states.append(contents(live.memory)[0])
        for i in range(6):
            live.memory.write([fact("Aurora", f"{i} and some more", "motto")])
            states.append(contents(live.memory)[0])
        shutil.copytree(folder, torn)  # as a crash leaves it: entries are still in SQLite's log
    log = journal_of(torn).with_name(f"{FILE_NAME}-wal")
    size = log.stat().st_size
    lengths = set()
    for cut in np.linspace(0, size, 12).astype(int):
        copy = tmp_path / f"cut-{cut}"
        shutil.copytree(torn, copy)
        os.truncate(journal_of(copy).with_name(log.name), cut)
        found = contents(KnowledgeMemory.from_pretrained(copy, llm=lm))[0]
        assert found in states
        lengths.add(states.index(found))
    assert {0, 6} <= lengths and len(lengths) > 3
    path = journal_of(folder)
    data = bytearray(path.read_bytes())
    data[data.index(b"2 and some more")] ^= 1  # a bit of a fact's text
    path.write_bytes(data)
    with pytest.raises(ValueError, match="entry 3 is damaged"):
        KnowledgeMemory.from_pretrained(folder, llm=lm)
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("DELETE FROM entries WHERE number = 3")
    with pytest.raises(ValueError, match="entry 3 is missing"):
        KnowledgeMemory.from_pretrained(folder, llm=lm)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(ValueError, match="damaged journal"):
        KnowledgeMemory.from_pretrained(folder, llm=lm)


def test_another_process_neither_changes_nor_overwrites(lm: FrozenLM, folder: Path) -> None:
    other = KnowledgeMemory.from_pretrained(folder, llm=lm)
    other.write([fact("Boreas", "1")])
    with live_memory(folder, llm=lm) as live:
        with pytest.raises(ValueError, match="changed by another process"), live_memory(folder, llm=lm):
            pass
        live.memory.write([fact("Aurora", "8443")])
        with pytest.raises(ValueError, match="changed by another process"):
            other.save(folder)
    with pytest.raises(ValueError, match="has not seen"):
        other.save(folder)  # the journal has grown since it was opened
    seen = KnowledgeMemory.from_pretrained(folder, llm=lm)
    seen.write([fact("Boreas", "1")])
    seen.save(folder)
    assert len(KnowledgeMemory.from_pretrained(folder, llm=lm).store) == len(SUBJECTS) + 2


def test_asking_goes_on_while_facts_change(lm: FrozenLM, folder: Path) -> None:
    asked = [f"What is the capital of {subject}?" for subject in SUBJECTS[:3]]
    failures: list[BaseException] = []
    with live_memory(folder, llm=lm) as live:
        is_over = threading.Event()

        def ask() -> None:
            try:
                while not is_over.is_set():
                    for answer in live.memory.ask_many(asked, max_new_tokens=2):
                        assert all(fact.subject in SUBJECTS for fact in answer.evidence)
            except BaseException as error:  # noqa: BLE001 - handed to the test
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        change_at_random(live.memory, seed=9, times=25)
        live.compact()
        change_at_random(live.memory, seed=10, times=5)
        is_over.set()
        for thread in threads:
            thread.join()
        assert not failures, repr(failures[0])
        alone = KnowledgeMemory.from_pretrained(folder, llm=lm)
        assert_equal(alone, live.memory)
