"""Train a reader from start to end: data, Lightning trainer, logs, checkpoint and the reader's folder."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader
from widedeep_kb.training.batches import Batch
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.compiled import compiled_layers
from widedeep_kb.training.datamodule import Batching, ChunkStream, ReaderData
from widedeep_kb.training.examples import CHAT_MARK
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.lit_module import LossWeights, ReaderModule
from widedeep_kb.training.recipe import Ingredients, Recipe


@dataclass(frozen=True)
class ReaderRun:
    """Settings of a reader's training.

    Attributes:
        max_steps: steps of the whole schedule.
        batch_size: questions in a step.
        lr: peak learning rate.
        seed: of weights, data and order.
        num_workers: processes that make chunks.
        passes: how often a chunk is gone through.
        validate_every: steps between validations.
        minutes: stop (with a checkpoint) after so long; None = when the schedule ends.
        compile_layers: run the LLM's layers through `torch.compile` (for GPUs).
        recipe, loss_weights: see their classes.
    """

    max_steps: int = 12000
    batch_size: int = 512
    lr: float = 2e-3
    seed: int = 0
    num_workers: int = 4
    passes: int = 1
    validate_every: int = 1000
    minutes: float | None = None
    compile_layers: bool = False
    recipe: Recipe = field(default_factory=Recipe)
    loss_weights: LossWeights = field(default_factory=LossWeights)


class Throughput(Callback):
    """Counts answered training questions per second over the whole run, data and writer pass included.

    Args:
        every: steps between two log entries.
    """

    def __init__(self, every: int = 50) -> None:
        self.every, self.questions, self.started = every, 0, time.perf_counter()
        self.first_step_at: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Count the batch; log the rate now and then."""
        self.first_step_at = self.first_step_at or time.perf_counter()
        self.questions += len(batch.lengths)
        if trainer.global_step % self.every == 0:
            pl_module.log("train/questions_per_second", self.questions / (time.perf_counter() - self.started))


def ingredients_for(
    lm: FrozenLM,
    tables: tuple[FactTable, ...],
    *,
    kept_out_subjects: frozenset[str],
    kept_out_relations: frozenset[str],
) -> Ingredients:
    """What chunks for this LLM are made of."""
    path, gguf_file = lm.source
    has_chat = lm.tokenizer.chat_template is not None
    return Ingredients(
        tables=tables,
        kept_out_subjects=kept_out_subjects,
        kept_out_relations=kept_out_relations,
        tokenizer_path=path,
        gguf_file=gguf_file,
        chat_prompt=lm.chat_prompt(CHAT_MARK) if has_chat else None,
        end_id=lm.newline_id,
        chat_end_id=lm.chat_end_id,
        loaded_tokenizer=lm.tokenizer,
    )


def train_reader(
    lm: FrozenLM,
    reader: Reader,
    *,
    ingredients: Ingredients,
    validation: list[Chunk],
    run: ReaderRun,
    folder: Path,
    resume_from: Path | None = None,
) -> dict[str, float]:
    """Train `reader` and save it with its log under `folder`.

    Args:
        lm: the frozen LLM.
        reader: trained in place.
        ingredients: what the training chunks are made of.
        validation: chunks for `val/*`.
        run: settings.
        folder: gets `reader/`, `metrics.csv`, `run.json` and `last.ckpt`.
        resume_from: a checkpoint of an interrupted run.

    Returns:
        The last logged metrics.
    """
    pl.seed_everything(run.seed, verbose=False)
    module = ReaderModule(
        lm, reader, max_steps=run.max_steps, lr=run.lr, loss_weights=run.loss_weights, minutes=run.minutes
    )
    stream = ChunkStream(
        lm,
        ingredients,
        run.recipe,
        writer_layers=reader.config.writer_layers,
        batching=Batching(run.batch_size, passes=run.passes),
        seed=run.seed,
        num_workers=run.num_workers,
    )
    throughput = Throughput()
    trainer = _trainer(run, folder=folder, throughput=throughput, on_gpu=lm.device.type == "cuda")
    data = ReaderData(stream, validation)
    with compiled_layers(lm) if run.compile_layers else nullcontext():
        trainer.fit(module, datamodule=data, ckpt_path=str(resume_from) if resume_from else None)
    seconds = time.perf_counter() - throughput.started
    metrics = dict(trainer.callback_metrics)
    trainer.save_checkpoint(folder / "last.ckpt")
    reader.save(folder / "reader")
    if validation:
        metrics |= trainer.validate(module, datamodule=data, verbose=False)[0]
    metrics = {k: round(float(v), 5) for k, v in metrics.items()} | {"step": trainer.global_step}
    metrics |= _costs(stream, throughput, seconds=seconds, first_adapter=reader.config.adapter_layers[0])
    record = {
        "run": asdict(run),
        "reader": asdict(reader.config),
        "metrics": metrics,
        "gpu": torch.cuda.get_device_name() if lm.device.type == "cuda" else None,
        "commit": _commit(),
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n")
    return metrics


def _costs(stream: ChunkStream, throughput: Throughput, *, seconds: float, first_adapter: int) -> dict[str, float]:
    """What a run took: questions, tokens, seconds, and the LLM's operations a second."""
    to_first_step = (throughput.first_step_at or time.perf_counter()) - throughput.started
    operations = stream.floating_point_operations(first_adapter)
    return {
        "questions": throughput.questions,
        "tokens": stream.num_tokens,
        "fact_tokens": stream.num_fact_tokens,
        "seconds": round(seconds, 1),
        "seconds_to_first_step": round(to_first_step, 1),
        "teraflops_per_second": round(operations / seconds / 1e12, 2),
    }


def _trainer(run: ReaderRun, *, folder: Path, throughput: Throughput, on_gpu: bool) -> pl.Trainer:
    """The Lightning trainer of a run: bf16 on a GPU, a CSV log and the last checkpoint in `folder`."""
    torch.set_float32_matmul_precision("high")
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename="last", every_n_train_steps=run.validate_every, enable_version_counter=False
    )
    return pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=1,
        precision="bf16-mixed" if on_gpu else "32-true",
        max_steps=run.max_steps,
        max_time={"minutes": run.minutes} if run.minutes else None,
        gradient_clip_val=1.0,
        val_check_interval=run.validate_every,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        logger=CSVLogger(str(folder), name="", version=""),
        callbacks=[
            throughput,
            LearningRateMonitor(logging_interval="step"),
            TQDMProgressBar(refresh_rate=20),  # reading a loss off the GPU holds up the steps behind it
            checkpoint,
        ],
        enable_model_summary=False,
    )


def _commit() -> str | None:
    """The git commit of the working directory, if there is one."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
