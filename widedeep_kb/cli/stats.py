"""`widedeep-kb stats`: what a memory holds and how much room it takes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from widedeep_kb.cli.arguments import add_memory
from widedeep_kb.cli.stored import NAMES_NAME, ROWS_NAME, read_catalogue
from widedeep_kb.memory.config import read_config

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
        "rows": count_rows(config.snapshot / ROWS_NAME),
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


def count_rows(path: Path) -> int:
    """Rows of all live facts, from the file that holds them; only the counts are read.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return int(file.get_tensor("num_rows").sum())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error
