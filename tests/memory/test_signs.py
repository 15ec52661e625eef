"""Signs of answers: against the trace and the recall they come from, and against a slow reading of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from widedeep_kb.answering import AskOptions
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

MakeLM = Callable[..., FrozenLM]
FACTS = [
    {"subject": "Aurora", "relation": "port", "object": "8443"},
    {"subject": "Aurora", "relation": "owner", "object": "Ada Lovelace"},
    {"subject": "Borealis", "relation": "port", "object": "007"},
]
QUESTIONS = ["What is the port of Aurora?", "Who owns Aurora?", "What is nowhere?", "the port of Borealis is"]


@pytest.fixture
def memory(tiny_frozen_lm: MakeLM) -> KnowledgeMemory:
    """Three facts behind an untrained reader whose adapters add something."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=32, num_heads=4, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(1.0)
    memory = KnowledgeMemory(tiny_frozen_lm(), reader)
    memory.write(FACTS)
    return memory


def test_signs_agree_with_the_answer_they_are_of(memory: KnowledgeMemory) -> None:
    for answer in memory.ask_many(QUESTIONS, max_new_tokens=5):
        signs = answer.signs
        assert all(math.isfinite(value) for value in signs)
        assert answer.raw_confidence == answer.confidence == pytest.approx(math.exp(signs.mean_log_probability))
        assert signs.least_log_probability <= signs.mean_log_probability <= 0
        assert signs.least_log_probability <= signs.first_log_probability
        assert answer.generated_tokens <= signs.num_tokens <= answer.generated_tokens + 1
        assert sum(e.attention for e in answer.evidence) <= signs.attention + 1e-3
        if answer.evidence:
            assert signs.best_attention == pytest.approx(answer.evidence[0].attention, abs=1e-4)
            assert signs.second_attention <= signs.best_attention <= signs.attention


def test_what_the_index_brought_is_told(memory: KnowledgeMemory) -> None:
    port, owner, nothing, other = [answer.signs for answer in memory.ask_many(QUESTIONS, max_new_tokens=3)]
    hits = memory.store.recall(QUESTIONS).hits
    for i, signs in enumerate((port, owner, nothing, other)):
        assert signs.num_facts == (hits.ordinals[i] >= 0).sum()
        assert signs.best_weight == pytest.approx(hits.weights[i].max())
        assert (signs.unexplained, signs.name_rarity, signs.covered) == pytest.approx(tuple(hits.wording[i]))
    assert port.num_facts == 1 and port.named == 1.0 and port.is_cued
    assert port.read_weight == port.best_weight > owner.best_weight
    assert nothing.num_facts == nothing.attention == nothing.read_weight == nothing.named == 0
    assert other.next_weight == 0


def test_an_answer_equal_to_the_object_looked_at_says_so(
    memory: KnowledgeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("widedeep_kb.memory.signs.exact_match", lambda _text, accepted: accepted == ["8443"])
    answers = memory.ask_many(QUESTIONS, max_new_tokens=3)
    expected = [bool(a.evidence) and a.evidence[0].object == "8443" for a in answers]
    assert [a.signs.is_object for a in answers] == expected
    assert expected[0] and not expected[2] and not expected[3]


def test_signs_do_not_depend_on_the_batch(memory: KnowledgeMemory) -> None:
    together = memory.ask_many(QUESTIONS, max_new_tokens=4)
    for question, answer in zip(QUESTIONS, together, strict=True):
        alone = memory.ask(question, max_new_tokens=4).signs
        assert tuple(alone) == pytest.approx(tuple(answer.signs), rel=1e-3, abs=1e-4)


def test_doubtful_answers_are_unknown_and_keep_their_evidence(memory: KnowledgeMemory) -> None:
    plain = memory.ask_many(QUESTIONS, max_new_tokens=4)
    with pytest.raises(ValueError, match="no calibration"):
        memory.ask_many(QUESTIONS, abstain=0.9)
    calibration = memory.reader.calibration
    calibration.weight[0] = 1.0  # of the mean of the logarithms
    calibration.thresholds.fill_(0.0)
    judged = memory.ask_many(QUESTIONS, max_new_tokens=4, abstain=0.9)
    assert [a.text for a in judged] == [a.text for a in plain]
    expected = [a.signs.mean_log_probability for a in plain]
    assert [a.confidence for a in judged] == pytest.approx([1 / (1 + math.exp(-x)) for x in expected], rel=1e-4)
    calibration.thresholds.fill_(sorted(a.confidence for a in judged)[2])
    judged = memory.ask_many(QUESTIONS, max_new_tokens=4, abstain=0.9)
    assert sum(a.is_abstained for a in judged) == 2
    for ours, theirs in zip(judged, plain, strict=True):
        assert ours.evidence == theirs.evidence
        assert ours.text == ("unknown" if ours.is_abstained else theirs.text)
        assert ("abstained" in ours.as_dict()) == ours.is_abstained
        assert "signs" not in ours.as_dict() and "is_abstained" not in ours.as_dict()


@pytest.mark.parametrize("precision", [0.0, 1.0, 7.0])
def test_options_refuse_what_is_no_precision(precision: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        AskOptions(abstain=precision)
