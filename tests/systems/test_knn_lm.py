"""`knn_lm`: its datastore, its mixture against a slow reference, and that the frozen LLM is left alone."""

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.phrasings import frames
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems import knn_lm
from widedeep_kb.systems.datastore import continuation_states, feed_forward_inputs
from widedeep_kb.systems.knn_lm import KNNLM, SWEEP, Mixture
from widedeep_kb.systems.prompts import PromptFormat
from widedeep_kb.systems.protocol import Altering, Tunable, Updatable

OPTIONS = {"prompt_format": PromptFormat(0, is_chat=False), "max_new_tokens": 6}
NEAREST = Mixture(share=0.999, temperature=1e-4, num_neighbours=4)  # all but a look-up of the nearest state
MakeLM = Callable[..., FrozenLM]


@pytest.fixture
def system(tiny_lm: FrozenLM, facts: pl.DataFrame) -> KNNLM:
    """With the facts."""
    mixture = Mixture(share=0.4, temperature=3.0, num_neighbours=7)
    system = KNNLM(tiny_lm, mixture=mixture, num_questions=2, **OPTIONS)
    system.ingest(facts)
    return system


def state(lm: FrozenLM, ids: list[int]) -> np.ndarray:
    """The state behind a row of tokens, by itself."""
    with feed_forward_inputs(lm) as latest:
        lm.model(input_ids=torch.tensor([ids]))
    return latest[0][0, -1].double().numpy()


def mixed(system: KNNLM, ids: list[int]) -> np.ndarray:
    """Probabilities of the token behind `ids`, by all distances, in float64."""
    store, mixture, query = system._store, system.mixture, state(system.lm, ids)
    keys = store.index._vectors.double().numpy()
    distances = ((keys - query) ** 2).sum(axis=1)
    nearest = np.argsort(distances, kind="stable")[: mixture.num_neighbours]
    weights = np.exp(-(distances[nearest] - distances[nearest[0]]) / mixture.temperature)
    logits = system.lm.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
    by_neighbours = np.zeros(len(logits))
    np.add.at(by_neighbours, store.tokens.numpy()[nearest], weights / weights.sum())
    return mixture.share * by_neighbours + (1 - mixture.share) * torch.softmax(logits, dim=0).numpy()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_states_stand_before_each_token_of_a_continuation(
    tiny_frozen_lm: MakeLM, architecture: str, batch_size: int
) -> None:
    lm = tiny_frozen_lm(architecture)
    heads, tails = [[5, 6, 7, 8], [9], [10, 11]], [[12], [13, 14, 15], [16, 17]]
    states, tokens = continuation_states(lm, heads, tails, batch_size=batch_size)
    assert tokens.tolist() == [12, 13, 14, 15, 16, 17]
    rows = [(h, t[:i]) for h, t in zip(heads, tails, strict=True) for i in range(len(t))]
    for found, (head, before) in zip(states, rows, strict=True):
        np.testing.assert_allclose(found, state(lm, head + before), atol=2e-4)


def test_likelihoods_are_those_of_the_mixture(system: KNNLM) -> None:
    texts = ["The flag colour of Zorvania is teal.", "Question: 1902?"]
    for text, found in zip(texts, system.text_loglikelihood(texts), strict=True):
        (ids,) = system.lm.encode([text])
        expected = sum(math.log(mixed(system, ids[:i])[ids[i]]) for i in range(1, len(ids)))
        assert found == pytest.approx(expected, rel=1e-3)
    assert isinstance(system, Altering)


def test_the_likeliest_token_of_the_mixture_is_written(system: KNNLM) -> None:
    question = "What is the mean height of Quillfax Ridge?"
    (answer,) = system.generate([question])
    (ids,) = system.lm.encode([f"Question: {question}\nAnswer:"])
    expected = []
    for _ in range(answer.generated_tokens):
        expected.append(int(mixed(system, ids + expected).argmax()))
    assert answer.generated_tokens > 0
    assert answer.text == system.lm.tokenizer.decode(expected, skip_special_tokens=True)


