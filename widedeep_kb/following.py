"""Questions that take several facts in a row: the first is read, and its object takes the place of the words for it.

In: questions. Out: for each what is left to be asked, `What is the capital of France?` of `What is the capital of the
country of Lyon?`, and the facts read on the way. Which fact that is the index proposes (see `memory.hopping`) and the
adapters decide: the words that stand for it are asked by themselves, and the attention on each fact is what counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from widedeep_kb.answers import Evidence
from widedeep_kb.lm import left_pad
from widedeep_kb.memory.encoding import SLOTS_PER_ROW
from widedeep_kb.memory.hopping import Hop
from widedeep_kb.memory.recalled import Recall
from widedeep_kb.memory.trace import GreedyTrace
from widedeep_kb.phrasings import ask_prompt

if TYPE_CHECKING:
    from widedeep_kb.facts import FactCatalogue
    from widedeep_kb.model import KnowledgeMemory

LEAST_UNNAMED = 0.25
"""Least attention on a first fact whose relation no word of the question names."""
_POSSESSIVE = re.compile("['’]s$")
LEAST_OPEN = 0.2
"""Least attention on one fact of the object where no word of the question is of that fact's relation."""
_UNREAD = 0.05  # what a fact without attention counts, beside the words that name it


@dataclass
class Followed:
    """A question on its way.

    Attributes:
        text: what is left to be asked.
        facts: read on the way, in order.
        prompt_tokens: of the LLM, so far.
    """

    text: str
    facts: tuple[Evidence, ...] = ()
    prompt_tokens: int = 0


@torch.inference_mode()
def follow(
    memory: KnowledgeMemory, questions: Sequence[str], *, num_hops: int, batch_size: int, as_of: date | None = None
) -> list[Followed]:
    """Follow at most `num_hops` facts of each question, in order; a question that takes one fact is left as it is."""
    followed = [Followed(question) for question in questions]
    going = followed
    for _ in range(num_hops):
        hops, catalogue = memory.store.hops([one.text for one in going], use_semantic=memory.use_semantic, as_of=as_of)
        found = [(one, own) for one, own in zip(going, hops, strict=True) if own]
        batches = (found[start : start + batch_size] for start in range(0, len(found), batch_size))
        going = [one for batch in batches for one in _read(batch, memory=memory, catalogue=catalogue, as_of=as_of)]
    return followed


def _read(
    found: Sequence[tuple[Followed, list[Hop]]],
    *,
    memory: KnowledgeMemory,
    catalogue: FactCatalogue,
    as_of: date | None,
) -> list[Followed]:
    """Read the first fact of each question's hops, and put its object in its place; returns those where that was done.

    Where other words than its relation's own stand for the first fact, the adapters must look at it; where no word is
    of the second fact's relation (an open hop), they must find what is left to be asked among the object's facts.
    """
    shares = _attention([f"What is {_POSSESSIVE.sub('', hops[0].phrase)}?" for _, hops in found], memory, as_of=as_of)
    chosen = [
        max(hops, key=lambda hop: hop.score * (_UNREAD + read.shares.get(hop.first, 0.0)))
        for (_, hops), read in zip(found, shares, strict=True)
    ]
    left = iter(_attention([hop.text for hop in chosen if hop.is_open], memory, as_of=as_of))
    names = ["fact_id", "subject", "relation", "object", "source"]
    firsts = catalogue.columns_for(np.array([hop.first for hop in chosen], dtype=np.int64), names).to_dicts()
    followed = []
    for (one, _), hop, read, fact in zip(found, chosen, shares, firsts, strict=True):
        one.prompt_tokens += read.prompt_tokens
        if not hop.is_named and read.shares.get(hop.first, 0.0) < LEAST_UNNAMED:
            continue
        if hop.is_open:
            second = next(left)
            one.prompt_tokens += second.prompt_tokens
            if max((second.shares.get(ordinal, 0.0) for ordinal in hop.seconds.tolist()), default=0.0) < LEAST_OPEN:
                continue
        one.text = hop.text
        one.facts += (Evidence(**fact, attention=round(read.shares.get(hop.first, 0.0), 4)),)
        followed.append(one)
    return followed


class _Read(NamedTuple):
    """The share of the attention on each fact, by ordinal, at the last token of a prompt, and the prompt's tokens."""

    shares: dict[int, float]
    prompt_tokens: int


def _attention(texts: Sequence[str], memory: KnowledgeMemory, *, as_of: date | None) -> list[_Read]:
    """Where the adapters look at the end of each question: one pass of the LLM, nothing is generated."""
    if not texts:
        return []
    prompts = memory.lm.encode([ask_prompt(text) for text in texts])
    trace = GreedyTrace()
    binding, recall = memory.binding(list(texts), observe=trace.observe, as_of=as_of)
    input_ids, attention_mask = left_pad(prompts, pad_id=memory.lm.tokenizer.pad_token_id)
    with memory.hooks.bind(binding):
        memory.lm.decoder(
            input_ids=input_ids.to(memory.lm.device),
            attention_mask=attention_mask.to(memory.lm.device),
            use_cache=False,
        )
    shares = attention_shares(recall, trace.mass([1] * len(texts), num_adapters=len(memory.reader.adapters)))
    return [_Read(own, len(prompt)) for own, prompt in zip(shares, prompts, strict=True)]


def attention_shares(recall: Recall, mass: Tensor | None) -> list[dict[int, float]]:
    """For each question the share of the attention on each fact brought, by ordinal.

    Args:
        recall: of B questions.
        mass: [B, M] attention on each slot, or None where no rows were read.
    """
    if mass is None:
        return [{}] * len(recall.row_facts)
    by_row = mass.unflatten(-1, (-1, SLOTS_PER_ROW)).sum(-1).cpu().numpy()  # [B, R]
    return [
        {int(ordinal): float(shares[facts == ordinal].sum()) for ordinal in np.unique(facts[facts >= 0])}
        for facts, shares in zip(recall.row_facts, by_row, strict=True)
    ]
