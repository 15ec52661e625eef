"""Facts, rows and index kept in step: write, look up, replace, extend, erase, save and load."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from widedeep_kb.memory.store import CATALOGUE_FILE, ROWS_FILE, FactStore
from widedeep_kb.memory.wide import WideTable
from widedeep_kb.schema import facts_from_records

WIDTH = 64


def word_vectors(words: list[str]) -> np.ndarray:
    """A fixed random unit vector a word."""
    rows = [np.random.default_rng(zlib.crc32(w.encode())).normal(size=8) for w in words]
    return np.array([r / np.linalg.norm(r) for r in rows], dtype=np.float32).reshape(len(words), 8)


def facts(*values: tuple[str, str, str]) -> pl.DataFrame:
    """A checked frame of (subject, relation, object)."""
    return facts_from_records([{"subject": s, "relation": r, "object": o} for s, r, o in values])


def row_of(text: str, place: int) -> Tensor:
    """The row stored for an object, recognisable and exact in half precision."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{text}/{place}".encode()))
    return torch.randn(WIDTH, generator=generator).half().float()


def num_rows_of(text: str) -> int:
    """Longer values have more rows."""
    return 1 + len(text) // 8


def write(store: FactStore, frame: pl.DataFrame, *, mode: str = "replace") -> None:
    """Catalogue and rows of facts, as `KnowledgeMemory.write` does it."""
    changes = store.preview(frame, mode=mode)
    objects = changes.added_rows["object"].to_list()
    counts = np.array([num_rows_of(o) for o in objects], dtype=np.int64)
    rows = [row_of(o, i) for o, n in zip(objects, counts.tolist(), strict=True) for i in range(n)]
    store.change(changes, torch.stack(rows) if rows else torch.zeros(0, WIDTH), num_rows=counts)


def recalled(store: FactStore, text: str) -> set[str]:
    """Objects of the facts a text brings; their rows are checked on the way."""
    recall = store.recall([text])
    found = set()
    for ordinal in np.unique(recall.row_facts[recall.row_facts >= 0]):
        (value,) = store.catalogue.rows(np.array([ordinal]))["object"].to_list()
        rows = recall.rows[0][torch.from_numpy(recall.row_facts[0] == ordinal)]
        assert torch.equal(rows, torch.stack([row_of(value, i) for i in range(num_rows_of(value))]))
        found.add(value)
    assert not recall.rows[0][torch.from_numpy(recall.row_ids[0] < 0)].any()
    return found


@pytest.fixture
def store() -> FactStore:
    """Three subjects; one value takes three rows."""
    store = FactStore(WIDTH, word_vectors=word_vectors)
    write(store, facts(("Zorvania", "capital", "Quillfax"), ("Zorvania", "motto", "always upwards, never back")))
    write(store, facts(("Mirelund", "capital", "Ostrava"), ("C++", "creator", "Bjarne")))
    return store


def test_a_relation_is_named_in_any_turn_as_long_as_a_fact_has_it(store: FactStore) -> None:
    relation = store.catalogue.rows(store.catalogue.alive())["relation"][0]
    turns = [[f"Tell me its {relation}", "And again?"], ["Hello"], []]
    assert store.names_relation(turns).tolist() == [True, False, False]
    assert store.names_relation(["Hello", f"Its {relation}?"]).tolist() == [False, True]
    assert store.names_relation([]).tolist() == []
    write(store, facts(("Zorvania", "flag colour", "teal")).with_columns(private=pl.lit(True)))  # noqa: FBT003 - a column
    write(store, facts(("Mirelund", "anthem", "Onwards")))
    assert store.names_relation(["Its flag colour?", "Its anthem?"]).tolist() == [False, True]
    store.erase(store.catalogue.alive())
    assert not store.names_relation(turns).any()


