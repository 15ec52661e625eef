"""A tiny reader learns questions over two facts: the loss falls, and the attention goes to the second fact."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.synthetic import generate
from widedeep_kb.training.batches import Batch, ChunkBatches
from widedeep_kb.training.build_chunk import build_chunk
from widedeep_kb.training.chained_facts import chained_facts, hold_chains
from widedeep_kb.training.examples import Candidates, Phraser
from widedeep_kb.training.lit_module import ReaderModule
from widedeep_kb.training.recipe import merge_tables, synthetic_table

NUM_STEPS = 120


def batch_of_chains(lm: FrozenLM, writer_layers: tuple[int, ...]) -> Batch:
    """Sixteen synthetic questions over two facts, each with its facts in memory."""
    made = generate(60, seed=0)
    chained = chained_facts(made, Phraser(None), rng=random.Random(0), count=24)
    held = Candidates(np.full((24, 6), -1), np.zeros((24, 6), np.float32))
    hold_chains(held, chained, firsts=range(len(made), len(made) + 24), rng=np.random.default_rng(0))
    chunk = build_chunk(
        lm.tokenizer,
        merge_tables([synthetic_table(made), chained.facts]),
        examples=chained.examples_at(len(made)),
        candidates=held.facts,
        weights=held.weights,
        end_id=lm.newline_id,
        chat_end_id=lm.chat_end_id,
    )
    short = np.argsort((chunk.input_ids >= 0).sum(axis=1), kind="stable")[:16]
    return ChunkBatches(chunk, lm, writer_layers=writer_layers, batch_size=16).batch(short)


def test_the_loss_falls_and_the_evidence_is_the_second_fact(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama", num_layers=2, initializer_range=0.2)
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=32, num_heads=4, head_dim=16))
    module = ReaderModule(lm, reader, max_steps=NUM_STEPS)
    logged: list[dict[str, float]] = []
    module.log = lambda name, value, **_: logged[-1].__setitem__(name, float(value.detach()))
    batch = batch_of_chains(lm, reader.config.writer_layers)
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    for step in range(NUM_STEPS):
        logged.append({})
        optimizer.zero_grad(set_to_none=True)
        module.training_step(batch, step).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    assert logged[-1]["train/loss"] < 0.5 * logged[0]["train/loss"]
    assert logged[-1]["train/evidence_loss"] < 0.1 < 1 < logged[0]["train/evidence_loss"]
