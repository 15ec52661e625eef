"""Settings of joint training: one typed signature for the Python API, the command line and the YAML file (no torch)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

TRAINABLE_FORMATS = ("fp32", "fp16", "bf16")  # of rows


@dataclass(frozen=True)
class FitConfig:
    """How a memory is trained on its facts.

    Attributes:
        steps: training steps.
        max_seconds: end the training of public facts after so long, done or not; None = no limit.
        batch_size: questions in a step.
        wide: train and read the rows of the asked facts; False = deep only.
        deep: train and read the deep memory, made afresh where there is none; False = wide only.
        row_lr: step size of the rows (row-wise Adagrad).
        row_eps: gradient (root mean square over a row, loss summed over the answer's tokens) at which a row moves by
            half of its step, so that rows that answer already hardly move: their gradients are below 0.01, those of
            wrong answers 0.1 to 1.
        dense_lr: peak learning rate of the deep memory (AdamW).
        adapter_lr: peak learning rate of the adapters, if they are trained: they know how to read already (AdamW).
        num_subkeys: a new deep memory has this number squared of slots.
        wide_dropout: share of a batch whose rows are hidden, so that the deep memory learns; 0 unless both are trained.
        unrelated_share: share of a batch that asks for no stored fact, where memory is to stay silent.
        own_share: share of training questions in the words of the questions given, where a fact has some.
        evidence_weight: of -log of the attention on the fact that answers.
        silence_weight: of -log of the attention on "nothing to say", on unrelated prompts.
        train_adapters: train the adapters (gates included) as well.
        validate_every: steps between validations.
        num_validation: most validation questions of each class.
        patience: validations without a better exact match before the training stops; 0 = never.
        seed: of new weights, questions and order.
        log_dir: gets a folder a run with config, metrics and checkpoint.
        num_workers: processes that make batches; 0 = a thread of this one, which is enough for a CPU.
        compile_layers: run the LLM's layers and the loss through `torch.compile`: faster on a GPU, after a minute.
        cuda_graphs: on a GPU, record each shape of batch once and replay it: a small LLM's host is too slow otherwise.
        wandb: log to Weights & Biases as well, offline.
        resume_from: checkpoint (last.ckpt) of an interrupted run with the same settings and the same facts.

    Raises:
        ValueError: a number out of range, or neither `wide` nor `deep`.
    """

    steps: int = 400
    max_seconds: float | None = None
    batch_size: int = 32
    wide: bool = True
    deep: bool = True
    row_lr: float = 0.02
    row_eps: float = 0.1
    dense_lr: float = 2e-3
    adapter_lr: float = 2e-4
    num_subkeys: int = 64
    wide_dropout: float = 0.3
    unrelated_share: float = 0.1
    own_share: float = 0.5
    evidence_weight: float = 0.1
    silence_weight: float = 0.1
    train_adapters: bool = False
    validate_every: int = 100
    num_validation: int = 200
    patience: int = 0
    seed: int = 0
    log_dir: Path = Path("lightning_logs")
    num_workers: int = 0
    compile_layers: bool = False
    cuda_graphs: bool = True
    wandb: bool = False
    resume_from: Path | None = None

    def __post_init__(self) -> None:
        sizes = ("steps", "batch_size", "num_subkeys", "validate_every")
        rates = ("row_lr", "row_eps", "dense_lr", "adapter_lr")
        for name in (*sizes, *rates):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("evidence_weight", "silence_weight", "num_validation", "patience", "num_workers"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("wide_dropout", "unrelated_share", "own_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be above 0, got {self.max_seconds}")
        if not self.wide and not self.deep:
            raise ValueError("wide and deep are both False: nothing would be trained")

    @property
    def trains_dense(self) -> bool:
        """Whether anything beside the rows is trained."""
        return self.deep or self.train_adapters


@dataclass(frozen=True)
class DeviceConfig:
    """What is trained on.

    Attributes:
        devices: number of GPUs, or of processes on a CPU.
        accelerator: "gpu", "cpu" or "auto" (GPUs where there are some).

    Raises:
        ValueError: no device, or an unknown accelerator.
    """

    devices: int = 1
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"devices must be at least 1, got {self.devices}")
        if self.accelerator not in ("auto", "cpu", "gpu"):
            raise ValueError(f"accelerator must be auto, cpu or gpu, got {self.accelerator!r}")


@dataclass(frozen=True)
class ShardingConfig:
    """Where the rows may go when there are several devices.

    Attributes:
        sharding_types: ways of sharding that TorchRec's planner may choose from: row_wise, table_wise, column_wise. By
            columns, each part of a row has a step size of its own, so that training differs a little from one device.
    """

    sharding_types: tuple[str, ...] = ("row_wise", "table_wise")


@dataclass(frozen=True)
class FitJob:
    """What `widedeep-kb fit` does: open or start a memory, write facts into it, train, and save it.

    Attributes:
        output: memory folder to write; it must not hold another memory.
        facts: parquet, jsonl or csv file of facts to write first; default: those of `memory`.
        memory: memory folder to start from; default: an empty memory.
        questions: questions file; those with a `fact_id` are trained on, a fifth of them kept for validation.
        templates: parquet file of texts for each relation (columns `relation`, `template`), used like the questions.
        max_facts: draw whole subjects from `facts` up to this many facts.
        llm: Hugging Face id, folder or GGUF file; default: the memory's, or SmolLM2-135M-Instruct.
        reader: folder of a reader; default: the memory's, or the shipped one.
        gpu_row_budget_gb: GPU memory for rows, the rest in host memory; default: all on the GPU.
        row_format: how the rows of an empty memory are stored: fp32, fp16 or bf16; default: fp16.
        fit: settings of the training.
        trainer: what is trained on.
        sharding: where the rows may go when there are several devices.
    """

    output: Path
    facts: Path | None = None
    memory: Path | None = None
    questions: Path | None = None
    templates: Path | None = None
    max_facts: int | None = None
    llm: str | None = None
    reader: Path | None = None
    gpu_row_budget_gb: float | None = None
    row_format: str | None = None
    fit: FitConfig = field(default_factory=FitConfig)
    trainer: DeviceConfig = field(default_factory=DeviceConfig)
    sharding: ShardingConfig = field(default_factory=ShardingConfig)

    def __post_init__(self) -> None:
        if self.facts is None and self.memory is None:
            raise ValueError("name facts, a memory, or both")
        if self.max_facts is not None and self.max_facts < 1:
            raise ValueError(f"max_facts must be above 0, got {self.max_facts}")
        if self.row_format not in (None, *TRAINABLE_FORMATS):
            raise ValueError(
                f"rows stored as {self.row_format} cannot be trained: train {', '.join(TRAINABLE_FORMATS)} rows and "
                f"convert them then with `widedeep-kb rewrite --memory DIR --row-format {self.row_format}`"
            )
        if self.gpu_row_budget_gb is not None and not self.gpu_row_budget_gb > 0:
            raise ValueError(f"gpu_row_budget_gb must be above 0, got {self.gpu_row_budget_gb}")
        if self.gpu_row_budget_gb is not None and self.trainer.devices > 1:
            raise ValueError(f"gpu_row_budget_gb is for one device, got {self.trainer.devices} devices")
