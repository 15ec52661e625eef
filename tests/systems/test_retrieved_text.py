"""`bm25`, `dense_rag` and `hybrid_rag`: what they show, their settings, and changed facts."""

from collections.abc import Callable

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems.bm25_rag import BM25RAG
from widedeep_kb.systems.dense_rag import DenseRAG
from widedeep_kb.systems.hybrid_rag import HybridRAG
from widedeep_kb.systems.prompts import PromptFormat, Shot, fact_sentence
from widedeep_kb.systems.protocol import Tunable, Updatable
from widedeep_kb.systems.retrieved_text import RetrievedText
from widedeep_kb.systems.sentence_vectors import SentenceEncoder

OPTIONS = {"prompt_format": PromptFormat(0, is_chat=False), "max_new_tokens": 2}
FactIdOf = Callable[[str, str], str]


@pytest.fixture(params=["bm25", "dense_rag", "hybrid_rag"])
def system(request: pytest.FixtureRequest, tiny_lm: FrozenLM, tiny_encoder: SentenceEncoder) -> RetrievedText:
    """Each of the three, without facts."""
    if request.param == "bm25":
        return BM25RAG(tiny_lm, **OPTIONS)
    return {"dense_rag": DenseRAG, "hybrid_rag": HybridRAG}[request.param](tiny_lm, encoder=tiny_encoder, **OPTIONS)


def shown(system: RetrievedText, question: str) -> tuple[str, ...]:
    """Fact ids in the prompt."""
    return system.contexts([question], fact_ids=None)[0].fact_ids


def test_a_facts_own_sentence_brings_that_fact_first(system: RetrievedText, facts: pl.DataFrame) -> None:
    system.ingest(facts)
    for row in facts.iter_rows(named=True):
        assert shown(system, fact_sentence(row))[0] == row["fact_id"]
    assert "Zorvania was founded in 1871, they say." in system.contexts(["founded"], fact_ids=None)[0].statements


def test_every_setting_shows_as_many_facts_as_it_says(system: RetrievedText, facts: pl.DataFrame) -> None:
    question = "What is the flag colour of the country of Zorvania?"
    assert isinstance(system, Tunable)
    system.ingest(facts)
    default = shown(system, question)
    found = []
    for setting in system.settings():
        if system.use(setting):
            system.ingest(facts)
        found.append(shown(system, question))
        assert len(found[-1]) == setting["top_k"]
    assert found[0] == default
    assert {setting["top_k"] for setting in system.settings()} == {1, 3, 8}


def test_the_best_fact_stands_first_or_next_to_the_question_and_evidence_is_best_first(
    system: RetrievedText, facts: pl.DataFrame
) -> None:
    system.ingest(facts)
    question = "What is the flag colour of the country of Zorvania?"
    system.shots = system.with_contexts([Shot("What is the mean height of Zorvania?", "12.5")])
    system.prompt_format = PromptFormat(1, is_chat=False)
    context = system.contexts([question], fact_ids=None)[0]
    statements, shown_with_shot = list(context.statements), list(system.shots[0].context.statements)
    assert len(statements) == 3 and len(shown_with_shot) == 3
    for best, step in (("first", 1), ("last", -1)):
        system.use({**system.settings()[0], "best": best})
        assert system._prompt(question, context).splitlines() == [
            *shown_with_shot[::step], "Question: What is the mean height of Zorvania?", "Answer: 12.5", "",
            *statements[::step], f"Question: {question}", "Answer:",
        ]  # fmt: skip
        assert system.generate([question])[0].evidence == list(context.fact_ids)


def test_only_new_parameters_of_bm25_want_the_facts_again(tiny_lm: FrozenLM) -> None:
    system = BM25RAG(tiny_lm, **OPTIONS)
    assert [system.use(setting) for setting in system.settings()] == [False] * 5 + [True]
    assert (system.ranker.k1, system.ranker.b) == (0.9, 0.4)


def test_a_change_is_as_if_it_was_so_from_the_start(
    system: RetrievedText, facts: pl.DataFrame, fact_id_of: FactIdOf
) -> None:
    changed = facts_from_records([{"subject": "Zorvania", "relation": "flag colour", "object": "amber"}])
    assert isinstance(system, Updatable)
    system.ingest(facts)
    system.update(changed)
    updated = {question: shown(system, question) for question in facts["subject"].unique()}
    assert shown(system, "The flag colour of Zorvania is amber.")[0] == changed["fact_id"][0]
    kept = facts.filter(pl.col("fact_id") != fact_id_of("Zorvania", "flag colour"))
    system.ingest(pl.concat([kept, changed]))
    assert updated == {question: shown(system, question) for question in updated}


def test_bytes_count_sentences_and_index(system: RetrievedText, facts: pl.DataFrame) -> None:
    system.ingest(facts)
    sentences = sum(len(fact_sentence(row).encode()) for row in facts.iter_rows(named=True))
    assert system.size_bytes() == sentences + system.ranker.size_bytes
    assert system.ranker.size_bytes > 0


def test_hybrid_is_made_of_the_other_two(tiny_lm: FrozenLM, tiny_encoder: SentenceEncoder, facts: pl.DataFrame) -> None:
    systems = BM25RAG(tiny_lm), DenseRAG(tiny_lm, encoder=tiny_encoder), HybridRAG(tiny_lm, encoder=tiny_encoder)
    for system in systems:
        system.ingest(facts)
    question = "mean height of api.Widget"
    rankings = [system.ranker.rank([question], top_k=9)[0] for system in systems]
    scores = dict.fromkeys(range(9), 0.0)
    for ranking in rankings[:2]:
        for rank, sentence in enumerate(ranking, start=1):
            scores[sentence] += 1 / (60 + rank)
    assert [scores[i] for i in rankings[2]] == sorted(scores.values(), reverse=True)


def test_no_fact_at_all_is_refused(tiny_lm: FrozenLM) -> None:
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        BM25RAG(tiny_lm, top_k=0)
