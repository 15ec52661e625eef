"""`widedeep-kb stats`: what a memory holds and how much room it takes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from widedeep_kb.cli.arguments import add_memory
from widedeep_kb.cli.stored import NAMES_NAME, ROWS_NAME, read_catalogue
from widedeep_kb.memory.config import read_config

STORED = {"F32": ("fp32", 4), "F16": ("fp16", 2), "BF16": ("bf16", 2), "U8": ("packed", 1)}  # safetensors' names
HELP = "count facts, subjects, relations, rows and bytes; name reader and LLM"
EXAMPLE = "widedeep-kb stats --memory my-memory --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print one `name: value` line a figure, or one JSON object."""
    values = memory_stats(args.memory)
    print(json.dumps(values, ensure_ascii=False) if args.json else "\n".join(f"{k}: {v}" for k, v in values.items()))
    return 0


def memory_stats(folder: Path) -> dict[str, int | str]:
    """Figures of a memory folder: counts of live facts and rows, size on disk, the reader's and the LLM's hash.

    Raises:
        ValueError: no memory folder, or a damaged one.
    """
    catalogue = read_catalogue(folder)
    config = read_config(folder)
    facts = catalogue.columns_for(catalogue.alive(), ["subject_id", "relation"])
    return {
        "facts": len(catalogue),
        "subjects": facts["subject_id"].n_unique(),
        "relations": facts["relation"].n_unique(),
        **row_figures(config.snapshot / ROWS_NAME, num_facts=len(catalogue)),
        "size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "semantic": "on" if config.use_semantic else "off",
        "semantic_bytes": semantic_bytes(config.snapshot / NAMES_NAME),
        "reader": config.row_format,
        "llm": config.llm_name,
        "llm_revision": config.llm_revision,
    }


def semantic_bytes(path: Path) -> int:
    """Bytes of the names' vectors as stored, about those in memory; 0 where the semantic fallback is off."""
    return path.stat().st_size if path.is_file() else 0


def row_figures(path: Path, *, num_facts: int) -> dict[str, int | float | str]:
    """Rows of all live facts, how they are stored, and their bytes a fact, without index and catalogue.

    Only the counts and the header of the file are read.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            num_rows = int(file.get_tensor("num_rows").sum())
            stored, given = file.get_slice("rows"), (file.metadata() or {}).get("row_format")
            dtype, width = stored.get_dtype(), stored.get_shape()[1]
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error
    row_format, number_bytes = STORED[dtype]
    return {
        "rows": num_rows,
        "row_format": given or row_format,
        "row_bytes_per_fact": round(num_rows * width * number_bytes / max(1, num_facts), 1),
    }
