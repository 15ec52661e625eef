"""The GPU index against a dict of sets and the CPU index: on a GPU, or under Triton's interpreter."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.memory.test_index import checks_of, crowd
from widedeep_kb.memory.bucket_table import MAX_INLINE
from widedeep_kb.memory.index import ExactIndex

pytest.importorskip("triton")
from widedeep_kb.memory.gpu_index import GpuIndex, Launch  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.view(np.int64).copy()).to(DEVICE)


def rows_of(index: GpuIndex, keys: np.ndarray, checks: np.ndarray | None = None) -> list[list[int]]:
    found = index.lookup(tensor(keys), None if checks is None else tensor(checks))
    offsets, values = found.offsets.tolist(), found.values.tolist()
    return [values[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_dict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    wide = rng.integers(0, 2**64, 60, dtype=np.uint64)
    last = crowd(9, upper=2**32 - 1)  # in the last bucket, so that they go on in the first
    universe = np.unique(np.concatenate([wide, ends, crowd(14, upper=7), last, np.arange(20, dtype=np.uint64)]))
    ordinals_of = np.array([0, 1, 2, 3, MAX_INLINE, MAX_INLINE + 1, -1, 2**63 - 1, -(2**63)])
    launch = Launch(queries_per_program=128, num_warps=1)
    index, expected = GpuIndex(DEVICE, launch=launch), {}
    for _ in range(12):
        keys = rng.choice(universe, rng.integers(0, 90))
        ordinals = rng.choice(ordinals_of, len(keys))
        pairs = set(zip(keys.tolist(), ordinals.tolist(), strict=True))
        action = rng.random()
        if action < 0.55:
            index.insert(tensor(keys), tensor(ordinals), tensor(checks_of(keys)))
            for key, ordinal in pairs:
                expected.setdefault(key, set()).add(ordinal)
        elif action < 0.85:
            present = {pair for pair in pairs if pair[1] in expected.get(pair[0], ())}
            assert index.delete(tensor(keys), tensor(ordinals)) == len(present)
            for key, ordinal in present:
                expected[key].discard(ordinal)
        elif action < 0.95:
            index = GpuIndex.from_arrays(index.to_index().arrays(), DEVICE, launch=launch)
        else:
            index.compact()
        assert rows_of(index, universe) == [sorted(expected.get(key, ())) for key in universe.tolist()]
        assert index.num_keys == sum(map(bool, expected.values()))
    assert rows_of(index, universe, checks_of(universe)) == rows_of(index, universe)
    assert not any(rows_of(index, universe, checks_of(universe) ^ np.uint64(1 << 32)))


def test_the_same_answers_as_on_the_cpu_after_a_way_there_and_back() -> None:
    rng = np.random.default_rng(5)
    keys = rng.integers(0, 2**64, 500, dtype=np.uint64)
    keys[300:400] = keys[:100]
    ordinals = rng.integers(0, 10**6, len(keys))
    index = ExactIndex()
    index.insert(keys, ordinals, checks_of(keys))
    launch = Launch(queries_per_program=256, num_warps=2)
    gpu, built = index.to_device(DEVICE), GpuIndex(DEVICE, launch=launch)
    gpu.launch = launch
    built.insert(tensor(keys), tensor(ordinals), tensor(checks_of(keys)))
    index.delete(keys[::3], ordinals[::3])
    queries = np.concatenate([keys, rng.integers(0, 2**64, 300, dtype=np.uint64)])
    expected = index.lookup(queries)
    for other in (gpu, built):
        assert other.delete(tensor(keys[::3]), tensor(ordinals[::3])) == len(
            set(zip(keys[::3], ordinals[::3], strict=True))
        )
        back = other.to_index()
        assert back.num_keys == other.num_keys == index.num_keys
        for found in (other.lookup(tensor(queries)), back.lookup(queries)):
            np.testing.assert_array_equal(np.asarray(found.offsets.tolist()), expected.offsets)
            np.testing.assert_array_equal(np.asarray(found.values.tolist()), expected.values)
    words = torch.full((len(queries),), -77, dtype=torch.int64, device=DEVICE)
    assert gpu.lookup_words(tensor(queries), out=words) is words
    assert ((words == 0).cpu().numpy() == (expected.lengths == 0)).all()


def test_a_collision_changes_nothing() -> None:
    index = GpuIndex(DEVICE)
    keys, checks = tensor(np.array([5, 5], np.uint64)), tensor(np.array([1 << 40, 2 << 40], np.uint64))
    ordinals = tensor(np.array([1, 2]))
    with pytest.raises(ValueError, match="input 1 has the key 0x0000000000000005 of another input"):
        index.insert(keys, ordinals, checks)
    assert index.num_keys == 0
    index.insert(keys[:1], ordinals[:1], checks[:1])
    with pytest.raises(ValueError, match="input 0 has the key 0x0000000000000005 of a stored text"):
        index.insert(keys[1:], ordinals[1:], checks[1:])
    assert rows_of(index, np.array([5], np.uint64)) == [[1]]
    with pytest.raises(ValueError, match="2 keys, 1 ordinals and 2 checks"):
        index.insert(keys, ordinals[:1], checks)


def test_a_cpu_is_refused_outside_the_interpreter() -> None:
    code = "from widedeep_kb.memory.index import ExactIndex; ExactIndex().to_device('cpu')"
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stderr.strip().splitlines()[-1] == "ValueError: the GPU index needs a GPU, got the device 'cpu'"


def test_too_few_queries_for_the_warps_are_refused() -> None:
    with pytest.raises(ValueError, match="64 queries to a program of 4 warps"):
        Launch(queries_per_program=64, num_warps=4)
