"""Questions about the facts of a memory, with the facts that its real index returns for each: what `fit` trains on.

In: live facts of a store and a seed. Out: `Asked`, tokenised questions, and the batches cut from them.

Letters: Q questions, B batch, T tokens, C places for facts of a question, R rows of a sequence.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS, NO_TOKEN, pad_rows
from widedeep_kb.memory.recalled import RowPlaces
from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.memory.store import FactStore
from widedeep_kb.schema import statement_prefix
from widedeep_kb.synthetic import unrelated_prompts
from widedeep_kb.training.build_chunk import MAX_PROMPT_TOKENS
from widedeep_kb.training.examples import UNCUED_WEIGHT, Example, Phraser, PhrasingMix
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.joint_batch import host_batch
from widedeep_kb.training.piece_tokenizer import PieceTokenizer

CLASSES = ("trained", "heldout", "own")
_FACTS_STEP = 8  # numbers of facts that are about the same
_PLAIN = PhrasingMix(own=0.0, chat=0.0, canonical=1.0, raw=0.0, corrupted=0.0)


@dataclass(frozen=True)
class Asked:
    """Q tokenised questions.

    Attributes:
        input_ids: [Q, T] int32, prompt and answer, left aligned, NO_TOKEN behind.
        answer_starts: [Q] int64, place of the first answer token.
        ordinals: [Q, C] int64, facts in memory for each question, -1 = none.
        weights: [Q, C] float32, weight of the hit that brought each.
        targets: [Q] int64, ordinal of the asked fact, -1 = none (memory is to stay silent).
        classes: [Q] int64, into `CLASSES`.
    """

    input_ids: np.ndarray
    answer_starts: np.ndarray
    ordinals: np.ndarray
    weights: np.ndarray
    targets: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        """Number of questions Q."""
        return len(self.targets)

    @property
    def lengths(self) -> np.ndarray:
        """[Q] int64 tokens of each question."""
        return (self.input_ids != NO_TOKEN).sum(axis=1)

    def batch(
        self, places: RowPlaces, chosen: np.ndarray, *, hidden: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The batch of the given questions [B], in numpy (see `host_batch`).

        Args:
            places: where the facts' rows are.
            chosen: int64 [B].
            hidden: bool [B], questions whose rows are hidden; None = none.
        """
        lengths, targets = self.lengths[chosen], self.targets[chosen]
        ordinals, weights = self.ordinals[chosen], self.weights[chosen]
        if hidden is not None:
            ordinals = np.where(hidden[:, None], -1, ordinals)
        row_ids, facts = places.row_ids_of(ordinals)
        if not row_ids.shape[1]:
            row_ids = facts = np.full((len(chosen), 1), -1, dtype=np.int64)
        is_hit = (ordinals[:, :, None] == facts[:, None, :]) & (facts[:, None, :] >= 0)  # [B, C, R]
        return host_batch(
            self.input_ids[chosen, : int(lengths.max())],
            lengths=lengths,
            answer_starts=self.answer_starts[chosen],
            row_ids=row_ids,
            row_weights=np.where(is_hit, weights[:, :, None], 0).max(axis=1, initial=0),
            is_target=(facts == targets[:, None]) & (facts >= 0),
            silent=targets < 0,
            classes=self.classes[chosen],
        )

    def buckets(self, batch_size: int, *, rng: np.random.Generator | None = None) -> list[np.ndarray]:
        """Batches of questions with similar numbers of facts and of tokens, so that little of a batch is padding.

        They are in random order with `rng`, each cut from a window of 16 batches, else sorted.
        """
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        size = len(self) if rng is None else batch_size * 16
        facts = ((self.ordinals >= 0).sum(axis=1) - 1).clip(min=0) // _FACTS_STEP  # with no fact goes what has few
        parts: list[np.ndarray] = []
        for start in range(0, len(order), max(size, 1)):
            window = order[start : start + size]
            window = window[np.lexsort((self.lengths[window], facts[window]))]
            parts += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        return parts if rng is None else [parts[i] for i in rng.permutation(len(parts))]


