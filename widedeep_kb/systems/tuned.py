"""Base of the systems that answer by a tuned copy of the LLM, and the training that they share.

Letters: B texts, T tokens, N tokens learnt, V vocabulary.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from widedeep_kb.likelihood import loglikelihoods, row_loglikelihoods
from widedeep_kb.lm import FrozenLM
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.training_step import TrainingStep, rounded_up
from widedeep_kb.systems.training_texts import TrainingText, training_texts

IGNORED = -100  # a place without a loss
LEAST_STEPS = 400
"""As many as joint training takes (`FitConfig.steps`), however few the facts."""
_WARM_UP = 0.05  # of the training
_FLOOR = 0.05  # of the learning rate, at the end
_SHOWN = 10  # first and last steps whose mean loss is noted
_WAIT_EVERY = 20  # steps
_PLACE_STEP = 256  # the number of places is a multiple of it, so that few shapes are met


class TunedLM(ABC):
    """An LLM tuned on the facts, which then answers without seeing any.

    Args:
        lm: the frozen LLM; a copy is trained.
        seed: of the training.
        max_seconds: that training may take; None = all of its steps.
        max_new_tokens: most tokens of an answer.
        batch_size: prompts in one call of the LLM.

    Attributes:
        epochs, least_steps, train_batch_size, lr: of the training, which goes on for the more of `epochs` passes over
            the facts and `least_steps` steps; of many facts a batch has more texts (see `batch_size_for`). `use` sets
            them.
        history: steps, seconds, first and last losses of the last training.
    """

    epochs: int = 20
    least_steps: int = LEAST_STEPS
    train_batch_size: int = 32
    lr: float

    def __init__(
        self,
        lm: FrozenLM,
        *,
        seed: int = 0,
        max_seconds: float | None = None,
        max_new_tokens: int = 32,
        batch_size: int = 32,
    ) -> None:
        self.lm, self.seed, self.max_seconds = lm, seed, max_seconds
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self.tuned: FrozenLM | None = None
        self.num_trained = 0  # weights
        self.history: dict[str, float] = {}

    @abstractmethod
    def new_model(self) -> PreTrainedModel:
        """A model of its own, ready to be trained: what may change requires a gradient."""

    def merged(self, model: PreTrainedModel) -> PreTrainedModel:
        """A trained model as it is put to use: of as many layers as the LLM's own."""
        return model

    def ingest(self, facts: pl.DataFrame) -> None:
        """Train on facts, a frame in `FACT_SCHEMA`, starting from the frozen LLM."""
        self.tuned = None  # makes room for the new one
        torch.manual_seed(self.seed)
        model = self.new_model()
        batch_size = batch_size_for(facts.height, least=self.train_batch_size)
        self.history = train(
            model,
            self.lm,
            training_texts(facts, seed=self.seed),
            lr=self.lr,
            num_steps=max(self.least_steps, math.ceil(self.epochs * facts.height / batch_size)),
            batch_size=batch_size,
            max_seconds=self.max_seconds,
        )
        self.num_trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        model = in_dtype_of(self.lm, self.merged(model))
        self.tuned = FrozenLM(model, self.lm.tokenizer, identity=self.lm.identity)

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        if not questions:
            return []
        start = time.perf_counter()
        found = self.tuned.generate_texts(
            [ask_prompt(question) for question in questions],
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
        )
        latency_ms = (time.perf_counter() - start) * 1000 / len(questions)
        return [
            Answer(one.text, None, [], one.num_prompt_tokens, one.num_generated_tokens, latency_ms) for one in found
        ]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of answering each question by the continuation given for it."""
        prompts = [ask_prompt(question) for question in questions]
        return loglikelihoods(self.tuned, prompts, [f" {text}" for text in continuations], batch_size=self.batch_size)

    def text_loglikelihood(self, texts: Sequence[str]) -> list[float]:
        """Natural log-probability of each text behind its first token."""
        return text_loglikelihood(self.tuned, texts)

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take attributes of the training; it is done anew."""
        for name, value in setting.items():
            setattr(self, name, value)
        return True

    def size_bytes(self) -> int:
        """Bytes of what is not in the frozen LLM: all that was trained, in the LLM's own precision."""
        return self.num_trained * self.lm.embedding_weight.element_size()


def copy_of(lm: FrozenLM) -> PreTrainedModel:
    """A copy of the LLM's model whose weights may be trained: float32, so that small steps are not lost."""
    hooks = {name: module._forward_hooks for name, module in lm.model.named_modules() if module._forward_hooks}
    assert not any(hooks.values()), "an LLM that another system has its hooks on cannot be copied"
    return in_float32(copy.deepcopy(lm.model))


def in_float32(model: PreTrainedModel) -> PreTrainedModel:
    """`model` with float32 weights, also one from a GGUF file, whose own `float` refuses."""
    return nn.Module.float(model)


