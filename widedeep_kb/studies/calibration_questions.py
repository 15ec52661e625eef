"""Questions for calibration: of one domain, some whose fact is stored and some that no stored fact answers.

In: a corpus. Out: the facts to write, and questions with their accepted answers, of four kinds: the fact is stored, the
subject was never stored, the subject is stored but not this relation, and questions of other data sets. They are asked
in trained and held-out frames and in the corpus's own words; in `..._misspelt` domains with a typing error in the name.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.phrasings import frames
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records, normalise_text
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.overlap import surfaces
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.sources.questions import PROPERTY
from widedeep_kb.studies.damaged_names import Damage, misspelt
from widedeep_kb.studies.domains import clear_questions, short_facts, single_answer_facts
from widedeep_kb.studies.gate_questions import foreign_questions
from widedeep_kb.studies.reader_materials import PREPARED_DOMAINS, PUBLIC_DOMAINS
from widedeep_kb.studies.silence import draw_named_first
from widedeep_kb.synthetic import generate
from widedeep_kb.training.corpora import MAX_OBJECT_CHARACTERS, split_by_subject
from widedeep_kb.training.recipe import synthetic_table

KINDS = ("stored", "unknown_subject", "missing_relation", "unrelated")
MISSPELT = "_misspelt"
FIT_DOMAINS = (
    "synthetic",
    *PUBLIC_DOMAINS,
    "entityquestions",
    "pararel",
    "fb15k237",
    f"entityquestions{MISSPELT}",
    "foreign",
)
TEST_DOMAINS = (*PREPARED_DOMAINS, "nq_open")
ASKED_SCHEMA = {
    "question": pl.String(),
    "answers": pl.List(pl.String()),
    "kind": pl.String(),
    "phrasing": pl.String(),
}
_PHRASINGS = ("trained", "heldout", "own")
_SYNTHETIC_SEED = 910_001  # used by no training and no other study


@dataclass(frozen=True)
class AskedDomain:
    """Facts in `FACT_SCHEMA`, all to be written, and questions in `ASKED_SCHEMA`."""

    name: str
    facts: pl.DataFrame
    questions: pl.DataFrame


def draw_asked(name: str, lm: FrozenLM, *, folders: tuple[Path, Path], num_questions: int, seed: int) -> AskedDomain:
    """Facts and questions of one of `FIT_DOMAINS` or `TEST_DOMAINS`.

    Args:
        name: of the domain.
        lm: its tokenizer says which values are too long for a memory.
        folders: of the public and of the prepared data sets.
        num_questions: whose fact is stored; half as many of each other kind.
        seed: of all choices.

    Raises:
        ValueError: no such domain, or its data set is absent.
    """
    if name not in (*FIT_DOMAINS, *TEST_DOMAINS):
        raise ValueError(f"no domain to calibrate on is called {name!r}; known are {', '.join(FIT_DOMAINS)}")
    if name == "foreign":
        facts, asked = foreign_questions(*folders, num_questions=num_questions // 5, max_facts=num_questions, seed=seed)
        pairs = [(question.text, question.answers) for question in asked]
        return AskedDomain(name, short_facts(facts, lm), _unrelated(pairs))
    if name == "nq_open":
        return _nq_open(lm, folders=folders, num_questions=num_questions, seed=seed)
    corpus = _corpus(name.removesuffix(MISSPELT), folders=folders)
    if not name.endswith(MISSPELT):
        return draw_kinds(corpus, lm, num_questions=num_questions, seed=seed)
    return draw_kinds(replace(corpus, name=name), lm, num_questions=num_questions // 2, seed=seed, damage=misspelt)


def draw_kinds(
    corpus: Corpus, lm: FrozenLM, *, num_questions: int, seed: int, damage: Damage | None = None
) -> AskedDomain:
    """Questions of the first three of `KINDS` about one corpus.

    A third of the subjects is never stored, under no name of theirs; of some stored subjects up to a quarter of the
    properties is left out.

    Args:
        corpus: a domain.
        lm: see `draw_asked`.
        num_questions: whose fact is stored; half as many of the two other kinds.
        seed: of all choices.
        damage: done to the subject's name in each question; questions that cannot be damaged are left out.
    """
    half = num_questions // 2
    facts = short_facts(sample_subjects(corpus.facts, max_facts=8 * num_questions, seed=seed), lm)
    known, unknown = (part.facts for part in split_by_subject(replace(corpus, facts=facts), seed=seed, share=0.33))
    unknown = _without_names(unknown, set(surfaces(known)))
    clear = _shuffled(single_answer_facts(facts), seed=seed)
    of_known = clear.join(known, on="fact_id", how="semi", maintain_order="left")
    place = pl.int_range(pl.len()).over("subject_id")
    missing = of_known.filter(4 * place + 1 < pl.len().over("subject_id")).head(half)
    stored = known.join(missing, on=PROPERTY, how="anti", maintain_order="left")
    asked = {
        "stored": of_known.join(missing, on="fact_id", how="anti", maintain_order="left").head(num_questions),
        "unknown_subject": clear.join(unknown, on="fact_id", how="semi", maintain_order="left").head(half),
        "missing_relation": missing,
    }
    own, _ = clear_questions(corpus.questions)
    first = own.drop_nulls("fact_id").unique("fact_id", keep="first", maintain_order=True)
    words = dict(first.select("fact_id", "question").iter_rows())
    parts = [_phrased(part, kind=kind, words=words, seed=seed, damage=damage) for kind, part in asked.items()]
    return AskedDomain(corpus.name, stored, pl.concat(parts))


def _phrased(
    facts: pl.DataFrame, *, kind: str, words: dict[str, str], seed: int, damage: Damage | None
) -> pl.DataFrame:
    """A question about each fact; the phrasings take turns, held-out frames stand in for words that are not there."""
    rng, choices = random.Random(seed), {split: frames(split) for split in _PHRASINGS[:2]}
    rows = []
    for i, fact in enumerate(facts.iter_rows(named=True)):
        phrasing = _PHRASINGS[i % len(_PHRASINGS)]
        if phrasing == "own" and fact["fact_id"] not in words:
            phrasing = "heldout"
        if phrasing == "own":
            text = words[fact["fact_id"]]
        else:
            text = rng.choice(choices[phrasing]).render(fact["subject"], fact["relation"])
        if damage is not None:
            name = damage(fact["subject"], rng)
            if name in (None, fact["subject"]) or fact["subject"] not in text:
                continue
            text = text.replace(fact["subject"], name)
        rows.append((text, [fact["object"], *fact["object_aliases"]], kind, phrasing))
    return pl.DataFrame(rows, schema=ASKED_SCHEMA, orient="row")


def _unrelated(pairs: list[tuple[str, tuple[str, ...]]]) -> pl.DataFrame:
    rows = [(text, list(answers), "unrelated", "own") for text, answers in pairs]
    return pl.DataFrame(rows, schema=ASKED_SCHEMA, orient="row")


def _nq_open(lm: FrozenLM, *, folders: tuple[Path, Path], num_questions: int, seed: int) -> AskedDomain:
    """NQ-open's questions, and facts of the prepared domains, those first that the questions name."""
    data_dir, prepared_dir = folders
    frame = pl.read_parquet(data_dir / "nq_open" / "dev.parquet").select("question", "answer")
    drawn = frame.sample(min(num_questions, frame.height), seed=seed)
    texts = drawn["question"].to_list()
    parts = [
        draw_named_first(
            short_facts(load_corpus(name, data_dir=prepared_dir).facts, lm),
            texts,
            num_facts=4 * num_questions,
            is_named_first=True,
            seed=seed,
        )
        for name in PREPARED_DOMAINS
    ]
    return AskedDomain("nq_open", pl.concat(parts), _unrelated(list(drawn.iter_rows())))


