"""Silence on unrelated questions: which facts are drawn, what counts as changed, and who holds an answer."""

import polars as pl
import pytest
import torch

from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records
from widedeep_kb.studies.silence import HOLDERS, compare_answers, draw_named_first, summarise_silence

QUESTIONS = pl.DataFrame(
    {
        "question": ["who sang about zorvania", "who rules Mirelund", "what is Quillon made of", "why is it cold"],
        "answers": [["the Quillfax!"], ["Aurora Vane"], ["tin"], ["Nowhere"]],
    }
)


@pytest.fixture
def memory(tiny_frozen_lm) -> KnowledgeMemory:  # noqa: ANN001
    """Four facts behind a tiny Llama, gates wide open."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    for adapter in memory.reader.adapters:
        adapter.gate.data.fill_(4.0)
    memory.write(
        [
            {"subject": "Zorvania", "relation": "capital", "object": "Quillfax"},
            {"subject": "Mirelund", "relation": "motto", "object": "upwards"},
            {"subject": "Quillon", "relation": "colour", "object": "blue"},
            {"subject": "Ostrava Keep", "relation": "owner", "object": "A. Vane", "object_aliases": ["Aurora Vane"]},
        ]
    )
    return memory


def test_answers_change_only_where_facts_are_brought(memory: KnowledgeMemory) -> None:
    compared = compare_answers(memory, QUESTIONS, max_new_tokens=6, batch_size=3)
    assert compared["num_facts"].to_list() == [1, 1, 1, 0]
    assert compared["is_changed"][:3].any() and not compared["is_changed"][3]
    assert compared["holder"].to_list() == [HOLDERS[0], HOLDERS[1], HOLDERS[2], HOLDERS[2]]
    memory.use_wide = False
    assert not compare_answers(memory, QUESTIONS, max_new_tokens=6, batch_size=3)["is_changed"].any()


def test_the_summary_counts_by_holder() -> None:
    compared = pl.DataFrame(
        {
            "is_changed": [True, True, False, True],
            "bare_right": [True, False, False, False],
            "right": [False, False, True, False],
            "num_names": [1, 1, 2, 0],
            "num_facts": [1, 1, 0, 0],
            "top_weight": [0.5, 0.2, 0.0, 0.0],
            "holder": [HOLDERS[0], HOLDERS[2], HOLDERS[2], HOLDERS[2]],
        }
    )
    shares, scores, *holders = summarise_silence(compared)
    assert shares == {
        "num_questions": 4,
        "share_name_met": 0.75,
        "share_with_hit": 0.5,
        "share_with_cued_hit": 0.25,
        "share_kept": 0.25,
        "changed_without_hit": 1,
    }
    assert (scores["exact_match_bare"], scores["exact_match_memory"], scores["difference"]) == (0.25, 0.25, 0.0)
    assert [(row["num_questions"], row["num_changed"]) for row in holders] == [(1, 1), (0, 0), (3, 2)]
    assert holders[1]["share_changed"] is None and holders[2]["share_changed"] == 0.6667


def test_subjects_named_by_questions_come_first() -> None:
    records = [
        {"subject": f"Zorv{letter}nia", "relation": relation, "object": letter}
        for letter in "abcdefghijkl"
        for relation in ("capital", "motto")
    ]
    facts = facts_from_records(records)
    options = {"num_facts": 6, "seed": 3}
    drawn = draw_named_first(facts, ["where is zorvknia", "who lives in Zorvlnia?"], is_named_first=True, **options)
    assert drawn.height == 6 and drawn["fact_id"].n_unique() == 6
    assert set(drawn["subject"][:4]) == {"Zorvknia", "Zorvlnia"}
    assert drawn.group_by("subject").len()["len"].to_list() == [2, 2, 2], "whole subjects"
    at_random = [draw_named_first(facts, [], num_facts=6, is_named_first=False, seed=s)["subject"][0] for s in range(9)]
    assert len(set(at_random)) > 1
    assert draw_named_first(facts, [], num_facts=0, is_named_first=True, seed=0).is_empty()
