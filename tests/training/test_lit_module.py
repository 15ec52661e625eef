"""Reader training: gradients of everything trainable and of nothing else, losses, and a tiny problem learnt."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from widedeep_kb.lm import FrozenLM, answer_tokens
from widedeep_kb.memory.adapter import AdapterOutput
from widedeep_kb.memory.hooks import Binding
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.training.batches import IGNORED, Batch, ChunkBatches
from widedeep_kb.training.build_chunk import build_chunk
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.examples import Example
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.lit_module import LossWeights, Observed, ReaderModule, evidence_loss, silence_loss

MakeLM = Callable[..., FrozenLM]
NUM_STEPS = 300


def chunk_of(lm: FrozenLM, *, num_facts: int = 8, num_silent: int = 2) -> Chunk:
    """A question about each fact, another fact of two beside it in memory; the last ones are to stay silent."""
    rng = random.Random(0)
    names = ["".join(rng.choice("abcdefghij") for _ in range(4)) for _ in range(num_facts)]
    table = FactTable(
        name="t",
        subjects=names,
        relations=["port"] * num_facts,
        objects=[str(rng.randrange(100, 1000)) for _ in names],
        prefixes=[f"The port of {n} is" for n in names],
        groups=np.arange(num_facts),
    )
    asked = [Example(f"The port of {n} is", n, table.objects[i], i, kind="known") for i, n in enumerate(names)]
    asked += [Example(f"Hello {n}", n, None, i, kind="silent") for i, n in enumerate(names[:num_silent])]
    targets = np.array([e.target for e in asked])
    others = np.stack([(targets + 1) % num_facts, (targets + 3) % num_facts], axis=1)
    first = np.where([e.answer is None for e in asked], -1, targets)
    candidates = np.concatenate([first[:, None], others], axis=1)
    ends = {"end_id": lm.newline_id, "chat_end_id": lm.chat_end_id}
    weights = np.where(candidates < 0, 0.0, 0.2)
    return build_chunk(lm.tokenizer, table, examples=asked, candidates=candidates, weights=weights, **ends)


class Data(pl.LightningDataModule):
    """One chunk, for training and validation."""

    def __init__(self, batches: ChunkBatches, *, steps: int) -> None:
        super().__init__()
        self.batches, self.steps = batches, steps

    def train_dataloader(self) -> DataLoader:
        """`steps` batches."""
        rng, found = np.random.default_rng(0), []
        while len(found) < self.steps:
            found += list(self.batches.shuffled(rng))
        return DataLoader(found[: self.steps], batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Every question once."""
        return DataLoader(list(self.batches.in_order()), batch_size=None)

    def class_name(self, dataloader_idx: int, class_id: int) -> str:
        """See `ReaderData`."""
        return self.batches.chunk.class_names[class_id]


