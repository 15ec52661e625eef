"""The Lightning module of joint training: rows of the wide table and the deep memory learn under one loss.

The rows are updated inside the backward pass (fused row-wise Adagrad), so they are in no optimizer: gradient clipping
and the learning-rate schedule touch the dense parts only. The writer and the LLM never get a gradient.

Letters: B questions, T tokens, R rows of a sequence, D numbers in a row, P answer positions of a batch.
"""

from __future__ import annotations

from functools import partial

import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from widedeep_kb.memory.hooks import Binding
from widedeep_kb.memory.sharding import ShardedRows
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.graphed import GraphedPass, PassInput
from widedeep_kb.training.joint_batch import NOTHING, JointBatch
from widedeep_kb.training.joint_stream import Rank
from widedeep_kb.training.lit_module import DECAY_SHARE, Observed, evidence_loss, silence_loss
from widedeep_kb.training.questions import CLASSES
from widedeep_kb.training.row_source import LocalRows

WARMUP_STEPS = 20


class JointModule(pl.LightningModule):
    """Trains a memory on its facts. Call `select_trainable` before training and `release` after it.

    Args:
        memory: trained in place: rows of its table and parts of its reader.
        config: see `FitConfig`.
        rows: where the rows are, over several devices; None = the memory's own table. Every device then has a module,
            and each gets its part of the same batches.
    """

    def __init__(self, memory: KnowledgeMemory, config: FitConfig, *, rows: ShardedRows | None = None) -> None:
        super().__init__()
        self.memory, self.config = memory, config
        self.reader = memory.reader
        self.row_source = rows or LocalRows(memory.store.table, config.row_lr, eps=config.row_eps)
        self.rank = Rank(dist.get_rank(), dist.get_world_size()) if rows else Rank()
        self.losses: list[Tensor] = []  # of each step, detached
        self._graphed: GraphedPass | None = None
        self._answer_loss = _answer_loss
        self._right: list[tuple[Tensor, Tensor]] = []

    def dense_groups(self) -> list[dict[str, object]]:
        """Parameters of the reader that this training changes, with their learning rates, as AdamW takes them."""
        groups: list[dict[str, object]] = []
        if self.config.deep:
            deep = [*self.reader.deep_pool.parameters(), *self.reader.deep_readers.parameters()]
            groups.append({"params": deep, "lr": self.config.dense_lr})
        if self.config.train_adapters:
            groups.append({"params": list(self.reader.adapters.parameters()), "lr": self.config.adapter_lr})
        return groups

    def select_trainable(self, groups: list[dict[str, object]]) -> None:
        """Freeze the whole reader but the parameters of `groups`; without CUDA graphs."""
        self._graphed = None
        self.reader.requires_grad_(False)
        for group in groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)

    def release(self) -> None:
        """Leave the reader as it was found: in eval mode, its parameters trainable, without gradients."""
        self.reader.requires_grad_(True).eval()
        for parameter in self.reader.parameters():
            parameter.grad = None
        self._graphed, self._answer_loss = None, _answer_loss

    def rows(self, batch: JointBatch, *, is_learning: bool = False) -> Tensor:
        """Rows [B, R, D] float32 from the table, zeros where there is none; the asked facts' learn if `is_learning`.

        Their gradient is that of the loss summed over answer tokens, whatever the batch size: `row_eps` is in its unit.
        """
        context, learning = self.row_source.read(batch.context_rows, batch.learning_rows, is_learning=is_learning)
        shape = (*batch.row_weights.shape, self.memory.store.table.embedding_dim)
        out = torch.zeros(shape[0] * shape[1], shape[2], device=batch.row_weights.device)
        out.index_copy_(0, batch.context_places, context)
        if learning.requires_grad:
            learning.register_hook(lambda gradient: gradient * batch.num_answers)
        return out.index_copy(0, batch.learning_places, learning).view(shape)

    def answer_logits(
        self, batch: JointBatch, rows: Tensor | None, *, use_deep: bool
    ) -> tuple[Tensor, Tensor, Observed]:
        """Logits [P, vocabulary] and true tokens [P] at answer positions, and where attention went."""
        lm = self.memory.lm
        if rows is None:
            hidden, observed = self._pass(batch.input_ids, use_deep=use_deep)
        else:
            given = PassInput(batch.input_ids, batch.row_weights, batch.is_target, rows)
            is_graphed = self._graphed is not None and use_deep == self.config.deep and torch.is_grad_enabled()
            hidden, observed = self._graphed(given) if is_graphed else self._read(given, use_deep=use_deep)
        answering = hidden.flatten(0, 1).index_select(0, batch.answer_places)
        return lm.output_head(answering), batch.answer_tokens, observed

    def use_graphs(self) -> None:
        """From now on training steps replay CUDA graphs of the pass through LLM and memory (see `GraphedPass`).

        Call it after `select_trainable`; `release` ends it.
        """
        autocast = torch.bfloat16 if self.memory.lm.device.type == "cuda" else None
        self._graphed = GraphedPass(partial(self._read, use_deep=self.config.deep), self.reader, autocast=autocast)

    def compile_loss(self) -> None:
        """From now on the loss over the vocabulary is compiled: no float32 copy of the logits is made.

        `release` ends it.
        """
        self._answer_loss = torch.compile(_answer_loss, dynamic=True)

    def _read(self, given: PassInput, *, use_deep: bool) -> tuple[Tensor, Observed]:
        """Hidden states [B, T, H] of the LLM with the memory given, and where attention went."""
        return self._pass(given.input_ids, use_deep=use_deep, rows=given.rows, weights=given.weights, marks=given.marks)

    def _pass(self, input_ids: Tensor, **memory: Tensor | bool) -> tuple[Tensor, Observed]:
        observed = Observed()
        with self.memory.hooks.bind(Binding(observe=observed, **memory)):
            hidden = self.memory.lm.decoder(input_ids=input_ids, use_cache=False).last_hidden_state
        return hidden, observed

    def loss(self, batch: JointBatch, *, use_deep: bool) -> tuple[Tensor, Tensor]:
        """The whole loss and, alone, the answer's cross-entropy (detached); of a part, what it adds to the whole's."""
        rows = self.rows(batch, is_learning=True) if self.config.wide else None
        logits, labels, observed = self.answer_logits(batch, rows, use_deep=use_deep)
        share = batch.share
        answer = self._answer_loss(logits, labels) * share.answers if len(labels) else logits.sum() * 0
        total = answer
        if self.config.evidence_weight and observed.wide and len(batch.learning_rows):
            total = total + self.config.evidence_weight * share.evidence * evidence_loss(observed.wide, batch)
        if self.config.silence_weight and len(batch.silent_ends):
            shares = (share.silent_tokens, share.silent_ends)
            total = total + self.config.silence_weight * silence_loss(observed, batch, shares=shares)
        return total, answer.detach()

    def training_step(self, batch: JointBatch, batch_idx: int) -> Tensor | None:
        """Loss of one batch of public facts; a batch that nothing can learn from is skipped."""
        loss, answer = self.loss(batch, use_deep=self.config.deep)
        if self.rank.world_size > 1:
            dist.all_reduce(answer := answer.clone())
        self.losses.append(answer)
        self.log("train/loss", answer, prog_bar=True)
        return loss if loss.requires_grad else None

    @torch.no_grad()
    def is_right(self, batch: JointBatch, *, use_wide: bool, use_deep: bool) -> Tensor:
        """[B] bool: every answer token, the end included, is the likeliest given the true ones before it, which is when
        greedy decoding prints the answer."""
        rows = self.rows(batch) if use_wide else None
        logits, _, _ = self.answer_logits(batch, rows, use_deep=use_deep)
        return all_right(batch, logits.argmax(-1))

    def validation_step(self, batch: JointBatch, batch_idx: int) -> None:
        """Exact match of one batch, by class."""
        self._right.append(self.classes_and_rightness(batch))

    def classes_and_rightness(self, batch: JointBatch) -> tuple[Tensor, Tensor]:
        """On the CPU, for the questions of a batch: class [B] and whether the arm that was trained is right [B]."""
        right = self.is_right(batch, use_wide=self.config.wide, use_deep=self.config.deep).cpu()
        counted = len(right) if batch.share != NOTHING else 0
        return batch.classes.cpu()[:counted], right[:counted]

    def exact_match(self, parts: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Exact match by class of the questions of all devices."""
        gathered = [parts]
        if self.rank.world_size > 1:
            gathered = [[] for _ in range(self.rank.world_size)]
            dist.all_gather_object(gathered, parts)
        return exact_match_by_class([pair for found in gathered for pair in found])

    def on_validation_epoch_end(self) -> None:
        """Log `val/exact_match/<class>` and the mean over classes."""
        by_class = self.exact_match(self._right)
        self._right.clear()
        for name, value in by_class.items():
            self.log(f"val/exact_match/{name}", value)
        if by_class:
            self.log("val/exact_match", sum(by_class.values()) / len(by_class), prog_bar=True)

    def configure_optimizers(self) -> dict | None:
        """AdamW on the dense parts with warm-up and a linear fall to 5 % over the last 30 % of the steps; None if only
        rows are trained, whose update is part of the backward pass."""
        groups = self.dense_groups()
        if not groups:
            return None
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)

        def factor(step: int) -> float:
            left = max(0.0, 1 - step / self.config.steps)
            return min(1.0, (step + 1) / WARMUP_STEPS, 0.05 + 0.95 * left / DECAY_SHARE)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add rows and their optimizer state to the checkpoint."""
        checkpoint["wide_table"] = self.row_source.checkpoint()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Put rows and their optimizer state back.

        Raises:
            ValueError: the checkpoint is of other facts.
        """
        self.row_source.restore(checkpoint["wide_table"])


def _answer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in float32 of logits [P, vocabulary] and true tokens [P]."""
    return F.cross_entropy(logits.float(), labels)


def all_right(batch: JointBatch, predicted: Tensor) -> Tensor:
    """[B] bool: every answer position's token, of those `predicted` [P], is the true one."""
    wrong = torch.zeros_like(batch.lengths)
    return wrong.index_add_(0, batch.answer_sequences, (predicted != batch.answer_tokens).long()) == 0


def exact_match_by_class(parts: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Share of right answers of each class that occurs, from pairs of classes [B] and rightness [B]."""
    if not parts:
        return {}
    classes, right = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return {name: float(right[classes == i].float().mean()) for i, name in enumerate(CLASSES) if (classes == i).any()}
