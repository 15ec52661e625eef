"""A training as the memory's record keeps it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from widedeep_kb.memory.training_record import ADAPTERS, DEEP, ROWS, Training, as_json, asked_questions
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.training.fit_config import FitConfig


def training_of(
    memory: KnowledgeMemory,
    config: FitConfig,
    *,
    run: Path,
    has_public: bool,
    questions: pl.DataFrame | None = None,
    templates: dict[str, list[str]] | None = None,
    ordinals: np.ndarray | None = None,
    num_devices: int = 1,
) -> Training:
    """The record of `fit(memory, config, questions=..., templates=..., ordinals=...)`.

    Args:
        memory: trained; its facts are those that were trained on.
        config: the settings.
        run: the run's folder.
        has_public: public facts were trained on: private ones train rows only.
        questions, templates, ordinals: as given to `fit`.
        num_devices: it was trained on.
    """
    catalogue = memory.store.catalogue
    alive = catalogue.alive()
    chosen = None if ordinals is None else np.unique(ordinals)
    parts = {ROWS: config.wide, DEEP: config.deep and has_public, ADAPTERS: config.train_adapters and has_public}
    return Training(
        config=as_json(config),
        trained=tuple(name for name, is_trained in parts.items() if is_trained),
        next_ordinal=catalogue.next_ordinal,
        num_seen=int(np.sum(~catalogue.private_mask(alive))),
        ordinals=chosen,
        questions=asked_questions(questions, alive if chosen is None else chosen, catalogue),
        templates=templates or {},
        row_format=memory.store.table.row_format,
        run=str(run.resolve()),
        num_devices=num_devices,
    )
