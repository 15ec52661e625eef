"""Questions about the facts of a memory: what is trained on, what is kept, and the stream of batches."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import NO_TOKEN
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_batch import PackedJoint
from widedeep_kb.training.joint_stream import JointStream, made_ahead
from widedeep_kb.training.questions import Asked, Questions, split_templates

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


def test_questions_with_as_many_facts_share_a_batch() -> None:
    rng, size = np.random.default_rng(0), 8
    num_facts, lengths = rng.choice([0, 1, 8, 9, 20], size=64), rng.integers(5, 30, size=64)
    asked = Asked(
        input_ids=np.where(np.arange(30)[None] < lengths[:, None], 1, NO_TOKEN),
        answer_starts=lengths - 1,
        ordinals=np.where(np.arange(32)[None] < num_facts[:, None], 0, -1),
        weights=np.ones((64, 32), np.float32),
        targets=np.zeros(64, np.int64),
        classes=np.zeros(64, np.int64),
    )
    step = np.maximum(num_facts - 1, 0) // 8
    for order in (None, np.random.default_rng(1)):
        parts = asked.buckets(size, rng=order)
        assert sorted(np.concatenate(parts).tolist()) == list(range(64))
        mixed = [part for part in parts if len(set(step[part])) > 1]
        assert len(mixed) <= len(set(step)) - 1  # only where one number of facts gives way to the next
        spread = [np.ptp(lengths[part]) for part in parts if len(set(step[part])) == 1]
        assert max(spread) < np.ptp(lengths)


def test_a_stream_goes_on_where_it_stopped(memory: KnowledgeMemory) -> None:
    config = FitConfig(batch_size=4, steps=50)
    whole = list(itertools.islice(JointStream(questions_of(memory, []), config), 40))
    rest = list(itertools.islice(JointStream(questions_of(memory, []), config, first_step=21), 19))
    for expected, found in zip(whole[21:], rest, strict=True):
        pairs = zip(expected, found, strict=True)
        assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)
    assert any(batch.silent.any() for batch in whole)
    assert not np.array_equal(whole[0].input_ids.numpy(), whole[1].input_ids.numpy())


def test_processes_make_the_same_batches_as_a_thread(memory: KnowledgeMemory) -> None:
    config = FitConfig(batch_size=4, steps=50)
    questions = questions_of(memory, [])
    by_thread = list(itertools.islice(JointStream(questions, config, first_step=9), 30))
    stream = iter(JointStream(questions, replace(config, num_workers=2), first_step=9))
    by_processes = list(itertools.islice(stream, 30))
    stream.close()
    for expected, found in zip(by_thread, by_processes, strict=True):
        pairs = zip(expected, found, strict=True)
        assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def test_a_batch_says_what_its_questions_say(memory: KnowledgeMemory) -> None:
    questions = questions_of(memory, [], seed=5)
    asked = questions.training(0, 24, unrelated_share=0.25)
    chosen, hidden = np.array([3, 17, 0, 11, 20, 8]), np.array([False, True, False, False, False, True])
    packed = PackedJoint.pack([asked.batch(questions.places, chosen, hidden=hidden)])
    (batch,) = packed.on_device(torch.device("cpu"))
    width, width_of_ids = batch.row_weights.shape[1], batch.input_ids.shape[1]
    places = [(b, t) for b in range(len(chosen)) for t in range(width_of_ids)]
    rows = dict(zip(batch.learning_places.tolist(), batch.learning_rows.tolist(), strict=True))
    others = dict(zip(batch.context_places.tolist(), batch.context_rows.tolist(), strict=True))
    assert not rows.keys() & others.keys()
    for b, (question, is_hidden) in enumerate(zip(chosen, hidden, strict=True)):
        ids = [i for i in asked.input_ids[question].tolist() if i >= 0]
        assert batch.input_ids[b, : len(ids)].tolist() == ids and not batch.input_ids[b, len(ids) :].any()
        start = int(asked.answer_starts[question])
        labels = [ids[t + 1] if start <= t + 1 < len(ids) else -100 for t in range(len(ids))]
        assert batch.labels[b, : len(ids)].tolist() == labels and int(batch.lengths[b]) == len(ids)
        is_silent = asked.targets[question] < 0
        silent = [t for s, t in places if s == b and s * width_of_ids + t in set(batch.silent_places.tolist())]
        assert silent == (list(range(len(ids))) if is_silent else [])
        end = b * width_of_ids + len(ids) - 1
        assert (end in batch.silent_ends.tolist()) == is_silent
        wanted = [] if is_silent or is_hidden else memory.store.row_ids_of(asked.targets[question][None, None])[0][0]
        assert [rows[p] for p in range(b * width, (b + 1) * width) if p in rows] == list(wanted)
        known = set() if is_hidden else {o for o in asked.ordinals[question].tolist() if o >= 0}
        expected = {int(r) for o in known for r in memory.store.row_ids_of(np.array([[o]]))[0][0]} - set(wanted)
        assert {others[p] for p in range(b * width, (b + 1) * width) if p in others} == expected


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
