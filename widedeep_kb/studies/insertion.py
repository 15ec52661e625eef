"""How well a reader answers from facts that were just inserted, with no training on them.

In: a `FactTable` (all of it is in the exact index) and a phrasing class. Out: a `Chunk` whose candidates are what the
index returns for the question's text, narrowed as in use, nothing more, and exact match by class.

A question counts as right when every token of the answer and its end is the likeliest given the true ones before it:
that is when greedy generation prints exactly the stored value. Questions whose subject or property has several values
are left out here (`widedeep-kb evaluate` accepts any of them).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from widedeep_kb.memory.encoding import NO_TOKEN
from widedeep_kb.schema import normalise_text
from widedeep_kb.training.batches import ChunkBatches
from widedeep_kb.training.build_chunk import build_chunk
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.examples import Example, Phraser, PhrasingMix, index_hits
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.lit_module import ReaderModule

PHRASINGS = ("trained", "heldout", "own")
_PLAIN = PhrasingMix(own=0.0, chat=0.0, canonical=1.0, raw=0.0, corrupted=0.0)


def insertion_chunk(
    tokenizer: PreTrainedTokenizerBase,
    table: FactTable,
    *,
    num_questions: int,
    seed: int,
    end_id: int,
    budget: int = 32,
    phrasings: tuple[str, ...] = PHRASINGS,
    askable: list[int] | None = None,
) -> Chunk:
    """Questions about `table`, of each phrasing class, with the facts the exact index returns.

    Args:
        tokenizer: the LLM's.
        table: all facts that are in memory.
        num_questions: of each class.
        seed: of the choice of facts and phrasings.
        end_id: line break token.
        budget: most facts the index returns.
        phrasings: of `PHRASINGS`; "own" are the fact's own questions and templates.
        askable: facts that may be asked for; default: those with one value.
    """
    rng = random.Random(seed)
    askable = unambiguous(table) if askable is None else askable
    examples: list[Example] = []
    for phrasing in phrasings:
        phraser = Phraser(None, split="heldout" if phrasing == "heldout" else "trained", mix=_PLAIN)
        if phrasing == "own":
            phraser.mix = replace(_PLAIN, own=1.0)
        own = [i for i in askable if i in table.questions or table.templates.get(table.relations[i])]
        pool = own if phrasing == "own" else askable
        for fact in rng.sample(pool, min(num_questions, len(pool))):
            examples.append(phraser.example(table, fact, rng, kind=f"{table.name}/{phrasing}"))
    hits = index_hits(table, [e.text for e in examples], budget=budget, is_narrowed=True)
    return build_chunk(
        tokenizer,
        table,
        examples=examples,
        candidates=hits.ordinals,
        weights=hits.weights,
        end_id=end_id,
        chat_end_id=end_id,
    )


def unambiguous(table: FactTable) -> list[int]:
    """Facts whose (subject spelling, relation) occurs once."""
    names = {text: normalise_text(text) for text in set(table.subjects)}
    keys = [(names[s], r) for s, r in zip(table.subjects, table.relations, strict=True)]
    counts = Counter(keys)
    return [i for i, key in enumerate(keys) if counts[key] == 1]


@torch.inference_mode()
def insertion_accuracy(
    module: ReaderModule, chunk: Chunk, *, batch_size: int = 256, progress: Callable[[int], None] | None = None
) -> tuple[dict[str, float], np.ndarray]:
    """Exact match by class and, for each question of the chunk, whether it was answered right [Q] bool.

    A question whose fact the index did not return is wrong: its rows are not in memory.
    """
    batches = ChunkBatches(chunk, module.lm, writer_layers=module.reader.config.writer_layers, batch_size=batch_size)
    right = np.zeros(len(chunk), dtype=bool)
    for batch in batches.in_order():
        is_right, _ = module.is_right(batch)
        right[batch.question_ids.cpu().numpy()] = is_right.cpu().numpy()
        if progress is not None:
            progress(len(batch.lengths))
    by_class = {
        name: float(right[chunk.classes == i].mean())
        for i, name in enumerate(chunk.class_names)
        if (chunk.classes == i).any()
    }
    return by_class, right


def index_recall(chunk: Chunk) -> dict[str, float]:
    """Share of questions, by class, whose fact is among the candidates the index returned."""
    found = ((chunk.candidates == chunk.targets[:, None]) & (chunk.targets[:, None] != NO_TOKEN)).any(1)
    return {
        name: float(found[chunk.classes == i].mean())
        for i, name in enumerate(chunk.class_names)
        if (chunk.classes == i).any()
    }
