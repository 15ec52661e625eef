"""Facts as token ids, cut into the chunks that become memory rows.

In: subject, relation, object and optional statement strings with a tokenizer. Out: `EncodedFacts`, plain numpy arrays.

Letters: N facts, P prefix tokens, M object tokens (with the end token), R rows over all facts, S = 8 slots a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
from transformers import PreTrainedTokenizerBase

from widedeep_kb.keys import number
from widedeep_kb.schema import default_statement, statement_prefix
from widedeep_kb.tokens import TokenLists, backend_of, encoder, joined, parts_at_spaces

SLOTS_PER_ROW = 8
NUM_CUES = 3
MAX_VALUE_TOKENS = 64
MAX_PREFIX_TOKENS = 512  # the writer reads all of them
NO_TOKEN = -1
_LEAST_SPLIT = 1000  # facts for which it pays to find out whether their statements can be tokenised in parts


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
    encode = encoder(tokenizer)
    prefix_tokens, object_tokens = encode(prefixes), encode([f" {o}" for o in objects])
    _refuse_lengths(prefix_tokens, object_tokens, prefix_of=prefixes.__getitem__, object_of=objects.__getitem__)
    return _encoded(prefix_tokens, object_tokens, end_id=end_id)


def encode_frame(tokenizer: PreTrainedTokenizerBase, facts: pl.DataFrame, *, end_id: int) -> EncodedFacts:
    """`encode_facts` of checked facts, each read up to its object (see `statement_prefix`).

    Args:
        tokenizer: the LLM's tokenizer.
        facts: N facts with subject, relation, object and statement.
        end_id: as for `encode_facts`.

    Raises:
        ValueError: as `encode_facts`.
    """
    prefix_tokens = _prefix_tokens(tokenizer, facts)
    object_tokens = encoder(tokenizer)((" " + facts["object"]).to_list())
    _refuse_lengths(
        prefix_tokens,
        object_tokens,
        prefix_of=lambda i: statement_prefix(facts.row(i, named=True)),
        object_of=facts["object"].__getitem__,
    )
    return _encoded(prefix_tokens, object_tokens, end_id=end_id)


def _prefix_tokens(tokenizer: PreTrainedTokenizerBase, facts: pl.DataFrame) -> TokenLists:
    """Tokens of what comes before each object.

    The words of a default statement are tokenised by themselves where that gives the same tokens: a subject has several
    facts, and a relation many.
    """
    encode, backend = encoder(tokenizer), backend_of(tokenizer)
    is_split = np.zeros(facts.height, bool)
    if facts.height >= _LEAST_SPLIT and backend is not None and parts_at_spaces(backend):
        is_split = facts["statement"].is_null().to_numpy() & _is_bare(facts["subject"]) & _is_bare(facts["relation"])
    whole = facts.filter(~is_split).select("subject", "relation", "object", "statement")
    found = encode([statement_prefix(row) for row in whole.iter_rows(named=True)])
    if is_split.any():
        columns = {"{subject}": facts["subject"], "{relation}": facts["relation"]}
        words = default_statement(*columns).split(" ")
        parts = []
        for place, word in enumerate(words):
            space = " " if place else ""
            if word in columns:
                parts.append(encode((space + columns[word].filter(is_split)).to_list()))
            else:
                parts.append(encode([space + word]).take(np.zeros(int(is_split.sum()), np.int64)))
        split = joined(parts)
        found = TokenLists(*map(np.concatenate, zip(found, split, strict=True)))
    order = np.concatenate([np.flatnonzero(~is_split), np.flatnonzero(is_split)])
    return found.take(np.argsort(order))


def _is_bare(texts: pl.Series) -> np.ndarray:
    """bool [N]: no white space at either end."""
    distinct, numbers = number(texts.to_list())
    return np.array([text == text.strip() for text in distinct], bool)[numbers]


def _refuse_lengths(
    prefixes: TokenLists, objects: TokenLists, *, prefix_of: Callable[[int], str], object_of: Callable[[int], str]
) -> None:
    """Raise ValueError for the first value, then for the first prefix, that is too short or too long."""
    for i in np.flatnonzero((objects.lengths < 1) | (objects.lengths > MAX_VALUE_TOKENS))[:1].tolist():
        text = object_of(i)
        shown = text if len(text) <= 60 else f"{text[:60]}..."
        raise ValueError(f"value {shown!r} has {objects.lengths[i]} tokens; a value has 1 to {MAX_VALUE_TOKENS}")
    for i in np.flatnonzero(prefixes.lengths > MAX_PREFIX_TOKENS)[:1].tolist():
        shown = f"{prefix_of(i)[:60]}..."
        raise ValueError(
            f"the words before a value have {prefixes.lengths[i]} tokens, more than {MAX_PREFIX_TOKENS}: {shown!r}"
        )


def _encoded(prefixes: TokenLists, objects: TokenLists, *, end_id: int) -> EncodedFacts:
    """Rows of eight slots, with the three tokens before each slot."""
    num_rows = objects.lengths // SLOTS_PER_ROW + 1  # the end token takes a slot too
    facts = np.repeat(np.arange(len(num_rows)), num_rows)
    first_rows = np.cumsum(num_rows) - num_rows
    starts = SLOTS_PER_ROW * (np.arange(len(facts)) - first_rows[facts])
    places = starts[:, None] + np.arange(SLOTS_PER_ROW)  # [R, S], in the object
    padded = np.append(objects.values, np.int32(end_id))
    begins, lengths = objects.starts[facts, None], objects.lengths[facts, None]

    def tokens_at(at: np.ndarray) -> np.ndarray:
        is_inside = (at >= 0) & (at < lengths)
        found = padded[np.where(is_inside, begins + at, -1)]
        return np.where(is_inside | (at == lengths), found, np.int32(NO_TOKEN))

    return EncodedFacts(
        prefix_ids=prefixes.padded(NO_TOKEN),
        prefix_lengths=prefixes.lengths.astype(np.int32),
        chunk_tokens=tokens_at(places),
        chunk_cues=np.stack([tokens_at(places - back) for back in range(1, NUM_CUES + 1)], axis=-1),
        chunk_starts=starts.astype(np.int32),
        chunk_facts=facts,
        num_rows=num_rows,
    )
