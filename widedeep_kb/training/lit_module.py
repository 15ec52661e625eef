"""The Lightning module that trains a reader: frozen LLM, writer in the graph, answer cross-entropy.

Nothing in a training step waits for the GPU: what depends on the data is counted on the host (see `batches`).

Letters: B, T as usual; A heads, M slots; P answer positions of a batch; U distinct rows.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.adapter import AdapterOutput
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.reader import Reader
from widedeep_kb.training.batches import Batch

DECAY_SHARE = 0.3  # of the steps, at the end


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms beside the answer's cross-entropy.

    Attributes:
        evidence: -log of the attention on the fact that answers (of two: on both together), at answer positions.
        silence: see `silence_loss`.
    """

    evidence: float = 0.5
    silence: float = 0.3


class Attention(NamedTuple):
    """Where one adapter looked; see `AdapterOutput`.

    Attributes:
        mass: [B, A, T] attention on all real slots.
        marked: [B, A, T] attention on the marked slots.
    """

    mass: Tensor
    marked: Tensor


@dataclass
class Observed:
    """Attention of one forward pass, adapter by adapter."""

    wide: list[Attention] = field(default_factory=list)
    deep: list[Tensor] = field(default_factory=list)

    def __call__(self, _index: int, wide: AdapterOutput | None, deep_mass: Tensor | None) -> None:
        if wide is not None:
            self.wide.append(Attention(wide.mass, wide.marked))
        if deep_mass is not None:
            self.deep.append(deep_mass)


