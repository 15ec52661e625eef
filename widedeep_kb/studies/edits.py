"""Do edits hold? A memory with counterfactual edits is asked, in the edits' own words, in others, and something else.

In: a `KnowledgeMemory` that holds the edits, probes. Out: frames with a row a probe and their means. Two measures:
the answer that is generated (exact match, contains), and teacher forcing as EasyEdit has it
(`compute_rewrite_or_rephrase_quality` with `token_em`, https://github.com/zjunlp/EasyEdit): the tokens of the new value
are fed after the prompt, and each counts that is the likeliest behind the ones before it.

Letters: B probes, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from widedeep_kb.answering import ask_prompt
from widedeep_kb.lm import generate_ids, left_pad
from widedeep_kb.memory.gate import RelevanceGate
from widedeep_kb.metrics import bootstrap_interval, contains, exact_match
from widedeep_kb.model import KnowledgeMemory

FATES = ("right", "no fact found", "fact not found", "gate shut", "other fact read", "copied wrong")
"""What became of a probe: no fact was found in its words, only others, the gate shut the fact out, the LLM looked most
at another fact, or at this one and wrote something else."""


@dataclass(frozen=True)
class Forced:
    """Teacher forcing of one text: the likeliest token at each place of the target, and the target's tokens."""

    predicted: tuple[int, ...]
    wanted: tuple[int, ...]

    @property
    def token_accuracy(self) -> float:
        """Share of the target's tokens that are the likeliest."""
        return float(np.mean(np.equal(self.predicted, self.wanted)))


@contextmanager
def gate_open(memory: KnowledgeMemory) -> Iterator[None]:
    """Let every question through inside the `with` block."""
    gate = memory.reader.gate
    config = memory.reader.config
    memory.reader.gate = RelevanceGate(len(config.adapter_layers), config.num_heads).to(memory.lm.device)
    try:
        yield
    finally:
        memory.reader.gate = gate


def ask_probes(
    memory: KnowledgeMemory, probes: pl.DataFrame, *, spare_tokens: int = 4, batch_size: int = 32
) -> pl.DataFrame:
    """Generate an answer to each probe and say what became of it.

    Args:
        memory: holds the edits.
        probes: frame in `sources.edits.PROBE_SCHEMA`.
        spare_tokens: an answer may be so much longer than the longest accepted one.
        batch_size: prompts in one call of the LLM.

    Returns:
        `probes` with `prediction` (String), `exact_match`, `contains` (Boolean), `num_facts` (brought) and `fate`, of
        `FATES`.
    """
    texts = probes["text"].to_list()
    lengths = [len(row) for row in memory.lm.encode([f" {text}" for text in probes["answers"].explode().to_list()])]
    answers = memory.ask_many(texts, max_new_tokens=max(lengths) + spare_tokens, batch_size=batch_size)
    recall = memory.store.recall(texts)
    catalogue = memory.store.catalogue
    own = [catalogue.find(fact_ids=[fact_id]).ordinals for fact_id in probes["fact_id"].to_list()]
    rows = []
    for answer, accepted, fact_id, wanted, found in zip(
        answers, probes["answers"].to_list(), probes["fact_id"].to_list(), own, recall.hits.ordinals, strict=True
    ):
        is_right, num_facts = exact_match(answer.text, accepted), int((found >= 0).sum())
        read = [fact.fact_id for fact in answer.evidence]
        fate = _fate(is_right, num_facts, is_found=bool(np.isin(wanted, found).any()), read=read, fact_id=fact_id)
        rows.append((answer.text, is_right, contains(answer.text, accepted), num_facts, fate))
    names = ["prediction", "exact_match", "contains", "num_facts", "fate"]
    return pl.concat([probes, pl.DataFrame(rows, schema=names, orient="row")], how="horizontal")


def _fate(is_right: bool, num_facts: int, *, is_found: bool, read: Sequence[str], fact_id: str) -> str:
    if is_right:
        return FATES[0]
    if not num_facts:
        return FATES[1]
    if not is_found:
        return FATES[2]
    if not read:
        return FATES[3]
    return FATES[5] if read[0] == fact_id else FATES[4]


