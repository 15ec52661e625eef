"""Many texts as token ids at once: each distinct text is tokenised once, and the ids are kept in one flat array.

In: a Hugging Face tokenizer and texts. Out: `TokenLists`, the ids that the tokenizer gives without special tokens.

Letters: N texts, V tokens of all texts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from widedeep_kb.keys import number, ranges

_PROBES = ("a", "Z", "é", "ß", "7", "-", "'", "'s", '"', "?", "(", ")", "<|", "_", "/", "的", "ก", "ا", "€", "😀")

Encode = Callable[[Sequence[str]], "TokenLists"]


class TokenLists(NamedTuple):
    """Token ids of N texts, one after the other.

    Attributes:
        values: int32 [V].
        lengths: int64 [N].
    """

    values: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> TokenLists:
        """From a list of ids a text."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths)

    @property
    def starts(self) -> np.ndarray:
        """int64 [N]: where each text begins in `values`."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, rows: np.ndarray) -> TokenLists:
        """The texts `rows`, int64 [n], in that order."""
        lengths = self.lengths[rows]
        return TokenLists(self.values[ranges(self.starts[rows], lengths)], lengths)

    def padded(self, fill: int) -> np.ndarray:
        """int32 [N, longest, at least 1], left aligned."""
        out = np.full((len(self.lengths), int(self.lengths.max(initial=1))), fill, dtype=np.int32)
        out[np.arange(out.shape[1])[None] < self.lengths[:, None]] = self.values
        return out


def encoder(tokenizer: PreTrainedTokenizerBase) -> Encode:
    """What encodes texts without special tokens, each distinct text once."""
    backend = backend_of(tokenizer)

    def encode(texts: Sequence[str]) -> TokenLists:
        distinct, numbers = number(texts)
        if not distinct:
            return TokenLists.of([])
        if backend is None:
            rows = tokenizer(distinct, add_special_tokens=False).input_ids
        else:
            backend.no_padding()
            backend.no_truncation()
            rows = [found.ids for found in backend.encode_batch_fast(distinct, add_special_tokens=False)]
        return TokenLists.of(rows).take(numbers)

    return encode


def backend_of(tokenizer: object) -> Tokenizer | None:
    """The tokenizer of the `tokenizers` library below a Hugging Face one, if that is what it is."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend if isinstance(backend, Tokenizer) else None


def joined(parts: Sequence[TokenLists]) -> TokenLists:
    """Text i of each part, one after the other, as text i; all parts have N texts."""
    lengths = np.stack([part.lengths for part in parts], axis=1)  # [N, parts]
    ends = np.cumsum(lengths).reshape(lengths.shape)
    values = np.empty(int(lengths.sum()), np.int32)
    for part, own, end in zip(parts, lengths.T, ends.T, strict=True):
        values[ranges(end - own, own)] = part.values
    return TokenLists(values, lengths.sum(axis=1))


def parts_at_spaces(backend: Tokenizer) -> bool:
    """Whether every text is parted before each of its single spaces, whatever stands around them."""
    normalizer = backend.normalizer
    if backend.pre_tokenizer is None or not (normalizer is None or "Sequence(normalizers=[])" in repr(normalizer)):
        return False
    added = backend.get_added_tokens_decoder().values()
    if any(" " in token.content or token.lstrip or token.rstrip or token.single_word for token in added):
        return False
    for before, after in itertools.product(_PROBES, repeat=2):
        found = backend.pre_tokenizer.pre_tokenize_str(f"{before}x{before} {after}x{after}")
        if not any(start == 2 * len(before) + 1 for _, (start, _) in found):
            return False
    return True
