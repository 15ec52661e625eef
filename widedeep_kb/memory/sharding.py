"""The wide table over several devices, on TorchRec's engine: its planner, its sharded look-up, its fused optimizer.

In: a `WideTable` and row numbers, other ones on every rank. Out: their contents, differentiable; the backward pass
updates each row where it is kept, as `row_trainer` does on one device.

Letters: N rows asked for on this rank, R rows of the table, D = `embedding_dim`, W ranks.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.optim import _apply_optimizer_in_backward
from torchrec import EmbeddingCollection, EmbeddingConfig, KeyedJaggedTensor
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import ParameterConstraints, PlannerError
from torchrec.distributed.types import CacheParams, ShardingPlan
from torchrec.modules.embedding_configs import DataType
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from widedeep_kb.memory.wide import FEATURE_NAME, TABLE_NAME, WideTable

SHARDING_TYPES = ("row_wise", "table_wise", "column_wise")
_DATA_TYPES = {torch.float32: DataType.FP32, torch.float16: DataType.FP16, torch.bfloat16: DataType.BF16}
_BAGS = 1024  # of a look-up: TorchRec's kernels run over bags side by side, and want as many on every rank
_FREE_SHARE = 0.85  # of a GPU's free memory that the table may take


class TablePlan(NamedTuple):
    """Where TorchRec puts the table: its names for the way of sharding and for the kernel, and rows of each rank."""

    sharding_type: str
    compute_kernel: str
    rank_rows: tuple[int, ...]


def plan_table(
    num_rows: int,
    *,
    embedding_dim: int,
    dtype: torch.dtype,
    world_size: int,
    compute_device: str,
    device_bytes: int,
    host_bytes: int,
    sharding_types: Sequence[str] = SHARDING_TYPES,
    compute_kernels: Sequence[str] = ("fused",),
    cache_load_factor: float | None = None,
) -> TablePlan | None:
    """The planner's choice; None where the table does not fit.

    Args:
        num_rows, embedding_dim, dtype: of the table.
        world_size: ranks of one machine.
        compute_device: "cuda" or "cpu".
        device_bytes, host_bytes: for the table on each rank.
        sharding_types, compute_kernels: TorchRec's names of those allowed.
        cache_load_factor: share of the rows that a GPU cache holds.
    """
    model = _unsharded(num_rows, embedding_dim, dtype=dtype)
    cache = CacheParams(load_factor=cache_load_factor) if cache_load_factor else None
    constraints = ParameterConstraints(
        sharding_types=list(sharding_types), compute_kernels=list(compute_kernels), cache_params=cache
    )
    with _quiet_planner():
        topology = Topology(
            world_size=world_size,
            compute_device=compute_device,
            hbm_cap=device_bytes,
            ddr_cap=host_bytes,
            local_world_size=world_size,
        )
        planner = _planner(topology, constraints)
        try:
            sharding = planner.plan(model, [EmbeddingCollectionSharder()]).plan["0"][TABLE_NAME]
        except PlannerError:
            return None
    rows = [0] * world_size
    for shard, rank in zip(sharding.sharding_spec.shards, sharding.ranks, strict=True):
        rows[rank] += shard.shard_sizes[0]
    return TablePlan(sharding.sharding_type, sharding.compute_kernel, tuple(rows))


class ShardedRows:
    """The rows of a table, each on one rank (or cut by columns), in an `EmbeddingCollection` of TorchRec.

    Every rank makes one, and every rank calls each method in the same order, because the ranks exchange rows; a rank
    that needs no row asks for none. The update is row-wise Adagrad as in `RowTrainer`, for gradients summed over all
    ranks. By columns, each part of a row has a step size of its own: not quite the same update.

    The rows are random numbers until `fill` or `restore`; `of_table` makes them those of a table.

    Args:
        is_live: bool [R], rows that hold a fact.
        embedding_dim: D.
        dtype: of the rows.
        lr, eps: of the update (see `RowTrainer`).
        device: of this rank.
        sharding_types: those that the planner may choose from.
        device_bytes: for rows and their optimizer state on each GPU; None = 85 % of what is free.

    Raises:
        ValueError: an unknown sharding type, rows that do not fit, or bfloat16 on CPU.
    """

    def __init__(
        self,
        is_live: Tensor,
        *,
        embedding_dim: int,
        dtype: torch.dtype,
        lr: float,
        eps: float,
        device: torch.device,
        sharding_types: Sequence[str] = ("row_wise", "table_wise"),
        device_bytes: int | None = None,
    ) -> None:
        check_sharding_types(sharding_types)
        if dtype == torch.bfloat16 and device.type == "cpu":
            raise ValueError("FBGEMM cannot train torch.bfloat16 rows on cpu; use torch.float32 or torch.float16")
        self.num_rows, self.embedding_dim, self.device = len(is_live), embedding_dim, device
        self.is_live = is_live.to(device)
        self.world_size = dist.get_world_size()
        self._bags = torch.arange(_BAGS, device=device)
        model = _unsharded(self.num_rows, embedding_dim, dtype=dtype)
        _apply_optimizer_in_backward(RowWiseAdagrad, model.parameters(), {"lr": lr, "eps": eps})
        fused = {"stochastic_rounding": dtype != torch.float32}  # else small updates of half rows round to nothing
        sharders = [EmbeddingCollectionSharder(fused_params=fused, use_index_dedup=False)]
        if device.type == "cuda" and device_bytes is None:
            device_bytes = int(torch.cuda.mem_get_info(device)[0] * _FREE_SHARE)
        plan = self._plan(model, sharders, sharding_types=sharding_types, device_bytes=device_bytes)
        self.sharding_type = plan.plan["0"][TABLE_NAME].sharding_type
        self._model = DistributedModelParallel(model, device=device, plan=plan, sharders=sharders)

    @classmethod
    def of_table(
        cls, table: WideTable, *, lr: float, eps: float, device: torch.device, sharding_types: Sequence[str]
    ) -> ShardedRows:
        """The rows of a table that every rank has, on another device perhaps or mapped from a file."""
        width, dtype = table.embedding_dim, table.weight.dtype
        options = {"lr": lr, "eps": eps, "device": device, "sharding_types": sharding_types}
        made = cls(table.is_live, embedding_dim=width, dtype=dtype, **options)
        made.fill(rows=table.weight.detach(), momentum=table.momentum)
        return made

    def lookup(self, row_ids: Tensor) -> Tensor:
        """Float32 [N, D]; the backward pass through it updates these rows, whose repeats are summed before.

        Args:
            row_ids: int64 [N] on this rank's device, live rows.

        Raises:
            ValueError: on every rank, if some rank asks for a row out of range or not live.
        """
        is_outside = (row_ids < 0) | (row_ids >= self.num_rows)
        is_dead = is_outside | ~self.is_live.index_select(0, row_ids.clamp(0, self.num_rows - 1))
        bad = torch.where(is_dead, row_ids.abs() + 1, 0).max() if len(row_ids) else row_ids.new_zeros(())
        dist.all_reduce(bad, op=dist.ReduceOp.MAX)
        if bad.item():
            raise ValueError(f"row {bad.item() - 1} holds no fact (never written, erased or out of range)")
        return self.known_rows(row_ids)

    def known_rows(self, row_ids: Tensor) -> Tensor:
        """`lookup` of rows that the caller knows to be live."""
        lengths = len(row_ids) // _BAGS + (self._bags < len(row_ids) % _BAGS).long()
        features = KeyedJaggedTensor(keys=[FEATURE_NAME], values=row_ids.contiguous(), lengths=lengths)
        found = self._model(features)
        rows = found[FEATURE_NAME].values()
        if rows.requires_grad:
            rows.register_hook(lambda gradient: gradient * self.world_size)  # TorchRec takes the mean over ranks
        return rows

    def state(self) -> dict[str, object]:
        """`rows` [R, D] and `momentum` [R] as sharded tensors: what `torch.distributed.checkpoint` saves and loads.

        What a rank has no part of may be missing.
        """
        states = self._model.fused_optimizer.state_dict()["state"].values()
        momenta = [tensor for state in states for tensor in state.values()]
        parts = (("rows", list(self._model.state_dict().values())), ("momentum", momenta))
        return {name: tensors[0] for name, tensors in parts if tensors}

    @torch.no_grad()
    def fill(self, *, rows: Tensor, momentum: Tensor) -> None:
        """Take rows [at least R, D] and optimizer state [at least R] from tensors that every rank has."""
        sources = {"rows": rows, "momentum": momentum}
        for name, sharded in self.state().items():
            for shard in sharded.local_shards():
                places = zip(shard.metadata.shard_offsets, shard.metadata.shard_sizes, strict=True)
                shard.tensor.copy_(sources[name][tuple(slice(start, start + size) for start, size in places)])

    def read(self, context_rows: Tensor, learning_rows: Tensor, *, is_learning: bool) -> tuple[Tensor, Tensor]:
        """Contents [N, D] and [K, D] float32 of live rows; with `is_learning` the second ones are differentiable."""
        with torch.set_grad_enabled(is_learning):
            rows = self.known_rows(torch.cat([context_rows, learning_rows]))
        return rows[: len(context_rows)].detach(), rows[len(context_rows) :]

    def checkpoint(self) -> dict[str, object]:
        """`state()`, and which rows are live."""
        return {**self.state(), "is_live": self.is_live.cpu()}

    def restore(self, saved: Mapping[str, object]) -> None:
        """Take back rows and optimizer state that some number of devices saved.

        Args:
            saved: `is_live` with `rows` and `momentum` as tensors, or with the `folder` they were saved to.

        Raises:
            ValueError: they are of other facts.
        """
        check_same_facts(saved["is_live"], self.is_live.cpu())
        if "folder" in saved:
            dcp.load(self.state(), checkpoint_id=saved["folder"])
        else:
            self.fill(rows=saved["rows"], momentum=saved["momentum"])

    def save(self, folder: Path) -> None:
        """Write rows and optimizer state to a folder, each rank its own."""
        dcp.save(self.state(), checkpoint_id=folder)

    def _plan(
        self,
        model: nn.Module,
        sharders: list[EmbeddingCollectionSharder],
        *,
        sharding_types: Sequence[str],
        device_bytes: int | None,
    ) -> ShardingPlan:
        """TorchRec's plan, the same on every rank."""
        constraints = ParameterConstraints(sharding_types=list(sharding_types), compute_kernels=["fused"])
        with _quiet_planner():
            topology = Topology(
                world_size=self.world_size,
                compute_device=self.device.type,
                hbm_cap=device_bytes,
                local_world_size=self.world_size,
            )
            try:
                return _planner(topology, constraints).collective_plan(model, sharders, dist.group.WORLD)
            except PlannerError as error:
                raise ValueError(
                    f"{self.num_rows:,} rows of {self.embedding_dim} numbers do not fit on {self.world_size} devices "
                    f"({', '.join(sharding_types)})"
                ) from error


