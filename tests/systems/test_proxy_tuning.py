"""Proxy-tuning: the shift, with caches and without; the small pair; and that the frozen LLM stays frozen."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM, decoder_layers, end_ids
from widedeep_kb.systems import proxy_tuning, small_copy
from widedeep_kb.systems.protocol import Altering, Trained, Tunable
from widedeep_kb.systems.proxy_tuning import ProxyTuning, shifted
from widedeep_kb.systems.small_copy import heal, kept_layers, pruned, sampled_texts
from widedeep_kb.systems.tuned import text_loglikelihood

QUESTIONS = ["What is the flag colour of Zorvania?", "Who?", "What is the founding year of Quillfax Ridge, they ask?"]


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Healing texts that take no time."""
    monkeypatch.setattr(small_copy, "_NUM_PROMPTS", 8)


def made(lm: FrozenLM, **changes: object) -> ProxyTuning:
    """A system whose tuned model is a disturbed copy of its untuned one."""
    system = ProxyTuning(lm, max_new_tokens=8)
    torch.manual_seed(1)
    system.untuned = pruned(lm, every=2).requires_grad_(False).eval()
    system.tuned = copy.deepcopy(system.untuned)
    for parameter in system.tuned.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    for name, value in changes.items():
        setattr(system, name, value)
    return system


