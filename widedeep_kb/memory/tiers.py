"""Where a memory of so many facts would be, what of it does not fit, and what a look-up would take: no allocation.

In: numbers of facts and of devices, and what they have room for. Out: bytes of each part on each rank, TorchRec's
choice of place for the rows, the bytes that are missing, and predicted milliseconds.
Letters: R ranks (GPUs), D numbers in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from widedeep_kb.lm import LMSizes
from widedeep_kb.memory.cached_rows import CACHE_FROM_ROWS, ROW_STATE_BYTES, STATE_BYTES, num_cached_rows
from widedeep_kb.memory.compact import NAME as COMPACT
from widedeep_kb.memory.config import ROW_FORMATS
from widedeep_kb.memory.encoding import NUM_CUES, SLOTS_PER_ROW
from widedeep_kb.memory.packed import codec_for
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.sharding import TablePlan, plan_table
from widedeep_kb.memory.tier_costs import cached_ms, cpu_ms, exchange_ms, gpu_ms, host_ms, lru_hit_rate
from widedeep_kb.memory.wide import FLOAT_FORMATS
from widedeep_kb.memory.writer import Writer

GB = 10**9
MOMENTUM_BYTES, LIVE_BYTES = 4, 1  # of each row, on the device of the rows' optimizer state
CACHING_KERNEL = "fused_uvm_caching"  # TorchRec's name
CACHEABLE = ("fp32", "fp16")
PACKED = tuple(name for name in ROW_FORMATS if name not in FLOAT_FORMATS)  # on one GPU or a CPU, not trained
KEPT_FREE, KEPT_FREE_HOST = 0.15, 0.1  # of each GPU for activations and the allocator, as TorchRec does; of the host
# Of 60,000 facts of GeoNames, aliases included, with the default LLM's tokenizer: 1.23 rows, 190 bytes and 16 for where
# the rows are, 153 bytes a fact.
ROWS_PER_FACT, INDEX_BYTES, CATALOGUE_BYTES = 1.25, 210, 160
GPU_ROWS, HOST_ROWS, ON_CPU = "rows in GPU memory", "rows in host memory with a cache on the GPU", "rows on the CPU"
ON_ONE, DEALT = "on one GPU", "dealt over the GPUs"
QUESTIONS_AT_ONCE = (1, 64, 1024)
PLANNER_SLACK = 1 << 20  # TorchRec counts a batch's row numbers and rows as well: they are in what is kept free


@dataclass(frozen=True)
class Load:
    """What is to be held and asked.

    Attributes:
        num_facts: facts.
        rows_per_fact: mean rows of a fact.
        row_format: a name in `config.ROW_FORMATS`.
        facts_per_question: facts brought to a question.
        skew: rows are asked for with chances 1 / rank^skew.
        is_trained: optimizer state of everything trained is held too.
        num_subkeys: of the deep memory; None = the reader's own.
    """

    num_facts: int
    rows_per_fact: float = ROWS_PER_FACT
    row_format: str = "fp16"
    facts_per_question: int = 32
    skew: float = 1.0
    is_trained: bool = False
    num_subkeys: int | None = None

    @property
    def num_rows(self) -> int:
        """Rows of all facts."""
        return max(1, round(self.num_facts * self.rows_per_fact))


@dataclass(frozen=True)
class Room:
    """What there is.

    Attributes:
        num_devices: GPUs, all of one machine; 0 = a CPU only.
        device_bytes: of each GPU.
        host_bytes: of the machine.
        gpu_row_bytes: most of each GPU's bytes for rows; None = what is left.
    """

    num_devices: int
    device_bytes: int
    host_bytes: int
    gpu_row_bytes: int | None = None


class Tier(NamedTuple):
    """One part of the memory on each rank."""

    name: str
    is_on_gpu: bool
    num_bytes: int


class Prediction(NamedTuple):
    """Milliseconds to look up the rows of some questions at once."""

    num_questions: int
    ms: float


@dataclass(frozen=True)
class MemoryPlan:
    """What `plan_memory` found.

    Attributes:
        choice: where the rows go, in words.
        table: TorchRec's plan; None where nothing fits.
        tiers: bytes of each part on each rank.
        hit_rate: share of large look-ups that the cache serves; 1 without one.
        predictions: of the choice, for `QUESTIONS_AT_ONCE`.
        missing: one line for each place that is too small.
    """

    choice: str
    table: TablePlan | None
    tiers: tuple[Tier, ...]
    hit_rate: float
    predictions: tuple[Prediction, ...]
    missing: tuple[str, ...]


def fixed_tiers(load: Load, room: Room, *, config: ReaderConfig, llm: LMSizes) -> list[Tier]:
    """What is on every rank whatever becomes of the rows."""
    is_on_gpu = room.num_devices > 0
    with torch.device("meta"):
        reader = Reader(config)
        if load.num_subkeys is not None:
            reader.add_deep(load.num_subkeys)
    deep = sum(p.numel() for name, p in reader.named_parameters() if name.startswith("deep"))
    wide = sum(p.numel() for name, p in reader.named_parameters() if not name.startswith("deep"))
    tiers = [
        Tier("LLM", is_on_gpu, llm.num_parameters * (2 if is_on_gpu else 4)),
        Tier("writer, adapters, gate", is_on_gpu, 4 * wide),
        Tier("deep memory", is_on_gpu, 4 * deep),
    ]
    if load.row_format == COMPACT:
        tables = (1 + NUM_CUES) * (llm.vocab_size + 1) * config.slot_width
        tiers.append(Tier("token tables of compact rows", is_on_gpu, 4 * tables))
    if load.is_trained:  # AdamW: a gradient and two moments
        tiers.append(Tier("gradients and optimizer state, dense", is_on_gpu, 12 * (wide + deep)))
    ranks = max(1, room.num_devices)
    tiers.append(Tier("index, mapped and shared", False, load.num_facts * INDEX_BYTES // ranks))
    tiers.append(Tier("fact catalogue", False, load.num_facts * CATALOGUE_BYTES))
    return tiers


def row_bytes_of(row_format: str, *, config: ReaderConfig, llm: LMSizes) -> int:
    """Bytes of a row as it is stored.

    Raises:
        ValueError: an unknown row format.
    """
    embedding_dim = 2 * SLOTS_PER_ROW * config.slot_width
    if row_format in FLOAT_FORMATS:
        return embedding_dim * FLOAT_FORMATS[row_format].itemsize
    with torch.device("meta"):
        writer = Writer(config.hidden_size, len(config.writer_layers), slot_width=config.slot_width)
        weight = torch.empty(llm.vocab_size, llm.hidden_size)
    return codec_for(row_format, embedding_dim, writer=writer, embedding_weight=weight).row_bytes


def plan_memory(load: Load, room: Room, *, config: ReaderConfig, llm: LMSizes) -> MemoryPlan:
    """Choose where the rows go, by TorchRec's planner, and say what each part takes.

    Args:
        load: what is to be held.
        room: what there is.
        config: of the reader.
        llm: of the LLM.

    Raises:
        ValueError: an unknown row format, or packed rows that are to be trained or dealt over GPUs.
    """
    row_bytes = row_bytes_of(load.row_format, config=config, llm=llm)
    if load.row_format in PACKED and (load.is_trained or room.num_devices > 1):
        what = "trained" if load.is_trained else f"dealt over {room.num_devices} GPUs"
        raise ValueError(f"rows stored as {load.row_format} cannot be {what}: use fp32, fp16 or bf16")
    fixed = fixed_tiers(load, room, config=config, llm=llm)
    sizes = {"row_bytes": row_bytes, "out_bytes": 8 * SLOTS_PER_ROW * config.slot_width}
    space = Space.after(fixed, load, room, **sizes)
    table = space.choose()
    if table is None:
        return MemoryPlan("no place for the rows", None, (*fixed, *space.row_tiers(None)), 1.0, (), space.missing())
    is_cached = table.compute_kernel == CACHING_KERNEL
    hit_rate = lru_hit_rate(space.cached_rows, max(table.rank_rows), skew=load.skew) if is_cached else 1.0
    if not room.num_devices:
        choice = ON_CPU
    else:
        choice = f"{HOST_ROWS if is_cached else GPU_ROWS}, {DEALT if room.num_devices > 1 else ON_ONE}"
    predictions = [
        Prediction(n, space.lookup_ms(num_questions=n, hit_rate=hit_rate if is_cached else None))
        for n in QUESTIONS_AT_ONCE
    ]
    return MemoryPlan(choice, table, (*fixed, *space.row_tiers(table)), hit_rate, tuple(predictions), ())


@dataclass(frozen=True)
class Space:
    """The rows, and the bytes that all else leaves for them on each rank.

    Attributes:
        load, room: what is asked for and what there is.
        row_bytes: of a row as it is stored.
        out_bytes: of a row as it is read, in float32.
        gpu_bytes, host_bytes: left for rows on each rank; below 0 where all else does not fit.
    """

    load: Load
    room: Room
    row_bytes: int
    out_bytes: int
    gpu_bytes: int
    host_bytes: int

    @classmethod
    def after(cls, fixed: list[Tier], load: Load, room: Room, *, row_bytes: int, out_bytes: int) -> Space:
        """What `fixed` and the reserves leave."""
        ranks = max(1, room.num_devices)
        on_gpu = sum(tier.num_bytes for tier in fixed if tier.is_on_gpu)
        on_host = sum(tier.num_bytes for tier in fixed if not tier.is_on_gpu)
        gpu_bytes = int(room.device_bytes * (1 - KEPT_FREE)) - on_gpu if room.num_devices else 0
        host_bytes = int(room.host_bytes * (1 - KEPT_FREE_HOST)) // ranks - on_host
        return cls(load, room, row_bytes, out_bytes, gpu_bytes, host_bytes)

    @property
    def rank_rows(self) -> int:
        """Rows of the fullest rank."""
        return -(-self.load.num_rows // max(1, self.room.num_devices))

    @property
    def state_bytes(self) -> int:
        """Optimizer state (packed rows have none) and liveness of the rows of a rank."""
        return self.rank_rows * (LIVE_BYTES + (MOMENTUM_BYTES if self.load.row_format in FLOAT_FORMATS else 0))

    @property
    def cached_rows(self) -> int:
        """Rows of the largest cache there is room for on a rank."""
        left = self.gpu_bytes - self.state_bytes - self.rank_rows * ROW_STATE_BYTES
        left = left if self.room.gpu_row_bytes is None else min(left, self.room.gpu_row_bytes)
        return min(num_cached_rows(max(0, left), row_bytes=self.row_bytes), self.rank_rows)

    def choose(self) -> TablePlan | None:
        """TorchRec's plan for the table; None where it does not fit."""
        kernels, budget = ["fused"], self.room.gpu_row_bytes
        if self.room.num_devices:
            if budget is not None and self.rank_rows * self.row_bytes > budget:
                kernels = []
            if self.cached_rows and self.load.row_format in CACHEABLE:
                kernels.append(CACHING_KERNEL)
        if not kernels or self.host_bytes < 0 or (self.room.num_devices and self.gpu_bytes < self.state_bytes):
            return None
        return plan_table(
            self.load.num_rows,
            embedding_dim=self.row_bytes // 4,  # whatever the format: the planner counts bytes
            dtype=torch.float32,
            world_size=max(1, self.room.num_devices),
            compute_device="cuda" if self.room.num_devices else "cpu",
            device_bytes=max(0, self.gpu_bytes - self.state_bytes) + PLANNER_SLACK,
            host_bytes=self.host_bytes - (0 if self.room.num_devices else self.state_bytes) + PLANNER_SLACK,
            sharding_types=["row_wise"] if self.room.num_devices > 1 else ["table_wise"],
            compute_kernels=kernels,
            cache_load_factor=self.cached_rows / self.rank_rows if CACHING_KERNEL in kernels else None,
        )

    def row_tiers(self, table: TablePlan | None) -> list[Tier]:
        """The rows and what goes with them on each rank; where nothing fits, as if they were all on GPUs."""
        is_cached = table is not None and table.compute_kernel == CACHING_KERNEL
        rows, is_on_gpu = self.rank_rows * self.row_bytes, self.room.num_devices > 0
        state = Tier("optimizer state and liveness, rows", is_on_gpu, self.state_bytes)
        if not is_on_gpu:
            return [Tier("host rows", False, rows), state]
        if not is_cached:
            return [Tier("GPU rows", True, rows), state]
        cache = self.cached_rows * (self.row_bytes + STATE_BYTES) + self.rank_rows * ROW_STATE_BYTES
        return [Tier("GPU cache", True, cache), Tier("host rows", False, rows), state]

    def missing(self) -> tuple[str, ...]:
        """What each place lacks for the rows of a rank, one line a place."""
        if self.host_bytes < 0:
            return (f"index and catalogue: {-self.host_bytes:,} bytes of host memory missing for each rank",)
        rows, spare = self.rank_rows * self.row_bytes, self.gpu_bytes - self.state_bytes
        if not self.room.num_devices:
            return (f"rows: {rows + self.state_bytes - self.host_bytes:,} bytes of host memory missing",)
        budget = spare if self.room.gpu_row_bytes is None else min(spare, self.room.gpu_row_bytes)
        on_gpu = f"rows in GPU memory: {rows - budget:,} bytes missing on each GPU"
        if self.load.row_format not in CACHEABLE:
            return on_gpu, f"rows in host memory: a GPU cache holds no {self.load.row_format} rows"
        if not self.cached_rows:
            return on_gpu, "rows in host memory: no GPU memory is left for a cache"
        return on_gpu, f"rows in host memory: {rows - self.host_bytes:,} bytes of it missing for each rank"

    def lookup_ms(self, *, num_questions: int, hit_rate: float | None) -> float:
        """Milliseconds to look up the rows of so many questions at once; `hit_rate` of a cache, if there is one."""
        rows = num_questions * self.load.facts_per_question * self.load.rows_per_fact
        sizes = {"row_bytes": self.row_bytes, "out_bytes": self.out_bytes}
        if not self.room.num_devices:
            return cpu_ms(rows, **sizes)
        if hit_rate is None:
            found = gpu_ms(rows, **sizes)
        elif rows < CACHE_FROM_ROWS:
            found = host_ms(rows, row_bytes=self.row_bytes)
        else:
            found = cached_ms(rows, **sizes, hit_rate=hit_rate)
        return found + exchange_ms(rows, out_bytes=self.out_bytes, world_size=self.room.num_devices)
