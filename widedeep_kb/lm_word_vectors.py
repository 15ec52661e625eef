"""Vectors of words from an LLM's input embeddings, close where words mean the same. No decoder layer is run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from widedeep_kb.word_statistics import common_words


class LMWordVectors:
    """Makes vectors of words; a pickled one takes a copy of the embeddings along, on the CPU.

    The mean over a word's tokens, less the mean and the first directions of common words, which all words share (Mu and
    Viswanath, 2018, All-but-the-Top): without them the cosine tells synonyms from other words.

    Args:
        tokenizer: the LLM's.
        embedding_weight: [vocabulary, H], the LLM's input embeddings.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, embedding_weight: Tensor) -> None:
        self.tokenizer, self.embedding_weight = tokenizer, embedding_weight

    def __call__(self, words: Sequence[str]) -> np.ndarray:
        """Vector of each word, of unit length: float32 [len(words), H]."""
        mean, directions = self._shared
        vectors = self._means(words) - mean
        return torch.nn.functional.normalize(vectors - vectors @ directions.T @ directions, dim=-1).numpy()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "embedding_weight": self.embedding_weight.detach().cpu()}

    @cached_property
    def _shared(self) -> tuple[Tensor, Tensor]:
        """Mean [H] and first principal directions [H // 100, H] of the vectors of common words."""
        vectors = self._means(common_words(10_000))
        mean = vectors.mean(dim=0)
        centred = (vectors - mean).double()
        directions = torch.linalg.eigh(centred.T @ centred).eigenvectors.T.flip(0)  # by falling eigenvalue
        return mean, directions[: max(1, vectors.shape[1] // 100)].float()

    def _means(self, words: Sequence[str]) -> Tensor:
        """Mean input embedding of each word's tokens, float32 [len(words), H] on the CPU."""
        texts, weight = [f" {word}" for word in words], self.embedding_weight
        rows = self.tokenizer(texts, add_special_tokens=False).input_ids if texts else []
        lengths = torch.tensor([max(1, len(row)) for row in rows], dtype=torch.int64)
        flat = torch.tensor([token for row in rows for token in (row or [0])], dtype=torch.int64)
        owner = torch.repeat_interleave(torch.arange(len(rows)), lengths)
        sums = torch.zeros(len(rows), weight.shape[1])
        sums.index_add_(0, owner, weight.detach()[flat.to(weight.device)].float().cpu())
        return sums / lengths[:, None]
