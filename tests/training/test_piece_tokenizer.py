"""Token ids by pieces are those of the whole text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from widedeep_kb.tokens import parts_at_spaces
from widedeep_kb.training import piece_tokenizer
from widedeep_kb.training.piece_tokenizer import PieceTokenizer

TEXTS = [
    "The capital of France is",
    " Paris",
    "",
    " ",
    "  two  spaces ",
    "a\n b\tc \n",
    "<|im_start|>user\nWho? <|im_end|>",
    "it's 1,234 的 的",
    "x\u00a0 y",
]


def test_ids_are_those_of_the_tokenizer(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    fast = PieceTokenizer(tiny_tokenizer)
    whole = tiny_tokenizer(TEXTS, add_special_tokens=False).input_ids
    assert parts_at_spaces(tiny_tokenizer.backend_tokenizer)
    assert fast(TEXTS).input_ids == whole
    assert fast(TEXTS).input_ids == whole, "what is known already"


@given(st.lists(st.text(alphabet="aZ\u00e97 -'?\n\t\u00a0\u7684<|", max_size=20), max_size=5))
def test_any_text(tiny_tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    whole = tiny_tokenizer(texts, add_special_tokens=False).input_ids if texts else []
    assert PieceTokenizer(tiny_tokenizer)(texts).input_ids == whole


def test_forgets_when_full(tiny_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_tokenizer, "MAX_KNOWN", 3)
    fast = PieceTokenizer(tiny_tokenizer)
    for text in TEXTS:
        assert fast([text]).input_ids == tiny_tokenizer([text], add_special_tokens=False).input_ids
        assert len(fast._known) < 10


def test_padding_asked_for_before_changes_nothing(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    expected = tiny_tokenizer(TEXTS[:2], add_special_tokens=False).input_ids
    tiny_tokenizer(TEXTS, add_special_tokens=False, padding=True)
    assert PieceTokenizer(tiny_tokenizer)(TEXTS[:2]).input_ids == expected


def test_a_tokenizer_that_joins_words_gets_whole_texts() -> None:
    backend = Tokenizer(models.BPE({"a": 0, " ": 1, "a a": 2, "a ": 3}, [("a", " "), ("a ", "a")]))
    assert not parts_at_spaces(backend), "no pre-tokenizer"
    assert PieceTokenizer(PreTrainedTokenizerFast(tokenizer_object=backend))(["a a"]).input_ids == [[2]]
    backend.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    assert not parts_at_spaces(backend), "spaces inside words"


def test_special_tokens_are_refused(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="add_special_tokens=True"):
        PieceTokenizer(tiny_tokenizer)(["a"], add_special_tokens=True)
