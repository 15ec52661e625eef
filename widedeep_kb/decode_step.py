"""One step of greedy decoding over buffers of fixed size, which can be a CUDA graph.

Keys and values of a first pass move into buffers that a step finds at the same addresses each time (see `decoding`).

Letters: B sequences, T prompt tokens, N new tokens, P places in the buffers, V vocabulary, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

from widedeep_kb.lm import FrozenLM

_WARM_UPS = 3


class Ending(NamedTuple):
    """When a sequence ends.

    Attributes:
        end_ids: token ids, each of which ends it.
        pad_id: what follows the end.
        max_new_tokens, min_new_tokens: N; before the least no end token is written.
        at_line_break: end it too at its first line break behind some text, see `AnswerLineEnd`.
    """

    end_ids: tuple[int, ...]
    pad_id: int
    max_new_tokens: int
    min_new_tokens: int = 0
    at_line_break: bool = False


class FixedLayer(CacheLayerMixin):
    """A cache layer [B, H, P, D]; new states go where a cursor says that all layers share.

    transformers' own static layer counts for itself, which takes three more kernels a layer.

    Args:
        like: the same layer of the first pass.
        num_places: P.
        cursor: [1] int64.
    """

    is_sliding = False

    def __init__(self, like: DynamicLayer, *, num_places: int, cursor: Tensor) -> None:
        super().__init__()
        shapes = [(*states.shape[:2], num_places, states.shape[3]) for states in (like.keys, like.values)]
        self.keys, self.values = like.keys.new_zeros(shapes[0]), like.values.new_zeros(shapes[1])
        self.cursor, self.is_initialized = cursor, True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the buffers are there."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write one token's states [B, H, 1, D]; return all."""
        self.keys.index_copy_(2, self.cursor, key_states)
        self.values.index_copy_(2, self.cursor, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """All places from the first."""
        return self.keys.shape[2], 0

    def get_seq_length(self) -> Tensor:
        """[1] tokens before the current one."""
        return self.cursor

    def get_max_length(self) -> int:
        """P."""
        return self.keys.shape[2]


class DecodeStep:
    """The buffers of one step over B sequences of up to P tokens, and the step itself.

    Args:
        lm: the LLM.
        cache: of a first pass of B sequences, for the shapes of its layers.
        num_places: P.
        reader: the attachment's buffers, or None.
        is_traced: note the probability of each token.
        look: where the attachment looked in the last step, [B, M], to be noted too; None: it is not.
    """

    def __init__(
        self,
        lm: FrozenLM,
        cache: DynamicCache,
        *,
        num_places: int,
        reader: object | None,
        is_traced: bool = False,
        look: Callable[[], Tensor] | None = None,
    ) -> None:
        self.lm, self.reader, self.num_places, self._look = lm, reader, num_places, look
        self._graph: torch.cuda.CUDAGraph | None = None
        layers, device = cache.layers[: len(lm.layers)], lm.device
        batch = layers[0].keys.shape[0]
        self.blanks, self.line_breaks = lm.token_kinds(device)
        with torch.inference_mode(False):  # what is made in inference mode can be written nowhere else
            self.cursor = torch.zeros(1, dtype=torch.int64, device=device)
            self.count, self.least, self.num_live = (torch.zeros_like(self.cursor) for _ in range(3))
            self.token, self.positions = (torch.zeros(batch, 1, dtype=torch.int64, device=device) for _ in range(2))
            self.latest = torch.zeros(batch, 3, dtype=torch.int64, device=device)
            self.out = torch.zeros(batch, num_places, dtype=torch.int64, device=device)
            self.mask = torch.zeros(batch, 1, 1, num_places, dtype=torch.bool, device=device)
            self.is_done, self.has_text = (torch.zeros(batch, 1, dtype=torch.bool, device=device) for _ in range(2))
            self.all_done = torch.zeros(1, dtype=torch.bool, device=device)
            self.ends, self.breaks = torch.zeros_like(self.blanks), torch.zeros_like(self.blanks)
            self.pad = torch.zeros(1, dtype=torch.int64, device=device)
            self.log_probabilities = torch.zeros(batch, num_places, device=device) if is_traced else None
            self.looks = None if look is None else torch.zeros(num_places, *look().shape, device=device)
            fixed = [FixedLayer(layer, num_places=num_places, cursor=self.cursor) for layer in layers]
        self.cache = Cache(layers=fixed)

    def load(self, cache: DynamicCache, input_ids: Tensor, attention_mask: Tensor, ending: Ending) -> None:
        """Start behind prompts [B, T] whose first pass filled `cache`."""
        length = input_ids.shape[1]
        sources = cache.layers[: len(self.cache.layers)]
        torch._foreach_copy_(
            [part[:, :, :length] for layer in self.cache.layers for part in (layer.keys, layer.values)],
            [part for layer in sources for part in (layer.keys, layer.values)],
        )
        self.mask.zero_()
        self.mask[:, 0, 0, :length] = attention_mask.bool()
        self.cursor.fill_(length)
        self.positions.copy_(attention_mask.sum(1, keepdim=True))
        self.latest.fill_(-1)
        self.latest[:, -min(3, length) :] = input_ids.masked_fill(attention_mask == 0, -1)[:, -3:]
        for buffer in (self.count, self.num_live, self.is_done, self.has_text, self.ends, self.all_done):
            buffer.zero_()
        self.ends.index_fill_(0, torch.tensor(ending.end_ids, dtype=torch.int64, device=self.ends.device), True)
        self.breaks.copy_(self.line_breaks) if ending.at_line_break else self.breaks.zero_()
        self.pad.fill_(ending.pad_id)
        self.least.fill_(ending.min_new_tokens)

    def take(self, logits: Tensor) -> None:
        """Choose the next token of each sequence from [B, V]."""
        banned = self.ends & (self.count < self.least)
        logits = logits.masked_fill(banned[: logits.shape[1]], -torch.inf)
        if self.log_probabilities is not None:
            highest = torch.log_softmax(logits, dim=-1, dtype=torch.float32).amax(-1, keepdim=True)
            self.log_probabilities.index_copy_(1, self.count, highest)
        token = logits.argmax(-1, keepdim=True)
        self.num_live.add_(~self.is_done.all())
        self.token.copy_(torch.where(self.is_done, self.pad, token))
        self.out.index_copy_(1, self.count, self.token)
        self.latest.copy_(torch.cat([self.latest[:, 1:], self.token], dim=1))
        self.is_done |= self.ends[self.token] | (self.breaks[self.token] & self.has_text)
        self.has_text |= ~self.blanks[self.token]
        torch.all(self.is_done.flatten(), dim=0, keepdim=True, out=self.all_done)
        self.count += 1

    def run(self) -> None:
        """One step: from the token last taken to the next."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self._run()

    def capture(self) -> None:
        """Make the step a CUDA graph; the buffers' contents are lost."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._run()
        self._graph = graph

    def _run(self) -> None:
        self.mask.index_fill_(3, self.cursor, True)
        output = self.lm.model(
            input_ids=self.token,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        if self._look is not None:
            self.looks.index_copy_(0, self.count, self._look().unsqueeze(0))
        self.take(output.logits[:, -1])
        self.cursor += 1
        self.positions += 1


class Lookout:
    """Whether all sequences are done, as it was a step ago: asking never makes the GPU wait for the next step."""

    def __init__(self, all_done: Tensor) -> None:
        self._all_done, self._is_cuda = all_done, all_done.is_cuda
        if self._is_cuda:
            self._flags = torch.zeros(2, dtype=torch.bool, pin_memory=True)
            self._events = [torch.cuda.Event(), torch.cuda.Event()]
            self._num_asked = 0

    def is_over(self) -> bool:
        """To be asked once a step."""
        if not self._is_cuda:
            return bool(self._all_done)
        now = self._num_asked % 2
        self._flags[now : now + 1].copy_(self._all_done, non_blocking=True)
        self._events[now].record()
        self._num_asked += 1
        if self._num_asked == 1:
            return False
        self._events[1 - now].synchronize()
        return bool(self._flags[1 - now])