class Questions:
    """Makes questions about some facts of a store.

    Facts whose property has several values are left out: a question about them has no single right answer.

    Args:
        lm: gives tokenizer and chat template.
        store: holds the facts.
        ordinals: [N] int64, the facts to ask for.
        scope: [M] int64, the facts that are in memory as far as these questions are concerned; None = all.
        questions: frame of `QUESTION_SCHEMA`; those with the `fact_id` of one of the facts are its own words.
        templates: relation -> texts with "{subject}".
        seed: of every choice.
        own_share: share of training questions in a fact's own words, where it has some.
    """

    def __init__(
        self,
        lm: FrozenLM,
        store: FactStore,
        *,
        ordinals: np.ndarray,
        scope: np.ndarray | None = None,
        questions: pl.DataFrame | None = None,
        templates: dict[str, list[str]] | None = None,
        seed: int = 0,
        own_share: float = 0.5,
    ) -> None:
        # No reference to LLM or store: workers get a copy of all this.
        self.device, self.seed, self.places = lm.device, seed, store.places
        self.tokenizer, self.ends = PieceTokenizer(lm.tokenizer), (lm.newline_id, lm.chat_end_id)
        self.retriever = store.retriever if scope is None else retriever_of(lm, store, scope)
        self.ordinals = with_one_value(store, ordinals, among=store.catalogue.alive() if scope is None else scope)
        trained_templates, self.kept_templates = split_templates(templates or {}, seed=seed)
        self.table = fact_table(store, self.ordinals, templates=trained_templates)
        self.kept_questions = self._take_questions(store, questions) if questions is not None else {}
        chat = lm.chat_prompt if lm.tokenizer.chat_template is not None else None
        self.phraser = Phraser(chat, mix=PhrasingMix(own=own_share))

    def __len__(self) -> int:
        """Number of facts that can be asked for."""
        return len(self.ordinals)

    def training(self, first: int, num_questions: int, *, unrelated_share: float) -> Asked:
        """Training questions `first` to `first + num_questions` of an endless list; each pass asks for every fact."""
        rng = random.Random(f"{self.seed}/{first}")
        num_unrelated = round(num_questions * unrelated_share) if len(self) else num_questions
        num_asked = num_questions - num_unrelated
        begin = first - round(first * unrelated_share)
        examples = [self.phraser.example(self.table, i, rng, kind="trained") for i in self._facts(begin, num_asked)]
        for text in unrelated_prompts(rng, num_unrelated):
            prompt, is_chat = self.phraser.prompt(text, rng)
            examples.append(Example(prompt, text, None, -1, is_chat, "trained"))
        return self._encode(examples, adds_target=True)

    def validation(self, num_questions: int) -> Asked:
        """At most `num_questions` of each class: trained frames, held-out frames, and own words kept from training."""
        rng = random.Random(f"{self.seed}/validation")
        own = replace(self.table, questions=self.kept_questions, templates=self.kept_templates)
        examples: list[Example] = []
        for kind in CLASSES:
            mix = replace(_PLAIN, own=1.0) if kind == "own" else _PLAIN
            phraser = Phraser(None, split="heldout" if kind == "heldout" else "trained", mix=mix)
            table = own if kind == "own" else self.table
            has_own = [i in own.questions or own.relations[i] in own.templates for i in range(len(table))]
            pool = [i for i in range(len(table)) if kind != "own" or has_own[i]]
            for fact in rng.sample(pool, min(num_questions, len(pool))):
                examples.append(phraser.example(table, fact, rng, kind=kind))
        return self._encode(examples, adds_target=False)

    def _take_questions(self, store: FactStore, questions: pl.DataFrame) -> dict[int, list[str]]:
        """Give the table's facts their own questions; returns those kept for validation, fact -> texts.

        A question in the words of a kept template is kept, one in the words of a trained template is trained, and of
        the others a fifth is kept.
        """
        table, kept = self.table, {}
        numbers = store.catalogue.rows(self.ordinals).select("fact_id").with_row_index("fact")
        asked = questions.drop_nulls("fact_id").join(numbers, on="fact_id")
        for fact, text in asked.select("fact", "question").sort("fact", "question").iter_rows():
            relation, subject = table.relations[fact], table.subjects[fact]
            if _is_made_of(self.kept_templates.get(relation, ()), text, subject=subject):
                is_kept = True
            elif _is_made_of(table.templates.get(relation, ()), text, subject=subject):
                is_kept = False
            else:
                is_kept = random.Random(f"{self.seed}/{text}").random() < 0.2
            (kept if is_kept else table.questions).setdefault(fact, []).append(text)
        return kept

    def _facts(self, first: int, count: int) -> list[int]:
        """Facts of the places `first` to `first + count` in an endless list of shuffled passes."""
        if not count:
            return []
        passes = range(first // len(self), (first + count - 1) // len(self) + 1)
        orders = [np.random.default_rng([self.seed, number]).permutation(len(self)) for number in passes]
        skipped = first - passes.start * len(self)
        return np.concatenate(orders)[skipped : skipped + count].tolist()

    def _encode(self, examples: Sequence[Example], *, adds_target: bool) -> Asked:
        """Tokenise, look up, and drop what is too long; `adds_target` puts an asked fact that the index missed last."""
        prompts = self.tokenizer([e.prompt for e in examples]).input_ids
        answers = self.tokenizer([f" {e.answer or ''}" for e in examples]).input_ids
        pairs = zip(prompts, answers, strict=True)
        is_kept = [0 < len(p) <= MAX_PROMPT_TOKENS and len(a) <= MAX_VALUE_TOKENS for p, a in pairs]
        kept = [i for i, keep in enumerate(is_kept) if keep]
        spoken = {i: [*answers[i], self.ends[examples[i].is_chat]] for i in kept if examples[i].answer is not None}
        rows = [[*prompts[i], *spoken.get(i, ())] for i in kept]
        hits = self.retriever.lookup([examples[i].text for i in kept])
        places = np.array([examples[i].target for i in kept], dtype=np.int64)
        known = self.ordinals if len(self.ordinals) else np.array([-1])
        targets = np.where(places < 0, -1, known[places])
        ordinals, weights = hits.ordinals.copy(), hits.weights.astype(np.float32)
        if adds_target:
            is_missed = (targets >= 0) & ~(ordinals == targets[:, None]).any(axis=1)
            ordinals[is_missed, -1], weights[is_missed, -1] = targets[is_missed], UNCUED_WEIGHT
        return Asked(
            input_ids=pad_rows(rows),
            answer_starts=np.array([len(prompts[i]) for i in kept], dtype=np.int64),
            ordinals=ordinals,
            weights=weights,
            targets=targets,
            classes=np.array([CLASSES.index(examples[i].kind) for i in kept], dtype=np.int64),
        )


def retriever_of(lm: FrozenLM, store: FactStore, ordinals: np.ndarray) -> Retriever:
    """An index over some facts of a store only, so that nothing depends on the others."""
    retriever = Retriever(store.retriever.budget, word_vectors=lm.word_vectors)
    columns = store.catalogue.columns_for(ordinals, ["subject", "subject_aliases", "subject_id", "relation"])
    names = {"subject": "subjects", "subject_aliases": "aliases", "subject_id": "subject_ids", "relation": "relations"}
    retriever.add(ordinals, **{names[column]: columns[column].to_list() for column in names})
    return retriever


def with_one_value(store: FactStore, ordinals: np.ndarray, *, among: np.ndarray) -> np.ndarray:
    """Those of `ordinals` whose (subject as written, relation) occurs once in the facts `among`."""
    facts = store.catalogue.columns_for(among, ["subject", "relation"]).with_columns(pl.Series("ordinal", among))
    single = facts.filter(pl.len().over(pl.col("subject").str.to_lowercase(), "relation") == 1)["ordinal"].to_numpy()
    return ordinals[np.isin(ordinals, single)]


def fact_table(store: FactStore, ordinals: np.ndarray, *, templates: dict[str, list[str]]) -> FactTable:
    """Facts of a store as a training table, without questions of their own yet."""
    facts = store.catalogue.rows(ordinals)
    rows = facts.select("subject", "relation", "object", "statement").to_dicts()
    return FactTable(
        name="memory",
        subjects=facts["subject"].to_list(),
        relations=facts["relation"].to_list(),
        objects=facts["object"].to_list(),
        prefixes=[statement_prefix(row) for row in rows],
        groups=np.unique(facts["subject_id"].to_numpy(), return_inverse=True)[1].astype(np.int64),
        templates=templates,
    )


def split_templates(templates: dict[str, list[str]], *, seed: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Templates to train on and, of relations with more than one, a fifth (at least one) kept for validation."""
    trained, kept = {}, {}
    for relation, texts in templates.items():
        num_kept = max(1, len(texts) // 5) if len(texts) > 1 else 0
        chosen = set(random.Random(f"{seed}/{relation}").sample(range(len(texts)), num_kept))
        trained[relation] = [text for i, text in enumerate(texts) if i not in chosen]
        if chosen:
            kept[relation] = [text for i, text in enumerate(texts) if i in chosen]
    return trained, kept


def _is_made_of(templates: Sequence[str], text: str, *, subject: str) -> bool:
    """Whether `text` is one of the templates filled with the subject."""
    return any(template.replace("{subject}", subject) == text for template in templates)
