"""A tiny memory's folder, and servers of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from served import FACTS, Served, serving
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.lm import load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory


@pytest.fixture(scope="session")
def served_folder(
    tiny_causal_lm: Callable[..., PreTrainedModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A memory folder of three facts whose tiny LLM looks at them."""
    root = tmp_path_factory.mktemp("served")
    tiny_causal_lm("llama", max_position_embeddings=512).save_pretrained(root / "llm")
    tiny_tokenizer.save_pretrained(root / "llm")
    lm = load_lm(str(root / "llm"))
    torch.manual_seed(1)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write(FACTS)
    memory.save(root / "memory")
    return root / "memory"


@pytest.fixture
def folder(served_folder: Path, tmp_path: Path) -> Path:
    """A copy of the memory folder."""
    return Path(shutil.copytree(served_folder, tmp_path / "memory"))


@pytest.fixture(scope="module")
def shared(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for tests that change nothing."""
    folder = Path(shutil.copytree(served_folder, tmp_path_factory.mktemp("shared") / "memory"))
    with serving({"demo": folder}) as served:
        yield served


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    """A server of its own."""
    with serving({"demo": folder}) as served:
        yield served
