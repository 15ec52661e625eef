"""Many short texts to token ids, fast: words met before are looked up, not tokenised again.

In: a Hugging Face tokenizer and texts. Out: the token ids that the tokenizer itself would give, as plain lists.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from widedeep_kb.tokens import backend_of, parts_at_spaces

MAX_KNOWN = 1 << 17
"""Pieces remembered; when there are more, all are forgotten."""
# A single space begins the piece after it; any other white space is inside a piece.
_PIECE = re.compile(r"(?s)(?=.)\s*\S*(?:(?! \S)\s+\S*)*")


class TokenRows(NamedTuple):
    """What a tokenizer returns, as far as it is used here: one list of token ids for each text."""

    input_ids: list[list[int]]


class PieceTokenizer:
    """Stands in for a tokenizer where texts are encoded in bulk without special tokens around them.

    Most tokenizers part a text at its spaces before anything else. Then the ids of a text are those of its pieces, each
    a word with the space before it, one after the other, and a piece is encoded once. Whether a tokenizer does so is
    found out by asking it; one that does not gets whole texts.

    Args:
        tokenizer: the LLM's tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        backend = backend_of(tokenizer)
        self._backend = backend if backend is not None and parts_at_spaces(backend) else None
        self._known: dict[str, list[int]] = {}

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase | PieceTokenizer) -> PieceTokenizer:
        """`tokenizer` itself if it is one already."""
        return tokenizer if isinstance(tokenizer, cls) else cls(tokenizer)

    def __call__(self, texts: Sequence[str], *, add_special_tokens: bool = False) -> TokenRows:
        """Token ids of each text.

        Raises:
            ValueError: special tokens are wanted.
        """
        if add_special_tokens:
            raise ValueError(f"texts are encoded without special tokens, got add_special_tokens={add_special_tokens}")
        if not texts:
            return TokenRows([])
        if self._backend is None:
            return TokenRows(self.tokenizer(list(texts), add_special_tokens=False).input_ids)
        pieces = [_PIECE.findall(text) for text in texts]
        known = self._learn(pieces)
        return TokenRows([list(itertools.chain.from_iterable(map(known.__getitem__, row))) for row in pieces])

    def _learn(self, pieces: list[list[str]]) -> dict[str, list[int]]:
        """The ids of all known pieces, these among them."""
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        new = [piece for piece in dict.fromkeys(itertools.chain.from_iterable(pieces)) if piece not in self._known]
        self._backend.no_padding()
        self._backend.no_truncation()
        encodings = self._backend.encode_batch_fast(new, add_special_tokens=False)
        self._known.update(zip(new, [encoding.ids for encoding in encodings], strict=True))
        return self._known
