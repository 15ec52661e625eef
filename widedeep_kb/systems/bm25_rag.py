"""`bm25`: the LLM with the facts in its prompt whose sentences share the question's rarest words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.retrieved_text import RetrievedText
from widedeep_kb.systems.word_ranker import WordRanker

_LUCENE = {"k1": 1.5, "b": 0.75}  # the defaults of bm25s
_ANSERINI = {"k1": 0.9, "b": 0.4}  # those of Anserini and Pyserini, tuned on passages


class BM25RAG(RetrievedText):
    """The best facts by BM25 over stemmed words.

    Args:
        lm: the frozen LLM.
        k1, b: see `WordRanker`.
        **options: as in `RetrievedText`.
    """

    def __init__(self, lm: FrozenLM, *, k1: float = _LUCENE["k1"], b: float = _LUCENE["b"], **options: object) -> None:
        super().__init__(lm, WordRanker(k1=k1, b=b), **options)

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Numbers of facts with the usual parameters, and other parameters with the default number."""
        usual = [{**setting, **_LUCENE} for setting in super().settings()]
        return [*usual, {**usual[0], **_ANSERINI}]

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting; new parameters of BM25 want the facts again."""
        super().use(setting)
        former = (self.ranker.k1, self.ranker.b)
        self.ranker.k1, self.ranker.b = float(setting["k1"]), float(setting["b"])
        return (self.ranker.k1, self.ranker.b) != former
