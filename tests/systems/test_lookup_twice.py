"""`lookup_twice` and the oracle over two facts."""

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems.lookup import Lookup
from widedeep_kb.systems.lookup_twice import LookupTwice
from widedeep_kb.systems.oracle import Oracle

CHAIN = [("Lyon", "country", "France"), ("France", "capital", "Paris"), ("France", "currency", "Euro")]
QUESTION = "What is the capital of the country of Lyon?"


@pytest.fixture
def chain() -> pl.DataFrame:
    """Two facts of a chain and one beside it."""
    return facts_from_records([{"subject": s, "relation": r, "object": o} for s, r, o in CHAIN])


def test_the_first_fact_is_followed(chain: pl.DataFrame) -> None:
    ids = chain["fact_id"].to_list()
    answers = {}
    for system in (Lookup(), LookupTwice()):
        system.ingest(chain)
        answers[type(system)] = system.generate([QUESTION, "What is the currency of France?"])
    assert [(a.text, a.evidence) for a in answers[LookupTwice]] == [("Paris", [ids[1], ids[0]]), ("Euro", [ids[2]])]
    assert [a.text for a in answers[Lookup]] == ["France", "Euro"]


def test_the_oracle_shows_several_facts_in_order(tiny_lm: FrozenLM, chain: pl.DataFrame) -> None:
    first, second, _ = chain["fact_id"].to_list()
    oracle = Oracle(tiny_lm)
    oracle.ingest(chain)
    (context,) = oracle.contexts([QUESTION], fact_ids=[f"{first} {second}"])
    assert context.fact_ids == (first, second)
    assert [statement.split()[-1] for statement in context.statements] == ["France.", "Paris."]
    with pytest.raises(ValueError, match="no fact 'x' for the question"):
        oracle.contexts([QUESTION], fact_ids=[f"{first} x"])