def _corpus(name: str, *, folders: tuple[Path, Path]) -> Corpus:
    """A domain; of those that readers are trained on just the subjects that they have not seen."""
    if name == "synthetic":
        return _synthetic(num_subjects=2000)
    data_dir, prepared_dir = folders
    corpus = load_corpus(name, data_dir=prepared_dir if name in PREPARED_DOMAINS else data_dir)
    if name in (*PREPARED_DOMAINS, *PUBLIC_DOMAINS):
        corpus = split_by_subject(corpus, seed=2, share=0.2)[1]
    return replace(corpus, facts=corpus.facts.filter(pl.col("object").str.len_chars() <= MAX_OBJECT_CHARACTERS))


def _synthetic(*, num_subjects: int) -> Corpus:
    """Fresh synthetic facts, with natural questions for the common relations."""
    batch = generate(num_subjects, seed=_SYNTHETIC_SEED)
    facts = facts_from_records(batch.to_frame(prefix="synthetic:").to_dicts())
    asked = synthetic_table(batch).questions
    ids = facts["fact_id"].to_list()
    rng = random.Random(_SYNTHETIC_SEED)
    rows = [
        {"question": rng.choice(texts), "answers": [batch.objects[i]], "fact_id": ids[i], "tags": ["own"]}
        for i, texts in asked.items()
    ]
    return Corpus("synthetic", facts, pl.DataFrame(rows, schema=QUESTION_SCHEMA), {})


def _without_names(facts: pl.DataFrame, names: set[str]) -> pl.DataFrame:
    """The facts of subjects of which no name or alias is among the normalised `names`."""
    subjects = facts.select("subject_id", "subject", "subject_aliases").unique("subject_id")
    met = [
        row["subject_id"]
        for row in subjects.iter_rows(named=True)
        if not names.isdisjoint(map(normalise_text, (row["subject"], *row["subject_aliases"])))
    ]
    return facts.filter(~pl.col("subject_id").is_in(met))


def _shuffled(frame: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    return frame.sample(fraction=1.0, shuffle=True, seed=seed)
