"""Do edits hold? A memory with counterfactual edits is asked, in the edits' own words, in others, and something else.

In: a `KnowledgeMemory` that holds the edits, probes. Out: frames with a row a probe and their means. Two measures:
the answer that is generated (exact match, contains), and teacher forcing as EasyEdit has it
(`compute_rewrite_or_rephrase_quality` with `token_em`, https://github.com/zjunlp/EasyEdit): the tokens of the new value
are fed after the prompt, and each counts that is the likeliest behind the ones before it.

Letters: B probes, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import polars as pl
import torch
from torch import Tensor

from widedeep_kb.answering import ask_prompt
from widedeep_kb.lm import generate_ids, left_pad
from widedeep_kb.memory.adapter import AdapterOutput
from widedeep_kb.memory.encoding import EncodedFacts, encode_frame
from widedeep_kb.memory.gate import mass_at
from widedeep_kb.memory.hooks import Binding
from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.metrics import bootstrap_interval, contains, exact_match
from widedeep_kb.model import KnowledgeMemory

FATES = ("right", "no fact found", "fact not found", "gate shut", "other fact read", "copied wrong")
"""What became of a probe: no fact was found in its words, only others, the gate shut the fact out, the LLM looked most
at another fact, or at this one and wrote something else."""


@dataclass(frozen=True)
class Forced:
    """Teacher forcing of one text.

    Attributes:
        predicted: the likeliest token at each place of the target.
        wanted: the target's tokens.
        is_shut: the gate left the text to the LLM alone.
    """

    predicted: tuple[int, ...]
    wanted: tuple[int, ...]
    is_shut: bool

    @property
    def token_accuracy(self) -> float:
        """Share of the target's tokens that are the likeliest."""
        return float(np.mean(np.equal(self.predicted, self.wanted)))


@contextmanager
def gate_open(memory: KnowledgeMemory) -> Iterator[None]:
    """Let every question through inside the `with` block."""
    used, memory.use_gate = memory.use_gate, False
    try:
        yield
    finally:
        memory.use_gate = used


def write_brought(memory: KnowledgeMemory, facts: pl.DataFrame, texts: Sequence[str]) -> int:
    """Write facts as `write` does, but for the rows of those that none of `texts` brings: they stay empty.

    Empty rows are never read for these texts, so that their answers are those of a memory with all rows: a way to ask
    a large memory a few questions where the LLM's pass over every fact takes too long.

    Args:
        memory: an empty one.
        facts: frame in `FACT_SCHEMA`.
        texts: all that will be asked.

    Returns:
        the number of facts with rows.
    """
    names = ("subject", "subject_aliases", "subject_id", "relation")
    subjects, aliases, subject_ids, relations = (facts[name].to_list() for name in names)
    index = Retriever()
    index.add(
        np.arange(facts.height),
        subjects=subjects,
        aliases=[row or [] for row in aliases],
        subject_ids=subject_ids,
        relations=relations,
    )
    brought = index.lookup(texts).ordinals
    chosen = facts[np.unique(brought[brought >= 0])]["fact_id"].implode()
    rows_for = memory.rows_for

    def some_rows(frame: pl.DataFrame, *, progress: Callable[[int], None] | None = None) -> tuple[Tensor, EncodedFacts]:
        encoded = encode_frame(memory.lm.tokenizer, frame, end_id=memory.lm.newline_id)
        is_chosen = frame["fact_id"].is_in(chosen)
        made, _ = rows_for(frame.filter(is_chosen), progress=progress)
        rows = torch.zeros(int(encoded.num_rows.sum()), made.shape[1], device=made.device)
        rows[torch.from_numpy(np.repeat(is_chosen.to_numpy(), encoded.num_rows))] = made
        return rows, encoded

    with mock.patch.object(memory, "rows_for", some_rows):
        memory.write(facts)
    return len(chosen.item())


def ask_probes(
    memory: KnowledgeMemory, probes: pl.DataFrame, *, spare_tokens: int = 4, batch_size: int = 32
) -> pl.DataFrame:
    """Generate an answer to each probe and say what became of it; those that the gate shuts out are asked without it.

    Args:
        memory: holds the edits.
        probes: frame in `sources.edit_sets.PROBE_SCHEMA`.
        spare_tokens: an answer may be so much longer than the longest accepted one.
        batch_size: prompts in one call of the LLM.

    Returns:
        `probes` with `prediction` (String), `exact_match`, `contains` (Boolean), `num_facts` (brought) and `fate`, of
        `FATES`; and what they were without a gate: `open_prediction`, `open_exact_match`, `open_contains`, `open_fate`.
    """
    asked = _asked(memory, probes, spare_tokens=spare_tokens, batch_size=batch_size)
    columns = ["prediction", "exact_match", "contains", "fate"]
    opened = asked.select("num_facts", *columns).with_row_index("place")
    is_shut = asked["fate"] == FATES[3]
    if is_shut.any():
        with gate_open(memory):
            again = _asked(memory, probes.filter(is_shut), spare_tokens=spare_tokens, batch_size=batch_size)
        changed = again.select(columns).with_columns(place=pl.Series(is_shut.arg_true(), dtype=pl.UInt32))
        opened = opened.update(changed, on="place")
    opened = opened.select(pl.col(columns).name.prefix("open_"))
    return pl.concat([probes, asked, opened], how="horizontal")


