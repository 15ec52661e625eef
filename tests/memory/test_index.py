"""The exact index against a dict of sets, collisions, and the memory-mapped file."""

import pickle
import subprocess
import sys
from multiprocessing import get_context

import numpy as np
import pytest
from safetensors.numpy import load_file

from widedeep_kb.memory import index as index_module
from widedeep_kb.memory.array_file import load_arrays, save_arrays
from widedeep_kb.memory.bucket_table import MAX_INLINE, MULTIPLIER
from widedeep_kb.memory.index import ENGINES, LOAD, ExactIndex


def checks_of(keys: np.ndarray) -> np.ndarray:
    return keys * np.uint64(0x9E3779B97F4A7C15)


def rows_of(index: ExactIndex, keys: np.ndarray) -> list[list[int]]:
    found = index.lookup(keys)
    return [found.values[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


@pytest.fixture(params=["numpy", "numba"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the two ways to work on the table."""
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def crowd(num_keys: int, *, upper: int) -> np.ndarray:
    """Distinct keys that share their home bucket in a table of any size up to 2^32."""
    products = (np.uint64(upper) << np.uint64(32)) + np.arange(num_keys, dtype=np.uint64)
    return products * np.uint64(pow(MULTIPLIER, -1, 2**64))


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_a_dict(seed: int, engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(index_module, "_CHUNK", int(rng.integers(1, 30)))  # of pairs and of buckets
    ends = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    wide = rng.integers(0, 2**64, 90, dtype=np.uint64)
    last = crowd(15, upper=2**32 - 1)  # in the last bucket, so that they go on in the first
    universe = np.unique(np.concatenate([wide, ends, crowd(25, upper=7), last, np.arange(20, dtype=np.uint64)]))
    values = np.array([0, 1, 2, 3, MAX_INLINE, MAX_INLINE + 1, -1, 2**63 - 1, -(2**63)])
    index, expected = ExactIndex(engine=engine), {}
    for _ in range(80):
        keys = rng.choice(universe, rng.integers(0, 60))
        ordinals = rng.choice(values, len(keys))
        pairs = set(zip(keys.tolist(), ordinals.tolist(), strict=True))
        action = rng.random()
        if action < 0.5:
            index.insert(keys, ordinals, checks_of(keys))
            for key, ordinal in pairs:
                expected.setdefault(key, set()).add(ordinal)
        elif action < 0.8:
            present = {pair for pair in pairs if pair[1] in expected.get(pair[0], ())}
            assert index.delete(keys, ordinals) == len(present)
            for key, ordinal in present:
                expected[key].discard(ordinal)
        elif action < 0.88:
            index.save(tmp_path / "index.safetensors")
            index = ExactIndex.load(tmp_path / "index.safetensors", is_mapped=action < 0.85, engine=engine)
        elif action < 0.93:
            index = pickle.loads(pickle.dumps(index))
        elif len(keys) and expected.get(key := int(keys[0])):
            clashing = checks_of(keys)
            clashing[0] ^= np.uint64(1 << 60)
            with pytest.raises(ValueError, match="hash collision"):
                index.insert(np.roll(keys, 5), np.roll(ordinals, 5), np.roll(clashing, 5))
        assert rows_of(index, universe) == [sorted(expected.get(key, ())) for key in universe.tolist()]
        assert index.num_keys == sum(map(bool, expected.values()))
        wrong = checks_of(universe) ^ np.uint64(1 << 32)
        assert len(index.lookup(universe, wrong).values) == 0


def test_the_engines_agree_on_many_keys(tmp_path) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, 120_000, dtype=np.uint64)
    keys[1000:3000] = crowd(2000, upper=9)
    keys[50_000:60_000] = keys[:10_000]
    ordinals = rng.integers(0, 10**6, len(keys))
    queries = np.concatenate([rng.choice(keys, 50_000), rng.integers(0, 2**64, 50_000, dtype=np.uint64)])
    found = {}
    for engine in ENGINES:
        index = ExactIndex(engine=engine)
        index.insert(keys, ordinals, checks_of(keys))
        assert index.size_bytes < 16 / LOAD * len(keys) * 1.3 + 40 * 10_000
        taken = index.delete(keys[::3], ordinals[::3])
        index.save(tmp_path / engine)
        other = ExactIndex.load(tmp_path / engine, engine=({*ENGINES} - {engine}).pop())
        found[engine] = [taken, index.num_keys, *index.lookup(queries), *other.lookup(queries, checks_of(queries))]
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found["numpy"][3].size == found["numpy"][5].size > 20_000


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("has_rows", [False, True])
def test_large_look_ups_in_several_threads(share: float, has_rows: bool) -> None:
    rng = np.random.default_rng(4)
    keys = rng.integers(0, 2**64, 90_000, dtype=np.uint64)
    index = ExactIndex()
    index.insert(keys, np.arange(90_000), checks_of(keys))
    if has_rows:
        index.insert(keys[70_000:70_010], np.arange(10), checks_of(keys[70_000:70_010]))
    queries = np.where(rng.random(90_000) < share, keys, rng.integers(0, 2**64, 90_000, dtype=np.uint64))
    is_hit = queries == keys
    expected = [[i] if hit else [] for i, hit in enumerate(is_hit.tolist())]
    if has_rows:
        expected[70_000:70_010] = [[i, *row] if row else [] for i, row in enumerate(expected[70_000:70_010])]
    assert rows_of(index, queries) == expected
    found = index.lookup(queries, checks_of(queries))
    np.testing.assert_array_equal(found.lengths, list(map(len, expected)))


def test_sorted_arrays_of_the_first_release_are_converted(engine: str) -> None:
    rng = np.random.default_rng(1)
    keys = np.unique(rng.integers(0, 2**64, 500, dtype=np.uint64))
    lengths = rng.integers(1, 4, len(keys))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.concatenate([np.sort(rng.choice(2**40, length, replace=False)) for length in lengths])
    arrays = {
        "keys": keys,
        "checks": (checks_of(keys) >> np.uint64(32)).astype(np.uint32),
        "offsets": offsets,
        "values": values,
        "directory": np.array([0, len(keys)]),
    }
    index = ExactIndex.from_arrays(arrays, engine=engine)
    found = index.lookup(keys, checks_of(keys))
    np.testing.assert_array_equal(found.offsets, offsets)
    np.testing.assert_array_equal(found.values, values)
    index.insert(keys[:5], np.arange(5), checks_of(keys[:5]))
    assert index.num_keys == len(keys)
    assert set(index.arrays()) == {"table", "pool", "counts"}


def test_the_engine_is_numba_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "find_spec", lambda name: None)
    assert index_module.default_engine.__wrapped__() == "numpy"
    monkeypatch.setattr(index_module, "find_spec", lambda name: name == "numba")
    assert index_module.default_engine.__wrapped__() == "numba"


def test_a_forked_process_looks_up_with_threads_of_its_own() -> None:
    index = ExactIndex()
    keys = np.arange(100_000, dtype=np.uint64)
    index.insert(keys, np.arange(100_000), checks_of(keys))
    assert len(index.lookup(keys).values) == 100_000
    with get_context("fork").Pool(1) as pool:
        offsets, values = pool.apply_async(index.lookup, (keys,)).get(timeout=60)
    np.testing.assert_array_equal(values, np.arange(100_000))
    np.testing.assert_array_equal(offsets, np.arange(100_001))


def test_a_machine_without_a_folder_for_compiled_code_compiles_anew() -> None:
    pytest.importorskip("numba")
    code = (
        "import numba.core.caching as c; (getattr(c, 'CacheImpl', None) or c._CacheImpl)._locator_classes = []\n"
        "from widedeep_kb.memory import bucket_numba as b; import numpy as np\n"
        "print(b._can_cache(), b.find_words(np.zeros((16, 8), np.uint64), np.arange(3, dtype=np.uint64)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False [0 0 0]"


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="'cython'"):
        ExactIndex(engine="cython")


def test_an_unknown_key_misses_and_a_wrong_check_misses() -> None:
    index = ExactIndex()
    keys = np.array([5, 9], np.uint64)
    index.insert(keys, np.array([1, 2]), checks_of(keys))
    assert rows_of(index, np.array([9, 6, 5], np.uint64)) == [[2], [], [1]]
    assert index.lookup(keys, checks_of(keys)).lengths.tolist() == [1, 1]
    assert index.lookup(keys, checks_of(keys)[::-1].copy()).lengths.tolist() == [0, 0]
    assert rows_of(ExactIndex(), keys) == [[], []]


def test_a_collision_names_both_texts_and_changes_nothing(engine: str) -> None:
    index = ExactIndex(engine=engine)
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


def test_deleted_keys_leave_no_trace(engine: str) -> None:
    index = ExactIndex(engine=engine)
    keys = np.random.default_rng(3).integers(0, 2**64, 100, dtype=np.uint64)
    for ordinals in (np.arange(100), np.arange(100) + 2**40):  # within a word, and with a second in the pool
        index.insert(keys, ordinals, checks_of(keys))
    index.delete(keys[:50], np.arange(50))
    index.delete(keys[:50], np.arange(50) + 2**40)
    index.delete(keys[50:60], np.arange(50, 60))
    for _ in range(2):
        arrays = index.arrays()
        assert not np.isin(keys[:50], arrays["table"]).any()
        assert not np.isin(checks_of(keys[:50]) >> np.uint64(32), arrays["table"] >> np.uint64(32)).any()
        assert sorted(arrays["pool"][arrays["pool"] >= 2**40] - 2**40) == list(range(50, 100))
        index.compact()
    assert rows_of(index, keys[48:62])[2:] == [[o + 2**40] for o in range(50, 60)] + [[o, o + 2**40] for o in (60, 61)]


def test_an_emptied_index_shrinks(engine: str) -> None:
    rng = np.random.default_rng(2)
    keys = rng.integers(0, 2**64, 5000, dtype=np.uint64)
    index = ExactIndex(engine=engine)
    index.insert(keys, np.arange(5000), checks_of(keys))
    assert index.delete(keys[10:], np.arange(10, 5000)) == 4990
    assert sum(array.nbytes for array in index.arrays().values()) < 2000
    assert rows_of(index, keys[:10]) == [[i] for i in range(10)]


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


def test_a_map_has_buckets_aligned_to_cache_lines(tmp_path) -> None:
    keys = np.arange(1000, dtype=np.uint64)
    index = ExactIndex()
    index.insert(keys, np.arange(1000), checks_of(keys))
    for extra in ("a", "abcdefg"):  # longer headers
        arrays = index.arrays() | {extra: np.arange(3, dtype=np.int8), "flags": np.zeros((0, 2), bool)}
        save_arrays(arrays, tmp_path / "file")
        mapped = load_arrays(tmp_path / "file")
        assert mapped["table"].ctypes.data % 64 == 0
        for loaded in (mapped, load_file(tmp_path / "file")):  # any reader of safetensors reads it
            assert {name: array.dtype for name, array in loaded.items()} == {n: a.dtype for n, a in arrays.items()}
            for name, array in arrays.items():
                np.testing.assert_array_equal(loaded[name], array)
