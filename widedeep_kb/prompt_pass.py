"""The pass over the prompts in buffers of fixed size, so that it can be a CUDA graph that is replayed.

Prompts are padded on the left to a length that others share. A size that is met for the first time is left to the LLM
as it is: capturing pays from the second time on.

Letters: B sequences, T prompt tokens, V vocabulary.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import DynamicCache

from widedeep_kb.lm import FrozenLM

LENGTHS = 16  # T is a multiple of so many tokens
_MOST_TOKENS = 8192  # B x T; with more of them a pass takes longer than its launches
_MOST_PASSES = 16  # sizes remembered, the latest used
_WARM_UPS = 3

Reading = Callable[[], AbstractContextManager[object]]


class PromptPass:
    """The buffers of one pass over B prompts of T tokens, and the pass itself.

    Args:
        lm: the LLM.
        batch_size: B.
        length: T.
        reader: buffers of what reads beside the LLM, or None.

    Attributes:
        input_ids, attention_mask: [B, T] int64.
        logits: [B, V] behind the prompts, of the last run.
        cache: keys and values of the last run.
    """

    def __init__(self, lm: FrozenLM, *, batch_size: int, length: int, reader: object | None) -> None:
        self.lm, self.reader = lm, reader
        self._graph: torch.cuda.CUDAGraph | None = None
        with torch.inference_mode(False):  # what is made in inference mode can be written nowhere else
            self.input_ids = torch.zeros(batch_size, length, dtype=torch.int64, device=lm.device)
            self.attention_mask = torch.zeros_like(self.input_ids)
        self.logits: Tensor | None = None
        self.cache: DynamicCache | None = None

    def load(self, input_ids: Tensor, attention_mask: Tensor) -> None:
        """Prompts of at most T tokens, padded on the left."""
        added = self.input_ids.shape[1] - input_ids.shape[1]
        self.input_ids.copy_(F.pad(input_ids, (added, 0)))
        self.attention_mask.copy_(F.pad(attention_mask, (added, 0)))

    def run(self, reading: Reading = nullcontext) -> None:
        """Fill `logits` and `cache`; `reading` lasts for a pass that is not replayed."""
        if self._graph is not None:
            self._graph.replay()
            return
        with reading():
            self._run()

    def capture(self, reading: Reading = nullcontext, *, pool: tuple[int, int] | None = None) -> None:
        """Make the pass a CUDA graph."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self.run(reading)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self.run(reading)
        self._graph = graph

    def _run(self) -> None:
        self.cache = DynamicCache(config=self.lm.model.config)
        self.logits = prompt_logits(self.lm, self.input_ids, self.attention_mask, cache=self.cache)


class PromptPasses:
    """Passes by size, kept from call to call.

    Args:
        lm: the LLM.
        is_captured: make each pass a CUDA graph.
    """

    def __init__(self, lm: FrozenLM, *, is_captured: bool) -> None:
        self.lm, self.is_captured = lm, is_captured
        self._passes: OrderedDict[Hashable, PromptPass | None] = OrderedDict()
        self._pool = torch.cuda.graph_pool_handle() if is_captured else None

    def loaded(
        self, input_ids: Tensor, attention_mask: Tensor, *, key: Hashable, new_reader: Callable[[], object | None]
    ) -> PromptPass | None:
        """The pass for prompts [B, T], filled with them; None: their size is new, or too large.

        Args:
            input_ids: [B, T], padded on the left.
            attention_mask: [B, T].
            key: what a captured pass depends on besides the size.
            new_reader: makes the buffers of what reads beside the LLM.
        """
        batch_size, length = input_ids.shape[0], -(-input_ids.shape[1] // LENGTHS) * LENGTHS
        if batch_size * length > _MOST_TOKENS:
            return None
        full = (batch_size, length, key)
        is_known = full in self._passes
        found = self._passes.pop(full, None)
        while len(self._passes) >= _MOST_PASSES:
            self._passes.popitem(last=False)
        if found is None and is_known:
            found = PromptPass(self.lm, batch_size=batch_size, length=length, reader=new_reader())
        self._passes[full] = found
        if found is not None:
            found.load(input_ids, attention_mask)
        return found

    def run(self, prompt_pass: PromptPass, reading: Reading = nullcontext) -> None:
        """Run a pass; capture it first if that is to be done and was not."""
        if self.is_captured and prompt_pass.cache is None:
            prompt_pass.capture(reading, pool=self._pool)
        prompt_pass.run(reading)


def prompt_logits(lm: FrozenLM, input_ids: Tensor, attention_mask: Tensor, *, cache: DynamicCache) -> Tensor:
    """Logits [B, V] behind prompts [B, T] padded on the left; `cache` takes their keys and values."""
    output = lm.model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        position_ids=(attention_mask.long().cumsum(-1) - 1).clamp_(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1]