def _asked(memory: KnowledgeMemory, probes: pl.DataFrame, *, spare_tokens: int, batch_size: int) -> pl.DataFrame:
    texts = probes["text"].to_list()
    lengths = [len(row) for row in memory.lm.encode([f" {text}" for text in probes["answers"].explode().to_list()])]
    answers = memory.ask_many(texts, max_new_tokens=max(lengths) + spare_tokens, batch_size=batch_size)
    brought = memory.store.recall(texts).hits.ordinals
    wanted = memory.store.catalogue.find(fact_ids=probes["fact_id"].to_list()).ordinals
    wanted_ids = memory.store.catalogue.columns_for(wanted, ["fact_id"])["fact_id"]
    ordinals = dict(zip(wanted_ids, wanted.tolist(), strict=True))
    rows = []
    for answer, accepted, fact_id, found in zip(
        answers, probes["answers"].to_list(), probes["fact_id"].to_list(), brought.tolist(), strict=True
    ):
        is_right, num_facts = exact_match(answer.text, accepted), sum(ordinal >= 0 for ordinal in found)
        read = [fact.fact_id for fact in answer.evidence]
        fate = _fate(is_right, num_facts, is_found=ordinals.get(fact_id) in found, read=read, fact_id=fact_id)
        rows.append((answer.text, is_right, contains(answer.text, accepted), num_facts, fate))
    return pl.DataFrame(rows, schema=["prediction", "exact_match", "contains", "num_facts", "fate"], orient="row")


def _fate(is_right: bool, num_facts: int, *, is_found: bool, read: Sequence[str], fact_id: str) -> str:
    if is_right:
        return FATES[0]
    if not num_facts:
        return FATES[1]
    if not is_found:
        return FATES[2]
    if not read:
        return FATES[3]
    return FATES[5] if read[0] == fact_id else FATES[4]


@torch.inference_mode()
def force(
    memory: KnowledgeMemory,
    texts: Sequence[str],
    targets: Sequence[str],
    *,
    is_wrapped: bool = False,
    use_memory: bool = True,
    batch_size: int = 32,
) -> list[Forced]:
    """Feed each target after its text, one space between, and see which of its tokens are the likeliest.

    The gate is asked at the end of the text, and its answer is only noted: every text is read with memory.

    Args:
        memory: holds the edits.
        texts: prompts; they also say which facts are read.
        targets: one a text.
        is_wrapped: put the texts as `ask` does ("Question: ... Answer:"); False: as they are, as EasyEdit does.
        use_memory: False = the bare LLM.
        batch_size: texts in one call of the LLM.
    """
    prompts = [ask_prompt(text) for text in texts] if is_wrapped else list(texts)
    whole = memory.lm.encode([f"{prompt} {target}" for prompt, target in zip(prompts, targets, strict=True)])
    starts = [len(row) for row in memory.lm.encode(prompts)]
    order = sorted(range(len(whole)), key=lambda i: len(whole[i]))
    found: dict[int, Forced] = {}
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        rows = [whole[i] for i in chosen]
        binding, _ = memory.binding([texts[i] for i in chosen], use_memory=use_memory)
        likeliest, is_open = _likeliest(memory, binding, rows, starts=[starts[i] for i in chosen])
        for i, row, best, opens in zip(chosen, rows, likeliest.tolist(), is_open.tolist(), strict=True):
            found[i] = Forced(tuple(best[starts[i] - 1 : len(row) - 1]), tuple(row[starts[i] :]), not opens)
    return [found[i] for i in range(len(whole))]


