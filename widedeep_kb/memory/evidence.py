"""Which of the names met in questions are meant: relation cues around them, control of common words, longest match.

Letters: S spans and M pairs of span and subject (see `SubjectHits`), E cues, F facts met, T words of the batch.
"""

from dataclasses import dataclass

import numpy as np

from widedeep_kb.glue import SPACE
from widedeep_kb.keys import Encoded, combine, ranges_of
from widedeep_kb.memory.index import ExactIndex
from widedeep_kb.memory.relations import Cues
from widedeep_kb.memory.subjects import COMMON, FREE, Lexicon, SubjectHits

MIN_CUE = 0.25
"""Summed weight of cues that counts as evidence for a doubtful subject..."""
MIN_CUE_SHARE = 0.3
"""...where it is also this share of the relation: `time` alone is no evidence for a `time zone`."""
NESTED_WEIGHT = 0.15
"""Weight of a name inside a longer name (`York` in `New York`)."""
_DETERMINERS = ("a", "an", "the", "this", "that", "these", "those")


class Batch:
    """Questions to look up together, each one turn or several.

    Args:
        encoded: the turns of all questions.
        lexicon: of its unique words.
        cues: relation cues, by position in `encoded`.
        questions: int64, the question of each turn, ascending.
        turn_weights: float64, of each turn.
    """

    def __init__(
        self, encoded: Encoded, lexicon: Lexicon, *, cues: Cues, questions: np.ndarray, turn_weights: np.ndarray
    ) -> None:
        self.encoded, self.lexicon, self.cues = encoded, lexicon, cues
        turns = encoded.text_ids
        self.questions = questions[turns]  # of each word, [T]
        self.turn_weights = turn_weights[turns]  # of each word, [T]
        self.is_content = lexicon.is_content[encoded.word_ids]  # [T]
        self.chunks = np.cumsum(encoded.glue == SPACE)  # of each word, [T]: glued words share one
        self._content_before = np.concatenate([[0], np.cumsum(self.is_content)])

    def has_content_between(
        self, starts: np.ndarray, ends: np.ndarray, *, cue_starts: np.ndarray, cue_ends: np.ndarray
    ) -> np.ndarray:
        """bool: a content word stands between the span and the cue, in whichever order they come."""
        low, high = np.minimum(ends, cue_ends), np.maximum(starts, cue_starts)
        return self._content_before[high] > self._content_before[low]

    def reads_as_word(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """bool: the span reads as the word that it is, as `most` in `the most people` and `us` in `tell us the time`.

        It follows a determiner, or a determiner or content word follows it.
        """
        num_words = len(self.encoded.word_ids)
        is_determiner = np.array([word in _DETERMINERS for word in self.encoded.folded], bool)[self.encoded.word_ids]
        has_before = (starts > 0) & ~np.isin(starts, self.encoded.offsets)
        has_after = (ends < num_words) & ~np.isin(ends, self.encoded.offsets)
        before, after = np.maximum(starts - 1, 0), np.minimum(ends, num_words - 1)
        return (has_before & is_determiner[before]) | (has_after & (is_determiner | self.is_content)[after])

    def goes_on_as_name(self, ends: np.ndarray) -> np.ndarray:
        """bool: a content word with a capital letter follows the span: `Houston` in `Houston City Council`.

        A word in capitals throughout, as in `the Tesla CEO`, is no part of a name. A comma between them is not seen.
        """
        num_words, word_ids = len(self.encoded.word_ids), self.encoded.word_ids
        has_after = (ends < num_words) & ~np.isin(ends, self.encoded.offsets)
        after = np.minimum(ends, num_words - 1)
        is_capital = self.lexicon.is_upper[word_ids] & ~self.lexicon.is_shouted[word_ids] & self.is_content
        is_spaced = np.append(self.encoded.glue == SPACE, False)[after]
        return has_after & is_spaced & (is_capital & ~self.encoded.is_start)[after]


@dataclass(frozen=True)
class CueMatches:
    """Stage 2: facts that share relation cues with their question.

    Attributes:
        pairs: int64 [F], index into the M pairs of the hits.
        ordinals: int64 [F].
        scores: float64 [F] in [0, 1], cosine of the relation's cues and the question's.
        is_full: bool [F], all the relation's cues are in the question.
        has_cue: bool [M], the cues are evidence for the subject.
        is_adjacent: bool [M], no content word stands between the name and some cue.
        is_glued: bool [M], some cue stands in the same piece of text without a space: `Paris.population`.
        explained: bool [T], the word is part of a cue that some subject met has a fact for.
    """

    pairs: np.ndarray
    ordinals: np.ndarray
    scores: np.ndarray
    is_full: np.ndarray
    has_cue: np.ndarray
    is_adjacent: np.ndarray
    is_glued: np.ndarray
    explained: np.ndarray


def match_cues(
    batch: Batch, hits: SubjectHits, *, crosses: ExactIndex, fact_relations: np.ndarray, totals: np.ndarray
) -> CueMatches:
    """Look up the cross of every hit subject with every cue of its question that lies outside its name.

    Args:
        batch: the questions.
        hits: subjects met in them.
        crosses: subject key x cue key -> ordinals.
        fact_relations: int32, relation of each ordinal.
        totals: float32, summed cue weight of each relation.
    """
    cues = batch.cues
    pair_questions = batch.questions[hits.starts[hits.spans]]
    bounds = np.searchsorted(batch.questions[cues.positions], np.arange(int(pair_questions.max()) + 2))
    pairs, members = ranges_of(bounds, pair_questions)
    starts, ends = hits.starts[hits.spans[pairs]], hits.ends[hits.spans[pairs]]
    cue_starts = cues.positions[members]
    cue_ends = cue_starts + cues.lengths[members]
    keys = combine(hits.subject_keys[pairs], cues.keys[members])
    found = crosses.lookup(keys, combine(hits.subject_checks[pairs], cues.checks[members]))
    met = np.flatnonzero((found.lengths > 0) & ((cue_starts >= ends) | (cue_ends <= starts)))
    weights = (cues.weights * batch.turn_weights[cues.positions])[members[met]]
    is_apart = batch.has_content_between(starts[met], ends[met], cue_starts=cue_starts[met], cue_ends=cue_ends[met])
    is_adjacent = np.zeros(len(hits.spans), bool)
    is_adjacent[pairs[met][~is_apart & (weights >= MIN_CUE)]] = True
    is_before = cue_starts[met] < starts[met]
    near = np.where(is_before, starts[met], ends[met] - 1)  # the name's word next to the cue
    near_cue = np.where(is_before, cue_ends[met] - 1, cue_starts[met])
    is_glued = np.zeros(len(hits.spans), bool)
    is_glued[pairs[met][batch.chunks[near] == batch.chunks[near_cue]]] = True
    edges = np.zeros(len(batch.questions) + 1, np.int64)
    np.add.at(edges, cue_starts[met], 1)
    np.add.at(edges, cue_ends[met], -1)
    # A cue that comes twice in a question counts once.
    order = np.lexsort((-weights, keys[met], pairs[met]))
    kept = order[changes(pairs[met][order], keys[met][order])]
    met, weights = met[kept], weights[kept]
    question_totals = np.bincount(pairs[met], weights=weights, minlength=len(hits.spans))
    rows, sources = ranges_of(found.offsets, met)
    fact_pairs, ordinals, matched = _sum_pairs(pairs[met][rows], found.values[sources], weights[rows])
    relation_totals = totals[fact_relations[ordinals]]
    has_cue = np.zeros(len(hits.spans), bool)
    has_cue[fact_pairs[(matched >= MIN_CUE) & (matched >= MIN_CUE_SHARE * relation_totals)]] = True
    return CueMatches(
        pairs=fact_pairs,
        ordinals=ordinals,
        scores=np.minimum(1.0, matched / np.sqrt(relation_totals * question_totals[fact_pairs])),
        is_full=matched >= 0.999 * relation_totals,
        has_cue=has_cue,
        is_adjacent=is_adjacent & has_cue,
        is_glued=is_glued,
        explained=np.cumsum(edges)[:-1] > 0,
    )


def control(batch: Batch, hits: SubjectHits, matches: CueMatches) -> np.ndarray:
    """bool [M]: there is enough evidence that the span means this subject.

    A common word needs agreeing capitals or a relation cue. A function word needs both, or a cue beside it where it
    does not read as the word. A part of a longer word, such as an identifier, needs a cue among its other parts. What
    goes on as a longer name, by the capital letters of a text where these mean something, needs a cue.
    """
    kinds, agrees = hits.kinds[hits.spans], hits.agrees[hits.spans]
    reads = batch.reads_as_word(hits.starts, hits.ends)[hits.spans]
    is_function = (agrees & matches.has_cue) | (matches.is_adjacent & ~reads)
    named = np.select([kinds == FREE, kinds == COMMON], [True, agrees | matches.has_cue], is_function)
    explained = np.append(matches.explained, False)[hits.ends]
    is_longer = hits.is_mixed & ~hits.is_variant & ~explained & batch.goes_on_as_name(hits.ends)
    return named & (~hits.is_part[hits.spans] | matches.is_glued) & (~is_longer[hits.spans] | matches.has_cue)


def settle_spans(hits: SubjectHits, survives: np.ndarray) -> np.ndarray:
    """Weights of the spans, float64 [S], after longest match: 0 for those without a surviving subject (`survives` [M]).

    A span inside a longer one is dropped if it is a common word, an inflected reading or a part of an identifier, and
    weighs little otherwise.
    """
    weights = hits.weights * (np.bincount(hits.spans, weights=survives, minlength=len(hits.starts)) > 0)
    alive = np.flatnonzero(weights > 0)
    order = alive[np.lexsort((hits.is_variant[alive], -hits.ends[alive], hits.starts[alive]))]
    reach = np.maximum.accumulate(hits.ends[order]) if len(order) else order
    inner = order[1:][reach[:-1] >= hits.ends[order[1:]]]
    is_dropped = (hits.kinds[inner] != FREE) | hits.is_variant[inner] | hits.is_part[inner]
    weights[inner] *= np.where(is_dropped, 0.0, NESTED_WEIGHT)
    return weights


def changes(*columns: np.ndarray) -> np.ndarray:
    """bool: the row differs from the one before it in some column."""
    result = np.zeros(len(columns[0]), bool)
    result[:1] = True
    for column in columns:
        result[1:] |= column[1:] != column[:-1]
    return result


def _sum_pairs(
    pairs: np.ndarray, ordinals: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct (pair, ordinal), with their summed weights."""
    order = np.lexsort((ordinals, pairs))
    pairs, ordinals = pairs[order], ordinals[order]
    firsts = np.flatnonzero(changes(pairs, ordinals))
    sums = np.add.reduceat(weights[order], firsts) if len(firsts) else np.zeros(0)
    return pairs[firsts], ordinals[firsts], sums
