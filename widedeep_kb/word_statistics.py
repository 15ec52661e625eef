"""How common a word is: the evidence that a word in a question is no name. Pure functions of folded words."""

import functools
import itertools
import math

from wordfreq import get_frequency_dict

COMMON_ZIPF = 4.5
"""Words seen at least 30 times in a million are common: alone they name a subject only with further evidence."""

_FUNCTION_WORDS = """
a about above across after again against ago ain't all almost along already also although always am among an and any
are aren't around as at away back be became because become been before began behind being below between both but by
can can't cannot come could did didn't do does doesn't doing don't done down during each either else ever every few
for from further get give given go goes going gone got had has hasn't have having he he's hence her here hers him
himself his how however i i'd i'll i'm i've if in into is isn't it it's its itself just know known less let like
many may me might mine more most much must my myself near neither never no nor not now of off often on once one only
onto or other our ours out over own per please quite rather same say says she should since so some still such take
tell than that that's the their theirs them themselves then there there's these they they're this those though
through thus till to together too toward towards under until up upon us use used very via was wasn't we we're well
were weren't what what's when where where's whether which while who who's whom whose why will with within without
won't would yes yet you you're your yours
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that carry grammar rather than content."""


@functools.cache
def _frequencies() -> dict[str, float]:
    return get_frequency_dict("en", wordlist="best")


def common_words(count: int) -> list[str]:
    """The most frequent English words of letters only, folded, most frequent first."""
    words = (word for word in _frequencies() if word.isalpha())
    return list(itertools.islice(words, count))


def zipf_frequency(word: str) -> float:
    """Zipf frequency of a folded word in English text: log10 of occurrences in 10^9 words, 0 where never seen."""
    frequency = _frequencies().get(word)
    return 0.0 if frequency is None else max(0.0, math.log10(frequency) + 9.0)


def is_common(word: str) -> bool:
    """A frequent English word, a number of one or two digits (a count), or a year from 1000 to 2099."""
    if word.isdecimal():
        return len(word) <= 2 or (len(word) == 4 and 1000 <= int(word) < 2100)
    return zipf_frequency(word) >= COMMON_ZIPF


@functools.lru_cache(maxsize=1 << 18)
def content_weight(word: str) -> float:
    """What meeting the word says about a relation, in [0.1, 1]: rare words say more."""
    if word in FUNCTION_WORDS:
        return 0.1
    return min(1.0, max(0.3, (7.5 - zipf_frequency(word)) / 3.0))
