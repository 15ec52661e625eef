"""Log-probabilities of texts behind prompts, beside a slow reference of one text at a time in float64."""

from collections.abc import Callable

import pytest
import torch

from widedeep_kb.likelihood import loglikelihoods
from widedeep_kb.lm import FrozenLM

PROMPTS = ["Question: Who made it?\nAnswer:", "A", "The capital of Norway, they say, is"]


def reference(lm: FrozenLM, prompt: str, continuation: str) -> float:
    """One text alone, its logits in float64."""
    head, tail = lm.encode([prompt])[0], lm.encode([continuation])[0] if continuation else []
    with torch.no_grad():
        logits = lm.model(torch.tensor([head + tail])).logits[0].double()
    scores = torch.log_softmax(logits, dim=-1)
    return sum(float(scores[len(head) - 1 + i, token]) for i, token in enumerate(tail))


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_sums_are_those_of_each_text_alone(
    tiny_frozen_lm: Callable[..., FrozenLM], architecture: str, batch_size: int
) -> None:
    lm = tiny_frozen_lm(architecture)
    texts = [" Oslo, the old town", " it", ""]
    found = loglikelihoods(lm, PROMPTS, texts, batch_size=batch_size)
    expected = [reference(lm, prompt, text) for prompt, text in zip(PROMPTS, texts, strict=True)]
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert found[2] == 0.0 and found[0] < found[1] < 0


def test_other_logits_are_used(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    size = lm.model.config.vocab_size
    found = loglikelihoods(lm, PROMPTS[:1], [" it"], logits=lambda ids, _mask: torch.zeros(*ids.shape, size))
    num_tokens = len(lm.encode([" it"])[0])
    assert found[0] == pytest.approx(-num_tokens * torch.tensor(float(size)).log().item(), rel=1e-5)


def test_what_cannot_be_scored_is_an_error(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    with pytest.raises(ValueError, match="2 prompts and 1 continuations"):
        loglikelihoods(lm, ["a", "b"], [" c"])
    with pytest.raises(ValueError, match="prompt 1 has no token"):
        loglikelihoods(lm, ["a", ""], [" c", " d"])
