"""One suite that every registered system passes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.systems import dense_rag, hybrid_rag, small_copy, wide, wide_deep
from widedeep_kb.systems.memo import MeMo
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PromptFormat
from widedeep_kb.systems.protocol import Closable, Practising, System, ToldSystem, ask
from widedeep_kb.systems.proxy_tuning import ProxyTuning
from widedeep_kb.systems.registry import SYSTEMS, make_system
from widedeep_kb.systems.sentence_vectors import SentenceEncoder
from widedeep_kb.systems.tuned import TunedLM

TEXTS = ["What is the flag colour of Zorvania?", "What is the founding year of Quillfax Ridge?", "Who wrote Hamlet?"]
PRACTICE = ["What is the flag colour of api.Widget?", "What is the mean height of Zorvania?"]


RETRIEVERS = {"bm25", "dense_rag", "hybrid_rag"}
"""Systems that show what is nearest to a question, however far."""


def tiny_reader(lm: FrozenLM) -> Reader:
    """A random reader of the tiny LLM."""
    torch.manual_seed(0)
    return Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=8))


@pytest.fixture(params=sorted(SYSTEMS))
def system(
    request: pytest.FixtureRequest,
    tiny_lm: FrozenLM,
    facts: pl.DataFrame,
    tiny_encoder: SentenceEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[System]:
    """Each registered system with the facts, without shots; trained for two steps, with a tiny sentence encoder.

    One that practises was told that it is always wrong.
    """
    for module in (wide, wide_deep):
        monkeypatch.setattr(module, "fresh_reader", tiny_reader)
    for module in (dense_rag, hybrid_rag):
        monkeypatch.setattr(module, "load_sentence_encoder", lambda _device: tiny_encoder)
    system = make_system(request.param, lambda: tiny_lm)
    for part in getattr(system, "parts", [system]):
        if isinstance(part, wide_deep.WideDeep):
            part.config = replace(part.config, steps=2, batch_size=4, num_subkeys=4, num_validation=4)
    if isinstance(system, TunedLM):
        system.epochs, system.least_steps, system.train_batch_size = 1, 1, 4
    if isinstance(system, ProxyTuning):
        system.epochs, system.least_steps, system.train_batch_size, system.healing_steps = 1, 1, 4, 1
        monkeypatch.setattr(small_copy, "_NUM_PROMPTS", 4)
    if isinstance(system, MeMo):
        system.epochs, system.least_steps, system.train_batch_size, system.max_note_tokens = 1, 1, 4, 8
    if isinstance(system, PromptedSystem):
        system.prompt_format, system.max_new_tokens = PromptFormat(0, is_chat=False), 4
    system.ingest(facts)
    if isinstance(system, Practising):
        system.practise(PRACTICE, lambda _i, _text: False)
    yield system
    if isinstance(system, Closable):
        system.close()


@pytest.fixture
def questions(facts: pl.DataFrame) -> pl.DataFrame:
    """The texts, each with the id of some fact."""
    ids = facts["fact_id"][:3].to_list()
    frame = {"question": TEXTS, "answers": [["x"]] * 3, "fact_id": ids, "tags": [[]] * 3}
    return pl.DataFrame(frame, schema=QUESTION_SCHEMA)


def test_one_answer_a_question_in_order_whatever_the_batch(system: System, questions: pl.DataFrame) -> None:
    together = ask(system, questions)
    alone = [answer for row in questions.iter_slices(1) for answer in ask(system, row)]
    assert len(together) == len(TEXTS)
    assert [(a.text, a.evidence, a.prompt_tokens) for a in together] == [
        (a.text, a.evidence, a.prompt_tokens) for a in alone
    ]


def test_answers_carry_costs_and_known_evidence(system: System, questions: pl.DataFrame, facts: pl.DataFrame) -> None:
    for answer in ask(system, questions):
        assert answer.latency_ms > 0
        assert answer.prompt_tokens >= 0 and answer.generated_tokens >= 0
        assert set(answer.evidence) <= set(facts["fact_id"])
        assert answer.confidence is None or 0.0 <= answer.confidence <= 1.0


def test_no_questions_no_answers(system: System) -> None:
    assert system.generate([]) == []


def test_a_second_ingest_replaces_the_first(
    system: System, questions: pl.DataFrame, facts: pl.DataFrame, request: pytest.FixtureRequest
) -> None:
    if isinstance(system, ToldSystem):
        system.ingest(facts[3:])
        with pytest.raises(ValueError, match="no fact"):
            ask(system, questions)
        return
    second = facts.filter(pl.col("subject") == "api.Widget")
    system.ingest(second)
    known = set(second["fact_id"]) if request.node.callspec.params["system"] in RETRIEVERS else set()
    assert all(set(answer.evidence) <= known for answer in ask(system, questions))


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(ValueError, match="did you mean 'closed_book'"):
        make_system("close_book", pytest.fail)
    with pytest.raises(ValueError, match=f"known: {', '.join(sorted(SYSTEMS))}"):
        make_system("xyzzy", pytest.fail)


def test_lookup_loads_no_llm() -> None:
    make_system("lookup", lambda: pytest.fail("lookup asked for an LLM"))


def test_the_registry_imports_no_system() -> None:
    code = (
        "import sys, widedeep_kb.systems.registry; "
        "print([m for m in sys.modules if m == 'bm25s' or m.startswith('widedeep_kb.systems.') and m.count('.') == 2])"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "bm25s" not in output and "lookup" not in output and "closed_book" not in output


def test_a_loglikelihood_for_each_question_whatever_the_batch(system: System, questions: pl.DataFrame) -> None:
    told = {"fact_ids": questions["fact_id"].to_list()} if isinstance(system, ToldSystem) else {}
    texts, continuations = questions["question"].to_list(), ["teal", "1902", "teal, they say"]
    together = system.loglikelihood(texts, continuations, **told)
    assert len(together) == len(texts) and all(value <= 0.0 for value in together)
    for i in range(len(texts)):
        one = {"fact_ids": told["fact_ids"][i : i + 1]} if told else {}
        assert system.loglikelihood([texts[i]], [continuations[i]], **one) == pytest.approx([together[i]], rel=1e-3)


def test_what_a_system_writes_is_not_unlikely(system: System, questions: pl.DataFrame) -> None:
    told = {"fact_ids": questions["fact_id"].to_list()} if isinstance(system, ToldSystem) else {}
    own = [answer.text.strip() for answer in ask(system, questions)]
    texts = questions["question"].to_list()
    written, other = (system.loglikelihood(texts, given, **told) for given in (own, [f"{text} zq" for text in own]))
    assert all(one >= another for one, another in zip(written, other, strict=True))


def test_more_facts_are_not_kept_in_fewer_bytes(system: System, facts: pl.DataFrame) -> None:
    all_bytes = system.size_bytes()
    system.ingest(facts.head(1))
    assert 0 <= system.size_bytes() <= all_bytes
