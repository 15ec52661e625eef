"""What one answer shows of how far it is to be believed: numbers that need no knowledge of the right answer.

In: token probabilities and attention of a greedy generation, what the index brought and the facts looked at. Out:
`AnswerSigns`, from which the calibration makes a probability. Letters: B questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from widedeep_kb.answers import Evidence
from widedeep_kb.memory.naming import NO_NAMING, name_relations
from widedeep_kb.memory.recalled import Recall
from widedeep_kb.memory.relations import WordVectors
from widedeep_kb.metrics import exact_match


class AnswerSigns(NamedTuple):
    """Signs of one answer.

    Attributes:
        mean_log_probability, least_log_probability, first_log_probability: of its tokens, the end of the answer
            included, natural logarithms.
        num_tokens: so many tokens.
        attention: on all facts, mean of all adapters and tokens, 0 to 1; 0 where the gate let no fact through.
        first_attention: the same at the first token alone.
        best_attention, second_attention: on the facts looked at most and second most.
        best_weight: of the index's best hit, 0 to 1.
        read_weight: of the hit that brought the fact looked at most; 0 where none was read.
        next_weight: best weight of the other hits that belong to another fact than that.
        is_cued: whether relation words of the question brought that fact.
        num_facts: brought by the index.
        num_names: stored names met in the question, common words included.
        unexplained, name_rarity, covered: see `wording.NUM_WORDING`.
        named, likeness, beside: how the question names the relation of the fact looked at most, see `Naming`.
        is_guessed: whether the name was guessed.
        is_object: whether the answer is the object of the fact looked at most.
    """

    mean_log_probability: float
    least_log_probability: float
    first_log_probability: float
    num_tokens: float
    attention: float
    first_attention: float
    best_attention: float
    second_attention: float
    best_weight: float
    read_weight: float
    next_weight: float
    is_cued: float
    num_facts: float
    num_names: float
    unexplained: float
    name_rarity: float
    covered: float
    named: float
    likeness: float
    beside: float
    is_guessed: float
    is_object: float

    @property
    def raw_confidence(self) -> float:
        """Geometric mean of the probabilities of the answer's tokens, 0 to 1."""
        return math.exp(self.mean_log_probability)


_CUED = 2  # `Hits.stage`


def answer_signs(
    recall: Recall,
    *,
    log_probabilities: Sequence[Tensor],
    shares: Sequence[Mapping[int, float]],
    first_shares: Sequence[Mapping[int, float]],
    questions: Sequence[str],
    texts: Sequence[str],
    evidence: Sequence[Sequence[Evidence]],
    word_vectors: WordVectors,
) -> list[AnswerSigns]:
    """Signs of B answers.

    Args:
        recall: what the questions brought.
        log_probabilities: B, of the tokens of each answer and its end.
        shares: B, attention on each fact by ordinal, mean over the answer's tokens; empty where none was read.
        first_shares: the same of the first token alone.
        questions: B raw texts.
        texts: B answers.
        evidence: facts looked at for each, most attention first.
        word_vectors: to compare the words of questions and relations.
    """
    read = [i for i, facts in enumerate(evidence) if facts]
    namings = name_relations(
        [questions[i] for i in read],
        [evidence[i][0].subject for i in read],
        [evidence[i][0].relation for i in read],
        word_vectors=word_vectors,
    )
    naming_of = dict(zip(read, namings, strict=True))
    return [
        AnswerSigns(
            mean_log_probability=float(tokens.mean()),
            least_log_probability=float(tokens.min()),
            first_log_probability=float(tokens[0]),
            num_tokens=float(len(tokens)),
            attention=float(sum(shares[i].values())),
            first_attention=float(sum(first_shares[i].values())),
            **_signs_of_hits(recall, i, shares=shares[i]),
            **naming_of.get(i, NO_NAMING)._asdict(),
            is_object=float(bool(evidence[i]) and exact_match(texts[i], [evidence[i][0].object])),
        )
        for i, tokens in enumerate(log_probabilities)
    ]


def _signs_of_hits(recall: Recall, i: int, *, shares: Mapping[int, float]) -> dict[str, float]:
    """What the index says of question `i`, and how the attention is shared out among its facts."""
    hits = recall.hits
    facts = hits.ordinals[i][hits.ordinals[i] >= 0].tolist()
    weights = hits.weights[i][: len(facts)].astype(np.float64)
    totals = np.array([shares.get(fact, 0.0) for fact in facts])
    order = np.argsort(-totals, kind="stable")
    was_read = len(facts) > 0 and totals[order[0]] > 0
    best = int(order[0]) if was_read else 0
    wording = hits.wording[i].tolist()
    return {
        "best_attention": float(totals[best]) if was_read else 0.0,
        "second_attention": float(totals[order[1]]) if was_read and len(facts) > 1 else 0.0,
        "best_weight": float(weights.max(initial=0.0)),
        "read_weight": float(weights[best]) if was_read else 0.0,
        "next_weight": float(np.delete(weights, best).max(initial=0.0)) if len(facts) else 0.0,
        "is_cued": float(was_read and hits.stage[i][best] == _CUED),
        "num_facts": float(len(facts)),
        "num_names": float(hits.subject_hits[i]),
        "unexplained": wording[0],
        "name_rarity": wording[1],
        "covered": wording[2],
        "is_guessed": float(recall.is_guessed[i]),
    }