def test_written_facts_are_found_and_others_missed(store: FactStore) -> None:
    assert recalled(store, "What is the capital of Zorvania?") >= {"Quillfax"}
    assert recalled(store, "what is the motto of zorvania") >= {"always upwards, never back"}
    assert recalled(store, "Who is the creator of C++?") == {"Bjarne"}
    assert recalled(store, "Who is the creator of C#?") == set()
    assert recalled(store, "What is the capital of Zorvan?") == set()
    assert len(store) == 4


def test_a_batch_gives_each_text_its_own_rows(store: FactStore) -> None:
    texts = ["Nothing here at all", "The capital of Mirelund is", "The motto of Zorvania is", ""]
    recall = store.recall(texts)
    assert recall.has_rows.tolist() == [False, True, True, False]
    for i, text in enumerate(texts):
        alone = store.recall([text])
        num = alone.rows.shape[1]
        assert torch.equal(recall.rows[i, :num], alone.rows[0])
        assert not recall.rows[i, num:].any()


def test_no_hit_at_all_gives_no_row_places(store: FactStore) -> None:
    recall = store.recall(["Nothing here"])
    assert recall.rows.shape == (1, 0, WIDTH)
    assert not recall.has_rows.any()
    assert FactStore(WIDTH, word_vectors=word_vectors).recall(["Zorvania"]).rows.shape == (1, 0, WIDTH)


def test_replacing_a_fact_makes_the_old_value_unreachable(store: FactStore) -> None:
    (old,) = store.catalogue.find(facts=facts(("Zorvania", "capital", "Quillfax"))).ordinals
    first, live = int(store.first_rows[old]), store.table.num_live
    write(store, facts(("Zorvania", "capital", "Brenntia")))
    assert "Quillfax" not in recalled(store, "The capital of Zorvania is")
    assert "Brenntia" in recalled(store, "The capital of Zorvania is")
    assert store.table.num_live == live
    assert len(store) == 4
    assert not torch.equal(
        store.table.lookup_rows(torch.tensor([int(store.first_rows.max())])), row_of("Quillfax", 0)[None]
    )
    assert store.first_rows[old] == -1
    everything = store.table.weight.float()
    stale = torch.cat([row_of("Quillfax", i)[None] for i in range(num_rows_of("Quillfax"))])
    assert not (everything[:, None] == stale).all(-1).any(), f"row {first} still holds the former value"


def test_extending_keeps_both_values(store: FactStore) -> None:
    write(store, facts(("Zorvania", "capital", "Brenntia")), mode="extend")
    assert recalled(store, "The capital of Zorvania is") >= {"Quillfax", "Brenntia"}


def test_erased_facts_are_missed_and_their_rows_zero(store: FactStore) -> None:
    ordinals = store.catalogue.find(subject="Zorvania").ordinals
    ids, _ = store.row_ids_of(ordinals[None])
    assert store.table.lookup_rows(torch.from_numpy(ids[ids >= 0])).any()
    removed = store.erase(ordinals)
    assert sorted(removed["object"].to_list()) == ["Quillfax", "always upwards, never back"]
    assert recalled(store, "What is the capital of Zorvania?") == set()
    assert recalled(store, "The capital of Mirelund is") == {"Ostrava"}
    assert not store.table.weight[torch.from_numpy(ids[ids >= 0])].any()
    assert store.row_ids_of(ordinals[None])[0].shape == (1, 0)
    write(store, facts(("Zorvania", "capital", "Quillfax")))
    assert recalled(store, "What is the capital of Zorvania?") == {"Quillfax"}


def test_writing_what_is_there_changes_nothing(store: FactStore) -> None:
    before = store.table.weight.clone()
    write(store, facts(("Zorvania", "capital", "Quillfax")))
    assert torch.equal(store.table.weight, before)
    assert len(store) == 4


def state_of(store: FactStore) -> tuple:
    """All that a change may touch, comparable."""
    texts = ["The capital of Zorvania is", "The capital of Mirelund is", "Who is the creator of C++?", "Freshmere"]
    return (
        store.catalogue.rows(store.catalogue.alive()).to_dicts(),
        store.catalogue.next_ordinal,
        [recalled(store, text) for text in texts],
        store.table.num_live,
        store.table.allocator.num_allocated,
    )


