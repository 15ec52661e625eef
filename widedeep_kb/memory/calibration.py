"""From what an answer shows to the probability that it is right, and from a wanted precision to a threshold on it.

A greedy answer's own token probabilities say how sure the LLM is of the words; whether memory had anything to say about
the question is seen elsewhere: in the attention, in how the index came to the facts, in whether the answer is the
object of the fact looked at. A small classifier fitted to answers known to be right or wrong weighs all of these.

Letters: N answers, F features, P precisions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from widedeep_kb.memory.logistic import SmallClassifier
from widedeep_kb.memory.signs import AnswerSigns

PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)
"""Precisions of answering for which thresholds are kept."""
_LEAST = 1e-3  # attention below which differences mean nothing
_LOGARITHMS = ("attention", "first_attention", "best_attention")
_COUNTS = ("num_tokens", "num_facts", "num_names")
_RATIOS = (("best_attention", "attention"), ("second_attention", "best_attention"))
_PLAIN = tuple(name for name in AnswerSigns._fields if name not in (*_LOGARITHMS, *_COUNTS, "second_attention"))
NUM_FEATURES = len(_PLAIN) + len(_LOGARITHMS) + len(_COUNTS) + len(_RATIOS) + 1
_NUM_UNITS = 8


class Calibration(SmallClassifier):
    """Probability of being right; as made, it knows nothing and tells the geometric mean of the token probabilities."""

    def __init__(self) -> None:
        super().__init__(NUM_FEATURES, num_units=_NUM_UNITS, bias=0.0)
        self.register_buffer("thresholds", torch.full((len(PRECISIONS),), torch.inf))

    def probabilities(self, signs: Sequence[AnswerSigns]) -> list[float]:
        """Probability, 0 to 1, that each answer is right."""
        if not self.is_set:
            return [shown.raw_confidence for shown in signs]
        return self.score(calibration_features(signs).to(self.weight)).sigmoid().tolist()

    def check_set(self) -> None:
        """Refuse to go on with no calibration.

        Raises:
            ValueError: there is none.
        """
        if not self.is_set:
            raise ValueError(
                "this memory's reader has no calibration: "
                "`python -m widedeep_kb.studies.fit_calibration --reader READER` fits one"
            )

    def threshold_for(self, precision: float) -> float:
        """Least probability with which a question is answered so that this share of the answers given is right.

        A precision between two kept ones is read as the higher one.

        Raises:
            ValueError: the precision is not in (0, 1), or no threshold reaches it.
        """
        if not 0.0 < precision < 1.0:
            raise ValueError(f"a precision of answering lies between 0 and 1, not at {precision}")
        self.check_set()
        for known, threshold in zip(PRECISIONS, self.thresholds.tolist(), strict=True):
            if known >= precision and threshold <= 1.0:
                return threshold
            if known >= precision:
                break
        raise ValueError(f"no threshold of this reader reaches a precision of answering of {precision}")

    def set_thresholds(self, probabilities: Tensor, is_right: Tensor, *, weights: Tensor) -> None:
        """Choose the thresholds by answers that the classifier was not fitted to.

        Args:
            probabilities: [N].
            is_right: [N] bool.
            weights: [N], what each answer counts.
        """
        found = [least_threshold(probabilities, is_right, weights=weights, precision=p) for p in PRECISIONS]
        kept = torch.tensor(found, dtype=torch.float32)
        self.thresholds.copy_(torch.nextafter(kept, kept.where(kept.isinf(), torch.zeros(()))))  # never rounded up

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        """Read also readers of before there was a calibration: theirs is as made."""
        if not any(name.startswith(prefix) for name in state_dict):
            state_dict.update({f"{prefix}{name}": tensor for name, tensor in self.named_buffers()})
        super()._load_from_state_dict(state_dict, prefix, *args)


def least_threshold(probabilities: Tensor, is_right: Tensor, *, weights: Tensor, precision: float) -> float:
    """Least probability t such that of answers with at least t this share is right, by weight; inf if there is none.

    Ties are answered together.
    """
    order = probabilities.argsort(descending=True)
    sorted_, counts = probabilities[order].double(), weights[order].double()
    shares = (counts * is_right[order]).cumsum(0) / counts.cumsum(0)
    is_last = torch.cat([sorted_[1:] != sorted_[:-1], torch.ones(1, dtype=torch.bool)])
    good = (is_last & (shares >= precision)).nonzero().flatten()
    return float(sorted_[good[-1]]) if len(good) else float("inf")


def calibration_features(signs: Sequence[AnswerSigns]) -> Tensor:
    """[N, F] float32: the signs, attention and counts as logarithms, attention on the best facts as shares."""
    columns = dict(zip(AnswerSigns._fields, torch.tensor(signs, dtype=torch.float64).unbind(1), strict=True))
    features = [columns[name] for name in _PLAIN]
    features += [(columns[name] + _LEAST).log() for name in _LOGARITHMS]
    features += [columns[name].log1p() for name in _COUNTS]
    features += [columns[part] / (columns[whole] + _LEAST) for part, whole in _RATIOS]
    features.append((columns["attention"] > 0).double())
    return torch.stack(features, dim=1).float()
