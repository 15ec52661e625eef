"""Questions over two facts of public data: the object of a first fact is the subject of a second one.

In: a facts frame. Out: chains with one right answer each, and questions about them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import polars as pl

from widedeep_kb.phrasings import SPLITS, frames, two_hop_frames
from widedeep_kb.schema import QUESTION_SCHEMA, normalise_texts


def two_hop_chains(facts: pl.DataFrame) -> pl.DataFrame:
    """Every chain of two facts whose question has one right answer.

    Subject and middle are names of one subject each, and both properties have one value. Chains back to the subject,
    or whose answer is the middle again, are left out.

    Args:
        facts: in `FACT_SCHEMA`.

    Returns:
        `subject, first, middle, second, object` (the two relations are `first` and `second`), `object_aliases`,
        `fact_ids` (the two, separated by a space, as `Oracle` takes them), `subject_ids` (a list of two).
    """
    keyed = facts.with_columns(_name=normalise_texts(facts["subject"]), _object=normalise_texts(facts["object"]))
    clear = keyed.filter(pl.len().over("_name", "relation") == 1, pl.col("subject_id").n_unique().over("_name") == 1)
    pairs = clear.join(clear, left_on="_object", right_on="_name", suffix="_2", maintain_order="left_right")
    pairs = pairs.filter(
        pl.col("subject_id") != pl.col("subject_id_2"),
        pl.col("_object_2") != pl.col("_object"),
        pl.col("_object_2") != pl.col("_name"),
    )
    return pairs.select(
        "subject",
        first="relation",
        middle="object",
        second="relation_2",
        object="object_2",
        object_aliases="object_aliases_2",
        fact_ids=pl.concat_str("fact_id", "fact_id_2", separator=" "),
        subject_ids=pl.concat_list("subject_id", "subject_id_2"),
    )


def draw_chains(chains: pl.DataFrame, *, count: int, seed: int) -> pl.DataFrame:
    """At most `count` chains, the pairs of relations in turn, each subject and each answering fact once."""
    shuffled = chains.sample(fraction=1.0, shuffle=True, seed=seed).unique("subject", keep="first", maintain_order=True)
    answering = pl.col("fact_ids").str.split(" ").list.last()
    shuffled = shuffled.with_columns(_answering=answering).unique("_answering", keep="first", maintain_order=True)
    in_turn = shuffled.sort(pl.int_range(pl.len()).over("first", "second"), maintain_order=True)
    return in_turn.head(count).drop("_answering")


def frame_questions(chains: pl.DataFrame, *, split: str, seed: int) -> pl.DataFrame:
    """Ask for each chain once in a frame of one split, naming both relations: a frame in `QUESTION_SCHEMA`."""
    rng, choices = random.Random(seed), two_hop_frames(split)
    texts = [
        rng.choice(choices).render(row["subject"], first=row["first"], second=row["second"])
        for row in chains.iter_rows(named=True)
    ]
    return _questions(chains, texts)


def own_questions(chains: pl.DataFrame, templates: Mapping[str, Sequence[str]], *, seed: int) -> pl.DataFrame:
    """Ask in a data set's own words for the second relation, `How many people live in the country of Lyon?`.

    Args:
        chains: see `two_hop_chains`; those whose second relation has no template are left out.
        templates: relation -> texts with "{subject}".
        seed: of the choice of a template.
    """
    rng = random.Random(seed)
    kept = chains.filter(pl.col("second").is_in([name for name, texts in templates.items() if texts]))
    texts = [
        rng.choice(templates[row["second"]]).replace("{subject}", f"the {row['first']} of {row['subject']}")
        for row in kept.iter_rows(named=True)
    ]
    return _questions(kept, texts)


def single_questions(chains: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Ask for the first fact of each chain alone, in frames of both splits: a frame in `QUESTION_SCHEMA`."""
    rng = random.Random(seed)
    rows = [
        {
            "question": rng.choice(frames(rng.choice(SPLITS))).render(row["subject"], row["first"]),
            "answers": [row["middle"]],
            "fact_id": row["fact_ids"].split(" ")[0],
            "tags": ["one_hop", row["first"]],
        }
        for row in chains.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


def live_facts(facts: pl.DataFrame, chains: pl.DataFrame, *, num_others: int, most: int, seed: int) -> pl.DataFrame:
    """The facts that a memory holds: of the subjects of chains, at most `most` of each, and of some other subjects.

    Args:
        facts: all.
        chains: whose own facts are always among those kept.
        num_others: other subjects.
        most: facts of one subject, unless chains take more.
        seed: of the choices.
    """
    own = chains["subject_ids"].explode().unique(maintain_order=True)
    asked = chains["fact_ids"].str.split(" ").explode()
    rest = facts.filter(~pl.col("subject_id").is_in(own.implode()))["subject_id"].unique(maintain_order=True)
    others = rest.sample(min(num_others, len(rest)), seed=seed)
    kept = facts.filter(pl.col("subject_id").is_in(pl.concat([own, others]).implode()))
    is_asked = pl.col("fact_id").is_in(asked.implode())
    kept = kept.sample(fraction=1.0, shuffle=True, seed=seed).sort(is_asked, descending=True, maintain_order=True)
    return kept.filter((pl.int_range(pl.len()).over("subject_id") < most) | is_asked)


def _questions(chains: pl.DataFrame, texts: Sequence[str]) -> pl.DataFrame:
    return chains.select(
        question=pl.Series(texts, dtype=pl.String),
        answers=pl.concat_list("object", "object_aliases"),
        fact_id="fact_ids",
        tags=pl.concat_list(pl.lit("two_hops"), pl.concat_str("first", "second", separator=" > ")),
    ).cast(QUESTION_SCHEMA)
