"""One suite that every registered system passes."""

import subprocess
import sys

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PromptFormat
from widedeep_kb.systems.protocol import System, ToldSystem, ask
from widedeep_kb.systems.registry import SYSTEMS, make_system

TEXTS = ["What is the flag colour of Zorvania?", "What is the founding year of Quillfax Ridge?", "Who wrote Hamlet?"]


@pytest.fixture(params=sorted(SYSTEMS))
def system(request: pytest.FixtureRequest, tiny_lm: FrozenLM, facts: pl.DataFrame) -> System:
    """Each registered system with the facts, without shots."""
    system = make_system(request.param, lambda: tiny_lm)
    if isinstance(system, PromptedSystem):
        system.prompt_format, system.max_new_tokens = PromptFormat(0, is_chat=False), 4
    system.ingest(facts)
    return system


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


def test_a_second_ingest_replaces_the_first(system: System, questions: pl.DataFrame, facts: pl.DataFrame) -> None:
    if isinstance(system, ToldSystem):
        system.ingest(facts[3:])
        with pytest.raises(ValueError, match="no fact"):
            ask(system, questions)
        return
    system.ingest(facts.filter(pl.col("subject") == "api.Widget"))
    assert all(answer.evidence == [] for answer in ask(system, questions))


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(ValueError, match="did you mean 'closed_book'"):
        make_system("close_book", pytest.fail)
    with pytest.raises(ValueError, match="known: closed_book, in_context"):
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
