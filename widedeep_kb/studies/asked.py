"""What a comparison asks beside the user's own questions: what a look-up of keys and words cannot serve.

In: facts in `FACT_SCHEMA`. Out: questions in `ASKED_SCHEMA`, made of the facts: statements whose value has begun, two
facts compared, and two facts combined. And the user's questions, tagged by whether they share a word with their fact.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import polars as pl

from widedeep_kb.memory.relations import relation_words
from widedeep_kb.phrasings import frames
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.studies.comparing import NAMED, ORDERED, real_comparisons
from widedeep_kb.studies.domains import single_answer_facts
from widedeep_kb.studies.kinds import BEGUN, COMPARED, TWO_FACTS
from widedeep_kb.studies.two_hops import draw_chains, frame_questions, two_hop_chains
from widedeep_kb.studies.unservable import begin_value, begun_statements, shares_stem
from widedeep_kb.synthetic.ordered_values import NUMBER

_SHARED, _NOT_SHARED = "shares_word", "no_shared_word"
_NO_MEASURE = {"code", "id", "identifier", "number", "phone", "zip", "postcode", "port", "year", "date", "version"}
_LEAST_VALUES = 4  # facts of a relation whose values are compared


def unservable_questions(facts: pl.DataFrame, *, excluded: Sequence[str], count: int, seed: int) -> pl.DataFrame:
    """At most `count` questions of each kind, in `ASKED_SCHEMA`; fewer or none where the facts do not lend themselves.

    All are in phrasings that no shipped reader was trained on, or in both kinds of phrasing (comparisons). The answer
    of a statement is what is left of its value. Comparisons are guessed right half the time.

    Args:
        facts: in `FACT_SCHEMA`.
        excluded: ids of facts that are not asked for.
        count: of each kind.
        seed: of all choices.
    """
    clear = single_answer_facts(facts).filter(~pl.col("fact_id").is_in(list(excluded)))
    is_free = ~pl.col("fact_ids").str.split(" ").list.eval(pl.element().is_in(list(excluded))).list.any()
    chains = draw_chains(two_hop_chains(facts).filter(is_free), count=count, seed=seed)
    ordered, named = comparable_relations(facts)
    kinds = {
        BEGUN: _begun(clear, count=count, seed=seed),
        COMPARED: real_comparisons(clear, num_questions=count, seed=seed, ordered=ordered, named=named),
        TWO_FACTS: frame_questions(chains, split="heldout", seed=seed),
    }
    return pl.concat([frame.with_columns(asked=pl.lit(kind)) for kind, frame in kinds.items()])


def comparable_relations(facts: pl.DataFrame) -> tuple[frozenset[str], frozenset[str]]:
    """Relations whose values are ordered by size, and those whose values can be the same or not.

    Ordered: known to be so by name, or all values are numbers in one unit and no word of the name speaks of codes or
    dates. Same or not: known by name, or names without digits of which many occur more than once.
    """
    ordered, named = set(), set()
    for (relation,), part in facts.select("relation", "object").group_by("relation", maintain_order=True):
        values = part["object"].to_list()
        if ORDERED.match(relation) or (len(values) >= _LEAST_VALUES and _is_measure(relation, values)):
            ordered.add(relation)
        elif relation in NAMED or (
            len(values) >= _LEAST_VALUES
            and len(set(values)) <= len(values) / 2
            and not any(c.isdigit() for value in values for c in value)
        ):
            named.add(relation)
    return frozenset(ordered), frozenset(named)


def tag_shared_words(questions: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Questions about one fact, tagged by whether they share a content word with its relation or value.

    Those that are tagged already, are about no fact or about several, stay as they are.
    """
    about = {row["fact_id"]: row for row in facts.select("fact_id", "subject", "relation", "object").to_dicts()}
    tags = []
    for question, fact_id, own in questions.select("question", "fact_id", "tags").iter_rows():
        fact = about.get(fact_id)
        if fact is None or {_SHARED, _NOT_SHARED} & set(own):
            tags.append(own)
            continue
        is_shared = shares_stem(question, subject=fact["subject"], relation=fact["relation"], value=fact["object"])
        tags.append([*own, _SHARED if is_shared else _NOT_SHARED])
    return questions.with_columns(tags=pl.Series(tags, dtype=pl.List(pl.String)))


def _begun(clear: pl.DataFrame, *, count: int, seed: int) -> pl.DataFrame:
    """Statements in held-out frames about facts whose value can be begun, the relations in turn."""
    rng = random.Random(seed)
    choices = [frame for frame in frames("heldout") if frame.kind == "statement"]
    can_begin = [begin_value(value) is not None for value in clear["object"].to_list()]
    usable = clear.filter(pl.Series(can_begin, dtype=pl.Boolean)).sample(fraction=1.0, shuffle=True, seed=seed)
    drawn = usable.sort(pl.int_range(pl.len()).over("relation"), maintain_order=True).head(count)
    rows = [
        {
            "question": rng.choice(choices).render(fact["subject"], fact["relation"]),
            "answers": [fact["object"]],
            "fact_id": fact["fact_id"],
            "tags": ["statement", fact["relation"]],
        }
        for fact in drawn.iter_rows(named=True)
    ]
    return begun_statements(pl.DataFrame(rows, schema=QUESTION_SCHEMA), drawn)


def _is_measure(relation: str, values: Sequence[str]) -> bool:
    """Whether all values are numbers in one unit, without leading zeros, and the relation's name allows an order."""
    matches = [NUMBER.fullmatch(value) for value in values]
    if None in matches or len({match.group(2) for match in matches}) > 1:
        return False
    is_code = any(len(match.group(1)) > 1 and match.group(1).isdigit() and value[0] == "0"
                  for match, value in zip(matches, values, strict=True))  # fmt: skip
    return not is_code and not _NO_MEASURE & set(relation_words(relation))
