"""Loading a frozen LLM and reading from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from widedeep_kb.lm import (
    AnswerLineEnd,
    FrozenLM,
    LMIdentity,
    answer_tokens,
    decoder_layers,
    end_ids,
    left_pad,
    load_lm,
)
from widedeep_kb.word_statistics import common_words

MakeLM = Callable[..., FrozenLM]


@pytest.fixture
def lm(tiny_frozen_lm: MakeLM) -> FrozenLM:
    """A tiny Llama."""
    return tiny_frozen_lm("llama")


def test_every_architecture_shows_its_parts(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    assert lm.hidden_size == 64
    assert len(lm.layers) == 4
    assert not any(p.requires_grad for p in lm.model.parameters())
    assert not lm.model.training
    ids = torch.tensor([[5, 6, 7]])
    head = lm.output_head(lm.decoder(input_ids=ids).last_hidden_state)
    torch.testing.assert_close(head, lm.model(input_ids=ids).logits)


def test_a_model_in_training_mode_is_frozen(tiny_frozen_lm: MakeLM) -> None:
    model = tiny_frozen_lm().model.train().requires_grad_(True)
    lm = FrozenLM(model, tiny_frozen_lm().tokenizer, identity=LMIdentity("x", "y"))
    assert not lm.model.training
    assert not any(p.requires_grad for p in lm.model.parameters())


def test_untied_embeddings_are_the_input_ones(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama", tie_word_embeddings=False)
    assert lm.embedding_weight is lm.model.model.embed_tokens.weight
    assert lm.output_head is lm.model.lm_head
    assert not torch.equal(lm.embedding_weight, lm.output_head.weight)


def test_missing_decoder_layers_are_an_error(lm: FrozenLM) -> None:
    lm.model.config.num_hidden_layers = 5
    with pytest.raises(ValueError, match="LlamaForCausalLM has no list of 5 decoder layers"):
        decoder_layers(lm.model)


def test_left_pad_keeps_every_token() -> None:
    input_ids, mask = left_pad([[5, 6, 7], [], [8]], pad_id=9)
    assert input_ids.tolist() == [[5, 6, 7], [9, 9, 9], [9, 9, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 1]]


def test_encode_adds_no_special_tokens(lm: FrozenLM) -> None:
    assert lm.encode([]) == []
    rows = lm.encode(["The capital of France", "007"])
    assert lm.tokenizer.decode(rows[0]) == "The capital of France"
    assert len(rows[1]) == 3
    assert lm.tokenizer.decode([lm.newline_id]) == "\n"


@pytest.mark.parametrize("stop_at_newline", [True, False])
def test_texts_continued_in_buffers_are_those_of_transformers(
    tiny_frozen_lm: MakeLM, architecture: str, *, stop_at_newline: bool
) -> None:
    lm = tiny_frozen_lm(architecture)
    kinds = lm.blank_tokens.clone(), lm.line_break_tokens.clone()
    kinds[1][::7] = True  # as if every seventh token broke the line
    lm._kinds[lm.device] = kinds
    prompts = ["Who?", "What is the capital of Zorvania, and why is it so?", "x", "One more of them"]
    options = {"max_new_tokens": 12, "batch_size": 2, "stop_at_newline": stop_at_newline}
    expected = lm.generate_texts(prompts, **options)
    lm.generation = "cuda_graph"
    assert [lm.generate_texts(prompts, **options) for _ in range(2)] == [expected] * 2
    assert lm.greedy_decoder._steps


def test_buffers_are_left_where_a_memory_is_bound_and_refused_where_the_scores_are_altered(lm: FrozenLM) -> None:
    lm.generation = "cuda_graph"
    expected = lm.generate_texts(["Who?"], max_new_tokens=5)
    lm.greedy_decoder._steps.clear()
    with lm.bound():
        assert lm.is_bound and lm.generate_texts(["Who?"], max_new_tokens=5) == expected
    assert not lm.is_bound and not lm.greedy_decoder._steps
    lm.model.generation_config.repetition_penalty = 1.3
    with pytest.raises(ValueError, match="generation config sets 'repetition_penalty'"):
        lm.generate_texts(["Who?"], max_new_tokens=5)
    lm.generation = "steps"
    with pytest.raises(ValueError, match="not 'steps'"):
        lm.generate_texts(["Who?"], max_new_tokens=5)


def test_generate_texts_keeps_the_order_and_equals_single_calls(lm: FrozenLM) -> None:
    prompts = ["The capital of France is", "Iron", "What is the time zone of Porto?", "é 東京", "The"]
    together = lm.generate_texts(prompts, max_new_tokens=5, batch_size=2)
    apart = [lm.generate_texts([p], max_new_tokens=5)[0] for p in prompts]
    assert together == apart
    assert [g.num_prompt_tokens for g in together] == [len(row) for row in lm.encode(prompts)]
    assert all(0 <= g.num_generated_tokens <= 5 for g in together)


def test_generation_stops_at_a_line_break_behind_text_only(lm: FrozenLM) -> None:
    newline, (letter,), end = lm.newline_id, lm.encode(["x"])[0], lm.tokenizer.eos_token_id
    assert answer_tokens(lm, [newline, letter, newline, letter]) == [newline, letter]
    assert answer_tokens(lm, [letter, end, letter]) == [letter]
    assert answer_tokens(lm, [letter, newline, letter], stop_at_newline=False) == [letter, newline, letter]
    assert answer_tokens(lm, [newline, newline]) == [newline, newline]
    criterion = AnswerLineEnd(lm, num_prompt_tokens=2)
    rows = torch.tensor(
        [[newline, letter, newline, newline], [letter, letter, newline, letter], [letter, letter, letter, newline]]
    )
    assert criterion(rows, None).tolist() == [False, False, True]
    rows = torch.cat([rows, torch.full((3, 1), newline)], dim=1)
    assert criterion(rows, None).tolist() == [False, True, True]


def test_end_ids_are_those_of_model_and_tokenizer(lm: FrozenLM) -> None:
    assert end_ids(lm) == [lm.tokenizer.eos_token_id]
    lm.model.generation_config.eos_token_id = [9, 4]
    assert end_ids(lm) == sorted({9, 4, lm.tokenizer.eos_token_id})
    assert lm.chat_end_id == 9


def test_chat_prompts_hold_the_shots_and_the_user(lm: FrozenLM) -> None:
    prompt = lm.chat_prompt("Who?", shots=[("What?", "This.")])
    assert prompt.endswith("<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n")
    assert "<|im_start|>assistant\nThis.<|im_end|>" in prompt


def test_no_chat_template_is_an_error(tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_frozen_lm()
    monkeypatch.setattr(lm.tokenizer, "chat_template", None)
    with pytest.raises(ValueError, match="'tiny-llama' has no chat template"):
        lm.chat_prompt("Who?")


def test_word_vectors_are_unit_mean_embeddings_less_what_common_words_share(lm: FrozenLM) -> None:
    def means(words: list[str]) -> np.ndarray:
        rows = lm.encode([f" {word}" for word in words])
        return np.stack([lm.embedding_weight[row].double().mean(0).numpy() for row in rows])

    common = means(common_words(10_000))
    centre = common.mean(0)
    direction = np.linalg.svd(common - centre, full_matrices=False)[2][0]
    expected = means(["capital", "517", "é"]) - centre
    expected -= (expected @ direction)[:, None] * direction
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    vectors = lm.word_vectors(["capital", "517", "é"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-4)
    assert lm.word_vectors([]).shape == (0, 64)


def test_a_saved_folder_loads_with_a_revision_of_its_weights(
    lm: FrozenLM, tiny_frozen_lm: MakeLM, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        other = tiny_frozen_lm("llama", seed=seed)
        other.model.save_pretrained(tmp_path / name)
        other.tokenizer.save_pretrained(tmp_path / name)
    loaded = {name: load_lm(str(tmp_path / name), device="cpu") for name in "abc"}
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(loaded["a"].model(input_ids=ids).logits, lm.model(input_ids=ids).logits)
    assert loaded["a"].identity.revision == loaded["b"].identity.revision != loaded["c"].identity.revision
    assert loaded["a"].identity.name == str(tmp_path / "a")
    assert loaded["a"].embedding_weight.dtype == torch.float32
    assert not any(p.requires_grad for p in loaded["a"].model.parameters())


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds 0 GGUF files and no config\.json"):
        load_lm(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot load the LLM") as caught:
        load_lm(str(tmp_path))
    assert "\n" not in str(caught.value)