class ReaderModule(pl.LightningModule):
    """Trains `reader` to answer from memory rows through `lm`.

    Args:
        lm: the frozen LLM (not a submodule: its weights are in no checkpoint).
        reader: what is trained.
        max_steps: length of the schedule.
        lr: peak learning rate of AdamW.
        warmup_steps: linear warm-up.
        weight_decay: of AdamW.
        loss_weights: see `LossWeights`.
        minutes: wall-clock length of the run, if it may end before `max_steps`: the learning rate then follows the
            clock where that is further on.
        wide_dropout: share of a batch whose wide rows are hidden, so that the deep memory learns; 0 without deep.
    """

    def __init__(
        self,
        lm: FrozenLM,
        reader: Reader,
        *,
        max_steps: int,
        lr: float = 2e-3,
        warmup_steps: int = 50,
        weight_decay: float = 0.01,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 - frozen
        wide_dropout: float = 0.0,
        minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.lm, self.reader = lm, reader
        self.hooks = MemoryHooks(lm, reader)
        self.max_steps, self.lr, self.warmup_steps, self.weight_decay = max_steps, lr, warmup_steps, weight_decay
        self.loss_weights, self.wide_dropout = loss_weights, wide_dropout
        self.minutes, self._started = minutes, time.monotonic()
        self._right: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)

    def rows(self, batch: Batch) -> Tensor:
        """The rows in memory for each sequence [B, R, S x 2W]; all zeros where there is none."""
        rows = self.reader.writer(
            batch.features,
            batch.chunk_tokens,
            chunk_cues=batch.chunk_cues,
            chunk_starts=batch.chunk_starts,
            embedding_weight=self.lm.embedding_weight,
        )
        rows = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        return rows.index_select(0, batch.row_index.flatten()).unflatten(0, batch.row_index.shape)

    def answer_logits(self, batch: Batch, rows: Tensor | None) -> tuple[Tensor, Observed]:
        """Logits [P, vocabulary] at answer positions, and where attention went."""
        observed = Observed()
        binding = Binding(
            rows=rows, weights=batch.row_weights, marks=batch.is_target, use_deep=self.reader.has_deep, observe=observed
        )
        with self.hooks.bind(binding):
            hidden = self.lm.decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        answering = hidden.flatten(0, 1).index_select(0, batch.answer_places)
        return self.lm.output_head(answering).float(), observed

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        rows = self.rows(batch)
        if self.wide_dropout:
            keep = torch.rand(len(rows), 1, device=rows.device) >= self.wide_dropout
            rows, batch = rows * keep.unsqueeze(-1), batch._replace(is_target=batch.is_target & keep)
        logits, observed = self.answer_logits(batch, rows)
        has_answer = bool(len(batch.answer_places))
        loss = F.cross_entropy(logits, batch.answer_tokens) if has_answer else logits.sum() * 0
        self.log("train/loss", loss, prog_bar=True)
        if self.loss_weights.evidence:
            evidence = evidence_loss(observed.wide, batch)
            self.log("train/evidence_loss", evidence)
            loss = loss + self.loss_weights.evidence * evidence
        if self.loss_weights.silence:
            silence = silence_loss(observed, batch)
            self.log("train/silence_loss", silence)
            loss = loss + self.loss_weights.silence * silence
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Exact match by class: every answer token, the end included, is the argmax given the true ones before it,
        which is when greedy decoding prints the answer."""
        self._right[dataloader_idx].append((batch.classes, *self.is_right(batch)))

    def is_right(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B] bool: sequences whose answer greedy decoding prints, and those that have an answer."""
        logits, _ = self.answer_logits(batch, self.rows(batch))
        wrong = (logits.argmax(-1) != batch.answer_tokens).long()
        num_wrong, num_answers = torch.zeros_like(batch.lengths), torch.zeros_like(batch.lengths)
        num_wrong.index_add_(0, batch.answer_sequences, wrong)
        num_answers.index_add_(0, batch.answer_sequences, torch.ones_like(wrong))
        return num_wrong == 0, num_answers > 0

    def on_validation_epoch_end(self) -> None:
        """Log `val/exact_match/<class>` and the mean over classes."""
        means: dict[str, Tensor] = {}
        for dataloader_idx, parts in self._right.items():
            classes, right, has_answer = (torch.cat(tensors).cpu() for tensors in zip(*parts, strict=True))
            for class_id in classes[has_answer].unique().tolist():
                name = self.trainer.datamodule.class_name(dataloader_idx, class_id)
                means[name] = right[has_answer & (classes == class_id)].float().mean()
        self._right.clear()
        for name, mean in means.items():
            self.log(f"val/exact_match/{name}", mean)
        if means:
            self.log("val/exact_match", torch.stack(list(means.values())).mean(), prog_bar=True)

    def configure_optimizers(self) -> dict:
        """AdamW; the learning rate warms up, stays, and falls linearly to 5 % over the last 30 % of the steps.

        So a run can be resumed with another `max_steps` before it begins to fall.
        """
        optimizer = torch.optim.AdamW(self.reader.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def factor(step: int) -> float:
            elapsed = (time.monotonic() - self._started) / 60 / self.minutes if self.minutes else 0.0
            left = max(0.0, 1 - max(step / self.max_steps, elapsed))
            return min(1.0, (step + 1) / self.warmup_steps, 0.05 + 0.95 * left / DECAY_SHARE)

        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"},
        }


def evidence_loss(wide: list[Attention], batch: Batch) -> Tensor:
    """-log of the attention on the answering fact's slots, mean over heads and adapters, at answer positions."""
    sequences, positions = batch.answer_sequences, batch.answer_places % batch.input_ids.shape[1]
    has_target = batch.is_target.any(1).index_select(0, sequences).float()
    if not wide:
        return has_target.new_zeros(())
    mass = torch.stack([output.marked[sequences, :, positions].float().mean(-1) for output in wide]).mean(0)
    return -((mass + 1e-4).log() * has_target).sum() / has_target.sum().clamp(min=1)


def silence_loss(observed: Observed, batch: Batch, *, shares: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """-log of the attention on the null slot where memory cannot answer.

    The mean over all tokens of such questions plus the mean over those where an answer begins or goes on, each times
    its one of `shares`.
    """
    masses = [output.mass.transpose(1, 2) for output in observed.wide] + observed.deep  # each [B, T, heads]
    total = torch.zeros((), device=batch.input_ids.device)
    for places, share in zip((batch.silent_places, batch.silent_ends), shares, strict=True):
        if masses and len(places):
            chosen = torch.cat([mass.flatten(0, 1).index_select(0, places).flatten() for mass in masses])
            total = total - share * (1 + 1e-3 - chosen.float()).log().mean()
    return total
