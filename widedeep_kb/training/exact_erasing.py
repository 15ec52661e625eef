"""Erasing facts from weights that all facts share: everything is done again without them.

The reader is set back to what it was before its first training, the remaining facts are written in their order, and
each recorded training is run again, at its place among the writes, on what is left. On the same machine the result is,
bit for bit, a memory in which the erased facts were never written. Values that have been replaced since are not there
any more either, at no training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from widedeep_kb.memory.folder import empty_store
from widedeep_kb.memory.training_record import Training, copy_of
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.scratch import scratch_folder


def check_repeatable(memory: KnowledgeMemory) -> None:
    """Raises ValueError if the recorded trainings of a memory cannot be run again."""
    now = memory.store.table.row_format
    for training in memory.record.trainings:
        if training.row_format != now:
            raise ValueError(
                f"the memory was trained with {training.row_format} rows and stores {now} now: bring them back with "
                f"`widedeep-kb rewrite --memory DIR --row-format {training.row_format}`, then erase exactly"
            )
    if memory.reader.has_deep and memory.record.base is None:
        raise ValueError("the deep memory was trained before trainings were recorded: it cannot be trained again")


def retrained_without(memory: KnowledgeMemory, ordinals: np.ndarray) -> KnowledgeMemory:
    """A memory like `memory` in which the facts `ordinals` were never written; `memory` stays as it is.

    Raises:
        ValueError: its trainings cannot be run again, see `check_repeatable`.
    """
    check_repeatable(memory)
    kept = np.setdiff1d(memory.store.catalogue.alive(), ordinals)
    record, table = memory.record, memory.store.table
    reader = copy_of(memory.reader if record.base is None else record.base)
    places = {"gpu_row_bytes": memory.store.gpu_row_bytes, "row_device": table.weight.device}
    store = empty_store(memory.lm, reader, row_format=table.row_format, **places)
    made = KnowledgeMemory(
        memory.lm,
        reader,
        store=store,
        use_semantic=memory.use_semantic,
        use_wide=memory.use_wide,
        use_gate=memory.use_gate,
    )
    written = 0
    with scratch_folder() as scratch:
        for training in record.trainings:
            there = kept[kept < training.next_ordinal]
            _write(made, memory, there[there >= written])
            written = training.next_ordinal
            _train_again(made, memory, training, there=there, log_dir=scratch)
    _write(made, memory, kept[kept >= written])
    made.use_deep = memory.use_deep
    made.versions, made.generation = dict(memory.versions), memory.generation
    return made


def _write(made: KnowledgeMemory, memory: KnowledgeMemory, ordinals: np.ndarray) -> None:
    """Write facts of `memory`, in their order."""
    if len(ordinals):
        made.write(memory.store.catalogue.rows(ordinals).drop("ordinal"), mode="extend")


def _train_again(
    made: KnowledgeMemory, memory: KnowledgeMemory, training: Training, *, there: np.ndarray, log_dir: Path
) -> None:
    """Run a recorded training on those of its facts that are `there`; none if there is nothing left to train on."""
    chosen = there if training.ordinals is None else training.ordinals[np.isin(training.ordinals, there)]
    if not len(chosen):
        return
    facts = memory.store.catalogue.rows(chosen)
    asked = training.questions.join(facts.select("ordinal", "fact_id"), on="ordinal", maintain_order="left")
    questions = asked.select(
        "question",
        pl.lit([], pl.List(pl.String())).alias("answers"),
        "fact_id",
        pl.lit([], pl.List(pl.String())).alias("tags"),
    )
    ordinals = None
    if training.ordinals is not None:
        ordinals = made.store.catalogue.find(facts=facts.drop("ordinal")).ordinals
    fit(
        made,
        _config(training, log_dir=log_dir),
        questions=questions if training.questions.height else None,
        templates=training.templates or None,
        ordinals=ordinals,
    )
    made.record.trainings[-1] = _as_run(made.record.trainings[-1], training)


def _config(training: Training, *, log_dir: Path) -> FitConfig:
    """The settings of a training, with logs that nobody keeps."""
    given = {**training.config, "log_dir": log_dir, "resume_from": None, "wandb": False}
    return FitConfig(**given)


def _as_run(again: Training, training: Training) -> Training:
    """A repeated training as the record keeps it: with the settings first given, and no run folder."""
    values = {**again.__dict__, "config": {**training.config, "resume_from": None}, "run": ""}
    return Training(**values)
