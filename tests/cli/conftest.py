"""A tiny LLM and an untrained reader on disk, a memory folder, and a way to run commands in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from outcomes import Disk, Result, Run
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.cli import main
from widedeep_kb.lm import load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig

FACTS_CSV = """subject,relation,object,subject_aliases,source
Aurora,port,8443,"[""Aurora Gateway""]",ops
Aurora,owner,Ada Lovelace,,people
Borealis,port,007,,ops
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("write", "--facts", path, ...) -> Result`: one command in this process."""

    def run_command(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Result(code, *capsys.readouterr())

    return run_command


@pytest.fixture(scope="session")
def disk(
    tiny_causal_lm: Callable[..., PreTrainedModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> Disk:
    """Two tiny LLMs, two readers of the first, and a memory of three facts."""
    root = tmp_path_factory.mktemp("disk")
    disk = Disk(*(root / name for name in Disk._fields))
    for seed, folder in enumerate((disk.llm, disk.other_llm)):
        tiny_causal_lm("llama", seed=seed, max_position_embeddings=2048).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
    lm = load_lm(str(disk.llm))
    for seed, folder in enumerate((disk.reader, disk.other_reader)):
        torch.manual_seed(seed)
        Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=8)).save(folder)
    facts = root / "facts.csv"
    facts.write_text(FACTS_CSV)
    words = ["write", "--memory", disk.memory, "--facts", facts, "--llm", disk.llm, "--reader", disk.reader]
    assert main([str(word) for word in words]) == 0
    return disk


@pytest.fixture
def memory(disk: Disk, tmp_path: Path) -> Path:
    """A copy of the memory folder, free to be changed."""
    return Path(shutil.copytree(disk.memory, tmp_path / "memory"))
