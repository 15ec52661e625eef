"""The recipe of a training chunk: fresh synthetic facts, a sample of real ones, and questions about them.

In: real `FactTable`s, names to keep out, a seed. Out: a `Chunk`. Runs in worker processes; the same seed gives the
same chunk.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as count_from
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from widedeep_kb.keys import ranges_of
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS
from widedeep_kb.phrasings import relation_paraphrases
from widedeep_kb.schema import default_statement
from widedeep_kb.synthetic import SyntheticBatch, generate, unrelated_prompts
from widedeep_kb.synthetic.unrelated_about import unrelated_about
from widedeep_kb.training.build_chunk import build_chunk
from widedeep_kb.training.chained_facts import chained_facts, hold_chains
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.compared_facts import compared_facts, hold_pairs
from widedeep_kb.training.examples import (
    CHAT_MARK,
    Candidates,
    Example,
    Phraser,
    absent_example,
    candidate_facts,
    continuation,
)
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.piece_tokenizer import PieceTokenizer
from widedeep_kb.training.workers import in_order, start_server

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """Sizes and shares of a chunk.

    Attributes:
        synthetic_subjects: subjects of fresh synthetic facts, about eight facts each.
        real_facts: facts sampled from the real tables.
        num_questions: Q.
        synthetic_share: of the questions about facts.
        unrelated: share of questions that no fact can answer.
        absent: share whose fact is not in memory though others of its subject are.
        comparison: share that compare two facts.
        two_hops: share that take two facts in a row, the object of one being the subject of the next.
        num_candidates: most facts in memory for a question.
    """

    synthetic_subjects: int = 3000
    real_facts: int = 12000
    num_questions: int = 40000
    synthetic_share: float = 0.7
    unrelated: float = 0.15
    absent: float = 0.08
    comparison: float = 0.08
    two_hops: float = 0.0
    num_candidates: int = 32

    def scaled(self, share: float) -> Recipe:
        """The same recipe for a chunk of another size."""
        return replace(
            self,
            synthetic_subjects=max(2, round(share * self.synthetic_subjects)),
            real_facts=max(1, round(share * self.real_facts)),
            num_questions=max(1, round(share * self.num_questions)),
        )


@dataclass(frozen=True)
class Ingredients:
    """What chunks are made of, besides a seed.

    Attributes:
        tables: real facts; may be empty.
        kept_out_subjects, kept_out_relations: names that synthetic facts must not use.
        tokenizer_path, gguf_file: where the tokenizer is loaded from.
        chat_prompt: the text of a chat prompt with `examples.CHAT_MARK` in the user's place, or None.
        end_id, chat_end_id: tokens that end an answer.
        loaded_tokenizer: the tokenizer itself, where there is one already: reading one from a GGUF file takes seconds.
    """

    tables: tuple[FactTable, ...]
    kept_out_subjects: frozenset[str]
    kept_out_relations: frozenset[str]
    tokenizer_path: str
    gguf_file: str | None
    chat_prompt: str | None
    end_id: int
    chat_end_id: int
    loaded_tokenizer: PreTrainedTokenizerBase | None = field(default=None, repr=False, compare=False)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, loaded if need be."""
        if self.loaded_tokenizer is not None:
            return self.loaded_tokenizer
        options = {"gguf_file": self.gguf_file} if self.gguf_file else {}
        return AutoTokenizer.from_pretrained(self.tokenizer_path, **options)

    def phraser(self, split: str = "trained") -> Phraser:
        """Phrasings of one split, with chat prompts where the tokenizer has a template."""
        template = self.chat_prompt
        return Phraser(None if template is None else (lambda text: template.replace(CHAT_MARK, text)), split=split)


def synthetic_table(batch: SyntheticBatch, *, name: str = "synthetic") -> FactTable:
    """Synthetic facts as a training table; common relations bring their natural questions."""
    subjects = [batch.subjects[s] for s in batch.subject_index.tolist()]
    questions = {
        i: [p.render(subjects[i]) for p in relation_paraphrases(common, "trained")]
        for i, common in enumerate(batch.common)
        if common is not None
    }
    return FactTable(
        name=name,
        subjects=subjects,
        relations=list(batch.relations),
        objects=list(batch.objects),
        prefixes=[default_statement(s, r) for s, r in zip(subjects, batch.relations, strict=True)],
        groups=batch.subject_index.astype(np.int64),
        questions={fact: texts for fact, texts in questions.items() if texts},
    )


