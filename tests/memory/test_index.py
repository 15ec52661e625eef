"""The exact index against a dict of sets, collisions, and the memory-mapped file."""

import numpy as np
import pytest

from widedeep_kb.memory import index as index_module
from widedeep_kb.memory.index import ExactIndex


def checks_of(keys: np.ndarray) -> np.ndarray:
    return keys * np.uint64(0x9E3779B97F4A7C15)


def rows_of(index: ExactIndex, keys: np.ndarray) -> list[list[int]]:
    found = index.lookup(keys)
    return [found.values[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("min_overlay", [4, 200, 100_000])
def test_agrees_with_a_dict(seed: int, min_overlay: int, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(index_module, "_MIN_OVERLAY", min_overlay)
    rng = np.random.default_rng(seed)
    universe = rng.integers(0, 2**64, 60, dtype=np.uint64)
    universe[:20] >>= np.uint64(50)  # crowd one bucket
    universe[20:22] = [0, 2**64 - 1]
    universe = np.unique(universe)
    index, expected = ExactIndex(), {}
    for step in range(60):
        keys = rng.choice(universe, rng.integers(0, 12))
        ordinals = rng.integers(0, 8, len(keys))
        pairs = list(zip(keys.tolist(), ordinals.tolist(), strict=True))
        if rng.random() < 0.55:
            index.insert(keys, ordinals, checks_of(keys))
            for key, ordinal in pairs:
                expected.setdefault(key, set()).add(ordinal)
        else:
            present = {pair for pair in pairs if pair[1] in expected.get(pair[0], ())}
            assert index.delete(keys, ordinals) == len(present)
            for key, ordinal in present:
                expected[key].discard(ordinal)
        if step % 20 == 19:
            index.save(tmp_path / "index.safetensors")
            index = ExactIndex.load(tmp_path / "index.safetensors")
        assert rows_of(index, universe) == [sorted(expected.get(key, ())) for key in universe.tolist()]
        assert index.num_keys == sum(map(bool, expected.values()))


def test_an_unknown_key_misses_and_a_wrong_check_misses() -> None:
    index = ExactIndex()
    keys = np.array([5, 9], np.uint64)
    index.insert(keys, np.array([1, 2]), checks_of(keys))
    assert rows_of(index, np.array([9, 6, 5], np.uint64)) == [[2], [], [1]]
    assert index.lookup(keys, checks_of(keys)).lengths.tolist() == [1, 1]
    assert index.lookup(keys, checks_of(keys)[::-1].copy()).lengths.tolist() == [0, 0]
    assert rows_of(ExactIndex(), keys) == [[], []]


def test_a_collision_names_both_texts_and_changes_nothing() -> None:
    index = ExactIndex()
    keys, checks = np.array([5, 5], np.uint64), np.array([1 << 40, 2 << 40], np.uint64)
    with pytest.raises(ValueError, match="'Paris' and 'Rome'"):
        index.insert(keys, np.array([1, 2]), checks, texts=["Paris", "Rome"])
    assert index.num_keys == 0
    index.insert(keys[:1], np.array([1]), checks[:1], texts=["Paris"])
    with pytest.raises(ValueError, match="'Rome' has the key 0x0000000000000005 of stored ordinal 1"):
        index.insert(keys[1:], np.array([2]), checks[1:], texts=["Rome"])
    assert rows_of(index, keys[:1]) == [[1]]
    index.delete(keys[:1], np.array([1]))
    index.insert(keys[1:], np.array([2]), checks[1:])
    assert rows_of(index, keys[:1]) == [[2]]


def test_a_compacted_index_keeps_no_trace_of_deleted_keys() -> None:
    index = ExactIndex()
    keys = np.arange(1, 101, dtype=np.uint64) << np.uint64(56)
    index.insert(keys, np.arange(100), checks_of(keys))
    index.compact()
    index.delete(keys[:50], np.arange(50))
    arrays = index.arrays()
    assert not np.isin(keys[:50], arrays["keys"]).any()
    assert sorted(arrays["values"].tolist()) == list(range(50, 100))


def test_writing_a_mapped_index_leaves_its_file_alone(tmp_path) -> None:
    path = tmp_path / "index.safetensors"
    keys = np.array([1 << 63, 3], np.uint64)
    index = ExactIndex()
    index.insert(keys, np.array([4, 7]), checks_of(keys))
    index.save(path)
    before = path.read_bytes()
    mapped = ExactIndex.load(path)
    mapped.delete(keys, np.array([4, 7]))
    assert rows_of(mapped, keys) == [[], []]
    assert path.read_bytes() == before
    assert rows_of(ExactIndex.load(path, is_mapped=False), keys) == [[4], [7]]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 5, 60, -1])
def test_a_truncated_file_is_refused(tmp_path, size: int) -> None:
    path = tmp_path / "index.safetensors"
    keys = np.array([3], np.uint64)
    index = ExactIndex()
    index.insert(keys, np.array([4]), checks_of(keys))
    index.save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"index\.safetensors"):
        ExactIndex.load(path)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 keys, 1 ordinals and 2 checks"):
        ExactIndex().insert(np.zeros(2, np.uint64), np.zeros(1, np.int64), np.zeros(2, np.uint64))