def _likeliest(
    memory: KnowledgeMemory, binding: Binding, rows: list[list[int]], *, starts: list[int]
) -> tuple[Tensor, Tensor]:
    """Likeliest next tokens [B, T] of B rows padded on the right, and what the gate says at `starts`, [B] bool."""
    width, device = max(map(len, rows)), memory.lm.device
    pad = memory.lm.tokenizer.pad_token_id
    input_ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=device)
    lengths, ends = torch.tensor([len(row) for row in rows], device=device), torch.tensor(starts, device=device) - 1
    attention_mask = (torch.arange(width, device=device) < lengths[:, None]).long()
    masses: list[Tensor] = []

    def observe(_index: int, wide: AdapterOutput | None, _deep_mass: Tensor | None) -> None:
        if wide is not None:
            masses.append(mass_at(wide.mass, ends))

    with memory.hooks.bind(replace(binding, observe=observe, needs_weights=False)):
        logits = memory.lm.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
    is_open = torch.ones(len(rows), dtype=torch.bool, device=device)
    if masses and memory.asks_gate:
        has_rows = (binding.weights > 0).any(dim=1)
        is_open = memory.reader.gate(torch.stack(masses, dim=1), binding.weights, binding.wording) | ~has_rows
    return logits.argmax(-1), is_open


def compare_unrelated(
    memory: KnowledgeMemory, texts: pl.DataFrame, *, max_new_tokens: int = 16, batch_size: int = 32
) -> pl.DataFrame:
    """Are texts that no edit is about answered as by the bare LLM? Only those that bring facts need the LLM.

    Args:
        memory: holds the edits.
        texts: has `text` and `answer` (String), a true answer.
        max_new_tokens: tokens compared, at most.
        batch_size: prompts in one call of the LLM.

    Returns:
        `texts` with `num_facts` (brought), `is_open` (the gate lets it through), `bare` and `with_memory` (String, the
        answers where it is open), `is_same` (all token ids of the answers are equal) and `locality` (EasyEdit: share
        of the answer's places where both have the same likeliest token), and the last two without the gate:
        `open_is_same`, `open_locality`.
    """
    asked = texts["text"].to_list()
    ordinals = memory.store.retriever.lookup(asked).ordinals
    num_facts = (ordinals >= 0).sum(axis=1)
    result = texts.with_columns(num_facts=pl.Series(num_facts, dtype=pl.Int64)).with_row_index("place")
    hit = result.filter(pl.col("num_facts") > 0)
    names = {"is_open": True, "bare": None, "with_memory": None, "open_is_same": True, "open_locality": 1.0}
    if hit.height:
        found = _compared(memory, hit, max_new_tokens=max_new_tokens, batch_size=batch_size)
        result = result.join(found, on="place", how="left", maintain_order="left")
    else:
        result = result.with_columns(pl.lit(None).alias(name) for name in names)
    result = result.with_columns(pl.col(name).fill_null(value) for name, value in names.items() if value is not None)
    return result.with_columns(
        is_same=pl.col("open_is_same") | ~pl.col("is_open"),
        locality=pl.when("is_open").then("open_locality").otherwise(1.0),
    ).drop("place")


@torch.inference_mode()
def _compared(memory: KnowledgeMemory, hit: pl.DataFrame, *, max_new_tokens: int, batch_size: int) -> pl.DataFrame:
    texts, answers = hit["text"].to_list(), hit["answer"].to_list()
    bare = force(memory, texts, answers, use_memory=False, batch_size=batch_size)
    told = force(memory, texts, answers, batch_size=batch_size)
    locality = [float(np.mean(np.equal(a.predicted, b.predicted))) for a, b in zip(bare, told, strict=True)]
    prompts = memory.lm.encode([ask_prompt(text) for text in texts])
    rows = []
    for first in range(0, len(texts), batch_size):
        part = slice(first, first + batch_size)
        binding, _ = memory.binding(texts[part])
        padded = left_pad(prompts[part], pad_id=memory.lm.tokenizer.pad_token_id)
        input_ids, mask = (tensor.to(memory.lm.device) for tensor in padded)
        judged = memory.relevant(binding, input_ids, mask)
        is_open = torch.zeros(len(input_ids)) if judged.rows is None else (judged.weights > 0).any(dim=1)
        plain = generate_ids(memory.lm, prompts[part], max_new_tokens=max_new_tokens)
        with memory.hooks.bind(binding):
            changed = generate_ids(memory.lm, prompts[part], max_new_tokens=max_new_tokens)
        rows += list(zip(is_open.bool().tolist(), plain, changed, strict=True))
    decode = memory.lm.tokenizer.decode
    return hit.select("place").with_columns(
        is_open=pl.Series([opens for opens, _, _ in rows]),
        bare=pl.Series([decode(one).strip() for _, one, _ in rows]),
        with_memory=pl.Series([decode(other if opens else one).strip() for opens, one, other in rows]),
        open_is_same=pl.Series([one == other for _, one, other in rows]),
        open_locality=pl.Series(locality),
    )


def mean_with_interval(scores: Sequence[float]) -> str:
    """A mean and its 95 % bootstrap interval, as text."""
    found = bootstrap_interval(np.asarray(scores, dtype=np.float64))
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
