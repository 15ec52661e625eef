"""`widedeep-kb plan`: what a memory of so many facts would take, before anything is allocated."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import above_zero, add_llm, not_negative, positive
from widedeep_kb.memory.config import ROW_FORMATS
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    from widedeep_kb.lm import LMSizes
    from widedeep_kb.memory.reader import ReaderConfig
    from widedeep_kb.memory.tiers import Load, MemoryPlan, Room

HELP = "say what a memory of so many facts takes, where its rows go and how fast they come; allocate nothing"
EXAMPLE = "widedeep-kb plan --facts 10000000 --devices 1"
GB = 10**9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--facts", type=positive, required=True, metavar="N", help="number of facts")
    parser.add_argument("--devices", type=whole, default=1, metavar="N", help="GPUs, 0 = CPU only (default: 1)")
    parser.add_argument("--device-gb", type=above_zero, default=80, metavar="GB", help="of each GPU (default: 80)")
    parser.add_argument("--host-gb", type=above_zero, default=128, metavar="GB", help="of the machine (default: 128)")
    parser.add_argument("--budget-gb", type=above_zero, metavar="GB", help="most of each GPU for rows (default: all)")
    parser.add_argument("--row-format", default="fp16", choices=ROW_FORMATS, help="of the rows (default: fp16)")
    parser.add_argument("--rows-per-fact", type=above_zero, metavar="X", help="mean (default: as GeoNames has)")
    parser.add_argument("--facts-per-question", type=positive, default=32, metavar="N", help="brought (default: 32)")
    parser.add_argument(
        "--skew",
        type=not_negative,
        default=1.0,
        metavar="S",
        help="rows asked for as 1 / rank^S, 0 = alike (default: 1)",
    )
    parser.add_argument("--train", action="store_true", help="hold what training needs as well")
    parser.add_argument("--reader", type=Path, metavar="DIR", help="folder of a reader (default: the shipped one)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_llm(parser, default="the reader's")


def run(args: argparse.Namespace) -> int:
    """Print the plan.

    Raises:
        ValueError: the memory does not fit (after the plan was printed), no such reader or LLM, or packed rows that
            are to be trained or dealt over GPUs.
    """
    quiet_libraries()
    from widedeep_kb.memory.tiers import ROWS_PER_FACT, Load, Room, plan_memory

    config, llm = reader_and_llm(args.reader, args.llm)
    load = Load(
        args.facts,
        rows_per_fact=args.rows_per_fact or ROWS_PER_FACT,
        row_format=args.row_format,
        facts_per_question=args.facts_per_question,
        skew=args.skew,
        is_trained=args.train,
        num_subkeys=new_subkeys(config, is_trained=args.train),
    )
    budget = None if args.budget_gb is None else int(args.budget_gb * GB)
    room = Room(args.devices, int(args.device_gb * GB), int(args.host_gb * GB), budget)
    plan = plan_memory(load, room, config=config, llm=llm)
    print(json.dumps(plan_values(plan)) if args.json else plan_text(plan, load, room))
    if plan.missing:
        raise ValueError(f"{args.facts:,} facts do not fit: {'; '.join(plan.missing)}")
    return 0


def reader_and_llm(reader: Path | None, llm: str | None) -> tuple[ReaderConfig, LMSizes]:
    """The config of a reader, and the sizes of its LLM or of the one named; no weights are read.

    Raises:
        ValueError: no such reader or LLM.
    """
    from widedeep_kb.lm import read_sizes
    from widedeep_kb.memory.folder import READERS
    from widedeep_kb.memory.reader import read_reader_config

    config = read_reader_config(reader or min(path.parent for path in READERS.glob("*/reader.json")))
    sizes = read_sizes(llm or config.llm_name)
    if llm and not reader:  # the shipped reader's sizes, for this LLM
        config = replace(config, hidden_size=sizes.hidden_size)
    return config, sizes


def new_subkeys(config: ReaderConfig, *, is_trained: bool) -> int | None:
    """Sub-keys of the deep memory that training would add; None where there is one, or none is added."""
    from widedeep_kb.training.fit_config import FitConfig

    return FitConfig().num_subkeys if is_trained and not config.num_subkeys else None


def plan_values(plan: MemoryPlan) -> dict[str, object]:
    """The plan as one JSON object."""
    return {
        "choice": plan.choice,
        "sharding_type": plan.table.sharding_type if plan.table else None,
        "compute_kernel": plan.table.compute_kernel if plan.table else None,
        "tiers": [tier._asdict() for tier in plan.tiers],
        "cache_hit_rate": plan.hit_rate,
        "lookup_ms": {str(found.num_questions): found.ms for found in plan.predictions},
        "missing": list(plan.missing),
    }


def plan_text(plan: MemoryPlan, load: Load, room: Room) -> str:
    """The plan as lines of text."""
    from widedeep_kb.memory.cached_rows import CACHE_FROM_ROWS
    from widedeep_kb.memory.tier_costs import FIND_MS, H100
    from widedeep_kb.memory.tiers import PACKED

    place = f"{room.num_devices} GPU of {gigabytes(room.device_bytes)} each, " if room.num_devices else "no GPU, "
    lines = [
        f"{load.num_facts:,} facts in {load.num_rows:,} rows of {load.row_format}; "
        f"{place}{gigabytes(room.host_bytes)} of host memory",
        f"{plan.choice} (TorchRec's planner: {plan.table.sharding_type}, {plan.table.compute_kernel})"
        if plan.table
        else plan.choice,
        "",
    ]
    width = max(len(tier.name) for tier in plan.tiers)
    lines += [
        f"{tier.name:<{width}}  {'GPU ' if tier.is_on_gpu else 'host'}  {tier.num_bytes:>18,} bytes a rank"
        for tier in plan.tiers
    ]
    for name, is_on_gpu in (("GPU, sum", True), ("host, sum", False)):
        total = sum(tier.num_bytes for tier in plan.tiers if tier.is_on_gpu == is_on_gpu)
        lines.append(f"{name:<{width}}        {total:>18,} bytes a rank")
    if plan.predictions:
        measured = f"{H100.name}; {H100.source}" if room.num_devices else H100.cpu_source
        lines += ["", f"look-up of {load.facts_per_question} facts a question, predicted ({measured}):"]
        if load.row_format in PACKED:
            lines.append(f"  decoding {load.row_format} rows comes on top, not measured")
        if room.num_devices > 1:
            lines.append("  the exchange between GPUs is an estimate, not measured")
        if plan.hit_rate < 1:
            lines.append(
                f"  from {CACHE_FROM_ROWS:,} rows at once, {plan.hit_rate:.1%} come from the GPU cache, asked for as "
                f"1 / rank^{load.skew:g}; below, all are read over PCIe"
            )
        lines += [
            f"  {count:>5,} at once: {ms:.3f} ms, {ms / count:.4f} ms a question" for count, ms in plan.predictions
        ]
        lines.append(
            f"  before it, finding the facts in a question's text: {FIND_MS} ms on a busy CPU core (bench_keys.py)"
        )
    return "\n".join(lines)


def gigabytes(num_bytes: int) -> str:
    """Bytes as GB."""
    return f"{num_bytes / GB:g} GB"


def whole(text: str) -> int:
    """Read a whole number, 0 too.

    Raises:
        argparse.ArgumentTypeError: any other text.
    """
    return 0 if text == "0" else positive(text)