REPLACING = (("Zorvania", "capital", "Brenntia"), ("Freshmere", "port", "1"))


def test_a_change_that_cannot_be_whole_changes_nothing(store: FactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state_of(store)
    with pytest.raises(ValueError, match=r"has no word to be found by: '\?'"):
        write(store, facts(*REPLACING, ("?", "port", "1")))
    assert state_of(store) == before
    changes = store.preview(facts(*REPLACING))
    for rows, said in ((torch.full((2, WIDTH), 1e6), "not finite"), (torch.zeros(3, WIDTH), "values must be")):
        with pytest.raises(ValueError, match=said):
            store.change(changes, rows, num_rows=np.ones(2, dtype=np.int64))
    with monkeypatch.context() as patch:
        patch.setattr(WideTable, "_resize", no_memory)
        with pytest.raises(RuntimeError, match="out of memory"):
            store.change(changes, torch.zeros(2, WIDTH), num_rows=np.ones(2, dtype=np.int64))
    assert state_of(store) == before
    write(store, facts(*REPLACING))
    assert recalled(store, "Freshmere") == {"1"}
    with pytest.raises(ValueError, match="the next fact has ordinal 6, not 4"):
        store.catalogue.apply(changes)


def no_memory(*_: object) -> None:
    """What a table that cannot grow does."""
    raise RuntimeError("out of memory")


def test_replacing_values_reuses_their_rows(store: FactStore) -> None:
    store.table._resize(store.table.allocator.trimmed())
    for number in range(200):
        write(store, facts(("Zorvania", "capital", f"Brenn{number}")))
    assert store.table.allocator.trimmed().capacity <= 8


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were started in the background, which ignores it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("heeded_interrupts")
@pytest.mark.parametrize("place", ["catalogue", "retriever", "table"])
@pytest.mark.parametrize("action", ["write", "erase"])
def test_an_interrupt_waits_for_the_end_of_a_change(
    store: FactStore, monkeypatch: pytest.MonkeyPatch, place: str, action: str
) -> None:
    part = getattr(store, place)
    name = {"catalogue": "_drop", "retriever": "remove", "table": "erase"}[place]
    original = getattr(part, name)

    def interrupted(*args: object) -> None:
        signal.raise_signal(signal.SIGINT)
        original(*args)

    monkeypatch.setattr(part, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        if action == "write":
            write(store, facts(*REPLACING))
        else:
            store.erase(store.catalogue.find(subject="Zorvania").ordinals)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    expected = {"Brenntia", "always upwards, never back"} if action == "write" else set()
    assert recalled(store, "Tell me of Zorvania") == expected
    assert store.table.num_live == store.table.allocator.num_allocated == sum(store.num_rows)
    write(store, facts(("Zorvania", "capital", "Brenntia")))


@pytest.mark.parametrize("seed", range(2))
def test_random_changes_keep_rows_and_facts_in_step(seed: int) -> None:
    rng, store, model = np.random.default_rng(seed), FactStore(WIDTH, word_vectors=word_vectors), {}
    for _ in range(40):
        key = (f"Subject{rng.integers(6)}", f"relation{rng.integers(3)}")
        if rng.random() < 0.3 and key in model:
            store.erase(store.catalogue.find(facts=facts((*key, model.pop(key)))).ordinals)
            continue
        model[key] = "v" * int(rng.integers(1, 40)) + str(rng.integers(1000))
        write(store, facts((*key, model[key])))
    for subject in {s for s, _ in model} | {"Subject9"}:
        expected = {value for (s, _), value in model.items() if s == subject}
        assert recalled(store, f"Tell me of {subject}") == expected
    assert store.table.num_live == sum(num_rows_of(v) for v in model.values())


def test_a_saved_store_loads_equal_and_can_be_changed(store: FactStore, tmp_path: Path) -> None:
    store.erase(store.catalogue.find(subject="C++").ordinals)
    store.save(tmp_path / "s")
    loaded = FactStore.load(tmp_path / "s", WIDTH, word_vectors=word_vectors)
    texts = ["The capital of Zorvania is", "Who is the creator of C++?", "The capital of Mirelund is"]
    for text in texts:
        assert torch.equal(loaded.recall([text]).rows, store.recall([text]).rows)
    write(loaded, facts(("Zorvania", "capital", "Brenntia"), ("New", "port", "1")))
    assert "Brenntia" in recalled(loaded, "The capital of Zorvania is")
    assert recalled(loaded, "The port of New is") == {"1"}
    again = FactStore.load(tmp_path / "s", WIDTH, word_vectors=word_vectors)
    assert "Quillfax" in recalled(again, "The capital of Zorvania is"), "a change in memory reached the file"


@pytest.mark.parametrize("name", [ROWS_FILE, CATALOGUE_FILE])
def test_truncated_and_missing_files_are_refused_in_one_line(store: FactStore, tmp_path: Path, name: str) -> None:
    store.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for content in (whole[: len(whole) // 2], None):
        (tmp_path / name).unlink()
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")) as caught:
            FactStore.load(tmp_path, WIDTH, word_vectors=word_vectors)
        assert "\n" not in str(caught.value)
        (tmp_path / name).touch()


def test_files_of_two_states_are_refused(store: FactStore, tmp_path: Path) -> None:
    store.save(tmp_path / "a")
    write(store, facts(("New", "port", "1")))
    store.save(tmp_path / "b")
    (tmp_path / "b" / ROWS_FILE).replace(tmp_path / "a" / ROWS_FILE)
    with pytest.raises(ValueError, match="rows for 5 facts, catalogue of 4"):
        FactStore.load(tmp_path / "a", WIDTH, word_vectors=word_vectors)


def test_a_preview_by_subject_is_that_of_all_facts() -> None:
    rng = np.random.default_rng(1)
    store = FactStore(WIDTH, word_vectors=word_vectors)
    for step in range(40):
        frame = facts(
            *((f"S{rng.integers(6)}", f"r{rng.integers(3)}", f"o{rng.integers(4)}") for _ in range(rng.integers(1, 6)))
        )
        mode = ("replace", "extend")[step % 2]
        one, other = store.preview(frame, mode=mode), store.catalogue.preview(frame, mode=mode)
        for name in ("added", "removed"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert one.removed_rows.equals(other.removed_rows) and one.added_rows.equals(other.added_rows)
        assert one.unchanged == other.unchanged
        write(store, frame, mode=mode)
        if step % 5 == 4:
            store.erase(rng.permutation(store.catalogue.alive())[:2])


def test_two_hops_bring_the_facts_of_objects(store: FactStore) -> None:
    write(store, facts(("Lyon", "country", "France"), ("France", "capital", "Paris"), ("Oslo", "country", "Norway")))
    texts = ["What is the capital of the country of Lyon?", "What is the country of Oslo?"]
    one, two = store.recall(texts), store.recall(texts, hops=2)
    objects = store.catalogue.rows(np.unique(two.row_facts[0][two.row_facts[0] >= 0]))["object"].to_list()
    assert objects == ["France", "Paris"]
    assert one.hops == ()
    assert [len(hops) for hops in two.hops] == [1, 0]
    assert two.row_facts[1, : one.row_facts.shape[1]].tolist() == one.row_facts[1].tolist()
    added = torch.from_numpy(two.row_facts[0] == two.hops[0][0].seconds[0])
    assert torch.equal(two.weights[0][added], torch.full((int(added.sum()),), float(two.hops[0][0].weights[0])))
    with pytest.raises(ValueError, match="1 or 2 hops"):
        store.recall(texts, hops=3)


def test_hops_of_a_conversation_are_those_of_its_last_turn(store: FactStore) -> None:
    write(store, facts(("Lyon", "country", "France"), ("France", "capital", "Paris")))
    texts = [["Hello!", "What is the capital of the country of Lyon?"], []]
    assert [len(hops) for hops in store.recall(texts, hops=2).hops] == [1, 0]
