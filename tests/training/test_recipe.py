"""Chunks of the recipe: the same for a seed wherever they are made; whole subjects are sampled."""

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.examples import CHAT_MARK
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.recipe import Ingredients, Recipe, chunk_stream, sample_subjects

RECIPE = Recipe(synthetic_subjects=20, real_facts=10, num_questions=60)


def real_table(num_subjects: int = 8, facts_each: int = 3) -> FactTable:
    size = num_subjects * facts_each
    groups = np.arange(size, dtype=np.int64) % num_subjects
    subjects = [f"Place {g}" for g in groups]
    relations = [f"relation {i // num_subjects}" for i in range(size)]
    prefixes = [f"The {r} of {s} is" for r, s in zip(relations, subjects, strict=True)]
    return FactTable("real", subjects, relations, [f"value {i}" for i in range(size)], prefixes, groups)


@pytest.fixture
def ingredients(tiny_tokenizer: PreTrainedTokenizerFast) -> Ingredients:
    return Ingredients(
        tables=(real_table(),),
        kept_out_subjects=frozenset(),
        kept_out_relations=frozenset(),
        tokenizer_path="",
        gguf_file=None,
        chat_prompt=f"<|im_start|>user\n{CHAT_MARK}<|im_end|>\n<|im_start|>assistant\n",
        end_id=1,
        chat_end_id=2,
        loaded_tokenizer=tiny_tokenizer,
    )


def with_seed(chunk: Chunk, seed: int) -> tuple[int, Chunk]:
    """Send a chunk back as it is."""
    return seed, chunk


def test_workers_make_the_chunks_that_this_process_makes(ingredients: Ingredients) -> None:
    settings = {"finish": with_seed, "seed": 5, "limit": 3}
    here = list(chunk_stream(ingredients, RECIPE, num_workers=0, **settings))
    there = list(chunk_stream(ingredients, RECIPE, num_workers=1, **settings))
    assert [seed for seed, _ in there] == [5, 6, 7]
    assert len(there[0][1]) < len(there[1][1]) / 5, "the first chunk of a worker is a tenth"
    for (_, one), (_, other) in zip(here[1:], there[1:], strict=True):
        assert np.array_equal(one.input_ids, other.input_ids)
        assert np.array_equal(one.candidates, other.candidates)
        assert np.array_equal(one.facts.chunk_tokens, other.facts.chunk_tokens)


def test_whole_subjects_are_sampled_until_there_are_enough() -> None:
    table, rng = real_table(), np.random.default_rng(0)
    for wanted in (1, 3, 4, 10, 24, 100):
        sample = sample_subjects(table, rng, num_facts=wanted)
        names, counts = np.unique(sample.subjects, return_counts=True)
        assert set(counts) == {3}
        assert len(names) == min(8, -(-wanted // 3))
        assert len(set(sample.objects)) == len(sample)
    drawn = {tuple(sorted(set(sample_subjects(table, rng, num_facts=3).subjects))) for _ in range(100)}
    assert len(drawn) == 8, "every subject is drawn some time"


def test_comparisons_are_as_many_as_wished_and_hold_both_facts(ingredients: Ingredients) -> None:
    recipe = Recipe(synthetic_subjects=150, real_facts=10, num_questions=600)
    ((_, chunk),) = chunk_stream(ingredients, recipe, finish=with_seed, seed=2, limit=1, num_workers=0)
    compared = chunk.classes == chunk.class_names.index("comparison")
    wanted = recipe.comparison * recipe.num_questions
    assert 0.5 * wanted < compared.sum() <= wanted, "only prompts and answers that are too long are left out"
    first, second = chunk.targets[compared], chunk.second_targets[compared]
    assert (first != second).all()
    assert (chunk.candidates[compared][:, :2] == np.stack([first, second], axis=1)).all()
    assert (chunk.second_targets[~compared] == -1).all() and not chunk.silent[compared].any()


def test_two_hops_are_as_many_as_wished_and_hold_both_facts(ingredients: Ingredients) -> None:
    recipe = Recipe(synthetic_subjects=400, real_facts=10, num_questions=600, two_hops=0.2)
    ((_, chunk),) = chunk_stream(ingredients, recipe, finish=with_seed, seed=2, limit=1, num_workers=0)
    chained = chunk.classes == chunk.class_names.index("two_hops")
    assert 0.5 * 120 < chained.sum() <= 120, "only prompts and answers that are too long are left out"
    targets, held = chunk.targets[chained], chunk.candidates[chained][:, :2]
    assert (targets[:, None] == held).sum(axis=1).tolist() == [1] * len(targets)
    assert (targets == held[:, 1]).mean() > 0.6, "most ask for the second fact"
    assert (chunk.second_targets[chained] == -1).all() and not chunk.silent[chained].any()


def test_without_two_hops_chunks_are_what_they_were(ingredients: Ingredients) -> None:
    ((_, chunk),) = chunk_stream(ingredients, RECIPE, finish=with_seed, seed=5, limit=1, num_workers=0)
    assert "two_hops" not in chunk.class_names