@torch.inference_mode()
def force(
    memory: KnowledgeMemory,
    texts: Sequence[str],
    targets: Sequence[str],
    *,
    is_wrapped: bool = False,
    use_memory: bool = True,
    batch_size: int = 32,
) -> list[Forced]:
    """Feed each target after its text, one space between, and see which of its tokens are the likeliest.

    Args:
        memory: holds the edits.
        texts: prompts; they also say which facts are read.
        targets: one a text.
        is_wrapped: put the texts as `ask` does ("Question: ... Answer:"); False: as they are, as EasyEdit does.
        use_memory: False = the bare LLM.
        batch_size: texts in one call of the LLM.
    """
    prompts = [ask_prompt(text) for text in texts] if is_wrapped else list(texts)
    whole = memory.lm.encode([f"{prompt} {target}" for prompt, target in zip(prompts, targets, strict=True)])
    starts = [len(row) for row in memory.lm.encode(prompts)]
    order = sorted(range(len(whole)), key=lambda i: len(whole[i]))
    found: dict[int, Forced] = {}
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        rows = [whole[i] for i in chosen]
        likeliest = _likeliest(memory, rows, [starts[i] for i in chosen], [texts[i] for i in chosen], use=use_memory)
        for i, row, best in zip(chosen, rows, likeliest.tolist(), strict=True):
            found[i] = Forced(tuple(best[starts[i] - 1 : len(row) - 1]), tuple(row[starts[i] :]))
    return [found[i] for i in range(len(whole))]


def _likeliest(
    memory: KnowledgeMemory, rows: list[list[int]], starts: list[int], texts: list[str], *, use: bool
) -> Tensor:
    """[B, T] likeliest next token at each place of B token rows, padded on the right; the gate judges at `starts`."""
    binding, _ = memory.binding(texts, use_memory=use)
    width = max(map(len, rows))
    pad = memory.lm.tokenizer.pad_token_id
    input_ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=memory.lm.device)
    places = torch.arange(width, device=memory.lm.device)
    attention_mask = (places < torch.tensor([len(row) for row in rows], device=memory.lm.device)[:, None]).long()
    if binding.rows is not None and memory.reader.gate.is_set:
        is_prompt = places < torch.tensor(starts, device=memory.lm.device)[:, None]
        binding = replace(binding, prompt_mask=is_prompt.long())
    with memory.hooks.bind(binding):
        return memory.lm.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits.argmax(-1)


@torch.inference_mode()
def compare_tokens(
    memory: KnowledgeMemory, texts: Sequence[str], *, max_new_tokens: int = 16, batch_size: int = 32
) -> pl.DataFrame:
    """Answers to unrelated texts by the bare LLM and with the memory, in the same batches.

    Returns:
        `text`, `bare`, `with_memory` (String), `num_facts` (brought) and `is_same` (Boolean: all token ids equal).
    """
    prompts = memory.lm.encode([ask_prompt(text) for text in texts])
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: dict[int, tuple] = {}
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        rows, asked = [prompts[i] for i in chosen], [texts[i] for i in chosen]
        bare = generate_ids(memory.lm, rows, max_new_tokens=max_new_tokens)
        binding, recall = memory.binding(asked)
        input_ids, mask = (
            part.to(memory.lm.device) for part in left_pad(rows, pad_id=memory.lm.tokenizer.pad_token_id)
        )
        with memory.hooks.bind(memory._judged(binding, input_ids, attention_mask=mask)):
            told = generate_ids(memory.lm, rows, max_new_tokens=max_new_tokens)
        counts = (recall.hits.ordinals >= 0).sum(axis=1).tolist()
        decode = memory.lm.tokenizer.decode
        for i, text, one, other, count in zip(chosen, asked, bare, told, counts, strict=True):
            found[i] = (text, decode(one).strip(), decode(other).strip(), count, one == other)
    names = ["text", "bare", "with_memory", "num_facts", "is_same"]
    return pl.DataFrame([found[i] for i in range(len(prompts))], schema=names, orient="row")


def mean_with_interval(scores: Sequence[float]) -> str:
    """A mean and its 95 % bootstrap interval, as text."""
    found = bootstrap_interval(np.asarray(scores, dtype=np.float64))
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