def merge_tables(tables: Sequence[FactTable]) -> FactTable:
    """One table of all facts; subjects of different tables stay different, templates of a relation are joined."""
    groups, questions, templates, offset, first = [], {}, {}, 0, 0
    for table in tables:
        groups.append(table.groups + offset)
        offset += int(table.groups.max(initial=-1)) + 1
        questions.update({first + fact: texts for fact, texts in table.questions.items()})
        first += len(table)
        for relation, texts in table.templates.items():
            templates.setdefault(relation, []).extend(texts)
    return FactTable(
        name="all",
        subjects=[s for t in tables for s in t.subjects],
        relations=[r for t in tables for r in t.relations],
        objects=[o for t in tables for o in t.objects],
        prefixes=[p for t in tables for p in t.prefixes],
        groups=np.concatenate(groups),
        questions=questions,
        templates=templates,
    )


def sample_subjects(table: FactTable, rng: np.random.Generator, *, num_facts: int) -> FactTable:
    """Whole subjects, drawn at random until there are about `num_facts` facts."""
    if not len(table):
        return table
    order, starts = table.by_subject()
    subjects = rng.permutation(len(starts) - 1)
    sizes = np.diff(starts)[subjects]
    subjects = subjects[: np.searchsorted(np.cumsum(sizes), num_facts) + 1]
    _, members = ranges_of(starts, subjects)
    return table.take(order[members])


def make_chunk(
    ingredients: Ingredients, recipe: Recipe, *, seed: int, tokenizer: PreTrainedTokenizerBase | PieceTokenizer
) -> Chunk:
    """The chunk of one seed."""
    tokenizer = PieceTokenizer.of(tokenizer)
    rng, np_rng = random.Random(seed), np.random.default_rng(seed)
    batch = generate(
        recipe.synthetic_subjects,
        seed=seed,
        excluded_relations=ingredients.kept_out_relations,
        excluded_subjects=ingredients.kept_out_subjects,
    )
    synthetic = synthetic_table(batch)
    real = [_sample_real(ingredients.tables, recipe.real_facts, np_rng)] if ingredients.tables else []
    table = merge_tables([synthetic, *real])
    num_synthetic, phraser = len(synthetic), ingredients.phraser()
    examples = _questions(
        table,
        num_synthetic,
        recipe=recipe,
        phraser=phraser,
        rng=rng,
        excluded_relations=ingredients.kept_out_relations,
    )
    compared, facts, replaced = compared_facts(
        batch, phraser, rng=rng, count=round(recipe.comparison * recipe.num_questions)
    )
    chained = chained_facts(batch, phraser, rng=rng, count=round(recipe.two_hops * recipe.num_questions))
    asked = [replace(e, target=-1, second=-1) for e in (*compared, *chained.examples)]
    found = candidate_facts([*examples, *asked], table, np_rng, num_candidates=recipe.num_candidates)
    compared = [replace(e, target=len(table) + e.target, second=len(table) + e.second) for e in compared]
    ends = np.cumsum([len(examples), len(compared), len(chained.examples)])
    of_compared, of_chained = (Candidates(*(a[i:j] for a in found)) for i, j in pairwise(ends))
    hold_pairs(of_compared, [(e.target, e.second) for e in compared], replaced=replaced, rng=np_rng)
    first = len(table) + len(facts)
    hold_chains(of_chained, chained, firsts=range(first, first + len(chained.facts)), rng=np_rng)
    return build_chunk(
        tokenizer,
        _with_short_values(merge_tables([table, facts, chained.facts]), tokenizer),
        examples=[*examples, *compared, *chained.examples_at(first)],
        candidates=found.facts,
        weights=found.weights,
        end_id=ingredients.end_id,
        chat_end_id=ingredients.chat_end_id,
    )


def _with_short_values(table: FactTable, tokenizer: PieceTokenizer) -> FactTable:
    """Check that all values fit (a generator or a corpus may yield one that is too long): cut those at a word."""
    lengths = [len(row) for row in tokenizer([f" {o}" for o in table.objects], add_special_tokens=False).input_ids]
    too_long = [i for i, n in enumerate(lengths) if n > MAX_VALUE_TOKENS]
    for i in too_long:
        table.objects[i] = " ".join(table.objects[i].split()[:8])[:60]
    return table


def _sample_real(tables: Sequence[FactTable], num_facts: int, rng: np.random.Generator) -> FactTable:
    """A sample over tables, each weighted by the square root of its size, so that small sets are not drowned."""
    weights = np.sqrt([len(t) for t in tables])
    shares = np.maximum(1, (weights / weights.sum() * num_facts).astype(int))
    return merge_tables([sample_subjects(t, rng, num_facts=int(n)) for t, n in zip(tables, shares, strict=True)])


