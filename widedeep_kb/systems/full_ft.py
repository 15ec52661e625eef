"""`full_ft`: all weights of a copy of the LLM fine-tuned on the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel

from widedeep_kb.systems.tuned import TunedLM, copy_of


class FullFineTuning(TunedLM):
    """A copy of the LLM, trained as a whole."""

    lr = 1e-4

    def new_model(self) -> PreTrainedModel:
        """A copy of the LLM."""
        return copy_of(self.lm).requires_grad_(True)

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Learning rates."""
        return ({"lr": 1e-4}, {"lr": 3e-5}, {"lr": 3e-4}, {"lr": 1e-5})
