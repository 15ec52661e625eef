"""Rows in every format: within their error bounds, gone when erased, the same after saving; compact ones made again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from widedeep_kb.memory.compact import CompactCodec
from widedeep_kb.memory.config import ROW_FORMATS
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS, NUM_CUES, SLOTS_PER_ROW, EncodedFacts
from widedeep_kb.memory.packed import PackedTable, codec_for, make_table
from widedeep_kb.memory.wide import WideTable
from widedeep_kb.memory.writer import Writer

HIDDEN, VOCABULARY, WIDTH = 24, 500, 16
NUMBERED = ("fp32", "fp16", "bf16", "int8", "int4")  # made of a row's numbers
STEPS = {"fp32": 0.0, "fp16": 2**-11, "bf16": 2**-8}  # relative


def random_facts(num_facts: int, *, vocabulary: int = VOCABULARY) -> EncodedFacts:
    """Values of 1 to 65 tokens, cut into rows one by one."""
    rows: dict[str, list] = {"tokens": [], "cues": [], "starts": [], "facts": []}
    for fact in range(num_facts):
        value = torch.randint(vocabulary, (int(torch.randint(1, MAX_VALUE_TOKENS + 2, ())),)).tolist()
        around = [-1] * NUM_CUES + value + [-1] * SLOTS_PER_ROW
        for start in range(0, len(value), SLOTS_PER_ROW):
            slots = range(start + NUM_CUES, start + NUM_CUES + SLOTS_PER_ROW)
            rows["tokens"].append([around[i] for i in slots])
            rows["cues"].append([[around[i - back] for back in (1, 2, 3)] for i in slots])
            rows["starts"].append(start)
            rows["facts"].append(fact)
    tokens, cues, starts = (np.array(rows[name], dtype=np.int32) for name in ("tokens", "cues", "starts"))
    facts = np.array(rows["facts"])
    lengths = np.ones(num_facts, dtype=np.int32)
    return EncodedFacts(lengths[:, None] * 0, lengths, tokens, cues, starts, facts, np.bincount(facts))


def writer_and_weight(vocabulary: int = VOCABULARY) -> tuple[Writer, Tensor]:
    """A random writer for a random LLM of one layer."""
    return Writer(HIDDEN, 1, slot_width=WIDTH).requires_grad_(False), torch.randn(vocabulary, HIDDEN)


def written(writer: Writer, weight: Tensor, facts: EncodedFacts, *, features: Tensor) -> Tensor:
    """The rows that the writer makes, float64."""
    arrays = [torch.from_numpy(a).long() for a in (facts.chunk_tokens, facts.chunk_cues, facts.chunk_starts)]
    own = features[torch.from_numpy(facts.chunk_facts)]
    return writer(own, arrays[0], chunk_cues=arrays[1], chunk_starts=arrays[2], embedding_weight=weight).double()


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 70_000])
def test_compact_rows_are_those_of_the_writer(vocabulary: int) -> None:
    (writer, weight), facts = writer_and_weight(vocabulary), random_facts(40, vocabulary=vocabulary)
    features = torch.randn(40, HIDDEN)
    codec = CompactCodec(writer, weight, num_bits=8)
    assert codec.token_bytes == (2 if vocabulary == VOCABULARY else 3)
    packed = codec.pack(facts, features)
    assert packed.shape == (int(facts.num_rows.sum()), codec.row_bytes)
    ids = torch.randperm(len(packed))
    wanted = written(writer, weight, facts, features=features)
    torch.testing.assert_close(codec.rows(packed, ids).double(), wanted[ids], rtol=0, atol=0.05)
    values = codec.rows(packed, ids).unflatten(1, (SLOTS_PER_ROW, 2, WIDTH))[:, :, 1]
    exact = wanted[ids].unflatten(1, (SLOTS_PER_ROW, 2, WIDTH))[:, :, 1]
    torch.testing.assert_close(values.double(), exact, rtol=0, atol=1e-5)  # only the vector is quantised
    assert torch.equal((values != 0).any(-1), (exact != 0).any(-1)), "empty slots stay empty"
    assert not codec.rows(packed, torch.tensor([-1, len(packed)])).any()


def test_compact_rows_are_exact_but_for_the_vector() -> None:
    """With the vector that was stored in the place of the writer's own, the rows are the writer's to rounding."""
    (writer, weight), facts = writer_and_weight(), random_facts(30)
    features = torch.randn(30, HIDDEN)
    codec = CompactCodec(writer, weight)
    packed = codec.pack(facts, features)
    stored = codec.semantic(packed)
    exact = writer.semantic_part(features)[torch.from_numpy(facts.chunk_facts)]
    step = (exact.amax(1) - exact.amin(1)) / 15
    assert ((stored - exact).abs().amax(1) <= step / 2 + 0.01).all()
    writer.semantic_part = lambda given: given
    wanted = written(writer, weight, facts, features=_by_fact(stored, facts))
    torch.testing.assert_close(codec.unpack(packed).double(), wanted, rtol=0, atol=1e-4)


def _by_fact(rows: Tensor, facts: EncodedFacts) -> Tensor:
    firsts = np.concatenate([[0], np.cumsum(facts.num_rows)[:-1]])
    return rows[torch.from_numpy(firsts)]


def allowed_error(row_format: str, values: Tensor) -> Tensor:
    """Greatest error of each number [N, D]."""
    if row_format in STEPS:
        return values.abs() * STEPS[row_format] + 1e-7
    slots, bits = values.unflatten(1, (SLOTS_PER_ROW, -1)), int(row_format[3:])
    step = (slots.amax(-1) - slots.amin(-1)) / (2**bits - 1)
    slack = 1e-5 if bits == 8 else 4e-3 * (1 + slots.abs().amax(-1))
    return (step / 2 + slack)[..., None].expand_as(slots).flatten(1)


@pytest.mark.parametrize("row_format", NUMBERED)
def test_whatever_is_done_rows_stay_within_their_bounds(row_format: str) -> None:
    dim, rng = 8 * SLOTS_PER_ROW, np.random.default_rng()
    codec = codec_for(row_format, dim)
    table, kept = make_table(row_format, dim, codec=codec), {}
    for step in range(60):
        if step % 3 < 2 or not kept:
            rows = torch.from_numpy(table.allocate(np.ones(7, dtype=np.int64)))
            values = torch.randn(7, dim) * float(rng.uniform(0.1, 20))
            table.write(rows, values)
            kept.update(zip(rows.tolist(), values, strict=True))
        else:
            gone = torch.from_numpy(rng.choice(list(kept), size=4, replace=False))
            table.erase(gone)
            assert not table.weight[gone].any()
            with pytest.raises(ValueError, match="holds no fact"):
                table.lookup_rows(gone)
            for row in gone.tolist():
                del kept[row]
        if step % 10 == 9:
            state = {name: tensor.clone() for name, tensor in table.state_tensors().items()}
            packed = codec is not None
            table = PackedTable.from_tensors(state, codec) if packed else WideTable.from_tensors(state, dim)
    rows, values = torch.tensor(list(kept)), torch.stack(list(kept.values()))
    assert table.row_format == row_format and table.num_live == len(kept)
    found = table.lookup_rows(rows)
    assert ((found.double() - values.double()).abs() <= allowed_error(row_format, values)).all()
    lengths = torch.tensor([0, 2, len(rows) - 2])
    assert torch.equal(table(rows, lengths).values(), found)


@pytest.mark.parametrize("row_format", ["int8", "int4", "compact"])
def test_packed_rows_are_not_trained(row_format: str) -> None:
    writer, weight = writer_and_weight()
    codec = codec_for(row_format, writer.row_width, writer=writer, embedding_weight=weight)
    table = make_table(row_format, writer.row_width, codec=codec)
    for refused in (table.check_trainable, lambda: table.trainable(0.1)):
        with pytest.raises(ValueError, match=f"stored as {row_format} cannot be trained.*widedeep-kb rewrite"):
            refused()


def test_refusals() -> None:
    writer, weight = writer_and_weight()
    codec = CompactCodec(writer, weight)
    table = PackedTable(codec, 8)
    rows = torch.from_numpy(table.allocate(np.ones(3, dtype=np.int64)))
    packed = codec.pack(random_facts(3), torch.randn(3, HIDDEN))[:3]
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: table.write(rows, torch.randn(3, writer.row_width)), "made from facts"),
        (lambda: table.write(rows, packed[:, 1:]), "values must be"),
        (lambda: codec_for("fp8", 1024), f"one of {', '.join(ROW_FORMATS)}, got 'fp8'"),
        (lambda: codec_for("compact", 1024), "with the writer that made them"),
        (lambda: codec_for("int8", 24), "a multiple of 32 numbers, got 24"),
        (lambda: PackedTable.from_tensors({}, codec), "has no"),
        (lambda: PackedTable.from_tensors(table.state_tensors(), codec_for("int8", 1024)), "bytes of int8 each"),
    ]
    for call, message in wrong:
        with pytest.raises(ValueError, match=message):
            call()
    bad = torch.randn(1, 64)
    bad[0, 5] = torch.nan
    numbers = PackedTable(codec_for("int8", 64), 4)
    with pytest.raises(ValueError, match="row 0 of the values is not finite"):
        numbers.write(torch.from_numpy(numbers.allocate(np.ones(1, dtype=np.int64))), bad)
    table.write(rows, packed)
    assert torch.equal(table.lookup_rows(rows), codec.unpack(packed))