def _questions(
    table: FactTable,
    num_synthetic: int,
    *,
    recipe: Recipe,
    phraser: Phraser,
    rng: random.Random,
    excluded_relations: frozenset[str],
) -> list[Example]:
    num_unrelated = round(recipe.unrelated * recipe.num_questions)
    num_paired = round(recipe.comparison * recipe.num_questions) + round(recipe.two_hops * recipe.num_questions)
    num_about = recipe.num_questions - num_unrelated - num_paired
    examples = []
    for _ in range(num_about):
        is_synthetic = num_synthetic == len(table) or rng.random() < recipe.synthetic_share
        fact = rng.randrange(num_synthetic) if is_synthetic else rng.randrange(num_synthetic, len(table))
        if rng.random() < recipe.absent:
            examples.append(absent_example(phraser, table, fact, rng))
        else:
            examples.append(phraser.example(table, fact, rng, kind="synthetic" if is_synthetic else "real"))
    return examples + _unrelated(
        table, num_synthetic, count=num_unrelated, phraser=phraser, rng=rng, excluded_relations=excluded_relations
    )


def _unrelated(
    table: FactTable,
    num_synthetic: int,
    *,
    count: int,
    phraser: Phraser,
    rng: random.Random,
    excluded_relations: frozenset[str],
) -> list[Example]:
    """Questions that no fact answers: three in four hold the name of a subject whose facts are in memory."""
    order, starts = table.by_subject()
    first_real = int(
        np.searchsorted(table.groups[order[starts[:-1]]], table.groups[:num_synthetic].max(initial=-1) + 1)
    )
    relations: dict[str, set[str]] = {}
    for subject, relation in zip(table.subjects, table.relations, strict=True):
        relations.setdefault(subject.lower(), set()).add(relation)
    examples = []
    for text in unrelated_prompts(rng, count):
        is_real = first_real < len(starts) - 1 and rng.random() < 0.5
        group = rng.randrange(first_real, len(starts) - 1) if is_real else rng.randrange(max(1, first_real))
        subject = table.subjects[order[starts[group]]]
        if rng.random() < 0.75 and subject.strip():
            held = relations[subject.lower()]
            text = unrelated_about(rng, subject, relations=held, excluded_relations=excluded_relations)  # noqa: PLW2901
            key_text = text
        else:
            key_text = f"{text} {subject}"  # its facts are in memory though the LLM does not see its name
        prompt, is_chat = phraser.prompt(text, rng)
        examples.append(Example(prompt, key_text, None, -1, is_chat, "unrelated", continuation(table, rng)))
    return examples


@dataclass(frozen=True)
class ChunkJob(Generic[T]):
    """Makes and finishes the chunk of a seed; the arguments are those of `chunk_stream`."""

    ingredients: Ingredients
    recipe: Recipe
    finish: Callable[[Chunk, int], T]
    tokenizer: PieceTokenizer

    def __call__(self, seed: int, share: float = 1.0) -> T:
        """The finished chunk, of `share` of the recipe's size."""
        chunk = make_chunk(self.ingredients, self.recipe.scaled(share), seed=seed, tokenizer=self.tokenizer)
        return self.finish(chunk, seed)


def chunk_stream(
    ingredients: Ingredients,
    recipe: Recipe,
    *,
    finish: Callable[[Chunk, int], T],
    seed: int,
    num_workers: int,
    limit: int | None = None,
) -> Iterator[T]:
    """Chunks of seeds seed, seed + 1, ..., made and finished ahead by worker processes, in order.

    The first chunk of each worker is a tenth of the others' size, so that training starts at once.

    Args:
        ingredients, recipe: what each chunk is made of.
        finish: what a worker makes of a chunk and its seed before it is sent back; picklable.
        seed: of the first chunk.
        num_workers: processes; 0 = in this one.
        limit: number of chunks; None = no end.
    """
    seeds = iter(range(seed, seed + limit)) if limit is not None else count_from(seed)
    if num_workers > 0:
        start_server([__name__, getattr(finish, "__module__", __name__)])
    tokenizer = PieceTokenizer(ingredients.tokenizer())
    job = ChunkJob(replace(ingredients, loaded_tokenizer=None), recipe, finish, tokenizer)
    if num_workers == 0:
        yield from map(job, seeds)
    else:
        yield from in_order(job, seeds, num_workers=num_workers, first_share=0.1)
