"""Phrasings: how people ask for a fact. Frames, natural questions of common relations, wrappers, typing errors."""

from widedeep_kb.phrasings.asking import ask_prompt
from widedeep_kb.phrasings.corruption import corrupt, misspell
from widedeep_kb.phrasings.frame import FRAME_KINDS, FRAMES, SPLITS, Frame, frames
from widedeep_kb.phrasings.paraphrase import (
    COMMON_NAMES,
    COMMON_RELATIONS,
    CommonRelation,
    Paraphrase,
    relation_paraphrases,
)
from widedeep_kb.phrasings.two_hops import TwoHopFrame, two_hop_frames
from widedeep_kb.phrasings.wrapper import CANONICAL, RAW, WRAPPERS, Wrapper, wrappers

__all__ = [
    "CANONICAL",
    "COMMON_NAMES",
    "COMMON_RELATIONS",
    "FRAMES",
    "FRAME_KINDS",
    "RAW",
    "SPLITS",
    "WRAPPERS",
    "CommonRelation",
    "Frame",
    "Paraphrase",
    "TwoHopFrame",
    "Wrapper",
    "ask_prompt",
    "corrupt",
    "frames",
    "misspell",
    "relation_paraphrases",
    "two_hop_frames",
    "wrappers",
]
