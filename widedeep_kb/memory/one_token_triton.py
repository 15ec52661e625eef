"""Triton kernels: one adapter's reading of the memory for one new token of each sequence.

`attend` makes, for one sequence and head, the layer norm, the query, the attention on the slots and the null slot and
what is read, scaled by the hard edge of the null choice. `add_output` projects that back and adds it to the hidden
states. Weights are read where the adapter keeps them, nothing is folded. All sums are in float32.

Letters: B sequences, A heads, D head width, M slots, H hidden size, K = A x D.
"""

import triton
import triton.language as tl


@triton.jit
def _query(
    hidden,  # [H]
    norm_weight,  # [H]
    norm_bias,  # [H]
    query_weight,  # [D, 1] where the rows of one head begin
    epsilon,
    H: tl.constexpr,
    D: tl.constexpr,
    BLOCK_H: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """One head's query [D] float32 of one sequence's hidden states, layer-normed."""
    columns = tl.arange(0, BLOCK_H)
    states = tl.load(hidden + columns, mask=columns < H, other=0).to(tl.float32)
    mean = tl.sum(states, 0) / H
    centred = tl.where(columns < H, states - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / H + epsilon)
    partial = tl.zeros([D, CHUNK], tl.float32)
    for start in tl.static_range(0, H, CHUNK):
        part = start + tl.arange(0, CHUNK)
        inside = part < H
        own = tl.load(hidden + part, mask=inside, other=0).to(tl.float32)
        weight = tl.load(norm_weight + part, mask=inside, other=0).to(tl.float32)
        bias = tl.load(norm_bias + part, mask=inside, other=0).to(tl.float32)
        normed = (own - mean) * scale * weight + bias
        places = query_weight + part[None, :]
        partial += tl.load(places, mask=inside[None, :], other=0).to(tl.float32) * normed[None, :]
    return tl.sum(partial, 1)


@triton.jit
def attend(
    hidden,  # [B, H]
    cue_query,  # [B, K], its rows `cue_stride` apart
    norm_weight,  # [H]
    norm_bias,  # [H]
    query_weight,  # [K, H], its rows `weight_stride` apart
    null_key,  # [A, D]
    keys,  # [B, A, M, D]
    values,  # [B, A, M, D]
    mask,  # [B, M] int8
    content,  # [B, K] float32
    scores,  # [B, A, M] float32 log attention, with IS_OBSERVED
    cue_stride,
    weight_stride,
    epsilon,
    threshold,
    H: tl.constexpr,
    A: tl.constexpr,
    D: tl.constexpr,
    M: tl.constexpr,
    BLOCK_H: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_M: tl.constexpr,
    IS_OBSERVED: tl.constexpr,
):
    sequence, head, dims = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, D)
    weights = query_weight + (head * D + dims)[:, None] * weight_stride
    query = _query(hidden + sequence * H, norm_weight, norm_bias, weights, epsilon, H, D, BLOCK_H, CHUNK)
    query += tl.load(cue_query + sequence * cue_stride + head * D + dims).to(tl.float32)
    query = query * (1.0 / tl.sqrt(D * 1.0))

    highest = tl.sum(query * tl.load(null_key + head * D + dims).to(tl.float32), 0)
    total, mass = highest * 0.0 + 1.0, highest * 0.0
    read = tl.zeros([D], tl.float32)
    slots = (sequence * A + head) * M
    for start in range(0, M, BLOCK_M):
        rows = start + tl.arange(0, BLOCK_M)
        places = (slots + rows)[:, None] * D + dims[None, :]
        is_slot = (rows < M) & (tl.load(mask + sequence * M + rows, mask=rows < M, other=0) != 0)
        key = tl.load(keys + places, mask=is_slot[:, None], other=0).to(tl.float32)
        value = tl.load(values + places, mask=is_slot[:, None], other=0).to(tl.float32)
        score = tl.where(is_slot, tl.sum(key * query[None, :], 1), -float("inf"))
        if IS_OBSERVED:
            tl.store(scores + slots + rows, score, mask=rows < M)
        new_highest = tl.maximum(highest, tl.max(score, 0))
        shrink = tl.exp(highest - new_highest)
        share = tl.exp(score - new_highest)
        total = total * shrink + tl.sum(share, 0)
        mass = mass * shrink + tl.sum(share, 0)
        read = read * shrink + tl.sum(share[:, None] * value, 0)
        highest = new_highest
    mass = mass / total
    factor = tl.maximum(mass - threshold, 0.0) / (1.0 - threshold) / tl.maximum(mass, 1e-6)
    tl.store(content + sequence * (A * D) + head * D + dims, read / total * factor)
    if IS_OBSERVED:
        shift = highest + tl.log(total)
        for start in range(0, M, BLOCK_M):
            rows = start + tl.arange(0, BLOCK_M)
            score = tl.load(scores + slots + rows, mask=rows < M, other=0)
            tl.store(scores + slots + rows, score - shift, mask=rows < M)


@triton.jit
def add_output(
    hidden,  # [B, H]
    content,  # [B, K] float32
    output_weight,  # [H, K]
    gate,  # scalar
    out,  # [B, H]
    num_sequences,
    H: tl.constexpr,
    K: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    columns = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    inner = tl.arange(0, BLOCK_K)
    weight = tl.load(
        output_weight + columns[:, None] * K + inner[None, :],
        mask=(columns < H)[:, None] & (inner < K)[None, :],
        other=0,
    ).to(tl.float32)
    opening = 2.0 * tl.sigmoid(2.0 * tl.load(gate).to(tl.float32)) - 1.0  # tanh
    if BLOCK_B == 1:
        sequence = tl.program_id(1)
        own = tl.load(content + sequence * K + inner, mask=inner < K, other=0)
        addition = tl.sum(weight * own[None, :], 1) * opening
        places = sequence * H + columns
        before = tl.load(hidden + places, mask=columns < H, other=0).to(tl.float32)
        tl.store(out + places, before + addition, mask=columns < H)
    else:
        sequences = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
        inside = sequences < num_sequences
        own = tl.load(
            content + sequences[:, None] * K + inner[None, :], mask=inside[:, None] & (inner < K)[None, :], other=0
        )
        addition = tl.dot(own, tl.trans(weight), input_precision="ieee") * opening
        places, kept = sequences[:, None] * H + columns[None, :], inside[:, None] & (columns < H)[None, :]
        before = tl.load(hidden + places, mask=kept, other=0).to(tl.float32)
        tl.store(out + places, before + addition, mask=kept)
