"""Chunks and their batches against a slow reference in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import NO_TOKEN, encode_facts, pad_rows
from widedeep_kb.memory.writer import fact_features
from widedeep_kb.training.batches import IGNORED, ChunkBatches, PackedBatches
from widedeep_kb.training.build_chunk import MAX_PROMPT_TOKENS, build_chunk
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.examples import Example
from widedeep_kb.training.fact_table import FactTable

NUM_FACTS, NUM_QUESTIONS, NUM_CANDIDATES = 12, 30, 6
WRITER_LAYERS = (0, 1)


@pytest.fixture(scope="module")
def lm(tiny_frozen_lm: Callable[..., FrozenLM]) -> FrozenLM:
    """A tiny Llama."""
    return tiny_frozen_lm("llama")


def random_chunk(lm: FrozenLM, seed: int = 0, *, num_questions: int = NUM_QUESTIONS) -> Chunk:
    """Facts of one to five rows; questions of any length with any candidates, some without, some silent."""
    rng = np.random.default_rng(seed)
    objects = ["".join(map(str, rng.integers(0, 10, rng.integers(1, 36)))) for _ in range(NUM_FACTS)]
    prefixes = ["The port of X" + " of Y" * int(rng.integers(0, 4)) for _ in range(NUM_FACTS)]
    lengths = rng.integers(2, 20, num_questions)
    candidates = np.full((num_questions, NUM_CANDIDATES), NO_TOKEN, dtype=np.int64)
    for row in candidates:
        count = rng.integers(0, NUM_CANDIDATES + 1)
        row[:count] = rng.permutation(NUM_FACTS)[:count]
    picked, other = rng.permuted(candidates, axis=1)[:, :2].T
    return Chunk(
        facts=encode_facts(lm.tokenizer, prefixes, objects=objects, end_id=lm.newline_id),
        input_ids=pad_rows([rng.integers(5, 300, n).tolist() for n in lengths]),
        answer_starts=rng.integers(1, lengths + 1).astype(np.int32),
        candidates=candidates,
        weights=np.where(candidates == NO_TOKEN, 0, rng.random(candidates.shape)).astype(np.float16),
        targets=picked,
        second_targets=np.where(rng.random(num_questions) < 0.4, other, NO_TOKEN),
        silent=rng.random(num_questions) < 0.3,
        classes=rng.integers(0, 2, num_questions).astype(np.int16),
        class_names=("a", "b"),
    )


def slow_rows(chunk: Chunk, question: int) -> list[tuple[int, bool, float]]:
    """Rows in memory for a question, as (row of the chunk, is the target's, hit weight): the target's first."""
    targets = {int(chunk.targets[question]), int(chunk.second_targets[question])}
    facts = [int(f) for f in chunk.candidates[question] if f != NO_TOKEN]
    weights = dict(zip(chunk.candidates[question].tolist(), chunk.weights[question].tolist(), strict=True))
    facts.sort(key=lambda f: f not in targets)
    first = [sum(chunk.facts.num_rows[:f].tolist()) for f in facts]
    return [
        (s + i, f in targets, weights[f])
        for f, s in zip(facts, first, strict=True)
        for i in range(int(chunk.facts.num_rows[f]))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_batches_equal_the_slow_reference(lm: FrozenLM, seed: int) -> None:
    chunk = random_chunk(lm, seed)
    batches = ChunkBatches(chunk, lm, writer_layers=WRITER_LAYERS, batch_size=7)
    features = fact_features(lm, chunk.facts, layers=WRITER_LAYERS)
    for questions in (np.arange(7), np.arange(29, 12, -3), np.array([4])):
        batch = batches.batch(questions)
        assert batch.question_ids.tolist() == questions.tolist()
        assert batch.silent.tolist() == chunk.silent[questions].tolist()
        assert batch.classes.tolist() == chunk.classes[questions].tolist()
        for b, question in enumerate(questions.tolist()):
            ids = [int(t) for t in chunk.input_ids[question] if t != NO_TOKEN]
            assert batch.lengths[b] == len(ids)
            assert batch.input_ids[b, : len(ids)].tolist() == ids
            start = int(chunk.answer_starts[question])
            width, silent = batch.input_ids.shape[1], bool(chunk.silent[question])
            labels = [ids[t + 1] if start <= t + 1 < len(ids) and not silent else IGNORED for t in range(width)]
            assert batch.labels[b].tolist() == labels
            quiet = {place % width for place in batch.silent_places.tolist() if place // width == b}
            assert quiet == (set(range(len(ids))) if silent else set())
            ends = {place % width for place in batch.silent_ends.tolist() if place // width == b}
            assert ends == {t for t in quiet if t >= start - 1}
            expected = slow_rows(chunk, question)
            num_distinct = len(batch.features)
            used = [i for i in batch.row_index[b].tolist() if i != num_distinct]
            assert batch.row_index[b].tolist()[len(used) :] == [num_distinct] * (batch.row_index.shape[1] - len(used))
            assert batch.is_target[b].tolist()[: len(used)] == [is_target for _, is_target, _ in expected]
            assert batch.row_weights[b].tolist()[: len(used)] == [weight for _, _, weight in expected]
            assert not batch.is_target[b, len(used) :].any()
            assert not batch.row_weights[b, len(used) :].any()
            for place, (row, _, _) in zip(used, expected, strict=True):
                assert batch.chunk_tokens[place].tolist() == chunk.facts.chunk_tokens[row].tolist()
                assert batch.chunk_cues[place].tolist() == chunk.facts.chunk_cues[row].tolist()
                assert batch.chunk_starts[place] == chunk.facts.chunk_starts[row]
                assert torch.equal(batch.features[place], features[chunk.facts.chunk_facts[row]])


def test_questions_without_candidates_have_no_rows(lm: FrozenLM) -> None:
    chunk = random_chunk(lm)
    chunk.candidates[:] = chunk.targets[:] = chunk.second_targets[:] = NO_TOKEN
    batch = ChunkBatches(chunk, lm, writer_layers=WRITER_LAYERS, batch_size=7).batch(np.arange(5))
    assert len(batch.features) == len(batch.chunk_tokens) == 0
    assert batch.row_index.tolist() == [[0]] * 5
    assert not batch.is_target.any()


def test_the_row_limit_drops_the_last_candidates_never_the_target(lm: FrozenLM) -> None:
    chunk = random_chunk(lm)
    limit = 6
    batch = ChunkBatches(chunk, lm, writer_layers=WRITER_LAYERS, batch_size=7, max_rows=limit).batch(
        np.arange(len(chunk))
    )
    has_dropped = False
    for b in range(len(chunk)):
        expected = slow_rows(chunk, b)
        num_kept = int((batch.row_index[b] != len(batch.features)).sum())
        assert num_kept <= limit
        assert int(batch.is_target[b].sum()) == sum(is_target for _, is_target, _ in expected)
        has_dropped |= num_kept < len(expected)
    assert has_dropped


def test_a_target_over_the_limit_stays_and_lets_no_other_question_over_it(lm: FrozenLM) -> None:
    chunk = random_chunk(lm)
    limit = 2
    batch = ChunkBatches(chunk, lm, writer_layers=WRITER_LAYERS, batch_size=7, max_rows=limit).batch(
        np.arange(len(chunk))
    )
    for b in range(len(chunk)):
        num_target = sum(is_target for _, is_target, _ in slow_rows(chunk, b))
        assert int(batch.is_target[b].sum()) == num_target
        assert int((batch.row_index[b] != len(batch.features)).sum()) <= max(limit, num_target)


def test_packed_batches_arrive_as_they_were_cut(lm: FrozenLM) -> None:
    chunk = random_chunk(lm)
    batches = ChunkBatches(chunk, lm, writer_layers=WRITER_LAYERS, batch_size=7)
    cut = list(batches.cutter.shuffled(np.random.default_rng(3)))
    packed = PackedBatches.pack(chunk.facts, cut)
    assert packed.num_tokens == [int(chunk_lengths(chunk)[b.question_ids].sum()) for b in cut]
    for found, host in zip(packed.on_device(lm, writer_layers=WRITER_LAYERS), cut, strict=True):
        expected = batches.batch(host.question_ids.astype(np.int64))
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(found, expected, strict=True))


def chunk_lengths(chunk: Chunk) -> np.ndarray:
    """Tokens of each question."""
    return (chunk.input_ids != NO_TOKEN).sum(axis=1)


@pytest.mark.parametrize("num_questions", [1, 7, 30])
def test_a_pass_holds_every_question_once(lm: FrozenLM, num_questions: int) -> None:
    chunk = random_chunk(lm, num_questions=num_questions)
    batches = ChunkBatches(chunk, lm, writer_layers=WRITER_LAYERS, batch_size=7)
    for found in (list(batches.in_order()), list(batches.shuffled(np.random.default_rng(0)))):
        assert len(found) == len(batches)
        assert sorted(q for batch in found for q in batch.question_ids.tolist()) == list(range(num_questions))


def test_shuffling_follows_its_seed(lm: FrozenLM) -> None:
    batches = ChunkBatches(random_chunk(lm), lm, writer_layers=WRITER_LAYERS, batch_size=7)
    orders = [
        [b.question_ids.tolist() for b in batches.shuffled(np.random.default_rng(seed), buckets=2)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_a_saved_chunk_loads_equal(lm: FrozenLM, tmp_path: Path) -> None:
    chunk = random_chunk(lm)
    chunk.save(tmp_path / "c.npz")
    loaded = Chunk.load(tmp_path / "c.npz")
    assert loaded.class_names == chunk.class_names
    for name in ("input_ids", "answer_starts", "candidates", "targets", "second_targets", "silent", "classes"):
        assert np.array_equal(getattr(loaded, name), getattr(chunk, name))
    for name, array in chunk.facts.__dict__.items():
        assert np.array_equal(getattr(loaded.facts, name), array)


def table(num_facts: int = 6) -> FactTable:
    """Facts 0..5 about three subjects."""
    subjects = [f"S{i // 2}" for i in range(num_facts)]
    return FactTable(
        name="t",
        subjects=subjects,
        relations=["port", "owner"] * (num_facts // 2),
        objects=[str(100 + i) for i in range(num_facts)],
        prefixes=[f"The x of {s} is" for s in subjects],
        groups=np.arange(num_facts) // 2,
    )


def test_building_a_chunk_tokenises_prompts_answers_and_used_facts(lm: FrozenLM) -> None:
    examples = [
        Example("Port of S2?", "", "104", 4, kind="b"),
        Example("x" * 20 * MAX_PROMPT_TOKENS, "", "105", 5, kind="long"),
        Example("Chat?", "", "101", 1, is_chat=True, kind="a"),
        Example("Nothing?", "", None, 0, kind="absent"),
        Example("Same?", "", "No", 4, kind="b", second=2),
    ]
    candidates = np.array([[4, 1, -1], [5, 0, -1], [1, -1, -1], [4, 2, -1], [4, 2, -1]])
    weights = np.where(candidates < 0, 0.0, candidates / 8)
    end, chat_end = lm.newline_id, lm.chat_end_id
    chunk = build_chunk(
        lm.tokenizer,
        table(),
        examples=examples,
        candidates=candidates,
        weights=weights,
        end_id=end,
        chat_end_id=chat_end,
    )
    assert chunk.weights.tolist() == weights[[0, 2, 3, 4]].tolist()
    assert len(chunk) == 4  # the long prompt is left out
    used = [1, 2, 4]  # facts 0, 3 and 5 are in nobody's memory
    assert chunk.candidates.tolist() == [[2, 0, -1], [0, -1, -1], [2, 1, -1], [2, 1, -1]]
    assert chunk.targets.tolist() == [2, 0, NO_TOKEN, 2]
    assert chunk.second_targets.tolist() == [NO_TOKEN, NO_TOKEN, NO_TOKEN, 1]
    assert chunk.silent.tolist() == [False, False, True, False]
    assert [chunk.class_names[c] for c in chunk.classes] == ["b", "a", "absent", "b"]
    for q, (example, ending) in enumerate([(examples[0], [end]), (examples[2], [chat_end]), (examples[3], [])]):
        prompt = lm.encode([example.prompt])[0]
        answer = lm.encode([f" {example.answer}"])[0] if example.answer else []
        assert [t for t in chunk.input_ids[q].tolist() if t != NO_TOKEN] == [*prompt, *answer, *ending]
        assert chunk.answer_starts[q] == len(prompt)
    for fact, old in enumerate(used):
        tokens = chunk.facts.chunk_tokens[chunk.facts.chunk_facts == fact].ravel()
        assert lm.tokenizer.decode(tokens[tokens != NO_TOKEN]) == f" {table().objects[old]}\n"
