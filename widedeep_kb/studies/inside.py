"""A look inside the memory: where its adapters look at the end of each question, and which deep slots they read.

    python -m widedeep_kb.studies.inside --memory DIR --questions FILE --output DIR

One pass over the prompts, as `ask` makes it: the same facts are brought and the relevance gate is asked. What stands at
the last token of a prompt decides the first token of the answer. Written, for notebooks/04_inside_the_memory.ipynb:

    facts.parquet      a row for each question, layer, head and fact brought, and one for the null slot: the attention
    slots.parquet      a row for each question, layer, head and deep slot read, and one for "nothing to say"
    gates.parquet      how far each layer's gates are open: tanh(gate) scales what is added
    questions.parquet  a row for each question: what was brought, and where most of the attention went

Letters: B questions, L adapters, A heads, R rows of a question, C facts of a question, Q deep heads, K deep slots read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from rich.console import Console
from rich.progress import track

from widedeep_kb.answering import ask_prompt
from widedeep_kb.memory.deep import SlotChoice
from widedeep_kb.metrics import exact_match
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import read_questions
from widedeep_kb.studies.prompt_attention import Pass, pass_over
from widedeep_kb.studies.reporting import tell
from widedeep_kb.tables import write_table

FACTS_SCHEMA: dict[str, pl.DataType] = {
    "question_idx": pl.Int64(),
    "layer": pl.Int64(),
    "head": pl.Int64(),
    "group": pl.String(),  # right, other, null
    "fact_id": pl.String(),  # null for the null slot, as the three columns that follow
    "subject": pl.String(),
    "relation": pl.String(),
    "object": pl.String(),
    "mass": pl.Float64(),
}
SLOTS_SCHEMA: dict[str, pl.DataType] = {
    "question_idx": pl.Int64(),
    "layer": pl.Int64(),
    "head": pl.Int64(),
    "slot": pl.Int64(),  # null for "nothing to say", as the score
    "score": pl.Float64(),
    "weight": pl.Float64(),
}
GATES_SCHEMA: dict[str, pl.DataType] = {"layer": pl.Int64(), "part": pl.String(), "gate": pl.Float64()}
QUESTIONS_SCHEMA: dict[str, pl.DataType] = {
    "question_idx": pl.Int64(),
    "question": pl.String(),
    "num_prompt_tokens": pl.Int64(),
    "num_facts": pl.Int64(),  # brought by the index
    "num_right": pl.Int64(),  # of them, see `is_right`
    "is_read": pl.Boolean(),  # false: no fact was brought, or the relevance gate shut them out
    "first_fact_id": pl.String(),  # with the most attention, mean over layers and heads; null: not read
    "first_share": pl.Float64(),
    "right_share": pl.Float64(),
    "null_share": pl.Float64(),
    "is_right_first": pl.Boolean(),
}


@dataclass(frozen=True)
class Inside:
    """What a look inside found: a frame in each of the four schemas above."""

    facts: pl.DataFrame
    slots: pl.DataFrame
    gates: pl.DataFrame
    questions: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Write a parquet file for each frame into `folder`, made if need be, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("facts", "slots", "gates", "questions"):
            write_table(getattr(self, name), folder / f"{name}.parquet")


def look_inside(memory: KnowledgeMemory, questions: pl.DataFrame, *, batch_size: int = 16) -> Inside:
    """Run a memory over questions; shows a progress bar on stderr.

    Args:
        memory: with facts, a deep memory, or both.
        questions: frame in `QUESTION_SCHEMA`.
        batch_size: prompts in one pass.

    Raises:
        ValueError: there are no questions, or `batch_size` is below 1.
    """
    if questions.is_empty():
        raise ValueError("there are no questions to look at")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    asked = questions.to_dicts()
    prompts = memory.lm.encode([ask_prompt(one["question"]) for one in asked])
    order = sorted(range(len(asked)), key=lambda i: len(prompts[i]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    facts, slots, rows = [], [], []
    layers, console = memory.reader.config.adapter_layers, Console(stderr=True)
    for batch in track(batches, description="looking", console=console, disable=not console.is_terminal):
        seen = pass_over(memory, [asked[i]["question"] for i in batch], [prompts[i] for i in batch])
        read = pl.Series(np.array(batch)[seen.reads_deep])
        slots.append(slot_rows(seen.slots, batch, layers=layers).filter(pl.col("question_idx").is_in(read.implode())))
        for place, index in enumerate(batch):
            known = brought(seen, place, question=asked[index])
            facts.append(fact_rows(seen, place, index=index, known=known, layers=layers))
            about = {"known": known, "facts": facts[-1], "num_tokens": len(prompts[index])}
            rows.append(question_row(index, asked[index], **about))
    return Inside(
        facts=pl.concat(facts).sort("question_idx", maintain_order=True),
        slots=pl.concat(slots).sort("question_idx", maintain_order=True),
        gates=gates_of(memory),
        questions=pl.DataFrame(rows, schema=QUESTIONS_SCHEMA).sort("question_idx"),
    )


def brought(seen: Pass, place: int, *, question: Mapping) -> pl.DataFrame:
    """The C facts of a question: `ordinal`, `fact_id`, `subject`, `relation`, `object` and `is_right`."""
    facts = seen.recall.row_facts[place]
    ordinals = np.unique(facts[facts >= 0])
    names = ["fact_id", "subject", "relation", "object"]
    known = seen.recall.catalogue.columns_for(ordinals, names)
    right = pl.Series("is_right", is_right(known, question), dtype=pl.Boolean)
    return known.with_columns(pl.Series("ordinal", ordinals, dtype=pl.Int64), right)


def is_right(facts: pl.DataFrame, question: Mapping) -> list[bool]:
    """Which facts answer a question: those its `fact_id` names and what else is accepted for the same property, a
    namesake's value for instance; without a `fact_id`, those whose object is an accepted answer."""
    named = (question["fact_id"] or "").split()
    relations = set(facts.filter(pl.col("fact_id").is_in(named))["relation"])
    return [
        fact_id in named or ((not named or relation in relations) and exact_match(value, question["answers"]))
        for fact_id, relation, value in facts.select("fact_id", "relation", "object").iter_rows()
    ]


