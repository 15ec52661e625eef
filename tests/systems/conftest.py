"""Facts, questions and a tiny LLM for the tests of the systems."""

from collections.abc import Callable

import polars as pl
import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.lm import FrozenLM, LMIdentity
from widedeep_kb.schema import facts_from_records


@pytest.fixture
def facts() -> pl.DataFrame:
    """Three subjects with three relations each; one alias, one statement of its own."""
    records = []
    for subject, birth, colour, height in (
        ("Zorvania", "1871", "teal", "12.5"),
        ("Quillfax Ridge", "1902", "ochre", "-3"),
        ("api.Widget", "1999", "mauve", "7%"),
    ):
        records += [
            {"subject": subject, "relation": "founding year", "object": birth},
            {"subject": subject, "relation": "flag colour", "object": colour},
            {"subject": subject, "relation": "mean height", "object": height},
        ]
    records[0]["statement"] = "Zorvania was founded in 1871, they say."
    for record in records[:3]:
        record["subject_aliases"] = ["Zorvanish Republic"]
    return facts_from_records(records)


@pytest.fixture(scope="session")
def tiny_lm(tiny_causal_lm: Callable[..., PreTrainedModel], tiny_tokenizer: PreTrainedTokenizerFast) -> FrozenLM:
    """A tiny random Llama as a frozen LLM, with room for a prompt of five shots."""
    model = tiny_causal_lm("llama", max_position_embeddings=2048)
    return FrozenLM(model, tiny_tokenizer, identity=LMIdentity("tiny", "0"))


@pytest.fixture
def fact_id_of(facts: pl.DataFrame) -> Callable[[str, str], str]:
    """`(subject, relation) -> fact_id`."""
    return lambda subject, relation: facts.row(
        by_predicate=(pl.col("subject") == subject) & (pl.col("relation") == relation), named=True
    )["fact_id"]
