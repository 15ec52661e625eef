"""Fit a reader's relevance gate: questions that facts in memory answer against others that hold a stored name.

    python -m widedeep_kb.studies.fit_gate --reader READER --data-dir DIR

Facts of known domains are written with no training; half of the questions ask for them in trained phrasings, half are
made around the same names and ask for nothing stored (`synthetic.unrelated_about`). A fifth of the questions is kept
from the fit and reported. The gate is written into the reader's folder; the last line of stdout is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from widedeep_kb.lm import left_pad
from widedeep_kb.memory.gate import RelevanceGate, gate_features
from widedeep_kb.memory.reader import READER_FILE
from widedeep_kb.model import KnowledgeMemory, ask_prompt
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.reader_materials import PREPARED_DOMAINS, PUBLIC_DOMAINS
from widedeep_kb.synthetic.unrelated_about import unrelated_about
from widedeep_kb.training.corpora import MAX_OBJECT_CHARACTERS, split_by_subject, training_table
from widedeep_kb.training.examples import Phraser, PhrasingMix

OTHER_SETS = ("entityquestions", "pararel")
_PROMPTS = PhrasingMix(own=0.5, chat=0.0, canonical=1.0, raw=0.0, corrupted=0.2)


class GateQuestion(NamedTuple):
    """A text, and whether a fact in memory answers it."""

    text: str
    is_answered: bool


def gate_questions(corpus: Corpus, *, num_questions: int, seed: int) -> list[GateQuestion]:
    """Questions that facts of a corpus answer, and as many that hold the name of one of its subjects.

    Args:
        corpus: its facts are in memory.
        num_questions: of each kind, at most.
        seed: of every choice.
    """
    rng = random.Random(seed)
    table, phraser = training_table(corpus, seed=seed), Phraser(None, mix=_PROMPTS)
    asked = rng.sample(range(len(table)), min(num_questions, len(table)))
    found = [GateQuestion(phraser.words(table, fact, rng)[0], True) for fact in asked]
    relations: dict[str, set[str]] = {}
    for subject, relation in zip(corpus.facts["subject"], corpus.facts["relation"], strict=True):
        relations.setdefault(subject.lower(), set()).add(relation)
    for subject in rng.choices(sorted(set(table.subjects)), k=len(asked)):
        found.append(GateQuestion(unrelated_about(rng, subject, relations=relations[subject.lower()]), False))
    return found


def prompt_features(
    memory: KnowledgeMemory, texts: Sequence[str], *, batch_size: int = 16
) -> tuple[Tensor, np.ndarray]:
    """Features [N, F] of the texts that have a hit, and the places of these [N] among `texts`, shortest first."""
    encoded = memory.lm.encode([ask_prompt(text) for text in texts])
    order = np.argsort([len(row) for row in encoded], kind="stable")
    features, places = [], []
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        binding, recall = memory.binding([texts[i] for i in chosen])
        if binding.rows is None:
            continue
        padded = left_pad([encoded[i] for i in chosen], pad_id=memory.lm.tokenizer.pad_token_id)
        input_ids, attention_mask = (tensor.to(memory.lm.device) for tensor in padded)
        mass = memory.prompt_mass(binding, input_ids, attention_mask)
        has_hit = recall.has_rows
        features.append(gate_features(mass, binding.weights)[torch.from_numpy(has_hit)].cpu())
        places.append(chosen[has_hit])
    return torch.cat(features), np.concatenate(places)


def known_corpora(data_dir: Path, prepared_dir: Path, *, max_facts: int, seed: int) -> list[Corpus]:
    """Samples of whole subjects: of the evaluation domains those that readers may be trained on, and two more sets."""
    corpora = [split_by_subject(load_corpus(n, data_dir=prepared_dir), seed=2, share=0.2)[0] for n in PREPARED_DOMAINS]
    corpora += [split_by_subject(load_corpus(n, data_dir=data_dir), seed=2, share=0.2)[0] for n in PUBLIC_DOMAINS]
    corpora += [load_corpus(name, data_dir=data_dir) for name in OTHER_SETS]
    is_short = pl.col("object").str.len_chars() <= MAX_OBJECT_CHARACTERS
    return [
        replace(c, facts=sample_subjects(c.facts.filter(is_short), max_facts=max_facts, seed=seed)) for c in corpora
    ]


def fit_gate(
    memory: KnowledgeMemory, questions: Sequence[GateQuestion], *, margin: float = 0.0, seed: int = 0
) -> dict[str, float]:
    """Fit the gate of `memory.reader` in place on four fifths of the questions.

    Returns:
        numbers of questions with a hit and, on the fifth that was kept, the shares that the gate lets through.
    """
    features, places = prompt_features(memory, [q.text for q in questions])
    is_answered = torch.tensor([questions[i].is_answered for i in places])
    is_kept = torch.rand(len(places), generator=torch.Generator().manual_seed(seed)) < 0.2
    gate = memory.reader.gate.cpu()
    gate.fit(features[~is_kept], is_answered[~is_kept], margin=margin)
    is_open = features @ gate.weight + gate.bias > 0
    memory.reader.to(memory.lm.device)
    shares = {
        f"open/{name}": float(is_open[is_kept & chosen].float().mean())
        for name, chosen in (("answered", is_answered), ("unrelated", ~is_answered))
    }
    return {"num_answered": int(is_answered.sum()), "num_unrelated": int((~is_answered).sum()), **shares}


def replace_gate(folder: Path, gate: RelevanceGate) -> None:
    """Put a gate into the reader in `folder`; nothing else of it changes, so that rows it wrote stay readable."""
    path = folder / READER_FILE
    tensors = load_file(path)
    for name, tensor in gate.state_dict().items():
        stored = tensors[f"gate.{name}"]
        tensors[f"gate.{name}"] = tensor.to("cpu", stored.dtype).contiguous()
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary)
    os.replace(temporary, path)


def main() -> None:
    """Fit, save, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", type=Path, required=True, help="folder of a reader; its gate is replaced")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--prepared-dir", type=Path, default=Path("data"), help="folder of data/<name>/prepare.py")
    parser.add_argument("--llm")
    parser.add_argument("--max-facts", type=int, default=600, help="in memory, of each data set")
    parser.add_argument("--num-questions", type=int, default=200, help="of each data set and kind")
    parser.add_argument("--margin", type=float, default=0.0, help="logits; above 0 lets more questions through")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    corpora = known_corpora(args.data_dir, args.prepared_dir, max_facts=args.max_facts, seed=args.seed)
    questions: list[GateQuestion] = []
    for corpus in corpora:
        memory.write(corpus.facts)
        questions += gate_questions(corpus, num_questions=args.num_questions, seed=args.seed)
        print(f"{corpus.name}: {corpus.facts.height} facts, {len(questions)} questions so far", flush=True)
    result = fit_gate(memory, questions, margin=args.margin, seed=args.seed)
    replace_gate(args.reader, memory.reader.gate)
    print(json.dumps({**vars(args), **result}, default=str))


if __name__ == "__main__":
    main()