def in_dtype_of(lm: FrozenLM, model: PreTrainedModel) -> PreTrainedModel:
    """`model` in the LLM's own precision, so that it answers as fast and in as few bytes as the LLM.

    Buffers stay as they are: the frequencies of rotary positions are float32 in a bfloat16 LLM too.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(lm.embedding_weight.dtype)
    return model


def train(
    model: PreTrainedModel,
    lm: FrozenLM,
    texts: Iterator[TrainingText],
    *,
    lr: float,
    num_steps: int,
    batch_size: int,
    max_seconds: float | None = None,
) -> dict[str, float]:
    """Train what requires a gradient by AdamW, with warm-up and cosine decay; the decay is done when the time is up.

    Args:
        model: trained in place, on its device; bfloat16 where that is a GPU.
        lm: its tokenizer.
        texts: without end.
        lr: peak learning rate.
        num_steps: of `batch_size` texts.
        batch_size: B.
        max_seconds: end after so long.

    Returns:
        `steps`, `seconds`, `loss_first` and `loss_last` (cross-entropy a token, means of ten steps).
    """
    device = next(model.parameters()).device

    whole = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft's is around it

    def loss_of(ids: Tensor, places: Tensor, targets: Tensor) -> Tensor:
        states = whole.base_model(input_ids=ids, use_cache=False).last_hidden_state  # all before a text's end: no mask
        logits = whole.get_output_embeddings()(states.flatten(0, 1).index_select(0, places))
        return F.cross_entropy(logits.float(), targets, ignore_index=IGNORED)

    take_step = TrainingStep(loss_of, [p for p in model.parameters() if p.requires_grad])
    model.train()
    losses, started, step = [], time.perf_counter(), 0
    for step in range(1, num_steps + 1):  # noqa: B007 - read below
        spent = 0.0 if max_seconds is None else (time.perf_counter() - started) / max_seconds
        if spent >= 1.0 and step > 1:
            step -= 1
            break
        batch = to_batch(lm, list(itertools.islice(texts, batch_size)))
        now = lr * schedule(max((step - 1) / num_steps, spent))
        losses.append(take_step(*(part.to(device) for part in batch), lr=now))
        if step % _WAIT_EVERY == 0 and device.type == "cuda":
            torch.cuda.synchronize(device)  # or the host runs ahead, and the time is up too late
    model.eval()
    values = torch.stack(losses).tolist()
    return {
        "steps": step,
        "seconds": round(time.perf_counter() - started, 2),
        "loss_first": sum(values[:_SHOWN]) / len(values[:_SHOWN]),
        "loss_last": sum(values[-_SHOWN:]) / len(values[-_SHOWN:]),
    }


def schedule(progress: float) -> float:
    """Share of the peak learning rate at a point from 0 to 1 of the training."""
    if progress < _WARM_UP:
        return max(_FLOOR, progress / _WARM_UP)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def to_batch(lm: FrozenLM, texts: Sequence[TrainingText]) -> tuple[Tensor, Tensor, Tensor]:
    """Texts padded on the right, and what is to be learnt: every token of an answer but a text's first.

    Returns:
        token ids [B, T] int64, T a multiple of 16; flat places [N] int64 of the tokens before those learnt, N a
        multiple of 256, the rest 0; the tokens learnt [N] int64, the rest `IGNORED`.
    """
    prompts, answers = lm.encode([one.prompt for one in texts]), lm.encode([one.answer for one in texts])
    width = rounded_up(max(len(head) + len(tail) for head, tail in zip(prompts, answers, strict=True)))
    ids = torch.full((len(texts), width), lm.tokenizer.pad_token_id)
    places, targets = [], []
    for i, (head, tail) in enumerate(zip(prompts, answers, strict=True)):
        own = head + tail
        ids[i, : len(own)] = torch.tensor(own)
        first = max(len(head), 1)
        places += range(i * width + first - 1, i * width + len(own) - 1)
        targets += own[first:]
    more = -len(places) % _PLACE_STEP
    return ids, torch.tensor(places + [0] * more), torch.tensor(targets + [IGNORED] * more)


def batch_size_for(num_facts: int, *, least: int) -> int:
    """Texts in a step: `least` up to a thousand facts, then more with the root of their number, at most four times.

    So many facts are gone through in fewer, surer steps, which a GPU hardly takes longer for.
    """
    return min(4 * least, max(least, round(least * math.sqrt(num_facts / 1000))))


def text_loglikelihood(lm: FrozenLM, texts: Sequence[str], *, batch_size: int = 8) -> list[float]:
    """Natural log-probability of each text behind its first token, by an LLM as it is."""
    rows, found = lm.encode(texts), []
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        found += row_loglikelihoods(lm, [row[:1] for row in part], [row[1:] for row in part])
    return found