def module_for(lm: FrozenLM, *, num_subkeys: int = 0, **settings: object) -> ReaderModule:
    """A small fresh reader in training."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=32, num_heads=4, head_dim=16, num_subkeys=num_subkeys))
    module = ReaderModule(lm, reader, **{"max_steps": 100, **settings})
    module.log = lambda *_, **__: None  # no trainer around the bare steps
    return module


def batches_for(lm: FrozenLM, module: ReaderModule, *, batch_size: int = 32, **settings: int) -> ChunkBatches:
    """Batches of the small chunk."""
    layers = module.reader.config.writer_layers
    return ChunkBatches(chunk_of(lm, **settings), lm, writer_layers=layers, batch_size=batch_size)


def validate(module: ReaderModule, batch: Batch) -> None:
    """One validation step as Lightning runs it: in eval mode, in inference mode."""
    module.eval()
    with torch.inference_mode():
        module.answer_logits(batch, module.rows(batch))
    module.train()


@pytest.mark.parametrize("loss_weights", [LossWeights(), LossWeights(0, 0)], ids=["all", "answer"])
def test_every_trainable_parameter_gets_a_gradient_and_no_llm_parameter_does(
    tiny_frozen_lm: MakeLM, architecture: str, loss_weights: LossWeights
) -> None:
    lm = tiny_frozen_lm(architecture)
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    module = module_for(lm, num_subkeys=6, loss_weights=loss_weights)
    batch = next(batches_for(lm, module).in_order())
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    for attempt in range(3):
        optimizer.zero_grad(set_to_none=True)
        module.training_step(batch, attempt).backward()
        without = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
        assert without == []
        assert all(torch.isfinite(p.grad).all() for p in module.parameters())
        optimizer.step()
        if attempt == 1:
            validate(module, batch)
    assert all(p.grad is None and not p.requires_grad for p in lm.model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in lm.model.state_dict().items())


def test_the_llm_is_no_part_of_the_checkpoint(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    module = module_for(lm)
    assert {name.split(".")[0] for name in module.state_dict()} == {"reader"}
    ours = {id(p) for p in module.reader.parameters()}
    assert {id(p) for p in module.parameters()} == ours
    optimizer = module.configure_optimizers()["optimizer"]
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == ours


def test_dropping_every_wide_row_leaves_the_deep_memory_to_learn(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    module = module_for(lm, num_subkeys=6, wide_dropout=1.0, loss_weights=LossWeights(0, 0))
    module.training_step(next(batches_for(lm, module).in_order()), 0).backward()
    assert not any(p.grad is not None and p.grad.any() for p in module.reader.writer.parameters())
    assert all(p.grad.any() for p in module.reader.deep_readers.parameters())


def test_rows_in_training_are_those_of_the_writer(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    module = module_for(lm)
    batch = next(batches_for(lm, module).in_order())
    rows = module.rows(batch)
    assert rows.shape == (*batch.row_index.shape, module.reader.writer.row_width)
    for b, places in enumerate(batch.row_index.tolist()):
        for r, place in enumerate(places):
            if place == len(batch.features):
                assert not rows[b, r].any()
                continue
            one = slice(place, place + 1)
            expected = module.reader.writer(
                batch.features[one],
                batch.chunk_tokens[one],
                chunk_cues=batch.chunk_cues[one],
                chunk_starts=batch.chunk_starts[one],
                embedding_weight=lm.embedding_weight,
            )[0]
            torch.testing.assert_close(rows[b, r], expected)


def fake_attention(batch: Batch, *, num_adapters: int = 2, num_heads: int = 3) -> list[AdapterOutput]:
    """Random attention of each adapter: on each slot [B, A, T, 1 + M], in all and on the target's."""
    shape = (*batch.input_ids.shape, 1 + 8 * batch.row_index.shape[1])
    torch.manual_seed(1)
    is_target = batch.is_target.repeat_interleave(8, dim=1)[:, None, None]
    outputs = []
    for _ in range(num_adapters):
        weights = torch.softmax(torch.randn(shape[0], num_heads, *shape[1:]), dim=-1)
        marked = (weights[..., 1:] * is_target).sum(-1)
        outputs.append(AdapterOutput(torch.empty(0), 1 - weights[..., 0], marked, weights))
    return outputs