def test_without_weight_it_is_the_frozen_llm(tiny_frozen_lm: Callable[..., FrozenLM], architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    system = made(lm, alpha=0.0)
    plain = lm.generate_texts([small_copy.ask_prompt(q) for q in QUESTIONS], max_new_tokens=8)
    assert [answer.text for answer in system.generate(QUESTIONS)] == [one.text for one in plain]
    assert system.text_loglikelihood(QUESTIONS) == pytest.approx(text_loglikelihood(lm, QUESTIONS), rel=1e-5)


def test_with_the_llm_itself_untuned_it_is_the_tuned_llm(
    tiny_frozen_lm: Callable[..., FrozenLM], architecture: str
) -> None:
    lm = tiny_frozen_lm(architecture)
    system = made(lm)
    system.untuned = copy.deepcopy(lm.model)
    system.tuned = copy.deepcopy(lm.model)
    torch.manual_seed(2)
    for parameter in system.tuned.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    tuned = FrozenLM(system.tuned, lm.tokenizer, identity=lm.identity)
    plain = tuned.generate_texts([small_copy.ask_prompt(q) for q in QUESTIONS], max_new_tokens=8)
    assert [answer.text for answer in system.generate(QUESTIONS)] == [one.text for one in plain]
    assert system.text_loglikelihood(QUESTIONS) == pytest.approx(text_loglikelihood(tuned, QUESTIONS), rel=1e-3)


def test_the_shift_is_what_the_formula_says() -> None:
    base, tuned, untuned = torch.randn(3, 4, 50, dtype=torch.float64)
    assert torch.allclose(shifted(base, tuned, untuned, alpha=0.7).double(), base + 0.7 * (tuned - untuned), atol=1e-5)
    few = shifted(base, tuned, untuned, alpha=0.7, top_k=5)
    allowed = base.topk(5).indices
    assert torch.isfinite(few.gather(1, allowed)).all() and torch.isfinite(few).sum() == 4 * 5


def test_the_black_box_never_writes_what_the_base_finds_unlikely(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    one = made(lm, top_k=1, alpha=50.0)
    plain = lm.generate_texts([small_copy.ask_prompt(q) for q in QUESTIONS], max_new_tokens=8)
    assert [answer.text for answer in one.generate(QUESTIONS)] == [text.text for text in plain]
    free = made(lm, alpha=50.0)
    assert [answer.text for answer in free.generate(QUESTIONS)] != [text.text for text in plain]


def test_layers_are_taken_out_evenly(tiny_frozen_lm: Callable[..., FrozenLM], architecture: str) -> None:
    assert kept_layers(30, every=3) == [*range(0, 30, 3), 29] and kept_layers(4, every=1) == [0, 1, 2, 3]
    lm = tiny_frozen_lm(architecture)
    num_layers = len(lm.layers)
    small = pruned(lm, every=num_layers)
    assert len(decoder_layers(small)) == len(kept_layers(num_layers, every=num_layers)) < num_layers or num_layers <= 2
    ids = torch.randint(5, 300, (2, 7))
    with torch.no_grad():
        whole = small.eval()(input_ids=ids).logits
        first = small(input_ids=ids[:, :4], use_cache=True)
        rest = small(input_ids=ids[:, 4:], past_key_values=first.past_key_values).logits
    torch.testing.assert_close(rest, whole[:, 4:], rtol=1e-3, atol=1e-4)
    assert len(lm.layers) == num_layers
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        pruned(lm, every=0)


def test_healing_brings_the_small_model_nearer_to_the_llm(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    small = pruned(lm, every=2)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    found = heal(small, lm, seed=0, num_steps=60, lr=3e-3, batch_size=8)
    assert found["divergence_last"] < 0.7 * found["divergence_first"]
    assert sampled_texts(lm, seed=3) == sampled_texts(lm, seed=3) != sampled_texts(lm, seed=4)


def test_healing_texts_end_where_the_llm_ended_them(
    tiny_frozen_lm: Callable[..., FrozenLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_frozen_lm("llama")
    (end, *_), num_new = end_ids(lm), 6
    new = torch.tensor([[40, end, end, 41, end, end], [42, 43, 44, 45, 46, 47]] * 4)
    monkeypatch.setattr(
        lm.model, "generate", lambda input_ids, **_: torch.cat([input_ids, new[: len(input_ids)]], dim=1)
    )
    state = torch.get_rng_state()
    rows, prompts = sampled_texts(lm, seed=0), [row for part in small_copy._prompts(8) for row in lm.encode(part)]
    assert torch.equal(state, torch.get_rng_state())
    assert len(rows) == 8
    for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        assert row == [*prompt, *([40, end] if i % 2 == 0 else new[1, :num_new].tolist())]


def test_what_healing_leaves_of_the_time_is_for_training(
    tiny_frozen_lm: Callable[..., FrozenLM], facts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, list[float]] = {"heal": [], "train": []}

    def healed(*_: object, max_seconds: float, **__: object) -> dict[str, float]:
        given["heal"].append(max_seconds)
        time.sleep(0.2)
        return {}

    monkeypatch.setattr(proxy_tuning, "heal", healed)
    monkeypatch.setattr(proxy_tuning, "train", lambda *_, max_seconds, **__: given["train"].append(max_seconds) or {})
    system = ProxyTuning(tiny_frozen_lm("llama"), max_seconds=60.0)
    system.ingest(facts)
    system.ingest(facts)
    assert given["heal"] == [30.0]
    assert 30.0 < given["train"][0] <= 59.8 < given["train"][1] <= 60.0


def test_facts_become_likelier_and_the_llm_is_left_alone(
    tiny_frozen_lm: Callable[..., FrozenLM], facts: pl.DataFrame
) -> None:
    lm = tiny_frozen_lm("llama", max_position_embeddings=2048)
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    system = ProxyTuning(lm)
    system.lr, system.epochs, system.train_batch_size, system.healing_steps = 5e-3, 250, 9, 2
    system.least_steps = 1
    assert isinstance(system, Trained) and isinstance(system, Tunable) and isinstance(system, Altering)
    system.ingest(facts)
    likely = system.loglikelihood(QUESTIONS[:1] * 3, ["teal", "ochre", "mauve"])
    assert likely[0] > max(likely[1:]) + 1.0
    assert all(torch.equal(before[name], tensor) for name, tensor in lm.model.state_dict().items())
    assert not system.use({"alpha": 0.5}) and system.use({"lr": 1e-3})
    untuned, system.epochs = system.untuned, 1
    system.ingest(facts)
    assert system.untuned is untuned  # healed once
