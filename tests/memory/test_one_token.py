"""Reading for single tokens against the adapters' forward pass: equal, and exactly nothing where that adds nothing."""

from __future__ import annotations

import pytest
import torch

from widedeep_kb.memory.adapter import HIT_FEATURES, AdapterOutput, ProjectedMemory, WideAdapter, layer_norm_like
from widedeep_kb.memory.one_token import OneTokenReader

HIDDEN, WIDTH, HEADS, DIM, BATCH, SLOTS = 12, 6, 3, 4, 2, 5


def adapters_and_memories(
    dtype: torch.dtype, *, null_threshold: float = 0.1
) -> tuple[list[WideAdapter], list[ProjectedMemory]]:
    """Two adapters with random parameters; the second sequence's memory has one readable slot, the first three."""
    torch.manual_seed(0)
    adapters, memories = [], []
    for _ in range(2):
        adapter = WideAdapter(HIDDEN, slot_width=WIDTH, num_heads=HEADS, head_dim=DIM, null_threshold=null_threshold)
        for parameter in adapter.parameters():
            parameter.data.normal_(std=0.6)
        mask = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])
        keys, values, hits = (torch.randn(BATCH, SLOTS, n, dtype=dtype) for n in (WIDTH, WIDTH, HIT_FEATURES))
        adapters.append(adapter.to(dtype))
        memories.append(adapter.project(keys, values, hits=hits, mask=mask, marks=torch.rand(BATCH, SLOTS) < 0.5))
    return adapters, memories


def both(
    adapters: list[WideAdapter], memories: list[ProjectedMemory], *, dtype: torch.dtype
) -> list[tuple[AdapterOutput, AdapterOutput]]:
    """What single tokens and the forward pass read, adapter by adapter; the forward pass reads the token twice over."""
    own = adapters[0].query.weight.dtype
    hidden = torch.randn(BATCH, 1, HIDDEN).to(dtype)
    cues = torch.randn(BATCH, 3, HIDDEN, dtype=own)  # the oldest first
    reader = OneTokenReader(adapters, memories, dtype=dtype)
    found = []
    for i, adapter in enumerate(adapters):
        addition, seen = reader.read(i, hidden, cue_query=reader.cue_queries(cues)[i], is_observed=True)
        norm = adapter.norm
        normed = torch.layer_norm(hidden.to(own), (HIDDEN,), norm.weight, norm.bias, norm.eps).repeat(1, 2, 1)
        newest_first = cues.flip(1).flatten(1)[:, None].repeat(1, 2, 1)
        full = adapter(normed, memories[i], cues=newest_first)
        found.append((seen._replace(addition=addition.clone()), full))
    return found


@pytest.mark.parametrize("null_threshold", [0.0, 0.1, 0.6])
@pytest.mark.parametrize(
    ("own", "llm", "tolerance"),
    [
        (torch.float64, torch.float64, 1e-10),
        (torch.float32, torch.float32, 1e-5),
        (torch.float32, torch.bfloat16, 2e-2),
    ],
    ids=["fp64", "fp32", "bf16 LLM"],
)
@torch.no_grad()
def test_single_tokens_read_what_the_forward_pass_reads(
    own: torch.dtype, llm: torch.dtype, tolerance: float, null_threshold: float
) -> None:
    adapters, memories = adapters_and_memories(own, null_threshold=null_threshold)
    for ours, full in both(adapters, memories, dtype=llm):
        assert ours.addition.dtype == llm
        torch.testing.assert_close(ours.addition.to(own), full.addition[:, 1:], atol=tolerance, rtol=tolerance)
        for one, other in ((ours.mass, full.mass), (ours.marked, full.marked)):
            torch.testing.assert_close(one, other[..., 1:], atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(ours.weights[..., 1:].sum(-1), ours.mass)


@pytest.mark.parametrize("null_threshold", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_a_sequence_without_slots_gets_exactly_nothing(dtype: torch.dtype, null_threshold: float) -> None:
    adapters, memories = adapters_and_memories(torch.float32, null_threshold=null_threshold)
    for memory in memories:
        memory.mask[1, 1:] = False
    for ours, _ in both(adapters, memories, dtype=dtype):
        assert not ours.addition[1].any()
        assert not ours.mass[1].any()
        assert ours.addition[0].any()
        assert torch.isfinite(ours.addition).all()


@torch.no_grad()
def test_a_reader_of_one_call_serves_the_next_tokens_too() -> None:
    adapters, memories = adapters_and_memories(torch.float32)
    reader = OneTokenReader(adapters, memories, dtype=torch.float32)
    for seed in range(3):
        torch.manual_seed(seed)
        hidden, cues = torch.randn(BATCH, 1, HIDDEN), torch.randn(BATCH, 3, HIDDEN)
        addition, seen = reader.read(1, hidden, cue_query=reader.cue_queries(cues)[1], is_observed=False)
        assert seen is None
        normed = layer_norm_like(adapters[1].norm, hidden)
        full = adapters[1](normed, memories[1], cues=cues.flip(1).flatten(1)[:, None])
        torch.testing.assert_close(addition, full.addition, atol=1e-5, rtol=1e-5)
