"""`wide_deep`: rows and deep memory trained jointly on the facts, under one loss; `deep`: the deep memory alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.systems.wide import Wide, fresh_reader
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig


class WideDeep(Wide):
    """A memory trained on its facts; each `ingest` starts from the shipped reader.

    Args:
        lm: the frozen LLM.
        config: of the training; its seed and time limit are set by the system.
        seed: of the training.
        max_seconds: that training may take; None = all of its steps.
        max_new_tokens, batch_size: as in `Wide`.

    Attributes:
        history: what `fit` measured in the last training.
    """

    uses_wide = True
    base = FitConfig(own_share=0.0, evidence_weight=0.5, validate_every=100_000, num_validation=64)

    def __init__(
        self,
        lm: FrozenLM,
        *,
        config: FitConfig | None = None,
        seed: int = 0,
        max_seconds: float | None = None,
        max_new_tokens: int = 32,
        batch_size: int = 32,
    ) -> None:
        super().__init__(lm, max_new_tokens=max_new_tokens, batch_size=batch_size)
        self.config = replace(self.base, wide=self.uses_wide) if config is None else config
        self.seed, self.max_seconds = seed, max_seconds
        self.history: dict[str, float] = {}

    def ingest(self, facts: pl.DataFrame) -> None:
        """Write facts, a frame in `FACT_SCHEMA`, and train on them."""
        self.close()
        self.memory = KnowledgeMemory(self.lm, fresh_reader(self.lm))
        self.memory.write(facts)
        with tempfile.TemporaryDirectory() as folder:
            config = replace(self.config, seed=self.seed, max_seconds=self.max_seconds, log_dir=Path(folder))
            self.history = fit(self.memory, config)
        self.memory.use_wide = self.uses_wide

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Steps, and whether the adapters are trained too."""
        return (
            {"steps": 400, "train_adapters": False},
            {"steps": 400, "train_adapters": True, "adapter_lr": 1e-3, "row_lr": 0.01},
            {"steps": 1200, "train_adapters": True, "adapter_lr": 1e-3, "row_lr": 0.01},
        )

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take fields of `FitConfig`; the training is done anew."""
        self.config = replace(self.base, wide=self.uses_wide, **setting)
        return True


class Deep(WideDeep):
    """The deep memory alone: nothing is read of the rows, in training and in answers."""

    uses_wide = False

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Steps and learning rates."""
        return ({"steps": 400}, {"steps": 1200}, {"steps": 1200, "dense_lr": 5e-3})

    def size_bytes(self) -> int:
        """Bytes of the reader with the deep memory: no fact's row, key or text is needed to answer."""
        return sum(tensor.nbytes for tensor in self.memory.reader.state_dict().values())

    def update(self, facts: pl.DataFrame) -> None:
        """Write the facts and train on all of them anew: nothing else reaches a deep memory."""
        live = self.memory.store.catalogue.rows(self.memory.store.catalogue.alive()).drop("ordinal")
        kept = live.join(facts, on=["subject_id", "relation"], how="anti", maintain_order="left")
        self.ingest(pl.concat([kept, facts]))
