"""The relevance gate: open as made, fitted to tell questions apart; where shut, the LLM is bare bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from widedeep_kb.lm import FrozenLM, left_pad
from widedeep_kb.memory.gate import RelevanceGate, gate_features
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.wording import NUM_WORDING
from widedeep_kb.model import KnowledgeMemory

MakeLM = Callable[..., FrozenLM]
FACTS = [{"subject": "Aurora", "relation": "port", "object": "8443"}]


def test_a_new_gate_lets_every_question_through() -> None:
    gate = RelevanceGate(2, 3)
    assert not gate.is_set
    assert gate(torch.rand(5, 2, 3), torch.rand(5, 4), torch.rand(5, NUM_WORDING)).all()


def test_features_are_the_attention_of_heads_and_adapters_the_best_hit_and_the_wording() -> None:
    mass, weights = torch.tensor([[[0.5, 0.0], [0.2, 0.8]]]), torch.tensor([[0.2, 0.8, 0.0]])
    expected = torch.tensor([[0.501, 0.001, 0.201, 0.801]]).log()
    found = gate_features(mass, weights, torch.tensor([[0.1, 0.2, 0.3]]))
    torch.testing.assert_close(found, torch.cat([expected, torch.tensor([[0.8, 0.1, 0.2, 0.3, 0.25, 0.5]])], dim=1))


def test_a_fit_learns_nothing_of_single_heads() -> None:
    torch.manual_seed(1)
    is_answered = torch.rand(400) < 0.5
    mass = torch.full((400, 2, 3), 0.4)
    mass[:, 0, 0] += 0.3 * is_answered
    mass[:, 0, 1] -= 0.3 * is_answered
    seen = (mass, torch.rand(400, 4), torch.rand(400, NUM_WORDING))
    gate = RelevanceGate(2, 3)
    gate.fit(gate_features(*seen), is_answered, weights=torch.ones(400))
    assert not gate.weight[:6].any() and not gate.hidden_weight[:6].any() and gate.weight[6:].any()
    assert (gate(*seen) == is_answered).float().mean() < 0.7


def separable(*, by_wording: bool) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """What a gate sees of 400 questions, and which of them are answered: as the attention or as the wording says."""
    torch.manual_seed(0)
    is_answered = torch.rand(400) < 0.5
    mass = torch.rand(400, 2, 3) * 0.3 + (0.0 if by_wording else 0.5 * is_answered[:, None, None])
    wording = torch.rand(400, NUM_WORDING) * 0.3
    if by_wording:
        wording[:, 0] += 0.5 * ~is_answered
    return (mass, torch.full((400, 4), 0.2), wording), is_answered


@pytest.mark.parametrize("by_wording", [False, True])
def test_a_fitted_gate_tells_separable_questions_apart(by_wording: bool) -> None:
    seen, is_answered = separable(by_wording=by_wording)
    gate = RelevanceGate(2, 3)
    gate.fit(gate_features(*seen), is_answered, weights=torch.ones(400))
    assert gate.is_set
    assert (gate(*seen) == is_answered).float().mean() > 0.98


def test_hidden_units_find_what_no_weighted_sum_tells_apart() -> None:
    (mass, weights, wording), _ = separable(by_wording=True)
    is_answered = (wording[:, 1] - 0.15).abs() < 0.075
    gate = RelevanceGate(2, 3)
    gate.fit(gate_features(mass, weights, wording), is_answered, weights=torch.ones(400), penalty=1e-5)
    assert (gate(mass, weights, wording) == is_answered).float().mean() > 0.9


@pytest.mark.parametrize(("most_shut", "num_open"), [(0.5, 13), (0.1, 23)])
def test_the_threshold_keeps_unrelated_questions_out_but_first_lets_answered_ones_in(
    most_shut: float, num_open: int
) -> None:
    gate = RelevanceGate(2, 3)
    scores = torch.arange(100.0)
    is_answered = torch.cat([torch.zeros(50), torch.tensor([1.0, 0.0]).repeat(25)]).bool()
    unrelated, answered = scores[~is_answered], scores[is_answered]
    least = gate.set_threshold(scores, is_answered, most_open=0.0, most_shut=most_shut)
    assert float(gate.bias) == pytest.approx(1 - least)
    assert int((answered <= least).sum()) <= most_shut * len(answered)
    assert int((unrelated > least).sum()) <= num_open
    assert least == pytest.approx(float(answered.quantile(most_shut, interpolation="lower")), abs=1e-3)


def test_a_gate_of_before_wording_is_read_as_it_was() -> None:
    former = {"weight": torch.rand(7), "bias": torch.tensor(-0.5)}
    gate = RelevanceGate(2, 3)
    gate.load_state_dict(former)
    features = torch.rand(20, 7 + NUM_WORDING + 2)
    torch.testing.assert_close(gate.score(features), features[:, :7] @ former["weight"] - 0.5)


def test_a_gate_that_knew_heads_and_wording_is_read_as_it_was() -> None:
    size = 7 + NUM_WORDING
    former = {"weight": torch.randn(size), "bias": torch.tensor(0.3), "hidden_weight": torch.randn(size, 8)}
    former |= {"hidden_bias": torch.randn(8), "output": torch.randn(8)}
    gate = RelevanceGate(2, 3)
    gate.load_state_dict(former)
    features = torch.rand(20, size + 2)
    known = features[:, :size]
    hidden = torch.tanh(known @ former["hidden_weight"] + former["hidden_bias"]) @ former["output"]
    torch.testing.assert_close(gate.score(features), known @ former["weight"] + 0.3 + hidden)


def memory_of(lm: FrozenLM) -> KnowledgeMemory:
    """A memory of one fact behind an untrained reader."""
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=32, num_heads=4, head_dim=16)))
    memory.write(FACTS)
    return memory


@pytest.mark.parametrize("is_open", [True, False])
def test_a_shut_gate_leaves_the_llm_alone_and_an_open_one_nothing_out(tiny_frozen_lm: MakeLM, is_open: bool) -> None:
    memory = memory_of(tiny_frozen_lm())
    rows = memory.lm.encode(["port of Aurora", "port of Nowhere"])
    width = max(map(len, rows))
    input_ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    attention_mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    texts = ["port of Aurora", "port of Nowhere"]
    binding, _ = memory.binding(texts)
    memory.reader.gate.weight.fill_(1e-6)
    memory.reader.gate.bias.fill_(1.0 if is_open else -1.0)
    found = memory.relevant(binding, input_ids, attention_mask)
    assert (found.rows is not None) == is_open
    arguments = {"attention_mask": attention_mask, "max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    ours = memory.generate(input_ids, texts=texts, **arguments)
    bare = memory.lm.model.generate(input_ids=input_ids, **arguments)
    with memory.hooks.bind(binding):
        ungated = memory.lm.model.generate(input_ids=input_ids, **arguments)
    assert torch.equal(ours, ungated if is_open else bare)
    memory.use_gate = False
    assert torch.equal(memory.generate(input_ids, texts=texts, **arguments), ungated)
    assert memory.relevant(binding, input_ids, attention_mask) is binding


@pytest.mark.parametrize("opens", [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("more", [{}, {"num_beams": 3}, {"use_cache": False}], ids=["greedy", "beams", "no cache"])
def test_the_gate_is_asked_in_the_first_pass_and_costs_one_more_only_where_it_shuts(
    tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch, opens: tuple[bool, ...], more: dict[str, object]
) -> None:
    memory = memory_of(tiny_frozen_lm())
    for adapter in memory.reader.adapters:
        adapter.gate.data.fill_(4.0)
    memory.reader.gate.weight.fill_(1e-6)
    monkeypatch.setattr(
        memory.reader.gate, "forward", lambda mass, _weights, _wording: torch.tensor(opens)[: len(mass)]
    )
    texts = ["the port of Aurora", "port of Aurora"]
    input_ids, attention_mask = left_pad(memory.lm.encode(texts), pad_id=0)
    options = {"attention_mask": attention_mask, "max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, **more}
    binding, _ = memory.binding(texts)
    judged = memory.relevant(binding, input_ids, attention_mask)
    with memory.hooks.bind(judged):
        expected = memory.lm.model.generate(input_ids=input_ids, pad_token_id=0, **options)
    passes = []
    memory.lm.decoder.register_forward_pre_hook(lambda _m, _a: passes.append(1))
    assert torch.equal(memory.generate(input_ids, texts=texts, pad_token_id=0, **options), expected)
    assert len(passes) == (6 if all(opens) else 7)


def test_a_callers_own_cache_gets_a_pass_of_its_own_for_the_gate(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm())
    memory.reader.gate.weight.fill_(1e-6)
    input_ids = torch.tensor(memory.lm.encode(["port of Aurora"]))
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "texts": ["port of Aurora"]}
    plain = memory.generate(input_ids, **options)
    assert torch.equal(memory.generate(input_ids, past_key_values=DynamicCache(), **options), plain)


def test_observers_see_a_repeated_first_pass_once(tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = memory_of(tiny_frozen_lm())
    memory.reader.gate.weight.fill_(1e-6)
    input_ids = torch.tensor(memory.lm.encode(["port of Aurora"] * 2))
    for opens in ((True, True), (True, False), (False, False)):
        monkeypatch.setattr(memory.reader.gate, "forward", lambda _mass, _weights, _wording, o=opens: torch.tensor(o))
        seen = []
        binding, _ = memory.binding(
            ["port of Aurora"] * 2, observe=lambda _i, wide, _deep, seen=seen: seen.append(wide.weights.shape)
        )
        binding.prompt_mask = torch.ones_like(input_ids)
        with torch.no_grad(), memory.hooks.bind(binding):
            memory.lm.model(input_ids=input_ids)
        assert len(seen) == (len(memory.reader.adapters) if any(opens) else 0)


def test_the_mass_is_taken_at_the_last_token_whatever_the_padding(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm())
    (row,) = memory.lm.encode(["port of Aurora"])
    binding, _ = memory.binding(["port of Aurora"])
    ids, ones, pad = (
        torch.tensor([row]),
        torch.ones(1, len(row), dtype=torch.int64),
        torch.zeros(1, 3, dtype=torch.int64),
    )
    plain = memory.prompt_mass(binding, ids, None)
    left = memory.prompt_mass(binding, torch.cat([pad, ids], 1), torch.cat([pad, ones], 1))
    right = memory.prompt_mass(binding, torch.cat([ids, pad], 1), torch.cat([ones, pad], 1))
    assert plain.shape == (1, len(memory.reader.adapters), memory.reader.config.num_heads)
    torch.testing.assert_close(left, plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(right, plain, atol=1e-5, rtol=1e-4)