def test_the_evidence_loss_equals_the_slow_reference(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    batch = next(batches_for(lm, module_for(lm)).in_order())
    wide = fake_attention(batch)
    terms = []
    for b in range(len(batch.labels)):
        targets = [1 + 8 * r + s for r in range(batch.is_target.shape[1]) if batch.is_target[b, r] for s in range(8)]
        for t in range(batch.labels.shape[1]):
            if batch.labels[b, t] != IGNORED and targets:
                masses = [sum(w.weights[b, a, t, m].item() for m in targets) for w in wide for a in range(3)]
                terms.append(-math.log(sum(masses) / len(masses)))
    assert terms
    assert evidence_loss(wide, batch).item() == pytest.approx(sum(terms) / len(terms), rel=2e-3)


def test_the_silence_loss_equals_the_slow_reference(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    batch = next(batches_for(lm, module_for(lm)).in_order())
    wide, deep = fake_attention(batch), [torch.rand(*batch.input_ids.shape, 2)]
    everywhere, at_ends = [], []
    for b in range(len(batch.labels)):
        for t in range(int(batch.lengths[b]) if batch.silent[b] else 0):
            terms = [-math.log(w.weights[b, a, t, 0].item() + 1e-3) for w in wide for a in range(3)]
            terms += [-math.log(1 - deep[0][b, t, q].item() + 1e-3) for q in range(2)]
            everywhere += terms
            at_ends += terms if t == batch.lengths[b] - 1 else []
    assert at_ends
    expected = sum(everywhere) / len(everywhere) + sum(at_ends) / len(at_ends)
    assert silence_loss(Observed(wide, deep), batch).item() == pytest.approx(expected, rel=1e-4)


def test_losses_without_a_case_are_zero(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    batch = next(batches_for(lm, module_for(lm)).in_order())
    wide = fake_attention(batch)
    assert (
        silence_loss(
            Observed(wide), batch._replace(silent_places=batch.silent_places[:0], silent_ends=batch.silent_ends[:0])
        )
        == 0
    )
    assert evidence_loss(wide, batch._replace(is_target=torch.zeros_like(batch.is_target))) == 0


def test_the_learning_rate_warms_up_and_falls_to_five_percent(tiny_frozen_lm: MakeLM) -> None:
    optimizers = module_for(tiny_frozen_lm(), max_steps=100, warmup_steps=10, lr=1.0).configure_optimizers()
    rates = []
    for _ in range(120):
        rates.append(optimizers["optimizer"].param_groups[0]["lr"])
        optimizers["optimizer"].step()
        optimizers["lr_scheduler"]["scheduler"].step()
    assert rates[0] == pytest.approx(0.1, rel=1e-2)
    assert max(rates) == pytest.approx(rates[9], rel=0.03)
    assert rates[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("tie_word_embeddings", [True, False], ids=["tied", "untied"])
def test_twenty_facts_are_learnt_and_validation_says_what_decoding_prints(
    tiny_frozen_lm: MakeLM, tie_word_embeddings: bool
) -> None:
    lm = tiny_frozen_lm("llama", num_layers=2, tie_word_embeddings=tie_word_embeddings, initializer_range=0.2)
    module = module_for(lm, max_steps=NUM_STEPS, lr=1e-2, warmup_steps=10)
    del module.log
    batches = batches_for(lm, module, num_facts=20, num_silent=4)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"enable_checkpointing": False, "accelerator": "cpu", **quiet}
    trainer = pl.Trainer(max_steps=NUM_STEPS, gradient_clip_val=1.0, num_sanity_val_steps=0, **options)
    batch = batches.batch(np.arange(20))
    logits, _ = module.answer_logits(batch, None)
    untrained = float(torch.nn.functional.cross_entropy(logits, batch.answer_tokens))
    trainer.fit(module, datamodule=Data(batches, steps=NUM_STEPS))
    assert trainer.callback_metrics["train/loss"] < 0.1 * untrained
    exact = float(
        trainer.validate(module, datamodule=Data(batches, steps=1), verbose=False)[0]["val/exact_match/known"]
    )
    assert exact >= 0.8
    assert exact == pytest.approx(decoded_share(lm, module, batches))


def decoded_share(lm: FrozenLM, module: ReaderModule, batches: ChunkBatches) -> float:
    """Share of the answered questions whose greedy decoding is the answer."""
    chunk, right = batches.chunk, []
    module.eval()
    for question in np.flatnonzero(~chunk.silent).tolist():
        ids = chunk.input_ids[question]
        start = int(chunk.answer_starts[question])
        with torch.no_grad(), module.hooks.bind(Binding(rows=module.rows(batches.batch(np.array([question]))))):
            prompt = torch.from_numpy(ids[None, :start].astype(np.int64))
            printed = lm.model.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)[0, start:].tolist()
        right.append(answer_tokens(lm, printed) == [t for t in ids[start:].tolist() if t >= 0][:-1])
    return sum(right) / len(right)
