"""The reader: the trained part of the memory for one LLM (writer, adapters and, where asked for, the deep memory).

In: a config. Out: a module that can be saved as `config.json` + `reader.safetensors` and is named by a hash of both:
rows written by one reader mean nothing to another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.adapter import WideAdapter
from widedeep_kb.memory.calibration import Calibration
from widedeep_kb.memory.deep import DeepPool, DeepReader
from widedeep_kb.memory.gate import RelevanceGate
from widedeep_kb.memory.writer import Writer

READER_FILE = "reader.safetensors"
CONFIG_FILE = "reader.json"


@dataclass(frozen=True)
class ReaderConfig:
    """Sizes and places of a reader.

    Attributes:
        hidden_size: H of the LLM.
        adapter_layers: decoder layers after which memory is read.
        writer_layers: decoder layers whose states describe a fact; those above are not run on insert.
        slot_width: W, numbers in a slot's key and in its value.
        num_heads, head_dim: of the wide adapters.
        null_threshold: attention on memory below which it adds exactly nothing.
        num_subkeys: n of the deep memory's n^2 slots; 0 = no deep memory.
        llm_name, llm_revision: the LLM this reader was trained for.
    """

    hidden_size: int
    adapter_layers: tuple[int, ...]
    writer_layers: tuple[int, ...]
    slot_width: int = 64
    num_heads: int = 8
    head_dim: int = 32
    null_threshold: float = 0.1
    num_subkeys: int = 0
    llm_name: str = ""
    llm_revision: str = ""

    @classmethod
    def for_lm(cls, lm: FrozenLM, **overrides: object) -> ReaderConfig:
        """Layers in the places that worked for 30 layers (10, 18, 26, 29; writer 9 and 17), scaled to this LLM."""
        depth = len(lm.layers)
        places = tuple(sorted({min(depth - 1, round(share * depth)) for share in (0.34, 0.6, 0.87, 1.0)}))
        writer = tuple(sorted({max(0, round(share * depth) - 1) for share in (0.34, 0.6)}))
        values = {"adapter_layers": places, "writer_layers": writer, **overrides}
        return cls(lm.hidden_size, llm_name=lm.identity.name, llm_revision=lm.identity.revision, **values)


class Reader(nn.Module):
    """Writer, a wide adapter per adapter layer, relevance gate, calibration and, with `num_subkeys`, deep memory."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.writer = Writer(config.hidden_size, len(config.writer_layers), slot_width=config.slot_width)
        self.adapters = nn.ModuleList(
            WideAdapter(
                config.hidden_size,
                slot_width=config.slot_width,
                num_heads=config.num_heads,
                head_dim=config.head_dim,
                null_threshold=config.null_threshold,
            )
            for _ in config.adapter_layers
        )
        self.gate = RelevanceGate(len(config.adapter_layers), config.num_heads)
        self.calibration = Calibration()
        self.deep_pool: DeepPool | None = None
        self.deep_readers = nn.ModuleList()
        if config.num_subkeys:
            self.add_deep(config.num_subkeys)

    @property
    def has_deep(self) -> bool:
        """Whether there is a deep memory."""
        return self.deep_pool is not None

    def add_deep(self, num_subkeys: int) -> None:
        """Give this reader a fresh deep memory of `num_subkeys`^2 slots."""
        self.config = ReaderConfig(**{**asdict(self.config), "num_subkeys": num_subkeys})
        self.deep_pool = DeepPool(num_subkeys)
        self.deep_readers = nn.ModuleList(DeepReader(self.config.hidden_size) for _ in self.config.adapter_layers)

    def row_format(self) -> str:
        """Names what this reader's rows mean: a hash of the writer's weights, its layers and the LLM.

        Training adapters or deep memory further keeps it (the rows stay readable); another writer changes it.
        """
        config = self.config
        return _hash_tensors(
            self.writer.state_dict(), f"{config.llm_revision}{config.writer_layers}{config.slot_width}"
        )

    def save(self, folder: Path) -> None:
        """Write `reader.json` and `reader.safetensors` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in self.state_dict().items()
        }
        save_file(tensors, folder / READER_FILE)
        (folder / CONFIG_FILE).write_text(json.dumps(asdict(self.config), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Reader:
        """Read a reader saved by `save`.

        Raises:
            ValueError: a file is missing, truncated or of another shape.
        """
        try:
            reader = cls(_read_config(folder))
            reader.load_state_dict(load_file(folder / READER_FILE))
        except FileNotFoundError as error:
            raise ValueError(
                f"{str(folder)!r} holds no reader: {Path(error.filename or READER_FILE).name} is missing"
            ) from error
        except (RuntimeError, TypeError, json.JSONDecodeError, OSError) as error:
            raise ValueError(f"the reader in {str(folder)!r} cannot be read: {str(error).splitlines()[0]}") from error
        except SafetensorError as error:
            raise ValueError(f"{str(folder / READER_FILE)!r} is damaged: {error}") from error
        return reader


def read_reader_config(folder: Path) -> ReaderConfig:
    """The config of a reader saved by `Reader.save`.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    try:
        return _read_config(folder)
    except FileNotFoundError as error:
        raise ValueError(f"{str(folder)!r} holds no reader: {CONFIG_FILE} is missing") from error
    except (TypeError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{str(folder / CONFIG_FILE)!r} cannot be read: {str(error).splitlines()[0]}") from error


def _read_config(folder: Path) -> ReaderConfig:
    values = json.loads((folder / CONFIG_FILE).read_text())
    return ReaderConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _hash_tensors(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
