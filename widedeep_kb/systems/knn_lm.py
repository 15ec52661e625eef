"""`knn_lm`: the bare LLM, its next token mixed with those that followed the nearest states among the facts.

Nearest-neighbour language models, Khandelwal et al. 2020, arXiv 1911.00172. No weight changes; the facts are read once.

Letters: B rows, T tokens, H hidden size, Q queries, V vocabulary.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import LogitsProcessor

from widedeep_kb.likelihood import right_pad
from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.phrasings import frames
from widedeep_kb.schema import statement_prefix
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.datastore import Datastore, continuation_states, feed_forward_inputs
from widedeep_kb.systems.prompts import DEFAULT_FORMAT, Context, PromptFormat, Shot, build_prompt

_READ_AT_ONCE = 256  # texts
_PLAIN = PromptFormat(num_shots=0, is_chat=False)


@dataclass(frozen=True)
class Mixture:
    """How neighbours and LLM are mixed.

    Attributes:
        share: of the neighbours in a probability, 0 to 1 (the paper's lambda).
        temperature: squared distances are divided by it.
        num_neighbours: entries a state is compared with.

    Raises:
        ValueError: a number out of range.
    """

    share: float = 0.25
    temperature: float = 1.0
    num_neighbours: int = 1024

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share must be between 0 and 1, got {self.share}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.num_neighbours < 1:
            raise ValueError(f"num_neighbours must be at least 1, got {self.num_neighbours}")


SWEEP = (
    Mixture(share=0.9, temperature=0.3, num_neighbours=64),  # the best of most sweeps here, so the first
    Mixture(),  # the paper on Wikipedia
    Mixture(share=0.65),  # the paper on a domain that the LLM was not trained on
    Mixture(share=0.9),
    Mixture(share=0.8, temperature=10.0, num_neighbours=8),  # as nearest-neighbour translation (arXiv 2105.13022)
)


class KNNLM(ClosedBook):
    """The LLM with a datastore of its states over the facts' sentences and over questions about them.

    Args:
        lm: the frozen LLM.
        mixture: of neighbours and LLM; None = the paper's on Wikipedia.
        num_questions: about each fact, in frames of the split for training, in the plain prompt format without shots: a
            question is only near to one in words like its own.
        seed: of the choice of frames.
        prompt_format, shots, max_new_tokens, batch_size: as in `PromptedSystem`.
    """

    shots_first = False  # what is stored was read without them

    def __init__(
        self,
        lm: FrozenLM,
        *,
        mixture: Mixture | None = None,
        num_questions: int = 8,
        seed: int = 0,
        prompt_format: PromptFormat = DEFAULT_FORMAT,
        shots: Sequence[Shot] = (),
        max_new_tokens: int = 32,
        batch_size: int = 16,
    ) -> None:
        super().__init__(
            lm, prompt_format=prompt_format, shots=shots, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        self.mixture, self.num_questions, self.seed = mixture or Mixture(), num_questions, seed

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        states, tokens, counts = self._entries(facts)
        self._store = Datastore(states, tokens, device=self.lm.device)
        self._spans = _spans(facts, counts, first=0)

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`: only these are read."""
        states, tokens, counts = self._entries(facts)
        is_new = {"on": ["subject_id", "relation"], "maintain_order": "left"}
        gone = self._spans.join(facts, how="semi", **is_new).select("first", "count").rows()
        new = _spans(facts, counts, first=self._store.index.num_places)
        places = [np.arange(first, first + count) for first, count in gone]
        self._store.replace(np.concatenate([np.zeros(0, np.int64), *places]), states, tokens)
        self._spans = pl.concat([self._spans.join(facts, how="anti", **is_new), new])

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Mixtures tried."""
        return [
            {"lambda": one.share, "temperature": one.temperature, "neighbours": one.num_neighbours} for one in SWEEP
        ]

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting; the facts need not be ingested again."""
        self.mixture = Mixture(float(setting["lambda"]), float(setting["temperature"]), int(setting["neighbours"]))
        return False

    def text_loglikelihood(self, texts: Sequence[str]) -> list[float]:
        """Natural log-probability of each text behind its first token."""
        rows = self.lm.encode(texts)
        return self._sums([row[:1] for row in rows], [row[1:] for row in rows])

    def size_bytes(self) -> int:
        """Bytes of the datastore; the facts' text is not needed to answer."""
        return self._store.size_bytes

    def _entries(self, facts: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States and tokens of the entries of facts, in order, and the number of entries of each fact."""
        heads, tails = self._texts(facts)
        encoded = self.lm.encode(tails)
        states, tokens = continuation_states(self.lm, self.lm.encode(heads), encoded, batch_size=_READ_AT_ONCE)
        lengths = np.array([len(tail) for tail in encoded], dtype=np.int64)
        return states, tokens, lengths.reshape(facts.height, 1 + self.num_questions).sum(axis=1)

    def _texts(self, facts: pl.DataFrame) -> tuple[list[str], list[str]]:
        """Of each fact its sentence and questions, each cut before the value, and the value with what ends it."""
        questions = frames("trained", "question")
        heads, tails = [], []
        for fact in facts.select("fact_id", "subject", "relation", "object", "statement").iter_rows(named=True):
            heads.append(statement_prefix(fact))
            tails.append(f" {fact['object']}.")
            for frame in random.Random(f"{self.seed} {fact['fact_id']}").sample(questions, self.num_questions):
                question = frame.render(fact["subject"], fact["relation"])
                heads.append(build_prompt(self.lm, question, context=Context(), shots=(), prompt_format=_PLAIN))
                tails.append(f" {fact['object']}\n")
        return [head or "\n" for head in heads], tails  # a statement may begin with its value

    def _write(self, prompts: Sequence[str]) -> list[Generation]:
        with feed_forward_inputs(self.lm) as latest:
            return self.lm.generate_texts(
                prompts,
                max_new_tokens=self.max_new_tokens,
                batch_size=self.batch_size,
                logits_processors=[_Interpolation(self._store, self.mixture, latest)],
            )

    def _score(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        return self._sums(self.lm.encode(prompts), self.lm.encode(texts))

    def _sums(self, heads: Sequence[Sequence[int]], tails: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each row of tokens behind its head."""
        if len(heads) != len(tails):
            raise ValueError(f"{len(heads)} prompts and {len(tails)} continuations")
        order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
        found: dict[int, float] = {}
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            sums = self._batch_sums([heads[i] for i in chosen], [tails[i] for i in chosen])
            found.update(zip(chosen, sums, strict=True))
        return [found[i] for i in range(len(heads))]

    @torch.inference_mode()
    def _batch_sums(self, heads: Sequence[Sequence[int]], tails: Sequence[Sequence[int]]) -> list[float]:
        lm = self.lm
        rows = [[*head, *tail] for head, tail in zip(heads, tails, strict=True)]
        ids, mask = (part.to(lm.device) for part in right_pad(rows, pad_id=lm.tokenizer.pad_token_id))
        with feed_forward_inputs(lm) as latest:
            logits = lm.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        firsts = torch.tensor([len(head) - 1 for head in heads], device=lm.device)[:, None]
        ends = torch.tensor([len(row) - 1 for row in rows], device=lm.device)[:, None]
        places = torch.arange(ids.shape[1] - 1, device=lm.device)
        is_scored = (firsts <= places) & (places < ends)  # [B, T-1]
        targets = ids[:, 1:][is_scored]  # [Q]
        by_lm = torch.log_softmax(logits[:, :-1][is_scored].float(), dim=1).gather(1, targets[:, None]).squeeze(1)
        each = torch.zeros(is_scored.shape, device=lm.device)
        each[is_scored] = self._mixed_targets(latest[0][:, :-1][is_scored], targets, by_lm)
        return each.sum(dim=1).tolist()

    def _mixed_targets(self, states: Tensor, targets: Tensor, by_lm: Tensor) -> Tensor:
        """Log-probabilities [Q] of the target tokens, of which the LLM's own are `by_lm`."""
        if not len(self._store) or not len(targets):
            return by_lm
        mixture = self.mixture
        weights, tokens = self._store.neighbours(states, top_k=mixture.num_neighbours, temperature=mixture.temperature)
        by_neighbours = torch.where(tokens == targets[:, None], weights, 0.0).sum(dim=1).log()
        return torch.logaddexp(math.log(mixture.share) + by_neighbours, math.log1p(-mixture.share) + by_lm)


def _spans(facts: pl.DataFrame, counts: np.ndarray, *, first: int) -> pl.DataFrame:
    """Of each fact its property, the place of its first entry and their number; the first of all is at `first`."""
    counted = facts.select("subject_id", "relation", count=pl.Series(counts, dtype=pl.Int64))
    return counted.with_columns(first=first + pl.col("count").cum_sum() - pl.col("count"))


class _Interpolation(LogitsProcessor):
    """Log-probabilities of the mixture in the place of the LLM's logits.

    Args:
        store: the facts' states.
        mixture: of neighbours and LLM.
        latest: holds the states of the LLM's latest pass, see `feed_forward_inputs`.
    """

    def __init__(self, store: Datastore, mixture: Mixture, latest: list[Tensor]) -> None:
        self.store, self.mixture, self.latest = store, mixture, latest

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Log-probabilities [B, V] for the logits [B, V] behind `input_ids` [B, T]."""
        if not len(self.store):
            return scores
        mixture = self.mixture
        weights, tokens = self.store.neighbours(
            self.latest[0][:, -1], top_k=mixture.num_neighbours, temperature=mixture.temperature
        )
        by_neighbours = torch.zeros_like(scores, dtype=torch.float32).scatter_add_(1, tokens, weights)
        by_lm = torch.softmax(scores.float(), dim=1)
        return torch.log(mixture.share * by_neighbours + (1 - mixture.share) * by_lm)
