"""Facts as token ids: rows of eight slots, cues inside a value, and the limit of 64 tokens."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from transformers import PreTrainedTokenizerFast

from widedeep_kb.memory import encoding
from widedeep_kb.memory.encoding import (
    MAX_VALUE_TOKENS,
    NO_TOKEN,
    SLOTS_PER_ROW,
    encode_facts,
    encode_frame,
    pad_rows,
)
from widedeep_kb.schema import facts_from_records, statement_prefix

END = 7
VALUES = ("Paris", "517802", "007", "-12.5", "São Tomé", "東京都", "naïve café", "a.b.c/d?e=1", "🦜 parrot", "x" * 40)


def slow_rows(tokenizer: PreTrainedTokenizerFast, value: str) -> list[tuple[list[int], list[list[int]], int]]:
    """Tokens, cues and start of each row of one value, in plain Python."""
    tokens = [*tokenizer.encode(f" {value}", add_special_tokens=False), END]
    rows = []
    for start in range(0, len(tokens), SLOTS_PER_ROW):
        places = range(start, start + SLOTS_PER_ROW)
        slots = [tokens[p] if p < len(tokens) else NO_TOKEN for p in places]
        cues = [[tokens[p - b] if 0 <= p - b < len(tokens) else NO_TOKEN for b in (1, 2, 3)] for p in places]
        rows.append((slots, cues, start))
    return rows


def value_of(num_tokens: int) -> str:
    """A value of exactly that many tokens: the leading space is the first one, each digit one more."""
    return "".join(str(i % 10) for i in range(num_tokens - 1))


def test_rows_equal_a_slow_reference(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    rng = random.Random(0)
    values = [*VALUES, *(str(rng.randrange(10 ** rng.randrange(1, 40))) for _ in range(30))]
    facts = encode_facts(tiny_tokenizer, [f"The x of {v} is" for v in values], objects=values, end_id=END)
    at = 0
    for fact, value in enumerate(values):
        expected = slow_rows(tiny_tokenizer, value)
        assert facts.num_rows[fact] == len(expected)
        for tokens, cues, start in expected:
            used = [i for i, t in enumerate(tokens) if t != NO_TOKEN]
            assert facts.chunk_tokens[at].tolist() == tokens
            assert facts.chunk_cues[at][used].tolist() == [cues[i] for i in used]
            assert facts.chunk_starts[at] == start
            assert facts.chunk_facts[at] == fact
            at += 1
    assert at == len(facts.chunk_tokens)


def test_stored_tokens_spell_the_value(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    facts = encode_facts(tiny_tokenizer, ["p"] * len(VALUES), objects=VALUES, end_id=END)
    for fact, value in enumerate(VALUES):
        tokens = facts.chunk_tokens[facts.chunk_facts == fact].ravel()
        assert tiny_tokenizer.decode(tokens[tokens != NO_TOKEN][:-1]) == f" {value}"


def test_prefixes_are_left_aligned_with_their_lengths(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    prefixes = ["The capital of France is", "The é of 東京 is"]
    facts = encode_facts(tiny_tokenizer, prefixes, objects=["a", "b"], end_id=END)
    for row, length, prefix in zip(facts.prefix_ids, facts.prefix_lengths, prefixes, strict=True):
        assert row[:length].tolist() == tiny_tokenizer.encode(prefix, add_special_tokens=False)
        assert (row[length:] == NO_TOKEN).all()


def test_sixty_four_tokens_fit_and_sixty_five_are_refused_by_name(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    fitting, too_long = value_of(MAX_VALUE_TOKENS), value_of(MAX_VALUE_TOKENS + 1)
    facts = encode_facts(tiny_tokenizer, ["p"], objects=[fitting], end_id=END)
    assert facts.num_rows.tolist() == [9]  # 64 tokens and the end
    assert facts.chunk_tokens[-1].tolist() == [END] + [NO_TOKEN] * 7
    with pytest.raises(ValueError, match=rf"value '{too_long[:60]}\.\.\.' has 65 tokens") as caught:
        encode_facts(tiny_tokenizer, ["p", "p"], objects=["fine", too_long], end_id=END)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("num_tokens", "num_rows"), [(7, 1), (8, 2), (15, 2), (16, 3)])
def test_the_end_token_takes_a_slot_of_its_own(
    tiny_tokenizer: PreTrainedTokenizerFast, num_tokens: int, num_rows: int
) -> None:
    facts = encode_facts(tiny_tokenizer, ["p"], objects=[value_of(num_tokens)], end_id=END)
    assert facts.num_rows.tolist() == [num_rows]
    assert (facts.chunk_tokens == END).sum() == 1


def test_no_facts_give_no_rows(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    facts = encode_facts(tiny_tokenizer, [], objects=[], end_id=END)
    assert len(facts) == 0
    assert len(facts.chunk_tokens) == 0


def test_pad_rows_fills_the_right() -> None:
    assert pad_rows([[1, 2], [], [3]]).tolist() == [[1, 2], [-1, -1], [3, -1]]
    assert pad_rows([[4]], fill=0, width=3).tolist() == [[4, 0, 0]]
    assert pad_rows([[4]]).dtype == np.int32


def odd_facts(rng: random.Random) -> pl.DataFrame:
    """Facts whose names have white space in odd places, some with a statement of their own."""
    subjects = ["France", "São Tomé", "New  York", "C++", "X ", "\u00a0Y", "it's", "<|im_start|>", "東京 都"]
    relations = ["capital", "mayor of", " of", "is\t", "a\nb", "--", "de l'île"]
    records = []
    for i in range(60):
        value = f"{rng.choice(VALUES)} {i}"
        record = {"subject": rng.choice(subjects), "relation": rng.choice(relations), "object": value}
        if rng.random() < 0.2:
            record["statement"] = f"{record['subject']} has, for its part,  {value} there"
        records.append(record)
    return facts_from_records(records)


@pytest.mark.parametrize("least", [1, 10**9], ids=["in parts", "whole"])
def test_frames_are_encoded_like_their_texts(
    tiny_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(encoding, "_LEAST_SPLIT", least)
    facts = odd_facts(random.Random(1))
    prefixes = [statement_prefix(row) for row in facts.iter_rows(named=True)]
    expected = [tiny_tokenizer.encode(prefix, add_special_tokens=False) for prefix in prefixes]
    found = encode_frame(tiny_tokenizer, facts, end_id=END)
    assert [row[row >= 0].tolist() for row in found.prefix_ids] == expected
    whole = encode_facts(tiny_tokenizer, prefixes, objects=facts["object"].to_list(), end_id=END)
    for name, array in vars(whole).items():
        np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)
        assert getattr(found, name).dtype == array.dtype


def test_frames_name_what_is_too_long(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    fits = {"subject": "a", "relation": "b", "object": "c"}
    with pytest.raises(ValueError, match="value '0123.* has 65 tokens"):
        encode_frame(tiny_tokenizer, facts_from_records([fits, {**fits, "object": value_of(65)}]), end_id=END)
    with pytest.raises(ValueError, match="the words before a value have .* more than 512: 'The b of 0123"):
        encode_frame(tiny_tokenizer, facts_from_records([fits, {**fits, "subject": value_of(520)}]), end_id=END)
