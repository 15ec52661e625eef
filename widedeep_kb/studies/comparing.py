"""Questions that compare two subjects by a property of theirs: over real facts, and over synthetic ones.

In: facts in `FACT_SCHEMA`, or a seed. Out: questions in `QUESTION_SCHEMA` whose `fact_id` names both facts; the answer
is the name of one subject, or Yes or No, so that guessing is right half the time.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection

import polars as pl

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.domains import single_answer_facts
from widedeep_kb.studies.told import SEPARATOR
from widedeep_kb.synthetic import COMPARISON_FRAMES, comparison_questions, generate
from widedeep_kb.synthetic.comparison_frames import END_MARKS
from widedeep_kb.synthetic.ordered_values import number

ORDERED = re.compile(
    r"(population|area|elevation|atomic (number|weight)|density|(melting|boiling) point|covalent radius|"
    r"electronegativity|life expectancy|GDP)\b"
)
NAMED = ("country", "continent", "time zone", "region", "currency", "block", "element category", "lattice structure")


def real_comparisons(
    facts: pl.DataFrame,
    *,
    num_questions: int,
    seed: int,
    ordered: Collection[str] | None = None,
    named: Collection[str] = NAMED,
) -> pl.DataFrame:
    """Compare facts of one relation and source: numbers by size, names by sameness; relations in turn.

    Args:
        facts: live facts; those whose subject is known by a name of its own are used, each at most once.
        num_questions: at most so many.
        seed: of pairs and frames.
        ordered: relations whose numbers are compared by size; None = those that `ORDERED` matches.
        named: relations whose names are compared by sameness.

    Returns:
        A frame in `QUESTION_SCHEMA`, tagged with the kind, the frame's split and the relation.
    """
    rng = random.Random(seed)
    usable = single_answer_facts(facts).sample(fraction=1.0, shuffle=True, seed=seed)
    queues = []
    for (_, relation), part in usable.group_by("source", "relation", maintain_order=True):
        if ORDERED.match(relation) if ordered is None else relation in ordered:
            queues.append(_ordered_questions(part.to_dicts(), rng))
        elif relation in named:
            queues.append(_sameness_questions(part.to_dicts(), rng))
    rows, depth = [], max(map(len, queues), default=0)
    for turn in range(depth):
        rows += [queue[turn] for queue in queues if turn < len(queue)]
    return pl.DataFrame(rows[:num_questions], schema=QUESTION_SCHEMA)


def synthetic_comparisons(*, num_questions: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions of the synthetic generator with its held-out frames, and all facts of the subjects they compare.

    Args:
        num_questions: at most so many.
        seed: of facts and questions.

    Returns:
        Questions in `QUESTION_SCHEMA`, and facts in `FACT_SCHEMA`.
    """
    batch = generate(max(20, 2 * num_questions), seed=seed)
    drawn = comparison_questions(batch, random.Random(seed), split="heldout", max_questions=num_questions)
    records = batch.to_frame(prefix="synthetic").to_dicts()
    for question in drawn:
        for index, value in zip(question.fact_index, question.objects, strict=True):
            records[index]["object"] = value
    asked = {records[index]["subject_id"] for question in drawn for index in question.fact_index}
    ids = facts_from_records(records)["fact_id"].to_list()
    assert len(ids) == len(records), "synthetic facts must differ from each other"
    rows = [
        {
            "question": question.question,
            "answers": [question.answer],
            "fact_id": SEPARATOR.join(ids[index] for index in question.fact_index),
            "tags": [question.kind, question.split, question.relation],
        }
        for question in drawn
    ]
    kept = facts_from_records([record for record in records if record["subject_id"] in asked])
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA), kept


def _ordered_questions(facts: list[dict], rng: random.Random) -> list[dict]:
    """Which is larger, or smaller? Pairs of facts one after the other whose numbers differ."""
    rows = []
    for one, other in zip(facts[::2], facts[1::2], strict=False):
        numbers = [_number(one["object"]), _number(other["object"])]
        if None not in numbers and numbers[0] != numbers[1]:
            kind = rng.choice(("larger", "smaller"))
            first_wins = (numbers[0] > numbers[1]) == (kind == "larger")
            rows.append(_row(one, other, kind=kind, answer=(one if first_wins else other)["subject"], rng=rng))
    return rows


def _sameness_questions(facts: list[dict], rng: random.Random) -> list[dict]:
    """Is it the same value? As many pairs with equal values as with different ones, in random order."""
    half, waiting, equal = len(facts) // 2, {}, []
    for fact in facts[:half]:
        if fact["object"] in waiting:
            equal.append((waiting.pop(fact["object"]), fact))
        else:
            waiting[fact["object"]] = fact
    others = zip(facts[half::2], facts[half + 1 :: 2], strict=False)
    different = [(one, other) for one, other in others if one["object"] != other["object"]]
    count = min(len(equal), len(different))
    rows = [_row(one, other, kind="same", answer="Yes", rng=rng) for one, other in equal[:count]]
    rows += [_row(one, other, kind="same", answer="No", rng=rng) for one, other in different[:count]]
    rng.shuffle(rows)
    return rows


def _row(one: dict, other: dict, *, kind: str, answer: str, rng: random.Random) -> dict:
    split = rng.choice(("trained", "heldout"))
    questions = [frame for frame in COMPARISON_FRAMES[split][kind] if frame.endswith(END_MARKS)]
    frame = rng.choice(questions)  # statements to complete are a set of their own
    parts = {"{relation}": one["relation"], "{a}": one["subject"], "{b}": other["subject"]}
    return {
        "question": re.sub(r"\{\w+\}", lambda match: parts[match.group()], frame),
        "answers": [answer],
        "fact_id": SEPARATOR.join((one["fact_id"], other["fact_id"])),
        "tags": [kind, split, one["relation"]],
    }


def _number(value: str) -> float | None:
    try:
        return number(value)
    except ValueError:
        return None
