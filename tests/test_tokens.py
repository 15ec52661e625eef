"""Token lists are what the tokenizer itself gives, text by text."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from widedeep_kb.tokens import TokenLists, encoder, joined

ROWS = st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=8)


@given(st.lists(st.text(alphabet="aZé7 -'\n的<", max_size=12), max_size=6))
def test_encoder_gives_each_texts_own_ids(tiny_tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    texts = texts * 2
    expected = tiny_tokenizer(texts, add_special_tokens=False).input_ids if texts else []
    found = encoder(tiny_tokenizer)(texts)
    assert found.lengths.tolist() == [len(row) for row in expected]
    assert found.values.tolist() == [token for row in expected for token in row]


def test_padding_asked_for_before_changes_nothing(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ["The capital", "a"]
    expected = tiny_tokenizer(texts, add_special_tokens=False).input_ids
    tiny_tokenizer(texts, padding=True, truncation=True, max_length=2)
    assert encoder(tiny_tokenizer)(texts).values.tolist() == expected[0] + expected[1]


@given(ROWS, st.data())
def test_take_and_padded(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    taken = TokenLists.of(rows).take(np.array(chosen, np.int64))
    assert taken.values.tolist() == [token for i in chosen for token in rows[i]]
    padded = taken.padded(-1)
    assert [row[row >= 0].tolist() for row in padded] == [rows[i] for i in chosen]
    assert padded.dtype == np.int32


@given(ROWS)
def test_joined_puts_the_parts_of_each_text_together(rows: list[list[int]]) -> None:
    parts = [TokenLists.of(rows), TokenLists.of([[7]] * len(rows)), TokenLists.of(rows[::-1])]
    found = joined(parts)
    expected = [[*one, 7, *other] for one, other in zip(rows, rows[::-1], strict=True)]
    assert found.values.tolist() == [token for row in expected for token in row]
    assert found.lengths.tolist() == [len(row) for row in expected]
