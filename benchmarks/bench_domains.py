"""Facts just inserted, domain by domain: the memory beside the bare LLM, the facts in the prompt, and plain look-up.

    python benchmarks/bench_domains.py --data-dir DIR --output predictions.parquet --batch-size 256

The reader is not trained on the facts. Every arm generates; all are scored by the same exact match. Prompted arms use
the best of six formats, tuned for each domain and phrasing class on questions about other facts. Prints JSON lines,
then a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import polars as pl

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.studies.arms import (
    allow_answers,
    arm_scores,
    differences,
    formats_named,
    gap_text,
    markdown_table,
    run_arms,
    score_text,
)
from widedeep_kb.studies.domains import DomainSample, draw_domain
from widedeep_kb.studies.reader_materials import PREPARED_DOMAINS, PUBLIC_DOMAINS
from widedeep_kb.studies.reporting import tell
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.in_context import InContext
from widedeep_kb.systems.lookup import Lookup, LookupVectors
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.oracle import Oracle
from widedeep_kb.systems.prompts import PROMPT_FORMATS
from widedeep_kb.systems.protocol import System
from widedeep_kb.tables import write_table

REPOSITORY = Path(__file__).resolve().parent.parent
RIVALS = ("oracle", "in_context", "lookup")
ALL_FORMATS = ",".join(prompt_format.name for prompt_format in PROMPT_FORMATS)
NUM_SHOTS = max(prompt_format.num_shots for prompt_format in PROMPT_FORMATS)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help=".parquet: a row a question and arm")
    parser.add_argument("--domains", default=",".join((*PREPARED_DOMAINS, *PUBLIC_DOMAINS)), help="by commas")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="folder of the prepared domains")
    parser.add_argument(
        "--data-dir", type=Path, help="folder of the public data sets, for " + ", ".join(PUBLIC_DOMAINS)
    )
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--num-facts", type=int, default=10_000, help="live facts of each domain, whole subjects")
    parser.add_argument("--num-questions", type=int, default=200, help="of each domain and phrasing class")
    parser.add_argument("--num-dev", type=int, default=30, help="scored for each format, beside the worked examples")
    parser.add_argument("--formats", default=ALL_FORMATS, help="tried for the prompted arms, by commas")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts in one call of the LLM")
    parser.add_argument("--max-context-facts", type=int, default=40, help="in a prompt of in_context")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.data_dir is None and set(args.domains.split(",")) & set(PUBLIC_DOMAINS):
        parser.error(f"--data-dir is needed for {', '.join(PUBLIC_DOMAINS)}")
    return args


def load_domains(args: argparse.Namespace, memory: KnowledgeMemory) -> list[DomainSample]:
    """Draw every domain and print what was loaded."""
    samples = []
    for name in args.domains.split(","):
        folder = args.data_dir if name in PUBLIC_DOMAINS else args.prepared_dir
        corpus = load_corpus(name, data_dir=folder)
        counts = {"num_facts": args.num_facts, "num_questions": args.num_questions}
        sample = draw_domain(corpus, memory.lm, **counts, num_dev=args.num_dev + NUM_SHOTS, seed=args.seed)
        samples.append(sample)
        asked = {phrasing: pair.test.height for phrasing, pair in sample.questions.items()}
        tell(domain=name, num_facts=sample.facts.height, num_questions=asked, left_out=sample.left_out, seed=args.seed)
    return samples


def make_arms(
    memory: KnowledgeMemory, facts: pl.DataFrame, *, batch_size: int, max_context_facts: int
) -> dict[str, System]:
    """All arms, with the facts in them."""
    arms: dict[str, System] = {
        "ours": MemorySystem(memory, batch_size=batch_size),
        "closed_book": ClosedBook(memory.lm, batch_size=batch_size),
        "oracle": Oracle(memory.lm, batch_size=batch_size),
        "in_context": InContext(memory.lm, max_facts=max_context_facts, batch_size=batch_size),
        "lookup": Lookup(),
        "lookup_vectors": LookupVectors(memory.lm),
    }
    for system in arms.values():
        system.ingest(facts)
    return arms


def run_domain(sample: DomainSample, memory: KnowledgeMemory, *, args: argparse.Namespace) -> pl.DataFrame:
    """Ask all arms about one domain: predictions with `domain` and `phrasing`."""
    started = time.perf_counter()
    sizes = {"batch_size": args.batch_size, "max_context_facts": args.max_context_facts}
    arms = make_arms(memory, sample.facts, **sizes)
    seconds = {"ingest": time.perf_counter() - started}
    parts = []
    for phrasing, pair in sample.questions.items():
        started = time.perf_counter()
        tokens = allow_answers(arms, pl.concat([pair.dev, pair.test]), lm=memory.lm)
        predictions = run_arms(
            arms, pair.test, dev=pair.dev, formats=formats_named(args.formats), batch_size=max(256, args.batch_size)
        )
        labels = {"domain": sample.name, "phrasing": phrasing}
        for row in (*arm_scores(predictions), *differences(predictions, arm="ours", others=RIVALS)):
            tell(**labels, max_new_tokens=tokens, **row)
        parts.append(predictions.select(*(pl.lit(v).alias(k) for k, v in labels.items()), pl.all()))
        seconds[phrasing] = time.perf_counter() - started
    tell(domain=sample.name, seconds={key: round(value, 1) for key, value in seconds.items()})
    return pl.concat(parts)


def table(predictions: pl.DataFrame) -> str:
    """Exact match of every arm and the paired differences, a line a domain and phrasing class."""
    arms = predictions["arm"].unique(maintain_order=True).to_list()
    lines = []
    for (domain, phrasing), part in predictions.group_by("domain", "phrasing", maintain_order=True):
        scores = arm_scores(part)
        cells = [score_text(row) for row in scores]
        gaps = [gap_text(row) for row in differences(part, arm="ours", others=RIVALS)]
        lines.append([domain, phrasing, scores[0]["num_questions"], *cells, *gaps])
    return markdown_table(["domain", "phrasing", "n", *arms, *(f"ours - {name}" for name in RIVALS)], lines)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    tell(llm=memory.lm.identity.name, device=str(memory.lm.device), reader=str(args.reader or "shipped"))
    parts = []
    for sample in load_domains(args, memory):
        parts.append(run_domain(sample, memory, args=args))
        write_table(pl.concat(parts), args.output)
    print(f"\n{table(pl.concat(parts))}")


if __name__ == "__main__":
    main()
