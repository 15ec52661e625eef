"""`widedeep-kb reader`: train a reader for an LLM. Prints what it will need, then trains, validates and saves."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import above_zero, not_negative, positive, share

if TYPE_CHECKING:
    from widedeep_kb.lm import FrozenLM
    from widedeep_kb.training.materials import Materials

HELP = "train a reader for an LLM"
EXAMPLE = "widedeep-kb reader --llm HuggingFaceTB/SmolLM2-360M --materials materials/ --output readers/smollm2-360m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--llm", help="Hugging Face id, folder or GGUF file (default: SmolLM2-135M-Instruct)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the reader, its log and checkpoints")
    parser.add_argument("--materials", type=Path, help="folder of prepared materials; default: synthetic facts only")
    parser.add_argument("--data-dir", type=Path, help="prepare the materials from the public data sets in this folder")
    parser.add_argument("--prepared-dir", type=Path, default=Path("data"), help="folder of data/<name>/prepare.py")
    parser.add_argument(
        "--all-domains",
        action="store_true",
        help="train on the evaluation domains too, but for a fifth of their subjects",
    )
    parser.add_argument("--steps", type=positive, default=12000, help="length of the schedule")
    parser.add_argument("--batch-size", type=positive, default=512, help="questions in a step")
    parser.add_argument("--lr", type=above_zero, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=positive, default=4, help="processes that make training questions")
    parser.add_argument("--passes", type=positive, default=1, help="how often a chunk of questions is used")
    parser.add_argument("--minutes", type=above_zero, help="stop after so long, with a checkpoint to resume from")
    parser.add_argument("--resume", type=Path, help="checkpoint (last.ckpt) of an interrupted run")
    parser.add_argument("--validate-every", type=positive, default=1000, help="steps between validations")
    parser.add_argument("--questions-per-chunk", type=positive, default=40000)
    parser.add_argument("--evidence-weight", type=not_negative, default=0.5)
    parser.add_argument("--silence-weight", type=not_negative, default=0.3)
    parser.add_argument("--synthetic-share", type=share, default=0.7)
    parser.add_argument("--two-hop-share", type=share, default=0.0, help="of the questions (default: none)")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="torch.compile (default: on a GPU)")
    parser.add_argument("--writer-layers", type=int, nargs="+")
    parser.add_argument("--adapter-layers", type=int, nargs="+")
    parser.add_argument("--null-threshold", type=share, default=0.1)


def run(args: argparse.Namespace) -> int:
    """Train; the last line of stdout is a JSON object with the final metrics."""
    import torch

    from widedeep_kb.lm import load_lm
    from widedeep_kb.memory.reader import Reader, ReaderConfig
    from widedeep_kb.training.lit_module import LossWeights
    from widedeep_kb.training.reader_run import ReaderRun, ingredients_for, train_reader
    from widedeep_kb.training.recipe import Recipe

    lm = load_lm(args.llm)
    places = {"writer_layers": args.writer_layers, "adapter_layers": args.adapter_layers}
    overrides = {name: tuple(layers) for name, layers in places.items() if layers}
    torch.manual_seed(args.seed)
    reader = Reader(ReaderConfig.for_lm(lm, null_threshold=args.null_threshold, **overrides)).to(lm.device)
    materials = materials_for(args, lm)
    size = sum(p.numel() for p in reader.parameters())
    questions = args.steps * args.batch_size
    print(
        f"{lm.identity.name}: {size / 1e6:.1f} M trained parameters ({size * 16 / 2**20:.0f} MiB with optimizer), "
        f"{questions:,} questions, {len(materials.tables)} tables of {sum(map(len, materials.tables)):,} real facts, "
        f"{len(materials.validation)} validation sets, on {lm.device}",
        file=sys.stderr,
    )
    whole = Recipe(synthetic_share=args.synthetic_share, two_hops=args.two_hop_share)
    recipe = whole.scaled(args.questions_per_chunk / whole.num_questions)
    metrics = train_reader(
        lm,
        reader,
        ingredients=ingredients_for(
            lm,
            materials.tables,
            kept_out_subjects=materials.kept_out_subjects,
            kept_out_relations=materials.kept_out_relations,
        ),
        validation=list(materials.validation.values()),
        run=ReaderRun(
            max_steps=args.steps,
            batch_size=args.batch_size,
            lr=args.lr,
            seed=args.seed,
            num_workers=args.workers,
            passes=args.passes,
            validate_every=args.validate_every,
            minutes=args.minutes,
            compile_layers=lm.device.type == "cuda" if args.compile is None else args.compile,
            recipe=recipe,
            loss_weights=LossWeights(evidence=args.evidence_weight, silence=args.silence_weight),
        ),
        folder=args.output,
        resume_from=args.resume,
    )
    print(json.dumps(metrics))
    return 0


def materials_for(args: argparse.Namespace, lm: FrozenLM) -> Materials:
    """The materials prepared from --data-dir, those in --materials, or none.

    Raises:
        ValueError: a file or data set is missing.
    """
    from widedeep_kb.training.materials import Materials, load_materials, save_materials

    if not args.data_dir:
        empty = Materials((), frozenset(), frozenset(), {})
        return load_materials(args.materials) if args.materials else empty
    from widedeep_kb.studies.reader_materials import prepare_materials

    prepared = prepare_materials(
        lm.tokenizer,
        data_dir=args.data_dir,
        prepared_dir=args.prepared_dir,
        end_id=lm.newline_id,
        leave_out=not args.all_domains,
    )
    save_materials(prepared, args.materials or args.output / "materials")
    return prepared
