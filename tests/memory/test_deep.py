"""Product keys against brute force over all slots, and the deep reader against a float64 reference."""

from __future__ import annotations

import math

import pytest
import torch

from widedeep_kb.memory.deep import DeepPool, DeepReader, best_pairs


def all_scores(pool: DeepPool, query: torch.Tensor) -> torch.Tensor:
    """Cosine sums [n^2] of one query with every slot, one by one, in float64."""
    half = query.shape[-1] // 2
    first, second = query.double()[:half], query.double()[half:]
    left, right = pool.subkeys.detach().double()
    cosine = torch.nn.functional.cosine_similarity
    return torch.stack([cosine(first, a, dim=0) + cosine(second, b, dim=0) for a in left for b in right])


@pytest.mark.parametrize("top_k", [1, 4, 16, 40])
@pytest.mark.parametrize("num_subkeys", [4, 13])
def test_top_slots_equal_brute_force(num_subkeys: int, top_k: int) -> None:
    torch.manual_seed(num_subkeys)
    pool = DeepPool(num_subkeys, key_dim=8, value_dim=6)
    queries = torch.randn(5, 16)
    scores, index = pool(queries, top_k=top_k)
    num_found = min(top_k, num_subkeys)
    assert scores.shape == index.shape == (5, num_found)
    for query, found, places in zip(queries, scores, index, strict=True):
        expected = all_scores(pool, query).sort(descending=True)
        assert places.tolist() == expected.indices[:num_found].tolist()
        torch.testing.assert_close(found.double(), expected.values[:num_found], atol=1e-5, rtol=0)


def test_few_pairs_hold_the_largest_sums() -> None:
    first, second = best_pairs(16, torch.device("cpu"))
    assert len(first) == 50
    for _ in range(20):
        left, right = torch.rand(2, 16, dtype=torch.float64).sort(descending=True).values
        among = (left[first] + right[second]).topk(16).values
        assert torch.equal(among, (left[:, None] + right).flatten().topk(16).values)


@pytest.mark.parametrize("null_threshold", [0.0, 0.1, 0.7])
def test_reading_equals_the_slow_reference(null_threshold: float) -> None:
    torch.manual_seed(1)
    pool = DeepPool(6, key_dim=4, value_dim=5)
    reader = DeepReader(10, key_dim=4, value_dim=5, num_heads=2, top_k=3)
    pool.values.weight.data.normal_()
    hidden = torch.randn(2, 3, 10)
    addition, mass = reader(hidden, pool, null_threshold=null_threshold)
    w = {name: p.detach().double() for name, p in reader.named_parameters()}
    for b in range(2):
        for t in range(3):
            state, read = hidden[b, t].double(), []
            queries = (w["query.weight"] @ state + w["query.bias"]).view(2, 8)
            nulls = w["null.weight"] @ state + w["null.bias"]
            for head in range(2):
                best = all_scores(pool, queries[head]).sort(descending=True)
                powers = [math.exp(nulls[head])] + [math.exp(s * math.exp(w["scale"])) for s in best.values[:3]]
                share = 1 - powers[0] / sum(powers)
                factor = max(0.0, (share - null_threshold) / (1 - null_threshold)) / share
                slots = pool.values.weight.detach().double()[best.indices[:3]]
                weights = torch.tensor(powers[1:]).double() / sum(powers)
                read.append(factor * (weights @ slots))
                assert mass[b, t, head].item() == pytest.approx(share, abs=1e-5)
            expected = torch.tanh(w["gate"]) * (w["output.weight"] @ torch.cat(read))
            torch.testing.assert_close(addition[b, t].double(), expected, atol=1e-5, rtol=1e-4)


def test_nothing_to_say_adds_exactly_zero() -> None:
    torch.manual_seed(1)
    pool, reader = DeepPool(6), DeepReader(10)
    reader.null.bias.data.fill_(50.0)
    addition, mass = reader(torch.randn(2, 3, 10), pool, null_threshold=0.1)
    assert not addition.any()
    assert mass.max() < 0.1
