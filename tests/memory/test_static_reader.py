"""Single tokens read from fixed buffers, by Triton kernels and by plain torch, against the adapters in float64."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from widedeep_kb.memory.adapter import HIT_FEATURES, ProjectedMemory, WideAdapter
from widedeep_kb.memory.static_reader import StaticReader, has_triton, num_places
from widedeep_kb.memory.writer import token_features

HIDDEN, WIDTH, HEADS, DIM, VOCABULARY = 40, 6, 4, 16, 50
CAN_FUSE = has_triton() and (torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BOTH = [False, pytest.param(True, marks=pytest.mark.skipif(not CAN_FUSE, reason="no Triton"))]


def make_adapters(*, null_threshold: float, seed: int) -> list[WideAdapter]:
    """Two adapters with random parameters, in float32."""
    torch.manual_seed(seed)
    sizes = {"slot_width": WIDTH, "num_heads": HEADS, "head_dim": DIM, "null_threshold": null_threshold}
    adapters = [WideAdapter(HIDDEN, **sizes) for _ in range(2)]
    for parameter in (p for adapter in adapters for p in adapter.parameters()):
        parameter.data.normal_(std=0.3)
    return [adapter.to(DEVICE) for adapter in adapters]


def make_memories(adapters: list[WideAdapter], batch_size: int, num_slots: int) -> list[ProjectedMemory]:
    """Random slots, about a third of them no slots; the last sequence has none."""
    mask = torch.rand(batch_size, num_slots, device=DEVICE) < 0.7
    mask[-1] = False
    keys, values, hits = (torch.randn(batch_size, num_slots, n, device=DEVICE) for n in (WIDTH, WIDTH, HIT_FEATURES))
    return [adapter.project(keys, values, hits=hits, mask=mask) for adapter in adapters]


def reference(adapter: WideAdapter, memory: ProjectedMemory, hidden: Tensor, cues: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states after the adapter and the attention [B, A, M], in float64 on the CPU."""
    slow = WideAdapter(
        HIDDEN, slot_width=WIDTH, num_heads=HEADS, head_dim=DIM, null_threshold=adapter.null_threshold
    ).double()
    slow.load_state_dict({name: part.double().cpu() for name, part in adapter.state_dict().items()})
    memory = ProjectedMemory(memory.keys.double().cpu(), memory.values.double().cpu(), memory.mask.cpu())
    states = hidden.double().cpu()
    found = slow(slow.norm(states), memory, cues=cues.double().cpu().unsqueeze(1), needs_weights=True)
    return states + found.addition, found.weights[:, :, 0, 1:]


@pytest.mark.parametrize("is_fused", BOTH)
@pytest.mark.parametrize("null_threshold", [0.0, 0.1, 0.6])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)], ids=str
)
@pytest.mark.parametrize(("batch_size", "num_slots"), [(1, 8), (2, 150), (17, 33)])
@torch.no_grad()
def test_reads_what_the_adapter_reads_in_float64(
    batch_size: int, num_slots: int, dtype: torch.dtype, tolerance: float, null_threshold: float, is_fused: bool
) -> None:
    adapters = make_adapters(null_threshold=null_threshold, seed=batch_size)
    embeddings = torch.randn(VOCABULARY, HIDDEN, device=DEVICE).to(dtype)
    reader = StaticReader(
        adapters,
        embeddings=embeddings,
        batch_size=batch_size,
        num_slots=num_places(num_slots),
        is_fused=is_fused,
        is_observed=True,
    )
    for count in (num_slots, max(1, num_slots // 2)):  # the second question leaves no trace of the first
        memories = make_memories(adapters, batch_size, count)
        if batch_size == 1:
            memories = [memory._replace(mask=torch.ones_like(memory.mask)) for memory in memories]
        reader.load(memories)
        for buffer in (reader.content, reader.log_attention):
            buffer.fill_(torch.nan)
        latest = torch.randint(-1, VOCABULARY, (batch_size, 3), device=DEVICE)
        hidden = torch.randn(batch_size, 1, HIDDEN, device=DEVICE).to(dtype)
        queries = reader.cue_queries(latest)
        reader.join()
        cues = token_features(latest.flip(1), embeddings).flatten(1)
        for i, adapter in enumerate(adapters):
            ours = reader.read(i, hidden, cue_query=queries[i])
            expected, weights = reference(adapter, memories[i], hidden, cues)
            assert ours.dtype == dtype
            assert (ours.double().cpu() - expected).abs().max() < tolerance * expected.abs().max()
            attention = reader.log_attention[i].exp().double().cpu()
            assert (attention[..., :count] - weights).abs().max() < 2e-5
            assert not attention[..., count:].any()
            if batch_size > 1:
                assert torch.equal(ours[-1], hidden[-1])  # no slot: bit for bit as it was
                assert not torch.equal(ours[0], hidden[0])


def test_buffers_come_in_few_sizes() -> None:
    assert [num_places(n) for n in (1, 64, 65, 256, 257)] == [64, 64, 128, 256, 512]
