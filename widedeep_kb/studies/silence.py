"""Does a memory stay silent on questions that ask for none of its facts? Its answers beside the bare LLM's.

In: facts to choose from, open-domain questions with accepted answers, a memory. Out: the facts to load, and a frame
with one row a question: both answers, whether memory brought facts, and whether any fact holds an accepted answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from widedeep_kb.answering import ask_prompt
from widedeep_kb.memory.retrieval import Hits, Retriever
from widedeep_kb.metrics import exact_match, normalise_loose, paired_bootstrap
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import normalise_text
from widedeep_kb.sources.prepared import sample_subjects

HOLDERS = ("brought fact", "loaded fact", "none")
"""What holds an accepted answer: a fact that the question brings, only another loaded fact, or no fact."""


def draw_named_first(
    facts: pl.DataFrame, questions: Sequence[str], *, num_facts: int, is_named_first: bool, seed: int
) -> pl.DataFrame:
    """Draw whole subjects up to `num_facts` facts.

    Args:
        facts: frame in `FACT_SCHEMA`.
        questions: raw texts.
        num_facts: at most so many.
        is_named_first: take the subjects whose facts the exact index brings for some question before all others; what
            is left of `num_facts` is drawn at random. False: all are drawn at random.
        seed: of the draw.
    """
    if not num_facts or facts.is_empty():
        return facts.head(0)
    if not is_named_first:
        return sample_subjects(facts, max_facts=num_facts, seed=seed)
    found = _index(facts).lookup(questions).ordinals
    subjects = facts[np.unique(found[found >= 0])].select("subject_id").unique()
    named = facts.join(subjects, on="subject_id", how="semi", maintain_order="left")
    if named.height > num_facts:
        return sample_subjects(named, max_facts=num_facts, seed=seed)
    others = facts.join(subjects, on="subject_id", how="anti", maintain_order="left")
    return pl.concat([named, sample_subjects(others, max_facts=num_facts - named.height, seed=seed)])


def compare_answers(
    memory: KnowledgeMemory, questions: pl.DataFrame, *, max_new_tokens: int = 24, batch_size: int = 64
) -> pl.DataFrame:
    """Ask the bare LLM and the memory, with the same prompts in the same batches, greedily.

    Args:
        memory: with its facts.
        questions: has `question` (String) and `answers` (List(String)).
        max_new_tokens: longest answer.
        batch_size: prompts in one call of the LLM.

    Returns:
        `question`, `answers`, `bare`, `with_memory` (String), `is_changed`, `bare_right`, `right` (Boolean),
        `num_names` (names met), `num_facts` (brought), `top_weight` (of the best hit), and `holder`, of `HOLDERS`.
    """
    texts, answers = questions["question"].to_list(), questions["answers"].to_list()
    prompts = [ask_prompt(text) for text in texts]
    bare = memory.lm.generate_texts(prompts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    told = memory.ask_many(texts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    hits = memory.store.retriever.lookup(texts)
    without, with_memory = [generation.text.strip() for generation in bare], [answer.text for answer in told]
    return pl.DataFrame(
        {
            "question": texts,
            "answers": questions["answers"],
            "bare": without,
            "with_memory": with_memory,
            "is_changed": [a != b for a, b in zip(without, with_memory, strict=True)],
            "bare_right": [exact_match(a, accepted) for a, accepted in zip(without, answers, strict=True)],
            "right": [exact_match(a, accepted) for a, accepted in zip(with_memory, answers, strict=True)],
            "num_names": hits.subject_hits.astype(np.int64),
            "num_facts": (hits.ordinals >= 0).sum(axis=1),
            "top_weight": hits.weights[:, 0].astype(np.float64),
            "holder": _holders(memory, hits, answers),
        }
    )


def summarise_silence(compared: pl.DataFrame) -> list[dict[str, object]]:
    """Rows for JSON: shares and scores of all questions, then answers changed by what holds the answer.

    Args:
        compared: what `compare_answers` returns, with at least one row.
    """
    changed = compared["is_changed"]
    gap = paired_bootstrap(
        compared["right"].cast(pl.Float64).to_numpy(), compared["bare_right"].cast(pl.Float64).to_numpy()
    )
    rows: list[dict[str, object]] = [
        {
            "num_questions": compared.height,
            "share_name_met": round(float((compared["num_names"] > 0).mean()), 4),
            "share_with_hit": round(float((compared["num_facts"] > 0).mean()), 4),
            "share_with_cued_hit": round(float((compared["top_weight"] >= 0.3).mean()), 4),
            "share_kept": round(1 - float(changed.mean()), 4),
            "changed_without_hit": compared.filter(changed & (pl.col("num_facts") == 0)).height,
        },
        {
            "exact_match_bare": round(float(compared["bare_right"].mean()), 4),
            "exact_match_memory": round(float(compared["right"].mean()), 4),
            "difference": round(gap.mean, 4),
            "interval": [round(gap.low, 4), round(gap.high, 4)],
        },
    ]
    for holder in HOLDERS:
        part = compared.filter(pl.col("holder") == holder)
        row = {"holder": holder, "num_questions": part.height, "num_changed": part.filter("is_changed").height}
        row["share_changed"] = round(float(part["is_changed"].mean()), 4) if part.height else None
        row |= {"right_bare": int(part["bare_right"].sum()), "right_memory": int(part["right"].sum())}
        rows.append(row)
    return rows


def _index(facts: pl.DataFrame) -> Retriever:
    retriever = Retriever()
    retriever.add(
        np.arange(facts.height),
        subjects=facts["subject"].to_list(),
        aliases=facts["subject_aliases"].to_list(),
        subject_ids=facts["subject_id"].to_list(),
        relations=facts["relation"].to_list(),
    )
    return retriever


def _holders(memory: KnowledgeMemory, hits: Hits, answers: Sequence[Sequence[str]]) -> list[str]:
    """One of `HOLDERS` for each question; texts are compared loosely (case, articles, punctuation)."""
    catalogue = memory.store.catalogue
    columns = catalogue.columns_for(catalogue.alive(), ["object", "object_aliases"])
    loaded = _values(columns)
    used = np.unique(hits.ordinals[hits.ordinals >= 0])
    values = {row["ordinal"]: _values(pl.DataFrame([row])) for row in _value_rows(memory, used)}
    holders = []
    for ordinals, accepted in zip(hits.ordinals.tolist(), answers, strict=True):
        wanted = {_folded(text) for text in accepted}
        brought: set[str] = set().union(*(values[o] for o in ordinals if o >= 0))
        holders.append(HOLDERS[0] if wanted & brought else HOLDERS[1] if wanted & loaded else HOLDERS[2])
    return holders


def _value_rows(memory: KnowledgeMemory, ordinals: np.ndarray) -> Iterable[dict]:
    if not len(ordinals):
        return []
    return memory.store.catalogue.rows(ordinals).select("ordinal", "object", "object_aliases").iter_rows(named=True)


def _values(columns: pl.DataFrame) -> set[str]:
    aliases = columns["object_aliases"].explode().drop_nulls().unique().to_list()
    return {_folded(text) for text in (*columns["object"].unique().to_list(), *aliases)}


def _folded(text: str) -> str:
    return normalise_loose(text) or normalise_text(text)