def load_rows(folder: Path, table: WideTable, *, num_rows: int) -> None:
    """Put the first `num_rows` rows of a table, and their optimizer state, back as `ShardedRows` saved them; no process
    group is needed."""
    tensors = {"rows": table.weight.detach()[:num_rows], "momentum": table.momentum[:num_rows]}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.distributed is disabled.*")  # as it shall be
        dcp.load(tensors, checkpoint_id=folder, no_dist=True)  # in place


def check_same_facts(saved: Tensor, is_live: Tensor) -> None:
    """Raises ValueError unless the same rows are live in both (bool [R] each); spare rows at the end do not count."""
    num_rows = min(len(saved), len(is_live))
    if not torch.equal(saved[:num_rows], is_live[:num_rows]) or saved[num_rows:].any() or is_live[num_rows:].any():
        raise ValueError("the checkpoint belongs to a memory of other facts")


def check_sharding_types(sharding_types: Sequence[str]) -> None:
    """Raises ValueError unless each is one of `SHARDING_TYPES`, and there is one."""
    unknown = [name for name in sharding_types if name not in SHARDING_TYPES]
    if unknown or not sharding_types:
        found = repr(unknown[0]) if unknown else "none"
        raise ValueError(f"sharding types are {', '.join(SHARDING_TYPES)}; got {found}")


def _unsharded(num_rows: int, embedding_dim: int, *, dtype: torch.dtype) -> nn.Module:
    """The table as a collection without storage, in a module, as planner and sharders want it."""
    config = EmbeddingConfig(
        name=TABLE_NAME,
        embedding_dim=embedding_dim,
        num_embeddings=num_rows,
        feature_names=[FEATURE_NAME],
        data_type=_DATA_TYPES[dtype],
    )
    return nn.Sequential(EmbeddingCollection(tables=[config], device=torch.device("meta")))


def _planner(topology: Topology, constraints: ParameterConstraints) -> EmbeddingShardingPlanner:
    return EmbeddingShardingPlanner(
        topology=topology,
        batch_size=1,
        constraints={TABLE_NAME: constraints},
        storage_reservation=FixedPercentageStorageReservation(0.0),
    )


@contextmanager
def _quiet_planner() -> Iterator[None]:
    """The planner warns of ways to call it that are newer than TorchRec 1.6."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
