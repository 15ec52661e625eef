"""How likely an LLM finds given texts behind given prompts. Letters: B prompts, T tokens, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM

Logits = Callable[[Tensor, Tensor], Tensor]
"""`input_ids` and `attention_mask` [B, T], padded on the right -> logits [B, T, V]."""


def loglikelihoods(
    lm: FrozenLM,
    prompts: Sequence[str],
    continuations: Sequence[str],
    *,
    batch_size: int = 16,
    logits: Logits | None = None,
) -> list[float]:
    """Natural log-probability of each continuation behind its prompt, summed over its tokens; 0.0 for an empty one.

    Prompt and continuation are tokenised apart.

    Args:
        lm: its tokenizer, and its model unless `logits` is given.
        prompts: texts, used as they are.
        continuations: as many; a space that is to stand between belongs to them.
        batch_size: texts in one pass.
        logits: what gives the logits, for a model other than `lm`'s own.

    Raises:
        ValueError: not as many continuations as prompts, or an empty prompt.
    """
    if len(prompts) != len(continuations):
        raise ValueError(f"{len(prompts)} prompts and {len(continuations)} continuations")
    heads, tails = lm.encode(prompts), lm.encode(continuations)
    if [] in heads:
        raise ValueError(f"prompt {heads.index([])} has no token")
    order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
    found: dict[int, float] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        sums = row_loglikelihoods(lm, [heads[i] for i in chosen], [tails[i] for i in chosen], logits=logits)
        found.update(zip(chosen, sums, strict=True))
    return [found[i] for i in range(len(heads))]


@torch.inference_mode()
def row_loglikelihoods(
    lm: FrozenLM, heads: Sequence[Sequence[int]], tails: Sequence[Sequence[int]], *, logits: Logits | None = None
) -> list[float]:
    """The same for one batch of token rows: of each of `tails` behind its head, which has a token at least."""
    rows = [[*head, *tail] for head, tail in zip(heads, tails, strict=True)]
    ids, mask = (part.to(lm.device) for part in right_pad(rows, pad_id=lm.tokenizer.pad_token_id))
    first = min(len(head) for head in heads) - 1  # no prompt's last token stands before it
    if logits is None:
        num_kept = ids.shape[1] - first
        scores = lm.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=num_kept).logits
    else:
        scores = logits(ids, mask)[:, first:]
    starts = torch.tensor([len(head) - 1 - first for head in heads], device=lm.device)[:, None]
    ends = starts + torch.tensor([len(tail) for tail in tails], device=lm.device)[:, None]
    places = torch.arange(scores.shape[1], device=lm.device)
    is_scored = (starts <= places) & (places < ends)  # [B, kept]: what follows is a token of the tail
    targets = ids[:, first:].roll(-1, dims=1)[is_scored]
    each = torch.zeros(is_scored.shape, device=lm.device)
    each[is_scored] = scores[is_scored].float().log_softmax(dim=-1).gather(1, targets[:, None]).squeeze(1)
    return each.sum(dim=1).tolist()


def right_pad(rows: Sequence[Sequence[int]], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Pad token rows on the right: `input_ids` [B, T] int64 and `attention_mask` [B, T] int64."""
    width = max(1, max(len(row) for row in rows))
    input_ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, row in enumerate(rows):
        input_ids[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
        attention_mask[i, : len(row)] = 1
    return input_ids, attention_mask
