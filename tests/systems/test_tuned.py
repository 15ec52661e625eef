"""Fine-tuned systems: what they learn, what they leave alone, when they end, and what they break."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import polars as pl
import pytest
import torch

from widedeep_kb.likelihood import row_loglikelihoods
from widedeep_kb.lm import FrozenLM
from widedeep_kb.phrasings import frames
from widedeep_kb.systems.full_ft import FullFineTuning
from widedeep_kb.systems.lora import Lora
from widedeep_kb.systems.protocol import Altering, Trained, Tunable
from widedeep_kb.systems.proxy_tuning import ProxyTuning
from widedeep_kb.systems.training_step import TOKEN_STEP
from widedeep_kb.systems.training_texts import training_texts
from widedeep_kb.systems.tuned import (
    IGNORED,
    LEAST_STEPS,
    TunedLM,
    batch_size_for,
    schedule,
    text_loglikelihood,
    to_batch,
    train,
)
from widedeep_kb.training.fit_config import FitConfig

QUESTION = "What is the flag colour of Zorvania?"
TEXTS = ["A text that has nothing to do with any of the facts.", "Another one, about ships and the sea."]


@pytest.fixture(params=[Lora, FullFineTuning])
def system(request: pytest.FixtureRequest, tiny_lm: FrozenLM) -> TunedLM:
    """Each of them, with a learning rate for a tiny model."""
    made = request.param(tiny_lm, max_new_tokens=4)
    made.lr, made.train_batch_size, made.least_steps = (3e-3 if request.param is Lora else 1e-2), 9, 1
    return made


def test_facts_are_learnt_and_the_llm_is_left_alone(system: TunedLM, facts: pl.DataFrame) -> None:
    assert isinstance(system, Trained) and isinstance(system, Tunable) and isinstance(system, Altering)
    lm = system.lm
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    bare = text_loglikelihood(lm, TEXTS)
    system.epochs = 120
    system.ingest(facts)
    assert system.history["steps"] == 120
    most = 0.95 if isinstance(system, Lora) else 0.5  # random embeddings and head, which LoRA leaves as they are
    assert system.history["loss_last"] < most * system.history["loss_first"]
    likely = system.loglikelihood([QUESTION] * 3, ["teal", "ochre", "mauve"])
    assert likely[0] > max(likely[1:]) + 1.0
    assert system.text_loglikelihood(TEXTS) != bare  # something else has moved too
    assert text_loglikelihood(lm, TEXTS) == bare
    assert before.keys() == lm.model.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in lm.model.state_dict().items())
    assert not any(p.requires_grad for p in lm.model.parameters())


def test_a_low_rank_is_kept_in_fewer_bytes(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    sizes = []
    for rank in (2, 8):
        system = Lora(tiny_lm)
        assert system.use({"rank": rank, "lr": 1e-3})
        system.epochs, system.least_steps = 1, 1
        system.ingest(facts)
        sizes.append(system.size_bytes())
    whole = FullFineTuning(tiny_lm)
    whole.epochs, whole.least_steps = 1, 1
    whole.ingest(facts)
    assert sizes[1] == 4 * sizes[0] and sizes[0] < whole.size_bytes()


@pytest.mark.parametrize("make", [Lora, FullFineTuning])
def test_a_copy_is_trained_in_float32_and_answers_in_the_llms_own_precision(
    make: Callable[[FrozenLM], TunedLM], tiny_frozen_lm: Callable[..., FrozenLM], facts: pl.DataFrame
) -> None:
    lm = tiny_frozen_lm("llama")
    for parameter in lm.model.parameters():
        parameter.data = parameter.data.bfloat16()
    lm.model.is_quantized = True  # as after loading a GGUF file: its own `float` and `to` refuse
    system = make(lm)
    assert all(p.dtype == torch.float32 for p in system.new_model().parameters())
    system.epochs, system.least_steps = 1, 1
    system.ingest(facts)
    assert not any("lora_" in name for name, _ in system.tuned.model.named_parameters())
    assert all(p.dtype == torch.bfloat16 for p in system.tuned.model.parameters())
    assert system.tuned.decoder.rotary_emb.inv_freq.dtype == lm.decoder.rotary_emb.inv_freq.dtype == torch.float32
    assert system.size_bytes() == 2 * system.num_trained
    assert system.generate([QUESTION])[0].generated_tokens > 0 and system.loglikelihood([QUESTION], ["teal"])[0] < 0


def test_merged_adapters_say_what_the_adapters_said(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system, kept = Lora(tiny_lm), []
    merge = system.merged
    system.merged = lambda model: kept.append(copy.deepcopy(model).eval()) or merge(model)
    system.epochs, system.least_steps, system.lr = 1, 20, 3e-3
    system.ingest(facts)
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        apart, merged, bare = (m(input_ids=ids).logits for m in (kept[0], system.tuned.model, tiny_lm.model))
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-5)
    assert (merged - bare).abs().max() > 1e-3


def test_few_facts_are_trained_on_for_as_many_steps_as_joint_training_takes(
    tiny_lm: FrozenLM, facts: pl.DataFrame
) -> None:
    assert LEAST_STEPS == FitConfig().steps == TunedLM.least_steps == ProxyTuning.least_steps
    system = FullFineTuning(tiny_lm)
    system.epochs, system.least_steps, system.train_batch_size = 3, 5, 9
    system.ingest(facts)
    assert system.history["steps"] == 5
    system.epochs = 7
    system.ingest(facts)
    assert system.history["steps"] == 7


def test_the_same_seed_gives_the_same_model(system: TunedLM, facts: pl.DataFrame) -> None:
    found = []
    for seed in (0, 0, 1):
        system.seed, system.epochs = seed, 4
        system.ingest(facts)
        found.append(system.loglikelihood([QUESTION], ["teal"])[0])
    assert found[0] == found[1] != found[2]


def test_training_ends_when_its_time_is_up(system: TunedLM, facts: pl.DataFrame) -> None:
    system.epochs, system.max_seconds = 10_000, 0.5
    system.ingest(facts)
    assert 1 <= system.history["steps"] < 10_000 and system.history["seconds"] < 20


def test_texts_ask_for_every_fact_in_trained_frames_only(facts: pl.DataFrame) -> None:
    texts = list(itertools.islice(training_texts(facts, seed=3), 40 * facts.height))
    assert texts[: facts.height] == list(itertools.islice(training_texts(facts, seed=3), facts.height))
    asked = [text for text in texts if text.prompt]
    assert {text.answer for text in asked} == {f" {value}\n" for value in facts["object"]}
    assert 0.1 < 1 - len(asked) / len(texts) < 0.3
    trained, heldout = (
        {frame.render(s, r) for frame in frames(split) for s, r in facts.select("subject", "relation").iter_rows()}
        for split in ("trained", "heldout")
    )
    seen = " ".join(text.prompt for text in asked)
    assert not any(question in seen for question in heldout - trained)
    with pytest.raises(ValueError, match="no facts to train on"):
        next(training_texts(facts.clear(), seed=0))


def test_no_loss_is_taken_on_prompts_and_padding(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    texts = list(itertools.islice(training_texts(facts, seed=0), 6))
    ids, places, targets = to_batch(tiny_lm, texts)
    assert ids.shape[1] % TOKEN_STEP == 0 and places.shape == targets.shape and len(places) % 256 == 0
    is_learnt = targets != IGNORED
    assert torch.equal(ids.flatten()[places[is_learnt] + 1], targets[is_learnt]), "the token behind each place"
    rows = places.div(ids.shape[1], rounding_mode="floor")
    for i, text in enumerate(texts):
        (own,) = tiny_lm.encode([text.prompt + text.answer])
        assert ids[i, : len(own)].tolist() == own
        assert set(ids[i, len(own) :].tolist()) <= {tiny_lm.tokenizer.pad_token_id}
        learnt = targets[is_learnt & (rows == i)].tolist()
        (tail,) = tiny_lm.encode([text.answer])
        assert learnt == (tail if text.prompt else tail[1:])


def test_the_loss_is_that_of_the_whole_models_logits(
    tiny_frozen_lm: Callable[..., FrozenLM], facts: pl.DataFrame
) -> None:
    lm = tiny_frozen_lm("llama")
    texts = list(itertools.islice(training_texts(facts, seed=0), 8))
    system = Lora(lm)
    model = system.new_model()
    history = train(model, lm, iter(texts), lr=0.0, num_steps=1, batch_size=8)
    expected, count = 0.0, 0
    for text in texts:
        heads, tails = lm.encode([text.prompt]), lm.encode([text.answer])
        if not heads[0]:
            heads, tails = [tails[0][:1]], [tails[0][1:]]
        expected -= row_loglikelihoods(lm, heads, tails)[0]
        count += len(tails[0])
    assert history["loss_first"] == pytest.approx(expected / count, rel=1e-4)


def test_many_facts_are_learnt_in_larger_batches() -> None:
    assert [batch_size_for(n, least=32) for n in (1, 1000, 4000, 10_000, 64_000, 10**6)] == [32, 32, 64, 101, 128, 128]


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [schedule(step / 100) for step in range(101)]
    peak = rates.index(max(rates))
    assert 0 < peak <= 10 and rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)
    assert rates[-1] == pytest.approx(0.05)
