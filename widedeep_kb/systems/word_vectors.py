"""Vectors of words and short texts from an LLM's input embeddings; no decoder layer runs.

Letters: N words, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from widedeep_kb.memory.relations import WordVectors
from widedeep_kb.word_statistics import content_weight

if TYPE_CHECKING:
    from widedeep_kb.lm import FrozenLM


def embedding_word_vectors(lm: FrozenLM) -> WordVectors:
    """A function from N words to float32 [N, H] of unit length: means of the embeddings of each word's tokens."""
    mean = lm.embedding_weight.float().mean(dim=0)  # [H]; without it every cosine is near 1

    def vectors(words: list[str]) -> np.ndarray:
        if not words:
            return np.zeros((0, lm.hidden_size), dtype=np.float32)
        rows = [ids or [lm.tokenizer.pad_token_id] for ids in lm.encode([f" {word}" for word in words])]
        flat = torch.tensor([token for ids in rows for token in ids], device=lm.device)
        offsets = np.cumsum([0, *map(len, rows[:-1])])
        bags = torch.nn.functional.embedding_bag(
            flat, lm.embedding_weight, torch.as_tensor(offsets, device=lm.device), mode="mean"
        )
        return torch.nn.functional.normalize(bags.float() - mean, dim=-1).cpu().numpy()

    return vectors


def text_vectors(texts: Sequence[Sequence[str]], *, word_vectors: WordVectors) -> np.ndarray:
    """Unit vectors of texts given as words, rare words counting more: float32 [len(texts), H]; zero without words."""
    known = list(dict.fromkeys(word for words in texts for word in words))
    if not known:
        return np.zeros((len(texts), word_vectors(["word"]).shape[1]), dtype=np.float32)
    weights = np.array([content_weight(word) for word in known], dtype=np.float32)
    weighted = word_vectors(known) * weights[:, None]
    numbers = {word: number for number, word in enumerate(known)}
    sums = np.stack([weighted[[numbers[word] for word in words]].sum(axis=0) for words in texts])
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
