"""A memory folder whose LLM is tiny and random: it loads at once, and a request takes the same way through a server."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from widedeep_kb.lm import load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

_SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}


def save_tiny_memory(folder: Path, *, llm: str | None = None) -> Path:
    """Save an empty memory with an untrained reader; returns its folder.

    Args:
        folder: where the memory, and the LLM if one is made, are put.
        llm: folder of the LLM; default: one of random weights with the default LLM's tokenizer is made.
    """
    if llm is None:
        tokenizer = load_lm().tokenizer
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **_SIZES)).save_pretrained(folder / "llm")
        tokenizer.save_pretrained(folder / "llm")
        llm = str(folder / "llm")
    lm = load_lm(llm)
    torch.manual_seed(1)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    KnowledgeMemory(lm, reader).save(folder / "memory")
    return folder / "memory"