def test_what_the_datastore_holds_is_answered(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system = KNNLM(tiny_lm, mixture=NEAREST, num_questions=1, **OPTIONS)
    system.ingest(facts)
    heads, tails = system._texts(facts)
    asked = [head.removeprefix("Question: ").removesuffix("\nAnswer:") for head in heads[1::2]]
    assert [answer.text for answer in system.generate(asked)] == [tail.rstrip("\n") for tail in tails[1::2]]
    bare = KNNLM(tiny_lm, **OPTIONS)
    bare.ingest(facts.clear())
    values = facts["object"].to_list()
    gains = zip(system.loglikelihood(asked, values), bare.loglikelihood(asked, values), strict=True)
    assert all(known > unknown + 5 for known, unknown in gains)


def test_an_update_reads_the_changed_facts_only_and_forgets_their_former_values(
    tiny_lm: FrozenLM, facts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, anew = (KNNLM(tiny_lm, mixture=NEAREST, num_questions=2, **OPTIONS) for _ in range(2))
    assert isinstance(system, Updatable)
    system.ingest(facts)
    records = [
        {"subject": "Zorvania", "relation": "flag colour", "object": "amber"},
        {"subject": "Novia", "relation": "flag colour", "object": "lilac"},
    ]
    changed, read = facts_from_records(records), []
    monkeypatch.setattr(
        knn_lm,
        "continuation_states",
        lambda lm, heads, *rest, **more: read.extend(heads) or continuation_states(lm, heads, *rest, **more),
    )
    system.update(changed)
    assert len(read) == 3 * changed.height
    again = changed.with_columns(object=pl.Series(["azure", "beige"]))
    system.update(again)
    kept = facts.join(again, on=["subject_id", "relation"], how="anti", maintain_order="left")
    anew.ingest(pl.concat([kept, again]))
    assert len(system._store) == len(anew._store) < system._store.index.num_places
    asked = [head.removeprefix("Question: ").removesuffix("\nAnswer:") for head in system._texts(again)[0][1:3]]
    assert [answer.text for answer in system.generate(asked)] == [" azure", " azure"]
    values = ["azure", "amber", "teal"]
    for question in [*asked, "What is the mean height of Quillfax Ridge?"]:
        found, expected = (one.loglikelihood([question] * 3, values) for one in (system, anew))
        assert found == pytest.approx(expected, rel=1e-3)


def test_no_facts_leave_the_llm_as_it_is(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system = KNNLM(tiny_lm, **OPTIONS)
    system.ingest(facts.clear())
    (answer,) = system.generate(["Who?"])
    (bare,) = tiny_lm.generate_texts(["Question: Who?\nAnswer:"], max_new_tokens=6)
    assert answer.text == bare.text and system.size_bytes() == 0


def test_nothing_stays_on_the_llm(system: KNNLM) -> None:
    system.generate(["Who?"])
    system.loglikelihood(["Who?"], ["x"])
    assert not system.lm.layers[-1].mlp._forward_pre_hooks
    with pytest.raises(RuntimeError, match="cut short"), feed_forward_inputs(system.lm):
        raise RuntimeError("cut short")
    assert not system.lm.layers[-1].mlp._forward_pre_hooks


def test_an_llm_without_the_block_is_refused(
    tiny_frozen_lm: MakeLM, facts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_frozen_lm()
    monkeypatch.delattr(lm.layers[-1], "mlp")
    with pytest.raises(ValueError, match="'tiny-llama' has no feed-forward block"):
        KNNLM(lm, **OPTIONS).ingest(facts)


def test_texts_are_in_trained_frames_and_the_same_for_a_seed(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    trained = frames("trained", "question")
    one, same, other = (KNNLM(tiny_lm, num_questions=2, seed=seed)._texts(facts)[0] for seed in (0, 0, 1))
    assert one == same != other
    names = [(row["subject"], row["relation"]) for row in facts.iter_rows(named=True)]
    for i, head in enumerate(one):
        own = {f"Question: {frame.render(*names[i // 3])}\nAnswer:" for frame in trained}
        assert (head in own) == (i % 3 > 0)


def test_settings_change_the_mixture_only(system: KNNLM) -> None:
    assert isinstance(system, Tunable)
    found = []
    for setting in system.settings():
        assert not system.use(setting)
        found.append(system.mixture)
    assert tuple(found) == SWEEP and Mixture() in found and len(set(found)) == len(found)
    assert found[0] == Mixture(share=0.9, temperature=0.3, num_neighbours=64), "the best of most published sweeps"


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"share": 0}, {"temperature": 0.0}, {"num_neighbours": 0}])
def test_a_mixture_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"got {next(iter(wrong.values()))}"):
        Mixture(**wrong)
