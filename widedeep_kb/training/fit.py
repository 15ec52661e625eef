"""Joint training of a memory on its user's facts: data, Lightning trainer, logs, checkpoint and final figures.

Public facts first: rows, deep memory and (if asked) adapters learn under one loss, as if no private fact existed. Then
the private facts: each trains its own rows only, behind frozen dense parts. So with or without private facts everything
but their own rows comes out the same.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from widedeep_kb.memory.sharding import ShardedRows
from widedeep_kb.memory.training_record import copy_of
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.training.causal_masks import no_causal_masks
from widedeep_kb.training.compiled import compiled_layers
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_module import JointModule
from widedeep_kb.training.joint_stream import MIN_VALIDATION_BATCH, AskedBatches, JointStream
from widedeep_kb.training.noting import training_of
from widedeep_kb.training.questions import Questions
from widedeep_kb.training.torchrec_strategy import TableCheckpointIO, TorchRecStrategy, read_checkpoint

CHECKPOINT = "last.ckpt"
_SHOWN = 5  # first and last steps whose mean loss is reported


def fit(
    memory: KnowledgeMemory,
    config: FitConfig = FitConfig(),  # noqa: B008 - frozen
    *,
    questions: polars.DataFrame | None = None,
    templates: dict[str, list[str]] | None = None,
    ordinals: np.ndarray | None = None,
    rows: ShardedRows | None = None,
) -> dict[str, float]:
    """Train a memory in place on facts it holds.

    Args:
        memory: an open memory with facts.
        config: see `FitConfig`.
        questions: frame of `schema.QUESTION_SCHEMA`; those with the `fact_id` of a fact are its own words.
        templates: relation -> texts with "{subject}".
        ordinals: int64 [N], the facts to train on; None = all.
        rows: the memory's rows, over several devices; each device then calls this, and they are trained where they are
            (see `devices.fit_on_devices`). None = those of the memory's own table.

    Returns:
        `train/loss_first`, `train/loss_last` (mean answer cross-entropy of five steps), `val/exact_match/<class>` for
        the arm that was trained, `steps`, `seconds`, `questions_per_s` (training, with its start and validations),
        `questions_per_s_later` (of the second half of the steps, if all were done), and numbers of facts trained on and
        left out (several values).

    Raises:
        ValueError: there is no fact to train on, or the checkpoint to resume from is of another memory.
    """
    pl.seed_everything(config.seed, verbose=False)
    alive = memory.store.catalogue.alive()
    chosen = alive if ordinals is None else np.unique(ordinals)
    is_private = memory.store.catalogue.private_mask(chosen)
    public_scope = alive[~memory.store.catalogue.private_mask(alive)] if len(alive) else alive
    common = {"questions": questions, "templates": templates, "seed": config.seed, "own_share": config.own_share}
    scope = None if len(public_scope) == len(alive) else public_scope
    public = Questions(memory.lm, memory.store, ordinals=chosen[~is_private], scope=scope, **common)
    private = Questions(memory.lm, memory.store, ordinals=chosen[is_private], **common)
    if not len(public) and not (len(private) and config.wide):
        raise ValueError(f"none of {len(chosen)} facts can be trained on: each has several values, or there is none")
    before = copy_of(memory.reader) if config.trains_dense and memory.record.base is None else None
    if config.deep and len(public):
        if not memory.reader.has_deep:
            memory.reader.add_deep(config.num_subkeys)
            memory.reader.to(memory.lm.device)
        memory.use_deep = True
    started, folder = time.perf_counter(), new_run_folder(config)
    module = JointModule(memory, config, rows=rows)
    metrics = train_public(module, public, folder=folder) if len(public) else {}
    if len(private) and config.wide:
        train_private(module, private, num_public=len(public))
    for name, part in (("", public), ("private/", private)):
        metrics |= {f"val/exact_match/{name}{k}": v for k, v in measure(module, part).items()}
    module.release()
    given = {"questions": questions, "templates": templates, "ordinals": ordinals}
    if config.max_seconds is not None:  # what was done, so that it can be done again
        config = replace(config, steps=max(1, int(metrics.get("steps", config.steps))), max_seconds=None)
    memory.record.add(
        training_of(
            memory, config, run=folder, has_public=len(public) > 0, num_devices=module.rank.world_size, **given
        ),
        before=before,
    )
    num_facts = len(public) + len(private)
    metrics |= {"num_facts": num_facts, "num_left_out": len(chosen) - num_facts}
    metrics["seconds"] = round(time.perf_counter() - started, 1)
    record = {"config": asdict(config), "metrics": metrics, "commit": _commit(), "device": str(memory.lm.device)}
    if module.rank.rank == 0:
        (folder / "run.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    return metrics


def train_public(module: JointModule, questions: Questions, *, folder: Path) -> dict[str, float]:
    """Train on public facts with Lightning; returns the first and last losses and the number of steps."""
    config = module.config
    first_step = 0
    if config.resume_from is not None:
        first_step = _step_of(config.resume_from)
    module.select_trainable(module.dense_groups())
    on_gpu = module.memory.lm.device.type == "cuda"
    if on_gpu and config.cuda_graphs:
        module.use_graphs()
    if config.compile_layers:
        module.compile_loss()
    validation = questions.validation(config.num_validation)
    pace = _Pace(config, first_step=first_step)
    trainer = _trainer(module, folder=folder, pace=pace)
    compiled = compiled_layers(module.memory.lm) if config.compile_layers else nullcontext()
    started = time.perf_counter()
    with warnings.catch_warnings(), no_causal_masks() if on_gpu else nullcontext(), compiled:
        warnings.filterwarnings("ignore", message=".*configure_optimizers.*returned.*None.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # the figures are of all devices already
        try:
            trainer.fit(
                module,
                JointStream(questions, config, first_step=first_step, rank=module.rank),
                AskedBatches(validation, questions, batch_size=_validation_batch(config), rank=module.rank),
                ckpt_path=str(config.resume_from) if config.resume_from else None,
                weights_only=False,  # our own checkpoint
            )
        except SystemExit as stop:  # what Lightning makes of an interrupt, with further ones ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop
        finally:
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish()  # or the next run in this process would write into this one
    module.to(module.memory.lm.device)
    seconds = time.perf_counter() - started
    losses = torch.stack(module.losses).tolist() if module.losses else [float("nan")]
    return {
        "train/loss_first": float(np.mean(losses[:_SHOWN])),
        "train/loss_last": float(np.mean(losses[-_SHOWN:])),
        "steps": trainer.global_step,
        "questions_per_s": round((trainer.global_step - first_step) * config.batch_size / seconds, 1),
        **pace.figures,
    }


def _trainer(module: JointModule, *, folder: Path, pace: _Pace) -> pl.Trainer:
    config, on_gpu = module.config, module.memory.lm.device.type == "cuda"
    return pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=module.rank.world_size,
        strategy=TorchRecStrategy() if module.rank.world_size > 1 else "auto",
        plugins=[TableCheckpointIO()],
        precision="bf16-mixed" if on_gpu else "32-true",
        max_steps=config.steps,
        max_time=None if config.max_seconds is None else {"seconds": config.max_seconds},
        gradient_clip_val=1.0 if config.trains_dense else None,
        val_check_interval=min(config.validate_every, config.steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=1 if config.steps <= 100 else 10,
        logger=_loggers(config, folder),
        callbacks=[*_callbacks(config, folder), pace],
        enable_model_summary=False,
    )


def train_private(module: JointModule, questions: Questions, *, num_public: int) -> None:
    """Train the rows of private facts and nothing else: frozen dense parts, no deep memory, as many steps a fact as the
    public ones got."""
    config = module.config
    module.select_trainable([])
    steps = config.steps if not num_public else -(-config.steps * len(questions) // num_public)
    stream = iter(JointStream(questions, _private_part(config), rank=module.rank))
    on_gpu = module.memory.lm.device.type == "cuda"
    for _ in range(min(steps, config.steps)):
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_gpu):
            loss, _ = module.loss(next(stream), use_deep=False)
        loss.backward()


def measure(module: JointModule, questions: Questions) -> dict[str, float]:
    """Exact match by class of the arm that was trained, on its validation questions."""
    config = module.config
    module.eval()
    asked = questions.validation(config.num_validation)
    batches = AskedBatches(asked, questions, batch_size=_validation_batch(config), rank=module.rank)
    return module.exact_match([module.classes_and_rightness(batch) for batch in batches])


def new_run_folder(config: FitConfig) -> Path:
    """A fresh folder for a run under `log_dir`: fit/version_0, version_1, ...; one for all devices."""
    if not dist.is_initialized():
        return _make_run_folder(config)
    made = [_make_run_folder(config) if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(made)
    return made[0]


def _make_run_folder(config: FitConfig) -> Path:
    root = config.log_dir / "fit"
    root.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name.split("_")[1]) for p in root.glob("version_*") if p.name.split("_")[1].isdecimal()]
    folder = root / f"version_{max(taken, default=-1) + 1}"
    folder.mkdir()
    return folder


class _Pace(Callback):
    """Questions a second in the second half of the steps: compiling and recording CUDA graphs come before.

    Attributes:
        figures: `questions_per_s_later`, once the last step is done.
    """

    def __init__(self, config: FitConfig, *, first_step: int) -> None:
        self.config, self.middle = config, (first_step + config.steps) // 2
        self.figures: dict[str, float] = {}
        self._started = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *_args: object) -> None:
        """Take the time; in the middle and at the end the device is waited for."""
        if trainer.global_step not in (self.middle, self.config.steps):
            return
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize(trainer.strategy.root_device)
        now = time.perf_counter()
        if trainer.global_step == self.config.steps and self.middle < self.config.steps:
            seconds = now - self._started
            num_questions = (self.config.steps - self.middle) * self.config.batch_size
            self.figures["questions_per_s_later"] = round(num_questions / seconds, 1)
        self._started = now


def _callbacks(config: FitConfig, folder: Path) -> list[Callback]:
    validate_every = min(config.validate_every, config.steps)
    callbacks: list[Callback] = [
        ModelCheckpoint(
            dirpath=folder,
            filename=Path(CHECKPOINT).stem,
            every_n_train_steps=validate_every,
            enable_version_counter=False,
        ),
        TQDMProgressBar(refresh_rate=10),  # each refresh waits for the GPU
    ]
    if config.patience:
        callbacks.append(
            EarlyStopping("val/exact_match", mode="max", patience=config.patience, check_on_train_epoch_end=False)
        )
    return callbacks


def _loggers(config: FitConfig, folder: Path) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(str(folder), name="", version="", flush_logs_every_n_steps=10)]
    if config.wandb:
        # `offline` is told by the environment, which wandb reads once a process, perhaps for a run before this one
        offline = {"offline": True, "mode": "offline"}
        loggers.append(WandbLogger(project="widedeep_kb", save_dir=str(folder), name=folder.name, **offline))
    return loggers


def _step_of(checkpoint: Path) -> int:
    """Steps done when a checkpoint was saved.

    Raises:
        ValueError: there is no such checkpoint.
    """
    return int(read_checkpoint(checkpoint)["global_step"])


def _validation_batch(config: FitConfig) -> int:
    return max(MIN_VALIDATION_BATCH, config.batch_size)


def _private_part(config: FitConfig) -> FitConfig:
    """No unrelated prompts, which train dense parts, and no hidden rows: there is nothing but rows to train."""
    return replace(config, unrelated_share=0.0, wide_dropout=0.0)


def _commit() -> str | None:
    """The git commit of the working directory, if there is one."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
