"""Retriever: which stored facts a raw question is about, in three stages, exact keys only and no decoder layer.

1. Subjects: every word n-gram that is a subject or an alias. Common words need evidence; longest match wins.
2. Crosses: keys of (subject, relation cue) for the cues among the question's other words rank that subject's facts.
3. Over budget: the other words' vector against one small vector for each relation string. A quarter of the places is
   kept for facts that share no cue with the question, so that a synonym is not crowded out by words of other relations.

Letters: B questions, C places of the budget, S spans, M pairs of span and subject, F facts met.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from widedeep_kb.keys import combine, encode, hash_words
from widedeep_kb.memory.array_file import load_arrays, part_of, save_arrays
from widedeep_kb.memory.evidence import Batch, changes, control, match_cues, settle_spans
from widedeep_kb.memory.index import ExactIndex
from widedeep_kb.memory.relations import ANY, Relations, WordVectors, hashed_word_vectors
from widedeep_kb.memory.subjects import SubjectHits, Subjects
from widedeep_kb.memory.wording import NUM_WORDING, describe_wording

FILE_NAME = "retrieval.safetensors"
_VERSION = 2  # of the file; 1 had sorted indexes
_CHUNK = 4096  # questions at a time: bounds the memory of the intermediate arrays
_GROUP = 1 << 20  # facts of subjects at a time, likewise
_OLDER_TURN = 0.5  # weight of a turn against the next one
_VECTOR_PLACES = 4  # one place in so many is kept for facts that only their relation's vector points at
_BASE, _CUE, _FULL, _VECTOR = 0.2, 0.5, 0.1, 0.2  # shares of a fact's weight: subject, cues, all its cues, vector


class Hits(NamedTuple):
    """Facts for each question, best first.

    Attributes:
        ordinals: int64 [B, C], -1 where there is no further fact.
        weights: float32 [B, C], in (0, 1], descending; 0 where there is no fact.
        stage: int8 [B, C], what put the fact there: 1 its subject, 2 a relation cue, 3 its relation's vector; 0 none;
            4 a name that is only guessed (see `guessing`).
        subject_hits: int32 [B], names met in the question before common words were put under control.
        wording: float32 [B, 3], how much of the question the names explain (see `describe_wording`).
    """

    ordinals: np.ndarray
    weights: np.ndarray
    stage: np.ndarray
    subject_hits: np.ndarray
    wording: np.ndarray


class _Facts(NamedTuple):
    """Facts met, one row for each pair of question and fact once `_best` has been applied."""

    questions: np.ndarray  # int64 [F]
    ordinals: np.ndarray  # int64 [F]
    weights: np.ndarray  # float64 [F]: of the subject
    scores: np.ndarray  # float64 [F]: of the relation, in (0, 1]
    stage: np.ndarray  # int8 [F]


class Retriever:
    """Exact look-up of facts from raw question text.

    Args:
        budget: places for facts of a question, C.
        word_vectors: vectors of words for stage 3, for instance an LLM's mean input embeddings.
    """

    def __init__(self, budget: int = 32, *, word_vectors: WordVectors = hashed_word_vectors) -> None:
        if budget < 1:
            raise ValueError(f"budget must be at least 1, got {budget}")
        self.budget = budget
        self._subjects = Subjects()
        self._relations = Relations(word_vectors)
        self._facts = ExactIndex()  # subject key -> ordinals
        self._crosses = ExactIndex()  # subject key x cue key -> ordinals
        self._namings = np.zeros(0, np.int32)  # by ordinal, -1 where there is no fact
        self._fact_relations = np.zeros(0, np.int32)  # by ordinal

    @property
    def num_keys(self) -> int:
        """Distinct keys: names, subjects, and crosses of subjects with cues."""
        return self._subjects.forms.num_keys + self._facts.num_keys + self._crosses.num_keys

    @property
    def num_facts(self) -> int:
        """Facts that can be found."""
        return int(np.count_nonzero(self._namings >= 0))

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        parts = (self._facts, self._crosses, self._subjects, self._relations)
        return sum(part.size_bytes for part in parts) + self._namings.nbytes + self._fact_relations.nbytes

    def add(
        self,
        ordinals: np.ndarray,
        *,
        subjects: Sequence[str],
        aliases: Sequence[Sequence[str]],
        subject_ids: Sequence[str],
        relations: Sequence[str],
    ) -> None:
        """Make facts findable.

        Args:
            ordinals: int64 [n], one for each fact, not in use.
            subjects, aliases, subject_ids, relations: of each fact.

        Raises:
            ValueError: lengths differ, an ordinal is in use, a subject has no word, or a hash collision.
        """
        ordinals = np.asarray(ordinals, dtype=np.int64)
        columns = [list(subjects), [tuple(names) for names in aliases], list(subject_ids), list(relations)]
        sizes = [len(ordinals), *map(len, columns)]
        if len(set(sizes)) > 1:
            raise ValueError(f"ordinals, subjects, aliases, subject_ids and relations differ in length: {sizes}")
        if not len(ordinals):
            return
        self._refuse_ordinals(ordinals)
        namings = self._subjects.add(columns[0], columns[1], subject_ids=columns[2])
        relation_ids = self._relations.add(columns[3])
        self._reserve(int(ordinals.max()) + 1)
        self._namings[ordinals], self._fact_relations[ordinals] = namings, relation_ids
        hashes = self._subjects.hashes[namings]
        self._facts.insert(hashes[:, 0], ordinals, hashes[:, 1], texts=columns[2])
        rows, keys, checks = self._cross_keys(hashes, relation_ids)
        self._crosses.insert(keys, ordinals[rows], checks)

    def remove(self, ordinals: np.ndarray) -> None:
        """Forget facts: they miss from now on, and what only they used is dropped.

        Raises:
            ValueError: an ordinal that is not stored.
        """
        ordinals = np.unique(np.asarray(ordinals, dtype=np.int64))
        outside = (ordinals < 0) | (ordinals >= len(self._namings))
        absent = (
            ordinals[outside | (self._namings[np.where(outside, 0, ordinals)] < 0)] if len(self._namings) else ordinals
        )
        if len(absent):
            raise ValueError(f"ordinal {absent[0]} is not stored")
        namings, relation_ids = self._namings[ordinals], self._fact_relations[ordinals]
        hashes = self._subjects.hashes[namings]
        rows, keys, _ = self._cross_keys(hashes, relation_ids)
        self._crosses.delete(keys, ordinals[rows])
        self._facts.delete(hashes[:, 0], ordinals)
        self._subjects.release(namings)
        self._relations.release(relation_ids)
        self._namings[ordinals], self._fact_relations[ordinals] = -1, -1

    def ordinals_of(self, subject_ids: Sequence[str]) -> np.ndarray:
        """int64, ascending: the facts of subjects."""
        hashes = hash_words(list(dict.fromkeys(subject_ids)))
        return np.unique(self._facts.lookup(hashes[:, 0], hashes[:, 1]).values)

    def facts_named(
        self, names: Sequence[str], relations: Sequence[str | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Facts whose subject has exactly one of N names (whole, any case): index of the name, ordinal, int64 [F].

        Args:
            names: N.
            relations: N, as they were written; None for all.
        """
        rows, hashes = self._subjects.named(names)
        found = self._facts.lookup(hashes[:, 0], hashes[:, 1])
        rows, ordinals = rows[found.rows], found.values
        if relations is None or not len(ordinals):
            return rows, ordinals
        wanted = self._relations.numbers_of(relations)[rows]
        is_kept = (wanted == ANY) | (wanted == self._fact_relations[ordinals])
        return rows[is_kept], ordinals[is_kept]

    def namings_of(self, ordinals: np.ndarray) -> np.ndarray:
        """int32, of the same shape: a number for each fact's subject, -1 where the ordinal is -1."""
        return np.where(ordinals >= 0, self._namings[ordinals], -1) if len(self._namings) else ordinals.astype(np.int32)

    def lookup(
        self, texts: Sequence[str] | Sequence[Sequence[str]], *, excluded: np.ndarray | Sequence[int] = ()
    ) -> Hits:
        """Facts for each question.

        Args:
            texts: B questions; or B conversations, each the user's turns, oldest first: older ones weigh less.
            excluded: int64, ascending: ordinals of facts that are not to be brought.

        Raises:
            ValueError: one bare string.
        """
        if isinstance(texts, str):
            raise ValueError(f"lookup takes a list of questions, got the string {texts[:40]!r}")  # noqa: TRY004 - a user's mistake is a ValueError here
        turns = [[text] if isinstance(text, str) else list(text) for text in texts]
        counts = np.fromiter(map(len, turns), np.int64, len(turns))
        questions = np.repeat(np.arange(len(turns)), counts)
        ages = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(questions))
        encoded = encode([turn for conversation in turns for turn in conversation], has_pieces=True)
        lexicon = self._subjects.describe(encoded)
        cues = self._relations.find_cues(encoded)
        first_turns = np.concatenate([[0], np.cumsum(counts)])
        shape = (len(turns), self.budget)
        hits = Hits(
            np.full(shape, -1, np.int64),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.int8),
            np.zeros(len(turns), np.int32),
            np.zeros((len(turns), NUM_WORDING), np.float32),
        )
        for begin in range(0, len(turns), _CHUNK):
            end = min(begin + _CHUNK, len(turns))
            first, last = first_turns[begin], first_turns[end]
            batch = Batch(
                encoded.slice(first, last),
                lexicon,
                cues=cues.slice(encoded.offsets[first], encoded.offsets[last]),
                questions=questions[first:last] - begin,
                turn_weights=_OLDER_TURN ** ages[first:last],
            )
            self._lookup_batch(batch, Hits(*(array[begin:end] for array in hits)), excluded=np.asarray(excluded))
        return hits

    def save(self, folder: Path) -> None:
        """Write one file into `folder`, atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        meta = json.dumps({"version": _VERSION, "budget": self.budget}).encode()
        arrays = {
            "meta": np.frombuffer(meta, np.uint8),
            "namings": self._namings,
            "fact_relations": self._fact_relations,
        }
        parts = {"subjects": self._subjects, "relations": self._relations}
        for name, part in (*parts.items(), ("facts", self._facts), ("crosses", self._crosses)):
            arrays |= {f"{name}.{key}": array for key, array in part.arrays().items()}
        save_arrays(arrays, folder / FILE_NAME)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        budget: int | None = None,
        word_vectors: WordVectors = hashed_word_vectors,
        is_mapped: bool = True,
    ) -> "Retriever":
        """Read what `save` wrote, by default as a memory map (copy-on-write).

        Args:
            folder: the folder given to `save`.
            budget: places for facts, in the place of the stored number.
            word_vectors: those that the retriever was made with.
            is_mapped: read pages when they are needed.

        Raises:
            ValueError: a damaged file, another version, or word vectors of another size.
        """
        path = Path(folder) / FILE_NAME
        arrays = load_arrays(path, is_mapped=is_mapped)
        meta = json.loads(arrays["meta"].tobytes())
        if not 1 <= meta["version"] <= _VERSION:
            raise ValueError(f"{path}: retrieval version {meta['version']}, this release reads 1 to {_VERSION}")
        result = cls(meta["budget"] if budget is None else budget, word_vectors=word_vectors)
        result._namings, result._fact_relations = arrays["namings"], arrays["fact_relations"]
        result._subjects = Subjects.from_arrays(part_of(arrays, "subjects"))
        result._relations = Relations.from_arrays(part_of(arrays, "relations"), word_vectors)
        result._facts = ExactIndex.from_arrays(part_of(arrays, "facts"))
        result._crosses = ExactIndex.from_arrays(part_of(arrays, "crosses"))
        return result

    def _lookup_batch(self, batch: Batch, out: Hits, *, excluded: np.ndarray) -> None:
        hits = self._subjects.find(batch.encoded, batch.lexicon)
        out.subject_hits[:] = np.bincount(batch.questions[hits.starts], minlength=len(out.subject_hits))
        if not len(hits.starts):
            return
        matches = match_cues(
            batch,
            hits,
            crosses=self._crosses,
            fact_relations=self._fact_relations,
            totals=self._relations.totals,
        )
        survives = control(batch, hits, matches)
        span_weights = settle_spans(hits, survives) * batch.turn_weights[hits.starts]
        pair_weights = np.where(survives, span_weights[hits.spans], 0.0)
        cued = pair_weights[matches.pairs] > 0
        facts = _Facts(
            questions=batch.questions[hits.starts[hits.spans[matches.pairs[cued]]]],
            ordinals=matches.ordinals[cued],
            weights=pair_weights[matches.pairs[cued]],
            scores=_BASE + _CUE * matches.scores[cued] + _FULL * matches.is_full[cued],
            stage=np.full(int(cued.sum()), 2, np.int8),
        )
        covered = _covered(batch, hits, span_weights)
        wording = describe_wording(batch, hits, span_weights=span_weights, covered=covered, explained=matches.explained)
        out.wording[: len(wording)] = wording
        for cued, pairs in self._groups(facts, batch, hits=hits, pair_weights=pair_weights):
            others = self._facts_of(pairs, batch, hits=hits, pair_weights=pair_weights)
            met = _best(_Facts(*map(np.concatenate, zip(cued, others, strict=True))))
            if len(excluded):
                met = _Facts(*(column[~is_among(met.ordinals, excluded)] for column in met))
            _write(self._compare_vectors(met, batch, covered=covered), out)

    def _groups(
        self, facts: "_Facts", batch: Batch, *, hits: SubjectHits, pair_weights: np.ndarray
    ) -> Iterator[tuple["_Facts", np.ndarray]]:
        """Cued facts, and the pairs of surviving subjects (int64, each subject once), of some questions at a time."""
        pairs = np.flatnonzero(pair_weights)
        questions = batch.questions[hits.starts[hits.spans[pairs]]]
        order = np.lexsort((-pair_weights[pairs], hits.subject_keys[pairs], questions))
        pairs, questions = pairs[order], questions[order]
        kept = changes(questions, hits.subject_keys[pairs])
        pairs, questions = pairs[kept], questions[kept]
        keys, first, inverse = np.unique(hits.subject_keys[pairs], return_index=True, return_inverse=True)
        sizes = self._facts.lookup(keys, hits.subject_checks[pairs[first]]).lengths[inverse]
        before = np.cumsum(np.bincount(questions, weights=sizes, minlength=len(batch.encoded.offsets)))
        group_of = (before / _GROUP).astype(np.int64)  # of each question
        for group in np.unique(group_of[questions]):
            own = group_of[facts.questions] == group
            yield _Facts(*(column[own] for column in facts)), pairs[group_of[questions] == group]

    def _facts_of(self, pairs: np.ndarray, batch: Batch, *, hits: SubjectHits, pair_weights: np.ndarray) -> "_Facts":
        """All facts of the subjects of `pairs`, by their subject alone."""
        found = self._facts.lookup(hits.subject_keys[pairs], hits.subject_checks[pairs])
        rows, size = found.rows, len(found.values)
        return _Facts(
            questions=batch.questions[hits.starts[hits.spans[pairs]]][rows],
            ordinals=found.values,
            weights=pair_weights[pairs][rows],
            scores=np.full(size, _BASE),
            stage=np.ones(size, np.int8),
        )

    def _compare_vectors(self, facts: "_Facts", batch: Batch, *, covered: np.ndarray) -> "_Facts":
        """Stage 3: raise the facts of overfull questions by the cosine of their relation and the uncovered words."""
        sizes = np.bincount(facts.questions)
        ends = np.cumsum(sizes)
        scores, stage = facts.scores.copy(), facts.stage.copy()
        word_bounds = np.searchsorted(batch.questions, np.arange(len(sizes) + 1))
        overfull = np.flatnonzero(sizes > self.budget)
        texts = []
        for question in overfull:
            positions = np.arange(word_bounds[question], word_bounds[question + 1])
            ids = batch.encoded.word_ids[positions[~covered[positions]]]
            texts.append([batch.encoded.folded[i] for i in ids])
        for question, vector in zip(overfull, self._relations.question_vectors(texts), strict=True):
            rows = slice(ends[question] - sizes[question], ends[question])
            unique, inverse = np.unique(self._fact_relations[facts.ordinals[rows]], return_inverse=True)
            cosines = self._relations.vectors[unique].astype(np.float32) @ vector
            scores[rows] += _VECTOR * np.maximum(cosines, 0.0)[inverse]
            stage[rows][facts.stage[rows] == 1] = 3
        return facts._replace(scores=scores, stage=stage)

    def _cross_keys(self, hashes: np.ndarray, relation_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Crosses of each fact's subject (uint64 [n, 2]) with its relation's cues: (fact, key, check) of each."""
        rows, cues = self._relations.cues_of(relation_ids)
        return rows, combine(hashes[rows, 0], cues[:, 0]), combine(hashes[rows, 1], cues[:, 1])

    def _refuse_ordinals(self, ordinals: np.ndarray) -> None:
        if ordinals.min() < 0:
            raise ValueError(f"ordinal {ordinals.min()} is negative")
        unique, counts = np.unique(ordinals, return_counts=True)
        inside = unique[unique < len(self._namings)]
        taken = np.concatenate([unique[counts > 1], inside[self._namings[inside] >= 0]])
        if len(taken):
            raise ValueError(f"ordinal {taken[0]} is in use")

    def _reserve(self, size: int) -> None:
        room = len(self._namings)
        if size > room:
            extra = np.full(max(size, room + room // 2) - room, -1, np.int32)
            self._namings = np.concatenate([self._namings, extra])
            self._fact_relations = np.concatenate([self._fact_relations, extra])


def is_among(ordinals: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """bool: which ordinals are among `chosen`, which ascend and are not none."""
    return chosen[np.minimum(np.searchsorted(chosen, ordinals), len(chosen) - 1)] == ordinals


def _best(facts: _Facts) -> _Facts:
    """Each (question, ordinal) once, by its best row; ascending."""
    order = np.lexsort((-facts.weights * facts.scores, facts.ordinals, facts.questions))
    kept = order[changes(facts.questions[order], facts.ordinals[order])]
    return _Facts(*(column[kept] for column in facts))


def _covered(batch: Batch, hits: SubjectHits, span_weights: np.ndarray) -> np.ndarray:
    """bool [T]: the word is part of a name that was accepted, and so says nothing of a relation."""
    accepted = np.flatnonzero(span_weights)
    edges = np.bincount(hits.starts[accepted], minlength=len(batch.questions) + 1)
    edges -= np.bincount(hits.ends[accepted], minlength=len(batch.questions) + 1)
    return np.cumsum(edges)[:-1] > 0


def _write(facts: _Facts, out: Hits) -> None:
    """The best C facts of each question into `out`, a quarter of them chosen among those found by vector alone."""
    num_places = out.ordinals.shape[1]
    weights = (facts.weights * facts.scores).astype(np.float32)
    order = np.lexsort((facts.ordinals, -weights, facts.questions))
    questions = facts.questions[order]
    is_likely = (facts.stage[order] == 3) & (facts.scores[order] > _BASE)
    is_kept = is_likely & (_ranks(questions, is_likely) < num_places // _VECTOR_PLACES)
    room = num_places - np.bincount(questions, weights=is_kept)
    is_kept |= _ranks(questions, ~is_kept) < room[questions]
    rows, order = questions[is_kept], order[is_kept]
    places = _ranks(rows, np.ones(len(rows), bool))
    out.ordinals[rows, places] = facts.ordinals[order]
    out.weights[rows, places] = weights[order]
    out.stage[rows, places] = facts.stage[order]


def _ranks(questions: np.ndarray, is_ranked: np.ndarray) -> np.ndarray:
    """int64: place of each ranked row among those of its question (`questions` ascends); past every end for others."""
    before = np.cumsum(is_ranked) - is_ranked
    return before - before[np.searchsorted(questions, questions)] + np.where(is_ranked, 0, len(questions))
