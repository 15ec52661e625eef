"""Times at several numbers of facts: which facts, what is measured, what is gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.report.page import page
from widedeep_kb.report.plots import time_by_corpus_size
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies import choosing
from widedeep_kb.studies import sizes as sizes_module
from widedeep_kb.studies.compare import compare, prepare, read_parts
from widedeep_kb.studies.comparison import CompareConfig, Corpus
from widedeep_kb.studies.forgetting import Probes
from widedeep_kb.studies.measures import measure
from widedeep_kb.studies.sizes import MEMORIES, draw_sizes, measure_sizes, measured_once, sizes_of
from widedeep_kb.systems.key_rag import KeyRAG
from widedeep_kb.systems.prompts import PromptFormat
from widedeep_kb.systems.registry import SYSTEMS


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Sixty facts, of which ten are asked for and fifteen are for development."""
    facts = facts_from_records(
        [{"subject": f"Zorvan{i}x", "relation": "area code", "object": f"QX-{i}"} for i in range(60)]
    )
    questions = facts.head(10).select(
        question=pl.format("What is the area code of {}?", "subject"),
        answers=pl.concat_list("object"),
        fact_id="fact_id",
        tags=pl.lit([], dtype=pl.List(pl.String)),
    )
    probes = Probes(pl.DataFrame(schema=QUESTION_SCHEMA), ())
    return prepare(facts, questions.cast(QUESTION_SCHEMA), probes=probes, num_dev=15)


def test_smaller_sizes_are_parts_of_larger_ones_and_hold_what_is_asked(corpus: Corpus) -> None:
    asked, facts_of = draw_sizes(corpus, (25, 40, 60))
    assert set(asked["question"]) == set(corpus.test["question"])
    ids = [set(facts_of[size]["fact_id"]) for size in (25, 40, 60)]
    assert [len(one) for one in ids] == [25, 40, 60] and ids[0] < ids[1] < ids[2]
    assert set(corpus.test["fact_id"]) | set(corpus.dev["fact_id"]) == ids[0]


@pytest.mark.parametrize(
    ("sizes", "message"), [((61,), "there are 60 facts: .* with 61"), ((24, 30), "24 are too few")]
)
def test_sizes_out_of_range_are_refused(corpus: Corpus, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_sizes(corpus, sizes)


@pytest.mark.parametrize("sizes", [(30, 20), (20, 20), (0, 5)])
def test_sizes_must_ascend(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sizes must ascend from 1 or more, got "):
        CompareConfig(systems=("lookup",), sizes=sizes)


def test_every_trained_way_is_either_written_to_or_measured_once() -> None:
    trained = {name for name, entry in SYSTEMS.items() if entry.is_trained}
    assert set(MEMORIES) <= trained
    assert set(measured_once(list(SYSTEMS))) == trained - set(MEMORIES)
    assert measured_once(["lookup", "lora", "wide_deep"]) == ["lora"]


def test_each_way_is_measured_at_each_size_in_its_chosen_format_once(
    corpus: Corpus, tiny_frozen_lm: Callable[..., FrozenLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_frozen_lm("llama", max_position_embeddings=2048)
    monkeypatch.setattr(choosing, "PROMPT_FORMATS", (PromptFormat(2, is_chat=False),))
    monkeypatch.setattr(KeyRAG, "settings", lambda _self: [{"top_k": 1}])
    config = CompareConfig(systems=("lookup", "key_rag"), num_updates=0, max_new_tokens=2, sizes=(30, 60))
    output, told = tmp_path / "c", []
    predictions = compare(corpus, lambda: lm, config, output=output)
    parts = read_parts(output)
    made, make = [], sizes_module.make_system

    def noted(name: str, *args: object, **options: object) -> object:
        made.append(make(name, *args, **options))
        return made[-1]

    monkeypatch.setattr(sizes_module, "make_system", noted)
    measure_sizes(corpus, lambda: lm, config, parts=parts, output=output, tell=told.append)
    shown = [system for system in made if hasattr(system, "prompt_format")]
    assert [(system.prompt_format.name, len(system.shots)) for system in shown] == [("plain-2", 2)] * 2
    (output / "parts" / "60" / "lookup.json").unlink()
    measure_sizes(corpus, lambda: lm, config, parts=parts, output=output, tell=told.append)
    assert len(told) == 5 and told[-1].startswith("60 facts, lookup")  # the others were there already
    record = json.loads((output / "parts" / "30" / "lookup.json").read_text())
    assert record["num_facts"] == 30 and record["num_questions"] == 10 and record["exact_match"] == 1.0
    metrics = measure(predictions, parts, facts=corpus.facts, about=about(corpus))
    metrics |= sizes_of(output, config, metrics["systems"])
    small, large = metrics["sizes"]
    assert (small["num_facts"], large["num_facts"]) == (30, 60) and metrics["measured_once"] == []
    assert small["prompt_tokens"]["lookup"] == 0 and small["prompt_tokens"]["key_rag"] > 0
    assert set(small["build_s"]) == set(large["bytes_per_fact"]) == {"lookup", "key_rag"}
    assert time_by_corpus_size(metrics).startswith("<svg")
    assert "Times by number of facts" in page(metrics)


def about(corpus: Corpus) -> dict[str, object]:
    """What the page shows beside the measures."""
    counts = {"num_facts": corpus.facts.height, "num_questions": corpus.test.height}
    return {"llm": "tiny", "device": "CPU", "seeds": [0], "budget_minutes": None, **counts}


def test_a_way_that_is_measured_once_has_its_time_at_every_size(tmp_path: Path) -> None:
    systems = {"lora": {"costs": {"ms_per_question": 7.0, "prompt_tokens_per_question": 9.0}}}
    found = sizes_of(tmp_path, CompareConfig(systems=("lora",), sizes=(10, 20)), systems)
    assert found["measured_once"] == ["lora"]
    assert [size["ms_per_question"] for size in found["sizes"]] == [{"lora": 7.0}] * 2
    assert [size["build_s"] for size in found["sizes"]] == [{}] * 2
    assert sizes_of(tmp_path, CompareConfig(systems=("lora",)), systems) == {}
