"""Examples to a `Chunk`: tokenise prompts, answers and facts, once, away from the training step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS, NO_TOKEN, encode_facts, pad_rows
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.examples import Example
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.piece_tokenizer import PieceTokenizer

MAX_PROMPT_TOKENS = 80


def build_chunk(
    tokenizer: PreTrainedTokenizerBase | PieceTokenizer,
    table: FactTable,
    *,
    examples: Sequence[Example],
    candidates: np.ndarray,
    weights: np.ndarray,
    end_id: int,
    chat_end_id: int,
) -> Chunk:
    """Tokenise.

    Args:
        tokenizer: the LLM's tokenizer.
        table: N facts; only those in `candidates` are kept.
        examples: Q questions.
        candidates: [Q, C] facts in memory for each question, -1 = none.
        weights: [Q, C] weight of the hit that brought each.
        end_id: token that ends an answer (line break).
        chat_end_id: token that ends an answer in a chat prompt.
    """
    tokenizer = PieceTokenizer.of(tokenizer)
    prompt_rows = tokenizer([e.prompt for e in examples], add_special_tokens=False).input_ids
    is_short = np.array([0 < len(row) <= MAX_PROMPT_TOKENS for row in prompt_rows])
    answers = tokenizer([f" {e.answer or e.continuation}" for e in examples], add_special_tokens=False).input_ids
    is_short &= np.array([len(row) <= MAX_VALUE_TOKENS for row in answers])
    kept = np.flatnonzero(is_short)
    rows, starts = [], []
    for i in kept.tolist():
        example, prompt = examples[i], prompt_rows[i]
        if example.answer is not None:
            ending = [*answers[i], chat_end_id if example.is_chat else end_id]
        else:
            ending = answers[i] if example.continuation else []
        rows.append([*prompt, *ending])
        starts.append(len(prompt))
    asked = [examples[i] for i in kept.tolist()]
    targets = np.array([(e.target, e.second) if e.answer is not None else (-1, -1) for e in asked], dtype=np.int64)
    targets = targets.reshape(-1, 2)
    used = np.unique(np.concatenate([candidates[kept].ravel(), targets.ravel()]))
    used = used[used >= 0]
    local = np.where(candidates[kept] < 0, NO_TOKEN, np.searchsorted(used, candidates[kept]))
    places = np.where(targets < 0, NO_TOKEN, np.searchsorted(used, targets))
    names = tuple(sorted({e.kind for e in examples}))
    facts = table.take(used)
    return Chunk(
        facts=encode_facts(tokenizer, facts.prefixes, objects=facts.objects, end_id=end_id),
        input_ids=pad_rows(rows),
        answer_starts=np.asarray(starts, dtype=np.int32),
        candidates=local,
        weights=weights[kept].astype(np.float16),
        targets=places[:, 0],
        second_targets=places[:, 1],
        silent=np.array([e.answer is None for e in asked]),
        classes=np.array([names.index(e.kind) for e in asked], dtype=np.int16),
        class_names=names,
    )
