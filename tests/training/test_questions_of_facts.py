"""Questions about the facts of a memory: what is trained on, what is kept, and the stream of batches."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_stream import JointStream, made_ahead
from widedeep_kb.training.questions import Questions, split_templates

NAMES = ("Zorvania", "Mirelund", "Quandor", "Brexley", "Tolmaria", "Vashtin", "Orlundia", "Pexford")
FACTS = [{"subject": name, "relation": "port", "object": str(110 + 37 * i)} for i, name in enumerate(NAMES)]
TEMPLATES = {"port": [f"{word} harbour of {{subject}}?" for word in ("Which", "Name the", "What", "The", "Any")]}


@pytest.fixture(scope="module")
def memory(tiny_frozen_lm: Callable[..., FrozenLM]) -> KnowledgeMemory:
    """Eight facts."""
    lm = tiny_frozen_lm("llama")
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    memory.write(FACTS)
    return memory


def questions_of(memory: KnowledgeMemory, texts: list[tuple[str, str]], **options: object) -> Questions:
    """Questions about all facts; `texts` are pairs of a subject and a question of its own."""
    catalogue = memory.store.catalogue
    ids = dict(catalogue.rows(catalogue.alive()).select("subject", "fact_id").iter_rows())
    rows = [{"question": text, "answers": ["1"], "fact_id": ids[name], "tags": []} for name, text in texts]
    frame = pl.DataFrame(rows, schema=QUESTION_SCHEMA)
    return Questions(memory.lm, memory.store, ordinals=catalogue.alive(), questions=frame, **options)


def test_a_question_in_the_words_of_a_kept_template_is_not_trained(memory: KnowledgeMemory) -> None:
    trained, kept = split_templates(TEMPLATES, seed=3)
    assert len(kept["port"]) == 1 and set(kept["port"]) | set(trained["port"]) == set(TEMPLATES["port"])
    filled = {text: text.replace("{subject}", "Zorvania") for text in TEMPLATES["port"]}
    found = questions_of(memory, [("Zorvania", text) for text in filled.values()], templates=TEMPLATES, seed=3)
    fact = found.table.subjects.index("Zorvania")
    assert found.kept_questions == {fact: [filled[text] for text in kept["port"]]}
    assert set(found.table.questions[fact]) == {filled[text] for text in trained["port"]}


def test_a_fifth_of_other_questions_is_kept(memory: KnowledgeMemory) -> None:
    texts = [(name, f"Where do ships of {name} land, case {i}?") for name in NAMES for i in range(40)]
    found = questions_of(memory, texts)
    num_kept = sum(map(len, found.kept_questions.values()))
    assert 0.1 < num_kept / len(texts) < 0.3
    assert num_kept + sum(map(len, found.table.questions.values())) == len(texts)


def test_a_stream_goes_on_where_it_stopped(memory: KnowledgeMemory) -> None:
    config = FitConfig(batch_size=4, steps=50)
    whole = list(itertools.islice(JointStream(questions_of(memory, []), config), 40))
    rest = list(itertools.islice(JointStream(questions_of(memory, []), config, first_step=21), 19))
    for expected, found in zip(whole[21:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert any(batch.silent.any() for batch in whole)
    assert not np.array_equal(whole[0].input_ids.numpy(), whole[1].input_ids.numpy())


def test_what_is_made_ahead_comes_in_order_and_ends_with_its_reader() -> None:
    stream = made_ahead(lambda number: number * number, first=3, num_ahead=2)
    assert list(itertools.islice(stream, 4)) == [9, 16, 25, 36]
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("joint-stream")]


def test_an_error_of_the_maker_reaches_the_reader() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("no chunk 2")
        return number

    stream = made_ahead(make, first=0, num_ahead=3)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="no chunk 2"):
        next(stream)
