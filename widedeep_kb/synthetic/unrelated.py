"""Prompts that ask for no stored fact: on these the memory must stay silent.

In: a source of randomness and a count. Out: questions, commands, statements to continue, small talk and code, half of
them in lower case as people type into a search box.
"""

import random
import re

from widedeep_kb.synthetic import unrelated_texts
from widedeep_kb.synthetic.words import common_words

SEEDS: tuple[str, ...] = tuple(
    seed.strip() for line in unrelated_texts.SEEDS.strip().split("\n") for seed in line.split(" | ")
)
_SLOTS = {name: tuple(words.split(", ")) for name, words in unrelated_texts.SLOTS.items()}
_SLOT = re.compile(r"\{(\w+)\}")
_QUESTION_STARTS = frozenset(
    ("how", "who", "when", "where", "why", "what", "which", "is", "can", "do", "does", "are", "should", "did", "could")
)


def unrelated_prompts(rng: random.Random, n: int) -> list[str]:
    """`n` prompts about nothing stored, drawn anew each time from about 400 seeds and their slots.

    Args:
        rng: source of randomness.
        n: how many, 0 or more.

    Raises:
        ValueError: if n is negative.
    """
    if n < 0:
        raise ValueError(f"n must be 0 or more, not {n}")
    return [_prompt(rng) for _ in range(n)]


def fill_slots(rng: random.Random, text: str) -> str:
    """`text` with a word for each slot in braces; braces that name no slot stay."""
    return _SLOT.sub(lambda match: _fill(rng, match.group(1)), text)


def _prompt(rng: random.Random) -> str:
    text = fill_slots(rng, rng.choice(SEEDS))
    if rng.random() < 0.5:
        return text.lower()
    text = text[0].upper() + text[1:]
    is_question = text.split(" ")[0].lower() in _QUESTION_STARTS
    return text + "?" if is_question and text[-1].isalnum() else text


def _fill(rng: random.Random, slot: str) -> str:
    if slot == "n":
        return str(rng.randrange(2, 10 ** rng.choice((1, 2, 2, 3))))
    if slot == "word":
        return rng.choice(common_words())
    return rng.choice(_SLOTS[slot]) if slot in _SLOTS else f"{{{slot}}}"
