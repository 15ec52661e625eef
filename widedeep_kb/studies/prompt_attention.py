"""One pass of the LLM over prompts, and where the memory is looked at for their last tokens.

In: questions and a memory. Out: `Pass`: what the index brought, the attention of each adapter's heads on it, and the
deep slots chosen. It is the first pass that `ask` makes: the relevance gate is asked in it.

Letters: B questions, L adapters, A heads, R rows of a question, M slots of these rows, Q deep heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from widedeep_kb.lm import left_pad
from widedeep_kb.memory.adapter import AdapterOutput
from widedeep_kb.memory.deep import SlotChoice
from widedeep_kb.memory.encoding import SLOTS_PER_ROW
from widedeep_kb.memory.recalled import Recall
from widedeep_kb.model import KnowledgeMemory


class Pass(NamedTuple):
    """One pass over B prompts, at their last tokens.

    Attributes:
        recall: what was brought.
        is_read: [B] bool, questions whose rows were read.
        attention: [B, L, A, 1 + R] float32 on the CPU, the null slot first; None: no row was read.
        slots: the choice of each adapter's deep reader, [B, Q, ...] on the CPU; empty: no deep memory is read.
        reads_deep: [B] bool, questions that the deep memory is read in.
    """

    recall: Recall
    is_read: np.ndarray
    attention: np.ndarray | None
    slots: list[SlotChoice]
    reads_deep: np.ndarray


@torch.inference_mode()
def pass_over(memory: KnowledgeMemory, texts: Sequence[str], prompts: Sequence[list[int]]) -> Pass:
    """Run the LLM's decoder over B prompts with the memory that their texts bring."""
    weights: dict[int, Tensor] = {}

    def observe(index: int, wide: AdapterOutput | None, _deep_mass: Tensor | None) -> None:
        if wide is not None:
            weights[index] = wide.weights[:, :, -1]

    binding, recall = memory.binding(texts, observe=observe)
    padded = left_pad(prompts, pad_id=memory.lm.tokenizer.pad_token_id)
    input_ids, attention_mask = (tensor.to(memory.lm.device) for tensor in padded)
    judged = memory.judged(binding, input_ids, attention_mask=attention_mask)
    with watched(memory) as slots, memory.hooks.bind(judged):
        memory.lm.decoder(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        last = memory.hooks.binding  # the gate puts another binding in the place of the one it shuts
    rows, is_read = last.rows, np.zeros(len(texts), bool)
    reads_deep = np.full(len(texts), last.use_deep and memory.reader.has_deep)
    if (open_prompts := last.deep_prompts()) is not None:
        reads_deep &= open_prompts.cpu().numpy()
    if not reads_deep.any():
        slots = []  # what an earlier pass chose, that was run again without
    if rows is None:
        return Pass(recall, is_read, None, slots, reads_deep)
    table = torch.stack([weights[i] for i in range(len(memory.reader.adapters))], dim=1)  # [B, L, A, 1 + M]
    by_row = table[..., 1:].unflatten(-1, (-1, SLOTS_PER_ROW)).sum(-1)
    attention = torch.cat([table[..., :1], by_row], dim=-1).cpu().numpy()
    return Pass(recall, rows.any(dim=2).any(dim=1).cpu().numpy(), attention, slots, reads_deep)


@contextmanager
def watched(memory: KnowledgeMemory) -> Iterator[list[SlotChoice]]:
    """Lasts while the slots that the deep readers choose at the last token are noted; the list is filled at its end."""
    found: dict[int, SlotChoice] = {}  # a pass that is run again replaces the first

    def noting(index: int) -> Callable[[nn.Module, tuple], None]:
        def hook(reader: nn.Module, args: tuple) -> None:
            hidden_states, pool = args
            found[index] = SlotChoice(*(part.cpu() for part in reader.choose(hidden_states[:, -1], pool)))

        return hook

    readers = memory.reader.deep_readers
    handles = [reader.register_forward_pre_hook(noting(i)) for i, reader in enumerate(readers)]
    slots: list[SlotChoice] = []
    try:
        yield slots
    finally:
        for handle in handles:
            handle.remove()
    slots += [found[i] for i in sorted(found)]