def fact_rows(seen: Pass, place: int, *, index: int, known: pl.DataFrame, layers: Sequence[int]) -> pl.DataFrame:
    """`FACTS_SCHEMA` for question number `index`; no row where its facts were not read."""
    if not seen.is_read[place]:
        return pl.DataFrame(schema=FACTS_SCHEMA)
    null, by_row = seen.attention[place][..., 0], seen.attention[place][..., 1:]  # [L, A] and [L, A, R]
    rows = seen.recall.row_facts[place]
    by_fact = [by_row[..., rows == ordinal].sum(-1) for ordinal in known["ordinal"].to_list()]
    masses = np.stack([*by_fact, null], axis=-1)  # [L, A, C + 1]
    layer, head, number = np.indices(masses.shape).reshape(3, -1)
    group = pl.when("is_right").then(pl.lit("right")).otherwise(pl.lit("other")).alias("group")
    facts = pl.concat([known.with_columns(group), pl.DataFrame({"group": ["null"]})], how="diagonal")
    places = {"question_idx": np.full(len(layer), index), "layer": np.array(layers)[layer], "head": head}
    columns = pl.DataFrame({**places, "mass": masses.flatten()})
    return pl.concat([columns, facts[number]], how="horizontal").select(*FACTS_SCHEMA).cast(FACTS_SCHEMA)


def slot_rows(slots: Sequence[SlotChoice], batch: Sequence[int], *, layers: Sequence[int]) -> pl.DataFrame:
    """`SLOTS_SCHEMA` for the questions of a batch; no row without a deep memory."""
    parts = [pl.DataFrame(schema=SLOTS_SCHEMA)]
    for layer, choice in zip(layers, slots, strict=False):
        weights = choice.weights.numpy()  # [B, Q, 1 + K]
        place, head, rank = np.indices(weights.shape).reshape(3, -1)
        columns = {
            "question_idx": np.array(batch)[place],
            "layer": np.full(len(place), layer),
            "head": head,
            "slot": np.pad(choice.index.numpy(), ((0, 0), (0, 0), (1, 0))).flatten(),
            "score": np.pad(choice.scores.float().numpy(), ((0, 0), (0, 0), (1, 0))).flatten(),
            "weight": weights.flatten(),
        }
        is_slot = pl.Series(rank > 0)
        frame = pl.DataFrame(columns).with_columns(
            pl.when(is_slot).then(pl.col(name)).otherwise(None).alias(name) for name in ("slot", "score")
        )
        parts.append(frame.cast(SLOTS_SCHEMA))
    return pl.concat(parts)


def gates_of(memory: KnowledgeMemory) -> pl.DataFrame:
    """`GATES_SCHEMA`: wide gates, and those of the deep memory where it is read."""
    parts = {"wide": memory.reader.adapters, "deep": memory.reader.deep_readers if memory.use_deep else ()}
    rows = [
        {"layer": layer, "part": part, "gate": float(torch.tanh(module.gate.detach()))}
        for part, modules in parts.items()
        for layer, module in zip(memory.reader.config.adapter_layers, modules, strict=False)
    ]
    return pl.DataFrame(rows, schema=GATES_SCHEMA)


def question_row(
    index: int, question: Mapping, *, known: pl.DataFrame, facts: pl.DataFrame, num_tokens: int
) -> dict[str, object]:
    """One row of `QUESTIONS_SCHEMA`, from the facts brought and their attention."""
    row = dict.fromkeys(QUESTIONS_SCHEMA) | {
        "question_idx": index,
        "question": question["question"],
        "num_prompt_tokens": num_tokens,
        "num_facts": known.height,
        "num_right": int(known["is_right"].sum()),
        "is_read": not facts.is_empty(),
    }
    if facts.is_empty():
        return row
    shares = facts.group_by("group", "fact_id", maintain_order=True).agg(pl.col("mass").mean())
    of_facts = shares.filter(pl.col("group") != "null")
    first = of_facts.row(of_facts["mass"].arg_max(), named=True)
    by_group = {group: shares.filter(pl.col("group") == group)["mass"].sum() for group in ("right", "null")}
    return row | {
        "first_fact_id": first["fact_id"],
        "first_share": first["mass"],
        "right_share": by_group["right"],
        "null_share": by_group["null"],
        "is_right_first": first["group"] == "right",
    }


def main() -> None:
    """Look, write, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="memory folder")
    parser.add_argument("--questions", type=Path, required=True, metavar="FILE", help="parquet, jsonl or csv")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets four parquet files")
    parser.add_argument("--llm", help="in the place of the one named in the memory folder")
    parser.add_argument("--batch-size", type=int, default=16, help="prompts in one pass (default: 16)")
    args = parser.parse_args()
    quiet_libraries()
    try:
        questions = read_questions(args.questions)
        memory = KnowledgeMemory.from_pretrained(args.memory, llm=args.llm)
        found = look_inside(memory, questions, batch_size=args.batch_size)
        found.write(args.output)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {' '.join(str(error).split())}") from None
    tell(
        output=str(args.output),
        num_questions=found.questions.height,
        num_read=int(found.questions["is_read"].sum()),
        num_right_first=int(found.questions["is_right_first"].sum()),
    )


if __name__ == "__main__":
    main()
