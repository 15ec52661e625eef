"""A look inside: attention that adds up and is what evidence is made of, the gate, deep slots, files and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

from widedeep_kb.answering import ask_prompt
from widedeep_kb.lm import FrozenLM, left_pad, load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.studies import inside
from widedeep_kb.studies.inside import FACTS_SCHEMA, GATES_SCHEMA, QUESTIONS_SCHEMA, SLOTS_SCHEMA, is_right, look_inside
from widedeep_kb.tables import read_table

FACTS = [
    {"subject": subject, "relation": relation, "object": f"{value} {number}"}
    for number, subject in enumerate(("Aurora", "Borealis", "Castor"))
    for relation, value in (("port", "8443"), ("owner", "Ada Lovelace"), ("admission region of the cluster", "north"))
]
NUM_BROUGHT = [1, 3, 0, 3]  # the first names a relation as it is written: only that fact is brought
ASKED = ("What is the port of Aurora?", "Who runs Borealis?", "What time is it?", "Castor's port?")


def open_memory(lm: FrozenLM, *, num_subkeys: int = 0) -> KnowledgeMemory:
    """An untrained reader whose heads look at facts, and nine facts."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16, num_subkeys=num_subkeys))
    for adapter in reader.adapters:
        adapter.query.weight.data.mul_(20.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write(FACTS)
    return memory


@pytest.fixture
def memory(tiny_frozen_lm: Callable[..., FrozenLM]) -> KnowledgeMemory:
    """Wide and deep memory."""
    return open_memory(tiny_frozen_lm("llama"), num_subkeys=5)


@pytest.fixture
def questions(memory: KnowledgeMemory) -> pl.DataFrame:
    """Four questions, one of them about nothing stored; the first names its fact."""
    (first,) = memory.store.catalogue.where(
        (pl.col("subject") == "Aurora") & (pl.col("relation") == "port"), ["fact_id"]
    )["fact_id"]
    answers = (["8443 0"], ["Ada Lovelace 1"], ["noon"], ["8443 2"])
    columns = {"question": ASKED, "answers": answers, "fact_id": [first, None, None, None], "tags": [[]] * 4}
    return pl.DataFrame(columns, schema=QUESTION_SCHEMA)


def shares(facts: pl.DataFrame, question_idx: int) -> dict[str, float]:
    """Attention on each fact, mean over layers and heads, as evidence counts it."""
    own = facts.filter((pl.col("question_idx") == question_idx) & (pl.col("group") != "null"))
    return dict(own.group_by("fact_id").agg(pl.col("mass").mean()).iter_rows())


@pytest.mark.parametrize("batch_size", [1, 3])
def test_attention_adds_up_and_is_what_evidence_is_made_of(
    memory: KnowledgeMemory, questions: pl.DataFrame, batch_size: int
) -> None:
    found = look_inside(memory, questions, batch_size=batch_size)
    sums = found.facts.group_by("question_idx", "layer", "head").agg(pl.col("mass").sum())
    assert sums.height == 3 * len(memory.reader.adapters) * 2  # one question brings no fact
    assert sums["mass"].to_list() == pytest.approx([1.0] * sums.height, abs=1e-5)
    answers = memory.ask_many(ASKED, max_new_tokens=1)  # one step: the attention at the last token of the prompt
    assert [len(answer.evidence) for answer in answers] == NUM_BROUGHT
    for index, answer in enumerate(answers):
        assert shares(found.facts, index) == pytest.approx(
            {fact.fact_id: fact.attention for fact in answer.evidence}, abs=1e-4
        )
        if answer.evidence:
            row = found.questions.row(index, named=True)
            assert (row["first_fact_id"], row["num_right"]) == (answer.evidence[0].fact_id, 1)
            assert row["first_share"] == pytest.approx(answer.evidence[0].attention, abs=1e-4)
    assert found.questions["is_read"].to_list() == [True, True, False, True]
    assert found.questions["num_facts"].to_list() == NUM_BROUGHT
    assert found.questions["question"].to_list() == list(ASKED)


def test_groups_and_shares_agree(memory: KnowledgeMemory, questions: pl.DataFrame) -> None:
    found = look_inside(memory, questions)
    right = found.facts.filter(pl.col("group") == "right").unique(["question_idx", "fact_id"], maintain_order=True)
    assert right.select("question_idx", "subject", "object").rows() == [
        (0, "Aurora", "8443 0"),
        (1, "Borealis", "Ada Lovelace 1"),
        (3, "Castor", "8443 2"),
    ]
    row = found.questions.row(1, named=True)
    assert row["right_share"] == pytest.approx(shares(found.facts, 1)[right["fact_id"][1]])
    total = row["null_share"] + sum(shares(found.facts, 1).values())
    assert total == pytest.approx(1.0, abs=1e-5)
    assert row["is_right_first"] == (row["first_fact_id"] == right["fact_id"][1])


def test_right_facts_are_the_named_one_and_what_the_property_accepts() -> None:
    rows = [("a", "country", "France"), ("b", "country", "Texas"), ("c", "state", "Texas"), ("d", "country", "Peru")]
    facts = pl.DataFrame(rows, schema=["fact_id", "relation", "object"], orient="row")
    question = {"fact_id": "a", "answers": ["France", "Texas"]}  # another Paris is in Texas
    assert is_right(facts, question) == [True, True, False, False]
    assert is_right(facts, {"fact_id": None, "answers": ["Texas"]}) == [False, True, True, False]
    assert is_right(facts, {"fact_id": "a d", "answers": ["Yes"]}) == [True, False, False, True]


def test_a_question_that_the_gate_shuts_out_is_not_read(memory: KnowledgeMemory, questions: pl.DataFrame) -> None:
    gate = memory.reader.gate
    gate.weight[gate.num_heads_seen] = 1.0  # judges by the best weight of the index alone
    _, recall = memory.binding(ASKED)
    best = recall.weights.amax(dim=1)
    gate.bias.fill_(-float(best[[0, 1]].mean()))  # the first is found by its relation, the second not
    found = look_inside(memory, questions)
    answers = memory.ask_many(ASKED, max_new_tokens=1)
    assert found.questions["is_read"].to_list() == [bool(answer.evidence) for answer in answers]
    assert found.questions["is_read"].sum() in (1, 2) and found.questions["num_facts"].to_list() == NUM_BROUGHT
    read = found.questions.filter("is_read")["question_idx"]
    assert found.facts["question_idx"].unique().sort().to_list() == read.to_list()
    named = [0, 3]  # hold a relation's name, which opens the deep memory; rows that are read do too
    assert found.slots["question_idx"].unique().sort().to_list() == sorted({*named, *read.to_list()})
    gate.bias.fill_(-9.0)
    shut = look_inside(memory, questions)
    assert shut.facts.is_empty() and shut.slots["question_idx"].unique().sort().to_list() == named
    memory.use_gate = False
    assert look_inside(memory, questions).slots["question_idx"].n_unique() == 4


def test_deep_slots_are_those_that_the_hooks_read(memory: KnowledgeMemory, questions: pl.DataFrame) -> None:
    memory.use_gate = False  # or it is not read where nothing stored is asked for
    found = look_inside(memory, questions)
    by_head = found.slots.group_by("question_idx", "layer", "head", maintain_order=True)
    assert by_head.agg(pl.col("weight").sum())["weight"].to_list() == pytest.approx([1.0] * 4 * 3 * 2, abs=1e-5)
    said = found.slots.drop_nulls("slot")
    assert said["slot"].is_between(0, 24).all() and said["score"].is_between(-2, 2).all()
    assert said.group_by("question_idx", "layer", "head").agg(pl.col("slot").n_unique())["slot"].to_list() == [5] * 24
    seen: list[Tensor] = []
    binding, _ = memory.binding(ASKED, observe=lambda _index, _wide, mass: seen.append(mass[:, -1]))
    input_ids, mask = left_pad(memory.lm.encode([ask_prompt(text) for text in ASKED]), pad_id=0)
    with torch.inference_mode(), memory.hooks.bind(binding):
        memory.lm.decoder(input_ids=input_ids, attention_mask=mask, use_cache=False)
    by_head = said.group_by("question_idx", "layer", "head").agg(pl.col("weight").sum())
    masses = by_head.sort("layer", "question_idx", "head")
    assert masses["weight"].to_list() == pytest.approx(torch.stack(seen).flatten().tolist(), abs=1e-5)


def test_without_deep_memory_there_are_no_slots(
    tiny_frozen_lm: Callable[..., FrozenLM], questions: pl.DataFrame
) -> None:
    found = look_inside(open_memory(tiny_frozen_lm("llama")), questions)
    assert found.slots.is_empty() and found.slots.schema == pl.Schema(SLOTS_SCHEMA)
    assert found.gates["part"].to_list() == ["wide"] * 3
    assert found.gates["gate"].to_list() == pytest.approx([0.46211716] * 3)  # tanh(0.5), as made
    wide = open_memory(tiny_frozen_lm("llama"), num_subkeys=5)
    wide.use_deep = False
    assert look_inside(wide, questions).slots.is_empty()


def test_a_look_leaves_no_hook_behind(memory: KnowledgeMemory, questions: pl.DataFrame) -> None:
    before = [answer.text for answer in memory.ask_many(ASKED, max_new_tokens=4)]
    look_inside(memory, questions)
    assert not any(reader._forward_pre_hooks for reader in memory.reader.deep_readers)
    assert [answer.text for answer in memory.ask_many(ASKED, max_new_tokens=4)] == before


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """The command, in this process."""
    monkeypatch.setattr("sys.argv", ["inside", *map(str, words)])
    inside.main()


def test_the_command_writes_four_tables(
    memory: KnowledgeMemory,
    questions: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory.lm.model.save_pretrained(tmp_path / "llm")
    memory.lm.tokenizer.save_pretrained(tmp_path / "llm")
    open_memory(load_lm(str(tmp_path / "llm")), num_subkeys=5).save(tmp_path / "memory")
    questions.write_parquet(tmp_path / "questions.parquet")
    words = ("--memory", tmp_path / "memory", "--questions", tmp_path / "questions.parquet")
    run(monkeypatch, *words, "--output", tmp_path / "made" / "inside")
    printed = json.loads(capsys.readouterr().out)
    assert (printed["num_questions"], printed["num_read"]) == (4, 3)
    schemas = {"facts": FACTS_SCHEMA, "slots": SLOTS_SCHEMA, "gates": GATES_SCHEMA, "questions": QUESTIONS_SCHEMA}
    assert {path.stem for path in (tmp_path / "made" / "inside").iterdir()} == set(schemas)
    for name, schema in schemas.items():
        frame = read_table(tmp_path / "made" / "inside" / f"{name}.parquet", schema, required=list(schema))
        assert not frame.is_empty(), name
    for changed, message in (
        ((*words, "--output", tmp_path / "questions.parquet"), "questions.parquet"),
        ((*words, "--output", tmp_path / "new", "--batch-size", 0), "batch_size must be at least 1, got 0"),
        (("--memory", tmp_path / "llm", *words[2:], "--output", tmp_path / "new"), "llm"),
        ((*words[:2], "--questions", tmp_path / "none.csv", "--output", tmp_path / "new"), "none.csv"),
    ):
        with pytest.raises(SystemExit) as stop:
            run(monkeypatch, *changed)
        assert str(stop.value).startswith("error: ") and message in str(stop.value) and "\n" not in str(stop.value)
    assert not (tmp_path / "new").exists()
