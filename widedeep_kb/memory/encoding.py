"""Facts as token ids, cut into the chunks that become memory rows.

In: subject, relation, object and optional statement strings with a tokenizer. Out: `EncodedFacts`, plain numpy arrays.

Letters: N facts, P prefix tokens, M object tokens (with the end token), R rows over all facts, S = 8 slots a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from transformers import PreTrainedTokenizerBase

SLOTS_PER_ROW = 8
NUM_CUES = 3
MAX_VALUE_TOKENS = 64
MAX_PREFIX_TOKENS = 512  # the writer reads all of them
NO_TOKEN = -1


@dataclass(frozen=True)
class EncodedFacts:
    """Token ids of N facts; `NO_TOKEN` fills what is empty.

    Attributes:
        prefix_ids: [N, P] int32, "The {relation} of {subject} is", left aligned.
        prefix_lengths: [N] int32.
        chunk_tokens: [R, S] int32, the object's tokens and the end token, eight a row.
        chunk_cues: [R, S, 3] int32, the three tokens before each of them inside the object.
        chunk_starts: [R] int32, position in the object of the row's first slot.
        chunk_facts: [R] int64, the fact of each row, ascending.
        num_rows: [N] int64, rows of each fact.
    """

    prefix_ids: np.ndarray
    prefix_lengths: np.ndarray
    chunk_tokens: np.ndarray
    chunk_cues: np.ndarray
    chunk_starts: np.ndarray
    chunk_facts: np.ndarray
    num_rows: np.ndarray

    def __len__(self) -> int:
        """Number of facts N."""
        return len(self.prefix_lengths)


def pad_rows(rows: Sequence[Sequence[int]], *, fill: int = NO_TOKEN, width: int | None = None) -> np.ndarray:
    """Ragged token lists as one left-aligned int32 array [len(rows), width]."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    width = int(lengths.max(initial=1)) if width is None else width
    out = np.full((len(rows), width), fill, dtype=np.int32)
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(lengths.sum()))
    out[np.arange(width)[None, :] < lengths[:, None]] = flat
    return out


def encode_facts(
    tokenizer: PreTrainedTokenizerBase, prefixes: Sequence[str], *, objects: Sequence[str], end_id: int
) -> EncodedFacts:
    """Tokenise facts and cut their objects into rows of eight slots.

    Args:
        tokenizer: the LLM's tokenizer.
        prefixes: what the writer reads before each object.
        objects: the values, without line breaks.
        end_id: token that ends an answer (the line break), stored as the last slot.

    Raises:
        ValueError: a value has no token or more than 64, or its prefix more than 512; the message names it.
    """
    prefix_rows = tokenizer(list(prefixes), add_special_tokens=False).input_ids if prefixes else []
    object_rows = tokenizer([f" {o}" for o in objects], add_special_tokens=False).input_ids if objects else []
    for text, row in zip(objects, object_rows, strict=True):
        if not 0 < len(row) <= MAX_VALUE_TOKENS:
            shown = text if len(text) <= 60 else f"{text[:60]}..."
            raise ValueError(f"value {shown!r} has {len(row)} tokens; a value has 1 to {MAX_VALUE_TOKENS}")
    for text, row in zip(prefixes, prefix_rows, strict=True):
        if len(row) > MAX_PREFIX_TOKENS:
            shown = f"{text[:60]}..."
            raise ValueError(
                f"the words before a value have {len(row)} tokens, more than {MAX_PREFIX_TOKENS}: {shown!r}"
            )
    tokens = pad_rows([[*row, end_id] for row in object_rows])
    return EncodedFacts(
        prefix_ids=pad_rows(prefix_rows),
        prefix_lengths=np.fromiter((len(r) for r in prefix_rows), dtype=np.int32, count=len(prefix_rows)),
        **_chunks(tokens),
    )


def _chunks(tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of eight slots from object tokens [N, M], with the three tokens before each slot."""
    num_facts, width = tokens.shape
    padded_width = -(-width // SLOTS_PER_ROW) * SLOTS_PER_ROW
    full = np.full((num_facts, padded_width), NO_TOKEN, dtype=np.int32)
    full[:, :width] = tokens
    cues = np.full((num_facts, padded_width, NUM_CUES), NO_TOKEN, dtype=np.int32)
    for back in range(1, NUM_CUES + 1):
        cues[:, back:, back - 1] = full[:, :-back]
    num_chunks = padded_width // SLOTS_PER_ROW
    rows = full.reshape(num_facts, num_chunks, SLOTS_PER_ROW)
    is_used = rows[:, :, 0] != NO_TOKEN
    facts, chunks = np.nonzero(is_used)
    return {
        "chunk_tokens": rows[is_used],
        "chunk_cues": cues.reshape(num_facts, num_chunks, SLOTS_PER_ROW, NUM_CUES)[is_used],
        "chunk_starts": (chunks * SLOTS_PER_ROW).astype(np.int32),
        "chunk_facts": facts.astype(np.int64),
        "num_rows": is_used.sum(axis=1).astype(np.int64),
    }
