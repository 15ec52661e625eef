"""How much of a question's wording its stored names explain: `gary brabin` is no question about a stored `Gary`.

In: a batch of questions, the names met in them and the words that name their relations. Out: a few numbers a question,
from which, with the attention, the relevance gate judges.

Letters: B questions, S spans, T words of the batch.
"""

import numpy as np

from widedeep_kb.memory.evidence import Batch
from widedeep_kb.memory.subjects import SubjectHits

NUM_WORDING = 3
"""Numbers a question: how rare the unexplained content words beside the name are, how rare the name itself is (both 0
for words that everyone uses), and the share of content words that names cover."""
_MOST_ZIPF = 8.0
_NEAR_BEST = 0.99  # of the best weight: the spans that count as the question's name


def describe_wording(
    batch: Batch, hits: SubjectHits, *, span_weights: np.ndarray, covered: np.ndarray, explained: np.ndarray
) -> np.ndarray:
    """float32 [B, 3], see `NUM_WORDING`; zeros where no name was accepted.

    Args:
        batch: the questions; B is the number of the last one with a word, plus 1.
        hits: names met.
        span_weights: float64 [S], 0 = not accepted.
        covered: bool [T], words of accepted names.
        explained: bool [T], words that name a relation of a subject met.
    """
    questions, num_words = batch.questions, len(batch.questions)
    num_questions = int(questions[-1]) + 1
    rarity = np.clip(1.0 - batch.lexicon.zipf[batch.encoded.word_ids] / _MOST_ZIPF, 0.0, 1.0) * batch.is_content
    odd = rarity * ~covered * ~explained

    spans = np.flatnonzero(span_weights > 0)
    owners, starts, ends = questions[hits.starts[spans]], hits.starts[spans], hits.ends[spans]
    best = np.zeros(num_questions)
    np.maximum.at(best, owners, span_weights[spans])
    is_best = span_weights[spans] >= _NEAR_BEST * best[owners]
    owners, starts, ends = owners[is_best], starts[is_best], ends[is_best]
    before, after = np.maximum(starts - 1, 0), np.minimum(ends, num_words - 1)
    beside = np.maximum(
        np.where((starts > 0) & (questions[before] == owners), odd[before], 0.0),
        np.where((ends < num_words) & (questions[after] == owners), odd[after], 0.0),
    )
    nearest = np.where(best > 0, 1.0, 0.0)
    np.minimum.at(nearest, owners, beside)
    sums = np.concatenate([[0.0], np.cumsum(rarity)])
    own = np.zeros(num_questions)
    np.maximum.at(own, owners, np.log1p(sums[ends] - sums[starts]))
    content = np.bincount(questions, weights=batch.is_content, minlength=num_questions)
    shared = np.bincount(questions, weights=batch.is_content & covered, minlength=num_questions)
    share = np.where(best > 0, shared / np.maximum(content, 1.0), 0.0)
    return np.stack([nearest, own, share], axis=1).astype(np.float32)
