"""`lora`: the LLM fine-tuned on the facts by low-rank adapters on all linear layers (arXiv 2106.09685), with peft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from widedeep_kb.systems.tuned import TunedLM, copy_of


class Lora(TunedLM):
    """Low-rank adapters of rank `rank`, scaled by twice the rank, in a copy of the LLM."""

    lr = 1e-3  # ten times that of all weights, as is best (Schulman et al. 2025, "LoRA without regret")
    rank: int = 16

    def new_model(self) -> PreTrainedModel:
        """A copy of the LLM with fresh adapters; nothing else is trained."""
        config = LoraConfig(
            task_type="CAUSAL_LM", target_modules="all-linear", r=self.rank, lora_alpha=2 * self.rank, lora_dropout=0.0
        )
        return get_peft_model(copy_of(self.lm).requires_grad_(False), config)

    def merged(self, model: PreTrainedModel) -> PreTrainedModel:
        """The copy with the adapters added to its weights."""
        return model.merge_and_unload()

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Learning rates, and a higher rank."""
        return (
            {"lr": 1e-3, "rank": 16},
            {"lr": 3e-4, "rank": 16},
            {"lr": 3e-3, "rank": 16},
            {"lr": 1e-3, "rank": 64},
        )
