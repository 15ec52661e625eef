"""`hybrid_rag`: the LLM with the facts in its prompt that words and sentence vectors together rank best."""

from __future__ import annotations

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.ranker import FusedRanker
from widedeep_kb.systems.retrieved_text import RetrievedText
from widedeep_kb.systems.sentence_vectors import SentenceEncoder, load_sentence_encoder
from widedeep_kb.systems.vector_ranker import VectorRanker
from widedeep_kb.systems.word_ranker import WordRanker


class HybridRAG(RetrievedText):
    """The best facts by reciprocal-rank fusion of BM25 and of the cosine of sentence vectors.

    Args:
        lm: the frozen LLM.
        encoder: of sentences; default: all-MiniLM-L6-v2 on the LLM's device.
        **options: as in `RetrievedText`.

    Raises:
        ValueError: the default encoder is not installed.
    """

    def __init__(self, lm: FrozenLM, *, encoder: SentenceEncoder | None = None, **options: object) -> None:
        encoder = load_sentence_encoder(lm.device) if encoder is None else encoder
        super().__init__(lm, FusedRanker([WordRanker(), VectorRanker(encoder)]), **options)
