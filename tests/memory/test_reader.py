"""The reader: its places in an LLM, saving and loading, the hash of its row format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import CONFIG_FILE, READER_FILE, Reader, ReaderConfig

MakeLM = Callable[..., FrozenLM]


def small_reader(lm: FrozenLM, *, seed: int = 0, **overrides: object) -> Reader:
    """A fresh reader."""
    torch.manual_seed(seed)
    return Reader(ReaderConfig.for_lm(lm, slot_width=8, num_heads=2, head_dim=4, **overrides))


@pytest.mark.parametrize("num_layers", [1, 2, 4, 12])
def test_layers_are_valid_and_distinct_at_any_depth(tiny_frozen_lm: MakeLM, num_layers: int) -> None:
    config = ReaderConfig.for_lm(tiny_frozen_lm("llama", num_layers=num_layers))
    for layers in (config.adapter_layers, config.writer_layers):
        assert list(layers) == sorted(set(layers))
        assert all(0 <= layer < num_layers for layer in layers)
    assert max(config.writer_layers) <= max(config.adapter_layers)


def test_thirty_layers_get_the_places_that_worked(tiny_frozen_lm: MakeLM) -> None:
    config = ReaderConfig.for_lm(tiny_frozen_lm("llama", num_layers=30))
    assert config.adapter_layers == (10, 18, 26, 29)
    assert config.writer_layers == (9, 17)


@pytest.mark.parametrize("num_subkeys", [0, 4])
def test_a_saved_reader_loads_equal(tiny_frozen_lm: MakeLM, tmp_path: Path, num_subkeys: int) -> None:
    reader = small_reader(tiny_frozen_lm(), num_subkeys=num_subkeys)
    reader.save(tmp_path / "r")
    loaded = Reader.load(tmp_path / "r")
    assert loaded.config == reader.config
    assert loaded.has_deep == bool(num_subkeys)
    assert loaded.row_format() == reader.row_format()
    for (name, a), (other, b) in zip(reader.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b)


def test_a_reader_given_deep_later_loads_with_it(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    reader = small_reader(tiny_frozen_lm())
    before = reader.row_format()
    reader.add_deep(4)
    assert reader.row_format() == before
    assert len(reader.deep_readers) == len(reader.adapters)
    reader.save(tmp_path)
    loaded = Reader.load(tmp_path)
    assert torch.equal(loaded.deep_pool.values.weight, reader.deep_pool.values.weight)


def test_the_row_format_names_the_writer_and_the_llm_only(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    reader = small_reader(lm)
    before = reader.row_format()
    reader.adapters[0].query.weight.data.add_(1)
    assert reader.row_format() == before
    assert small_reader(lm).row_format() == before
    assert small_reader(lm, seed=1).row_format() != before
    reader.writer.position.data[0, 0] += 1e-3
    assert reader.row_format() != before


def test_the_row_format_changes_with_the_llm(tiny_frozen_lm: MakeLM) -> None:
    formats = {small_reader(tiny_frozen_lm(name)).row_format() for name in ("llama", "qwen2")}
    assert len(formats) == 2


@pytest.mark.parametrize("missing", [CONFIG_FILE, READER_FILE])
def test_a_missing_file_is_named(tiny_frozen_lm: MakeLM, tmp_path: Path, missing: str) -> None:
    small_reader(tiny_frozen_lm()).save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=missing.replace(".", r"\.")):
        Reader.load(tmp_path)


def test_damaged_files_are_refused_in_one_line(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    small_reader(tiny_frozen_lm()).save(tmp_path)
    weights, config = tmp_path / READER_FILE, tmp_path / CONFIG_FILE
    whole, settings = weights.read_bytes(), config.read_text()
    for content in (whole[: len(whole) // 2], b"", b"x" * 64):
        weights.write_bytes(content)
        with pytest.raises(ValueError, match="damaged") as caught:
            Reader.load(tmp_path)
        assert "\n" not in str(caught.value)
    weights.write_bytes(whole)
    for text in (settings[:20], '{"unknown": 1}', settings.replace('"slot_width": 8', '"slot_width": 9')):
        config.write_text(text)
        with pytest.raises(ValueError, match="cannot be read") as caught:
            Reader.load(tmp_path)
        assert "\n" not in str(caught.value)
