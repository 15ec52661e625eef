"""TorchRec's plan for the wide table: which GPU, or the host, holds which of its rows. Nothing is allocated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torchrec import EmbeddingCollection, EmbeddingConfig
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import ParameterConstraints, PlannerError
from torchrec.distributed.types import CacheParams
from torchrec.modules.embedding_configs import DataType

_DATA_TYPES = {torch.float32: DataType.FP32, torch.float16: DataType.FP16, torch.bfloat16: DataType.BF16}


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
    sharding_types: Sequence[str],
    compute_kernels: Sequence[str],
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
    config = EmbeddingConfig(
        name="wide",
        embedding_dim=embedding_dim,
        num_embeddings=num_rows,
        feature_names=["facts"],
        data_type=_DATA_TYPES[dtype],
    )
    model = nn.Sequential(EmbeddingCollection(tables=[config], device=torch.device("meta")))
    cache = CacheParams(load_factor=cache_load_factor) if cache_load_factor else None
    constraints = ParameterConstraints(
        sharding_types=list(sharding_types), compute_kernels=list(compute_kernels), cache_params=cache
    )
    logging.disable(logging.WARNING)  # the planner warns of ways to call it that are newer than TorchRec 1.6
    try:
        topology = Topology(
            world_size=world_size,
            compute_device=compute_device,
            hbm_cap=device_bytes,
            ddr_cap=host_bytes,
            local_world_size=world_size,
        )
        reserve = FixedPercentageStorageReservation(0.0)
        planner = EmbeddingShardingPlanner(
            topology=topology, batch_size=1, constraints={"wide": constraints}, storage_reservation=reserve
        )
        sharding = planner.plan(model, [EmbeddingCollectionSharder()]).plan["0"]["wide"]
    except PlannerError:
        return None
    finally:
        logging.disable(logging.NOTSET)
    rows = [0] * world_size
    for shard, rank in zip(sharding.sharding_spec.shards, sharding.ranks, strict=True):
        rows[rank] += shard.shard_sizes[0]
    return TablePlan(sharding.sharding_type, sharding.compute_kernel, tuple(rows))
