"""Fit a reader's relevance gate: questions that facts in memory answer against others that hold a stored name.

    python -m widedeep_kb.studies.fit_gate --reader READER --data-dir DIR

Facts of known domains are written with no training; some questions ask for them in trained phrasings, others are made
around the same names and ask for nothing stored. Real questions of other data sets that happen to hold a stored name
are added with a small weight. Every question is judged by a gate fitted to the other domains; from these judgements the
threshold is chosen, and they are reported. The gate is written into the reader's folder. With `--folder` the memory and
what was seen of each piece of questions are kept: a run that was ended goes on from there. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from widedeep_kb.answering import ask_prompt
from widedeep_kb.lm import left_pad
from widedeep_kb.memory.gate import RelevanceGate, gate_features
from widedeep_kb.memory.reader import READER_FILE
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.domains import short_facts
from widedeep_kb.studies.gate_questions import (
    KINDS,
    GateQuestion,
    foreign_questions,
    gate_questions,
    known_corpora,
    still_foreign,
)
from widedeep_kb.studies.reporting import tell

_SHARES = {"answered": 0.5, "unrelated": 0.475, "foreign": 0.025}  # of the loss
_NUM_FOLDS = 5
_PIECE = 256


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
        features.append(gate_features(mass, binding.weights, binding.wording)[torch.from_numpy(has_hit)].cpu())
        places.append(chosen[has_hit])
    if not features:
        return torch.zeros(0, len(memory.reader.gate.weight)), np.zeros(0, np.int64)
    return torch.cat(features), np.concatenate(places)


def kept_features(
    memory: KnowledgeMemory, texts: Sequence[str], *, folder: Path | None, piece_size: int = _PIECE
) -> tuple[Tensor, np.ndarray]:
    """`prompt_features` in pieces of texts, each kept in a file of `folder` and not made again where it is there."""
    if folder is None:
        return prompt_features(memory, texts)
    folder.mkdir(parents=True, exist_ok=True)
    features, places = [], []
    for start in range(0, len(texts), piece_size):
        path = folder / f"{start:06d}.safetensors"
        if not path.exists():
            found, at = prompt_features(memory, texts[start : start + piece_size])
            save_file({"features": found.contiguous(), "places": torch.from_numpy(at)}, path.with_suffix(".tmp"))
            os.replace(path.with_suffix(".tmp"), path)
            tell(questions=start + piece_size, of=len(texts))
        piece = load_file(path)
        features.append(piece["features"])
        places.append(piece["places"].numpy() + start)
    return torch.cat(features), np.concatenate(places)


def fit_gate(
    memory: KnowledgeMemory,
    questions: Sequence[GateQuestion],
    *,
    most_open: float = 0.01,
    most_shut: float = 0.1,
    seed: int = 0,
    folder: Path | None = None,
) -> dict[str, float]:
    """Fit the gate of `memory.reader` in place.

    Args:
        memory: holds the facts.
        questions: answered and unrelated ones, with or without foreign ones.
        most_open, most_shut: see `RelevanceGate.set_threshold`.
        seed: of the folds, where there are fewer domains than folds and questions go to them at random.
        folder: see `kept_features`.

    Returns:
        numbers of questions with a hit by kind, shares of each kind that pass where a gate judges questions that it
        was not fitted to, and the pairs of shares at other thresholds: `shut_at_open_0.01` is the share of answered
        questions shut out where 0.01 of the unrelated pass.
    """
    features, places = kept_features(memory, [q.text for q in questions], folder=folder)
    kinds = torch.tensor([KINDS.index(questions[i].kind) for i in places])
    folds = _folds([questions[i].domain for i in places], seed=seed)
    gate, scores = memory.reader.gate.cpu(), torch.zeros(len(kinds))
    for fold in folds.unique().tolist():
        _fit_part(gate, features, kinds, is_chosen=folds != fold)
        scores[folds == fold] = gate.score(features[folds == fold])
    _fit_part(gate, features, kinds, is_chosen=folds >= 0)
    is_made = kinds < KINDS.index("foreign")
    least = gate.set_threshold(scores[is_made], kinds[is_made] == 0, most_open=most_open, most_shut=most_shut)
    memory.reader.to(memory.lm.device)
    result: dict[str, float] = {}
    for i, kind in enumerate(KINDS):
        result[f"num_{kind}"] = int((kinds == i).sum())
        if result[f"num_{kind}"]:
            result[f"open/{kind}"] = round(float((scores[kinds == i] > least).float().mean()), 4)
    for share in (0.05, 0.02, 0.01, 0.005):
        limit = torch.quantile(scores[kinds == 1], 1 - share)
        result[f"shut_at_open_{share}"] = round(float((scores[kinds == 0] <= limit).float().mean()), 4)
    return result


def _folds(domains: Sequence[str], *, seed: int) -> Tensor:
    """[N] int64: a fold for each domain, or random folds where there are few domains."""
    names = sorted(set(domains))
    if len(names) >= _NUM_FOLDS:
        return torch.tensor([names.index(name) for name in domains])
    return torch.randint(_NUM_FOLDS, (len(domains),), generator=torch.Generator().manual_seed(seed))


def _fit_part(gate: RelevanceGate, features: Tensor, kinds: Tensor, *, is_chosen: Tensor) -> None:
    """Fit to the chosen questions; a kind counts by its share, however many questions it has."""
    shares = torch.tensor([_SHARES[kind] for kind in KINDS], dtype=torch.float64)
    chosen = kinds[is_chosen]
    weights = shares / torch.bincount(chosen, minlength=len(KINDS)).clamp(min=1)
    gate.fit(features[is_chosen], chosen == 0, weights=weights[chosen])


def replace_part(folder: Path, part: str, module: nn.Module) -> None:
    """Put a `gate` or `calibration` into the reader in `folder`; nothing else changes, so its rows stay readable."""
    path = folder / READER_FILE
    tensors = load_file(path)
    for name, tensor in module.state_dict().items():
        tensors[f"{part}.{name}"] = tensor.to("cpu", torch.float32).contiguous()
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary)
    os.replace(temporary, path)


def prepared(args: argparse.Namespace) -> tuple[KnowledgeMemory, list[GateQuestion]]:
    """The memory with all facts, written or as it was kept, and the questions."""
    folders, kept = (args.data_dir, args.prepared_dir), args.folder / "memory" if args.folder else None
    is_kept = kept is not None and kept.exists()
    memory = KnowledgeMemory.from_pretrained(kept if is_kept else None, llm=args.llm, reader=args.reader)
    questions: list[GateQuestion] = []
    for corpus in known_corpora(*folders, max_facts=args.max_facts, seed=args.seed):
        if not is_kept:
            memory.write(short_facts(corpus.facts, memory.lm))
        questions += gate_questions(corpus, num_questions=args.num_questions, seed=args.seed)
        tell(written=corpus.name, num_facts=corpus.facts.height, num_questions=len(questions))
    facts, real = foreign_questions(*folders, num_questions=args.num_real, max_facts=args.max_named, seed=args.seed)
    if not is_kept:
        memory.write(short_facts(facts, memory.lm), mode="extend")
    if kept is not None and not is_kept:
        memory.save(kept)
    real = still_foreign(memory.store, real)
    real = random.Random(args.seed).sample(real, min(2 * args.num_questions, len(real)))
    tell(written="facts that real questions name", num_facts=facts.height, num_questions=len(real))
    return memory, questions + real


def main() -> None:
    """Fit, save, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", type=Path, required=True, help="folder of a reader; its gate is replaced")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--prepared-dir", type=Path, default=Path("data"), help="folder of data/<name>/prepare.py")
    parser.add_argument("--llm")
    parser.add_argument("--max-facts", type=int, default=600, help="in memory, of each data set")
    parser.add_argument(
        "--num-questions", type=int, default=400, help="made of each data set and kind; twice as many real ones in all"
    )
    parser.add_argument("--num-real", type=int, default=1000, help="questions drawn of each other data set")
    parser.add_argument("--max-named", type=int, default=1500, help="facts that these name, of each of three sets")
    parser.add_argument("--most-open", type=float, default=0.01, help="share of unrelated questions that may pass")
    parser.add_argument("--most-shut", type=float, default=0.1, help="share of answered ones shut out; goes first")
    parser.add_argument("--folder", type=Path, help="where memory and features are kept, for runs with these arguments")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    quiet_libraries()
    started = time.perf_counter()
    memory, questions = prepared(args)
    limits = {"most_open": args.most_open, "most_shut": args.most_shut}
    features = args.folder / "features" if args.folder else None
    result = fit_gate(memory, questions, **limits, seed=args.seed, folder=features)
    replace_part(args.reader, "gate", memory.reader.gate)
    tell(seconds=round(time.perf_counter() - started, 1))
    print(json.dumps({**vars(args), **result}, default=str))


if __name__ == "__main__":
    main()
