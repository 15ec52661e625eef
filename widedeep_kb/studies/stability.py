"""Do answers stay as they are while other facts change? Tokens and logits of the same prompts, before and after.

In: a `KnowledgeMemory` and questions. Out: what it brings, says and computes for them (`look`), and what changed where
the same facts are brought (`compare`).

Letters: Q questions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from widedeep_kb.answering import ask_prompt
from widedeep_kb.lm import left_pad
from widedeep_kb.model import KnowledgeMemory


@dataclass(frozen=True)
class Seen:
    """What a memory does with questions.

    Attributes:
        fact_ids: Q, of the facts brought, in order.
        tokens: Q, generated greedily.
        logits: [Q, V] behind the prompts, at fixed padding.
    """

    fact_ids: list[list[str]]
    tokens: list[list[int]]
    logits: Tensor


@dataclass(frozen=True)
class Stability:
    """Questions that bring the same facts as before, and those of them whose tokens or logits are not the same."""

    num_same_hits: int
    num_other_tokens: int
    num_other_logits: int


def look(memory: KnowledgeMemory, questions: Sequence[str], *, max_new_tokens: int = 16, batch_size: int = 16) -> Seen:
    """Ask in batches that do not depend on what the memory holds."""
    lm, fact_ids, tokens, logits = memory.lm, [], [], []
    prompts = lm.encode([ask_prompt(question) for question in questions])
    for start in range(0, len(questions), batch_size):
        texts = list(questions[start : start + batch_size])
        ids, mask = left_pad(prompts[start : start + batch_size], pad_id=lm.tokenizer.pad_token_id)
        ids, mask = ids.to(lm.device), mask.to(lm.device)
        made = memory.generate(ids, texts=texts, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False)
        tokens += made[:, ids.shape[1] :].tolist()
        logits.append(memory.forward(ids, texts=texts, attention_mask=mask).logits[:, -1].float().cpu())
        for row in memory.store.hits(texts).ordinals:
            fact_ids.append(memory.store.fact_ids.of(row[row >= 0]))
    return Seen(fact_ids, tokens, torch.cat(logits))


def compare(before: Seen, after: Seen) -> Stability:
    """What changed for the questions that bring the same facts before and after."""
    same = [i for i, ids in enumerate(before.fact_ids) if ids == after.fact_ids[i]]
    other_tokens = sum(before.tokens[i] != after.tokens[i] for i in same)
    other_logits = sum(not torch.equal(before.logits[i], after.logits[i]) for i in same)
    return Stability(len(same), other_tokens, other_logits)
